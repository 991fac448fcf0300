"""Runs in one file: the same runs, and never a moment without them."""

import dataclasses
import gzip
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnexp.errors import UsageError
from bnexp.store import packed, packing
from bnexp.store.folder import Store
from bnexp.store.json_files import write_json
from bnexp.store.packing import pack, unpack
from bnexp.store.records import SCHEMA_VERSION, RunRecord
from tests import strategies

IDS = ["b2", "a1", "c3"]


def record(run_id: str, **changes: Any) -> RunRecord:
    """Return a record of a run, with letters and numbers of every kind."""
    whole = RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        study="study",
        cell={"norm": "検証 \N{SNOWMAN}"},
        seed=0,
        status="ok",
        config={"lr": 1e-7, "empty": {}, "none": []},
        metrics={"test_accuracy": 0.1 + 0.2, "test_loss": None, "wall_s": 1e22},
        history=[{"epoch": 1, "train_loss": 5e-324}],
        provenance={"hardware": "a\nb\u2028c", "started": "2026-01-01T00:00:00+00:00"},
    )
    return dataclasses.replace(whole, **changes)


def stored(folder: Path, *records: RunRecord) -> Store:
    """Return a store with a file for each record."""
    store = Store(folder)
    store.open_for_writing()
    for one in records or map(record, IDS):
        store.save(one)
    return store


def contents(store: Store) -> dict[str, bytes]:
    """Return the bytes of every single run file, by name."""
    return {path.name: path.read_bytes() for path in store.runs.glob("*.json")}


@pytest.fixture
def store(weird_path: Path) -> Store:
    """Return three finished runs in a folder of an unpleasant name."""
    return stored(weird_path / "results")


@given(st.lists(strategies.records(), unique_by=lambda one: one.run_id, min_size=1, max_size=4))
def test_packed_runs_are_the_runs(
    tmp_path_factory: pytest.TempPathFactory, records: list[RunRecord]
) -> None:
    """Packed or not, a folder has the same runs; unpacked, it has the same bytes."""
    store = stored(tmp_path_factory.mktemp("results") / "x", record("a"), *records)
    ids = ["a", *(one.run_id for one in records), "never"]
    before = (store.load(ids), store.done(), store.failed(), contents(store))
    pack(store)
    for one in (store, Store(store.folder)):
        assert (one.load(ids), one.done(), one.failed()) == before[:3]
    assert {name for name in contents(store) if not name.endswith(".failed.json")} == set()
    unpack(store)
    for one in (store, Store(store.folder)):
        assert (one.load(ids), one.done(), one.failed(), contents(one)) == before


def test_a_failed_run_stays_a_file(store: Store) -> None:
    """What the next training replaces is not put away."""
    store.save(record("f", status="failed", error="out of memory"))
    pack(store)
    assert list(contents(store)) == ["f.failed.json"]
    assert (store.failed(), store.done()) == ({"f"}, set(IDS))
    store.save(record("f"))
    assert (store.failed(), store.done()) == (set(), {*IDS, "f"})


class Killed(BaseException):
    """The process is gone: nothing in the program may catch it."""


def stopped_at(step: int, work: Callable[[Store], object], store: Store) -> bool:
    """Return whether work was over before its n-th touch of the disk, else stop it there."""
    steps = itertools.count()

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def touch(*args: Any, **more: Any) -> Any:
            if next(steps) >= step:
                raise Killed
            return real(*args, **more)

        return touch

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (
            (os, "replace"),
            (os, "fsync"),
            (os, "chmod"),
            (Path, "unlink"),
            (packing, "write_bytes"),
        ):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        try:
            work(store)
        except Killed:
            return False
    return True


@pytest.mark.parametrize("work", [pack, unpack])
def test_a_kill_at_any_moment_loses_nothing(
    work: Callable[[Store], object], tmp_path: Path
) -> None:
    """Whenever it is stopped every run reads the same, and giving the command again ends it."""
    whole = contents(stored(tmp_path / "whole"))
    for step in itertools.count():
        store = stored(tmp_path / str(step))
        if work is unpack:
            pack(store)
        over = stopped_at(step, work, store)
        left = Store(store.folder)
        assert left.load(IDS) == [record(run_id) for run_id in IDS], step
        assert left.done() == set(IDS), step
        work(left)
        names = set(contents(left))
        assert names == (set() if work is pack else set(whole)), step
        unpack(left)
        assert contents(left) == whole, step
        if over:
            break
    assert step > 5


