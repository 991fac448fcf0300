"""What is read as a run is one of bnexp, or refused with the place of the fault."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bnexp.errors import UsageError
from bnexp.store import packed
from bnexp.store.damaged import check, set_aside
from bnexp.store.folder import Store
from bnexp.store.packing import pack
from bnexp.store.records import SCHEMA_VERSION
from tests.store.test_folder import record

GOOD = record("a1", history=[{"epoch": 1, "train_loss": 0.5}]).to_json()


def stored(folder: Path, content: object, run_id: str = "a1") -> Store:
    """Return a store with a run's file of some content."""
    store = Store(folder)
    store.open_for_writing()
    text = content if isinstance(content, str) else json.dumps(content)
    store.run_file(run_id).write_text(text)
    return store


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("status", None, "see status"),
        ("status", "weird", "see status"),
        ("metrics", None, "see metrics"),
        ("metrics", [], "see metrics"),
        ("metrics", "text", "see metrics"),
        ("metrics", {"test_accuracy": {}}, r"see metrics\.test_accuracy\)"),
        ("metrics", {"test_accuracy": 1e308}, r"see metrics\.test_accuracy\)"),
        ("metrics", {"test_accuracy": 1.5}, r"see metrics\.test_accuracy"),
        ("metrics", {"test_accuracy": 10**400}, r"see metrics\.test_accuracy"),
        ("metrics", {"test_loss": 1e300}, r"see metrics\.test_loss"),
        ("metrics", {"test_loss": float("nan")}, "cannot be read .*NaN is no number"),
        ("metrics", {"test_loss": float("inf")}, "cannot be read .*Infinity is no number"),
        ("metrics", {"norm": 1.0}, r"see metrics\.norm"),
        ("metrics", {"status": 1.0}, r"see metrics\.status"),
        ("history", None, "see history"),
        ("history", {}, "see history"),
        ("history", [1], r"see history\.0"),
        ("history", [{}], "see history, whose epochs are not in order"),
        ("history", [{"epoch": "x"}], r"see history\.0\.epoch"),
        ("history", [{"epoch": 1e300}], r"see history"),
        ("history", [{"epoch": 2}, {"epoch": 2}], "see history, whose epochs"),
        ("history", [{"epoch": 1, "seed": 3}], r"see history\.seed"),
        ("provenance", None, "see provenance"),
        ("provenance", {}, r"see provenance\.started"),
        ("provenance", {"started": "yesterday"}, r"see provenance\.started"),
        ("provenance", {"started": "2026-01-01T00:00:00"}, r"see provenance\.started"),
        ("provenance", {"started": 3}, r"see provenance\.started"),
        (
            "provenance",
            {"started": "2026-01-01T00:00:00+00:00", "elapsed_s": "long"},
            r"see provenance\.elapsed_s",
        ),
        (
            "provenance",
            {"started": "2026-01-01T00:00:00+00:00", "code": {"files": "mine.py"}},
            r"see provenance\.code",
        ),
        *(
            (
                "provenance",
                {"started": "2026-01-01T00:00:00+00:00", "chance": chance},
                r"see provenance\.chance",
            )
            for chance in ("much", 0, -0.5, 1.5, None)
        ),
        ("seed", "1", "see seed"),
        ("run_id", "other", "see run_id, which is not a1"),
        ("run_id", 3, "see run_id"),
        ("cell", None, "see cell"),
        ("config", None, "see config"),
        ("study", 3, "see study"),
        ("error", 3, "see error"),
        ("extra", 1, "see extra"),
        ("schema_version", SCHEMA_VERSION + 1, "install a newer bnexp"),
        ("schema_version", None, "has schema version None"),
    ],
)
def test_a_field_that_is_not_as_bnexp_writes_it_is_named(
    field: str, value: object, says: str, tmp_path: Path
) -> None:
    """One line with the file and the field, whether the run has a file or a line."""
    store = stored(tmp_path / "one", {**GOOD, field: value})
    with pytest.raises(UsageError, match=rf"a1\.json .*{says}") as refused:
        store.load(["a1"])
    assert "\n" not in str(refused.value)
    line = json.dumps({**GOOD, field: value}, separators=(",", ":"))
    packs = Store(tmp_path / "packed")
    packs.open_for_writing()
    head = f'{{"schema_version":{SCHEMA_VERSION},"run_id":"a1",'
    if line.startswith(head):
        (packs.folder / packed.PLAIN).write_text(line + "\n")
        with pytest.raises(UsageError, match=f"the packed run a1 of .*{says}"):
            packs.load(["a1"])