def test_a_runs_own_file_wins(store: Store) -> None:
    """A run that was trained again is newer than its line, and takes its place when packed."""
    pack(store)
    newer = record("a1", metrics={"test_accuracy": 0.75})
    store.save(newer)
    assert store.load(["a1"]) == [newer]
    assert store.done() == set(IDS)
    unpack(store)
    assert store.load(["a1"]) == [newer]
    pack(store)
    newest = record("a1", metrics={"test_accuracy": 0.875})
    store.save(newest)
    pack(store)
    assert contents(store) == {}
    assert Store(store.folder).load(["a1"]) == [newest]


def test_the_same_runs_are_the_same_bytes(store: Store, tmp_path: Path) -> None:
    """Neither the order nor the time of what was packed shows; a line begins with its id."""
    pack(store)
    other = stored(tmp_path / "x", record("c3"))
    pack(other)
    for run_id in ("b2", "a1"):
        other.save(record(run_id))
        pack(other)
    files = [one.folder / packed.ZIPPED for one in (store, other)]
    assert files[0].read_bytes() == files[1].read_bytes()
    lines = gzip.decompress(files[0].read_bytes()).decode().split("\n")
    assert [line[:33] for line in lines] == [
        *(f'{{"schema_version":1,"run_id":"{run_id}"' for run_id in sorted(IDS)),
        "",
    ]