@pytest.mark.parametrize("field", sorted(GOOD.keys() - {"error"}))
def test_a_field_that_is_missing_is_named(field: str, tmp_path: Path) -> None:
    content = {key: value for key, value in GOOD.items() if key != field}
    with pytest.raises(UsageError, match=f"see {field}|has schema version None"):
        stored(tmp_path, content).load(["a1"])


@pytest.mark.parametrize(
    "text", ["", "{", "\ufeff{}", "[" * 100_000, '{"a":' * 50_000, '{"schema_version":1e400}']
)
def test_what_is_no_run_at_all_is_one_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a1\.json (cannot be read|has schema version)"):
        stored(tmp_path, text).load(["a1"])


def test_a_diverged_loss_and_a_failed_run_are_runs(tmp_path: Path) -> None:
    """What bnexp itself may write is read: huge losses, missing numbers, no time of a start."""
    store = stored(tmp_path, {**GOOD, "metrics": {"test_loss": 3e38, "test_accuracy": None}})
    store.save(record("b2", "failed", provenance={"device": "cpu"}, error="\x1b[31mred"))
    assert [one.status for one in store.load(["a1", "b2"])] == ["ok", "failed"]


def test_all_that_is_damaged_is_named_at_once(tmp_path: Path) -> None:
    """Before anything trains, with the command that helps."""
    store = stored(tmp_path, "{")
    for run_id in ("b2", "c3"):
        store.save(record(run_id))
    store.run_file("c3").write_text(store.run_file("c3").read_text()[:-20])
    with pytest.raises(
        UsageError, match=rf"(?s)2 runs of .*bnexp set-aside {tmp_path}"
    ) as refused:
        check(store, store.done())
    for name in ("a1.json", "c3.json"):
        assert name in str(refused.value)
    check(store, ["b2"])


def test_what_is_put_away_is_trained_again_and_the_rest_is_kept(tmp_path: Path) -> None:
    """Damaged files and lines get another name; every whole run stays, byte for byte."""
    store = stored(tmp_path, "{")
    store.save(record("b2"))
    whole = store.run_file("b2").read_bytes()
    store.failed_file("d4").write_text("?")
    line = json.dumps({**GOOD, "run_id": "e5", "status": "weird"}, separators=(",", ":"))
    good = json.dumps({**GOOD, "run_id": "f6"}, separators=(",", ":"))
    (tmp_path / packed.PLAIN).write_text(f"{line}\n{good}\n")
    put_away = set_aside(store)
    assert sorted(path.name for path in put_away) == [
        "a1.json.damaged",
        "d4.failed.json.damaged",
        "e5.json.damaged",
    ]
    assert (store.runs / "e5.json.damaged").read_text() == line
    assert store.run_file("b2").read_bytes() == whole
    assert store.done() == {"b2", "f6"}
    assert store.failed() == set()
    check(store, store.done())
    assert set_aside(store) == []


def test_a_pack_that_cannot_be_unpacked_is_put_away(tmp_path: Path) -> None:
    store = stored(tmp_path, GOOD)
    store.save(record("b2"))
    pack(store)
    zipped = tmp_path / packed.ZIPPED
    zipped.write_bytes(zipped.read_bytes()[:-9])
    assert [path.name for path in set_aside(store)] == ["runs.jsonl.gz.damaged"]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_put_away(make: Callable[[Path], Any], tmp_path: Path) -> None:
    store = stored(tmp_path, {**GOOD, "run_id": "b2"}, "b2")
    make(store.run_file("a1"))
    set_aside(store)
    assert store.done() == {"b2"}