def test_packing_again_changes_nothing(store: Store) -> None:
    """A file that has every run already is left alone, for git's sake."""
    pack(store)
    before = packed.stamp(store.folder / packed.ZIPPED)
    store.save(record("a1"))
    pack(store)
    assert packed.stamp(store.folder / packed.ZIPPED) == before
    assert contents(store) == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("0.30000000000000004", "3.0000000000000004e-1"),
        lambda text: text.replace("0.30000000000000004", "1e400"),
        lambda text: text.replace("\n ", "\n  "),
        lambda text: text.replace('"run_id": "a1"', '"run_id": "z"'),
        lambda text: text.rstrip(),
    ],
)
def test_what_bnexp_does_not_write_so_stays(
    change: Callable[[str], str], store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file whose bytes a line could not give back is no part of the pack, and is named."""
    path = store.run_file("a1")
    edited = change(path.read_text())
    assert edited != path.read_text()
    path.write_text(edited)
    assert pack(store) == [path]
    assert contents(store) == {"a1.json": edited.encode()}
    assert store.done() == set(IDS)


def test_a_plain_file_is_read_as_well(store: Store) -> None:
    """Lines that another program unzipped are read, win over older ones, and are packed."""
    pack(store)
    text = gzip.decompress((store.folder / packed.ZIPPED).read_bytes()).decode()
    plain = store.folder / packed.PLAIN
    plain.write_text(text.replace("0.30000000000000004", "0.5"))
    assert {one.metrics["test_accuracy"] for one in store.load(IDS)} == {0.5}
    pack(store)
    assert not plain.exists()
    assert {one.metrics["test_accuracy"] for one in store.load(IDS)} == {0.5}
    shutil.copy(store.folder / packed.ZIPPED, store.folder / "kept")
    plain.write_text(text)
    (store.folder / packed.ZIPPED).unlink()
    assert store.load(IDS) == [record(run_id) for run_id in IDS]
    unpack(store)
    assert not plain.exists()
    assert store.load(IDS) == [record(run_id) for run_id in IDS]


def test_a_file_that_is_edited_in_its_place_is_read_again(store: Store) -> None:
    """Its size and its place on the disk stay; that it is newer is enough."""
    pack(store)
    text = gzip.decompress((store.folder / packed.ZIPPED).read_bytes())
    plain = store.folder / packed.PLAIN
    plain.write_bytes(text)
    before = store.packed.lines()
    assert store.packed.lines() is before
    with plain.open("r+b") as file:
        file.write(text.replace(b"0.30000000000000004", b"0.50000000000000000"))
    os.utime(plain, ns=(1, plain.stat().st_mtime_ns + 1))
    assert {one.metrics["test_accuracy"] for one in store.load(IDS)} == {0.5}


def twice(whole: bytes) -> bytes:
    """Return the first line of a pack with another number in it."""
    first = gzip.decompress(whole).splitlines(keepends=True)[0]
    return first.replace(b"0.30000000000000004", b"0.5")


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-20],
        lambda whole: b"no gzip",
        lambda whole: whole[:40] + bytes([whole[40] ^ 255]) + whole[41:],
        lambda whole: gzip.compress(b'{"run_id": "a1"}\n'),
        lambda whole: gzip.compress(b'{"schema_version":1,"run_id":"../../a1","study":""}\n'),
        lambda whole: gzip.compress(b"\n"),
        lambda whole: whole + gzip.compress(twice(whole)),
    ],
)
def test_a_damaged_pack_is_named(damage: Callable[[bytes], bytes], store: Store) -> None:
    """What is no pack of bnexp is one clear message, and stays for whoever can repair it."""
    pack(store)
    path = store.folder / packed.ZIPPED
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    for work in (Store.done, pack, unpack):
        with pytest.raises(UsageError, match=r"runs\.jsonl\.gz cannot be read .*restore it"):
            work(Store(store.folder))
    assert path.read_bytes() == before


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_pack_that_is_no_file_is_not_waited_for(
    make: Callable[[Path], None], store: Store
) -> None:
    """A folder or a pipe in its place is refused, and not read from for ever."""
    make(store.folder / packed.ZIPPED)
    with pytest.raises(UsageError, match=r"runs\.jsonl\.gz is not an ordinary file"):
        store.done()


def test_a_pack_that_leads_nowhere_is_named(store: Store) -> None:
    """A link to itself is one clear message."""
    (store.folder / packed.ZIPPED).symlink_to(packed.ZIPPED)
    with pytest.raises(UsageError, match=r"runs\.jsonl\.gz cannot be read .*symbolic links"):
        store.done()


def test_a_damaged_line_is_named(store: Store) -> None:
    """A run whose line is not whole says so when it is read."""
    line = '{"schema_version":1,"run_id":"a1","stu'
    (store.folder / packed.PLAIN).write_text(line)
    store.run_file("a1").unlink()
    with pytest.raises(UsageError, match=r"packed run a1 of .* cannot be read"):
        store.load(["a1"])
    with pytest.raises(UsageError, match=r"packed run a1 of .* cannot be read"):
        unpack(store)


@pytest.mark.parametrize("work", [pack, unpack])
def test_runs_that_move_while_they_are_looked_for_are_found(
    work: Callable[[Store], object], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader sees every run, though another process packs or unpacks between its looks."""
    if work is unpack:
        pack(store)
    for name in ("_listing", "run_file"):
        reader, real = Store(store.folder), getattr(Store, name)
        moved: list[bool] = []

        def listing(one: Store, *args: str, real: Any = real, moved: Any = moved) -> Any:
            if not moved:
                moved.append(True)
                work(Store(store.folder))
            return real(one, *args)

        monkeypatch.setattr(Store, name, listing)
        found = reader.done() if name == "_listing" else reader.load(IDS)
        monkeypatch.undo()
        assert moved
        assert len(found) == len(IDS)
        (unpack if work is pack else pack)(store)


def test_a_run_that_is_trained_while_others_are_packed_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not the one that was read is not removed."""
    newer = record("a1", metrics={"test_accuracy": 0.75})
    write = packing.write_bytes

    def and_train(path: Path, *args: Any, **more: Any) -> None:
        write(path, *args, **more)
        Store(store.folder).save(newer)

    monkeypatch.setattr(packing, "write_bytes", and_train)
    pack(store)
    assert list(contents(store)) == ["a1.json"]
    assert store.load(["a1"]) == [newer]


def test_ids_are_known_without_reading_records(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done is told by how lines begin: a plan of many runs waits for nothing."""
    pack(store)
    monkeypatch.setattr(json, "loads", lambda *_: pytest.fail("a record was read"))
    assert Store(store.folder).done() == set(IDS)


@pytest.mark.parametrize("work", [pack, unpack])
def test_a_folder_without_runs_is_refused(
    work: Callable[[Store], object], tmp_path: Path
) -> None:
    """There is nothing to pack where nothing was trained; no folder comes into being."""
    with pytest.raises(UsageError, match="holds no finished run: name the folder"):
        work(Store(tmp_path / "never"))
    assert not (tmp_path / "never").exists()


def test_nothing_else_is_left_in_the_folder(store: Store) -> None:
    """Neither a lock nor a temporary file stays behind."""
    write_json(store.folder / "study.json", {})
    pack(store)
    assert sorted(os.listdir(store.folder)) == ["runs", "runs.jsonl.gz", "study.json"]
    unpack(store)
    assert sorted(os.listdir(store.folder)) == ["runs", "study.json"]
