import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnexp.config.compose import Composer
from bnexp.errors import UsageError
from bnexp.store.folder import Store
from bnexp.store.json_files import write_bytes, write_json
from bnexp.store.records import SCHEMA_VERSION, RunRecord
from bnexp.study.cohorts import missing
from bnexp.study.declare import declare
from bnexp.study.design import Design, enumerate_design
from tests import strategies


def record(run_id: str, status: str = "ok", **changes: object) -> RunRecord:
    """Return a record of a run."""
    whole = RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        study="study",
        cell={"norm": "batch"},
        seed=0,
        status="ok",
        config={},
        metrics={"test_accuracy": 0.5, "test_loss": None},
        history=[],
        provenance={"started": "2026-01-01T00:00:00+00:00"},
    )
    return dataclasses.replace(whole, status=status, **changes)  # type: ignore[arg-type]


@pytest.fixture
def store(weird_path: Path) -> Store:
    """Return an empty store in a folder of an unpleasant name."""
    opened = Store(weird_path / "results")
    opened.open_for_writing()
    return opened


@pytest.fixture(scope="module")
def design_of() -> Callable[..., Design]:
    """Return a function from arguments to a design, with -m."""

    def design(*arguments: str) -> Design:
        with Composer() as composer:
            study = declare(composer, arguments, multirun=True)
            return enumerate_design(study, lambda settings: composer.resolve(settings)[0])

    return design


@given(st.lists(strategies.records(), unique_by=lambda one: one.run_id, max_size=4))
def test_records_survive_the_disk(
    tmp_path_factory: pytest.TempPathFactory, records: list[RunRecord]
) -> None:
    """What is loaded is what was saved, missing numbers included, in the order asked for."""
    store = Store(tmp_path_factory.mktemp("results"))
    store.open_for_writing()
    for one in records:
        store.save(one)
    ids = [one.run_id for one in records]
    assert store.load(ids) == records
    assert store.load(reversed(ids)) == records[::-1]
    assert store.done() == {one.run_id for one in records if one.status != "failed"}
    assert store.failed() == {one.run_id for one in records if one.status == "failed"}


def test_a_study_goes_on_where_it_stopped(
    store: Store, design_of: Callable[..., Design]
) -> None:
    """A second start trains what has no file yet, and nothing else."""
    design = design_of("norm=none,batch", "seed=range(3)")
    for run in design.runs[:4]:
        store.save(record(run.run_id))
    left = missing(design.runs, Store(store.folder).done())
    assert left == list(design.runs[4:])
    more = design_of("norm=none,batch", "seed=range(4)")
    assert len(missing(more.runs, store.done())) == 4


def test_nothing_is_done_where_there_is_no_folder(tmp_path: Path) -> None:
    """A study that never ran has no runs; asking creates no folder."""
    store = Store(tmp_path / "never")
    assert store.done() == store.failed() == set()
    assert store.load(["a"]) == []
    assert not store.folder.exists()


class Pulled(BaseException):
    """The plug was pulled: nothing in the program may catch it."""


def pull(*_: object) -> NoReturn:
    raise Pulled


def test_an_interrupted_write_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the temporary file and its rename there is no half run, and no litter."""
    monkeypatch.setattr(os, "replace", pull)
    with pytest.raises(Pulled):
        store.save(record("a"))
    assert store.done() == set()
    assert list(store.runs.iterdir()) == []


def test_an_interrupted_write_keeps_what_was_there(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is replaced stays whole until the new one is whole."""
    store.save(record("a", metrics={"test_accuracy": 0.25}))
    monkeypatch.setattr(os, "replace", pull)
    with pytest.raises(Pulled):
        store.save(record("a", metrics={"test_accuracy": 0.75}))
    assert store.load(["a"])[0].metrics == {"test_accuracy": 0.25}


def test_a_killed_process_leaves_no_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies before the rename leaves a temporary file that is no run."""
    monkeypatch.setattr(os, "replace", pull)
    monkeypatch.setattr(os, "unlink", pull)  # the dead do not tidy up
    with pytest.raises(Pulled):
        store.save(record("a"))
    monkeypatch.undo()
    assert len(list(store.runs.iterdir())) == 1
    assert store.done() == store.failed() == set()
    store.save(record("a"))
    assert store.load(["a"]) == [record("a")]


def test_a_reader_never_sees_half_a_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file comes into being by its rename, with its whole content."""
    path = store.folder / "page.html"
    seen = []
    replace = os.replace

    def look(source: str, target: Path) -> None:
        seen.append((Path(source).parent == path.parent, path.exists()))
        assert Path(source).read_bytes() == b"whole"
        replace(source, target)

    monkeypatch.setattr(os, "replace", look)
    write_bytes(path, b"whole")
    assert seen == [(True, False)]
    assert path.read_bytes() == b"whole"


def test_nan_is_refused(store: Store) -> None:
    """NaN is no JSON: a number that is missing has to be None before it comes here."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.save(record("a", metrics={"test_loss": float("nan")}))
    assert list(store.runs.iterdir()) == []


def test_a_failure_is_replaced_by_a_success(store: Store) -> None:
    """A failed run is not done; trained again, its success stands alone."""
    store.save(record("a", "failed", error="out of memory"))
    assert (store.done(), store.failed()) == (set(), {"a"})
    assert store.load(["a"])[0].error == "out of memory"
    store.save(record("a"))
    assert (store.done(), store.failed()) == ({"a"}, set())
    assert store.load(["a"])[0].status == "ok"
    assert [path.name for path in store.runs.iterdir()] == ["a.json"]


def test_a_divergence_is_done(store: Store) -> None:
    """A diverged run is an outcome: it is not trained again."""
    store.save(record("a", "diverged", error="the loss is not finite at step 3 (epoch 1)"))
    assert store.done() == {"a"}


@pytest.mark.parametrize(
    ("version", "remedy"),
    [
        (SCHEMA_VERSION + 1, "install a newer bnexp"),
        (SCHEMA_VERSION - 1, "move the folder away"),
        (None, "move the folder away"),
        ("1", "move the folder away"),
    ],
)
def test_another_schema_version_is_refused(store: Store, version: object, remedy: str) -> None:
    """A file of another version is not guessed at: the message says what to do."""
    write_json(store.runs / "a.json", record("a").to_json() | {"schema_version": version})
    with pytest.raises(UsageError, match=rf"a\.json has schema version .*{remedy}"):
        store.load(["a"])


@pytest.mark.parametrize("content", ["", "{", '{"schema_version": 1', "\udcff"])
def test_a_damaged_file_is_named(store: Store, content: str) -> None:
    """A file that is no JSON is an error with its path and what to do."""
    path = store.runs / "0123.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=r"0123\.json cannot be read .*delete it and run"):
        store.load(["0123"])


@pytest.mark.parametrize("content", ["[]", "3", "null"])
def test_json_of_another_kind_is_named(store: Store, content: str) -> None:
    """JSON that is no object is refused by name as well."""
    (store.runs / "0123.json").write_text(content)
    with pytest.raises(UsageError, match=r"0123\.json"):
        store.load(["0123"])


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"metrics": ...},
        {"metrics": [1]},
        {"metrics": {"test_accuracy": "high"}},
        {"history": None},
        {"history": [1]},
        {"status": "fine"},
        {"seed": "0"},
        {"config": {"data": ["mnist"]}},
        {"config": {"data": {"name": ["mnist"]}}},
        {"config": {"data": {"name": "emnist", "split": "none"}}},
    ],
)
def test_json_of_another_shape_is_named(store: Store, change: dict[str, object]) -> None:
    """A file with a field too many or too few, or of another type, is no run."""
    data = record("0123").to_json() | change
    write_json(store.runs / "0123.json", {k: v for k, v in data.items() if v is not ...})
    with pytest.raises(UsageError, match=r"0123\.json is not a run of bnexp"):
        store.load(["0123"])


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999"])
def test_a_number_that_is_none_is_named(store: Store, number: str) -> None:
    """An infinite accuracy would make every table wrong."""
    text = json.dumps(record("0123").to_json() | {"metrics": {"test_accuracy": "here"}})
    (store.runs / "0123.json").write_text(text.replace('"here"', number))
    with pytest.raises(UsageError, match=r"0123\.json"):
        store.load(["0123"])


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """Results that cannot be written are an error before anything trains."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"cannot write results .*results_dir=DIR"):
        Store(tmp_path / "file" / "study").open_for_writing()


def test_others_may_read_a_run_where_the_umask_lets_them(store: Store) -> None:
    """A new file has the mode of any other under the umask, not one of a secret."""
    before = os.umask(0o022)
    try:
        store.save(record("a"))
    finally:
        os.umask(before)
    assert (store.runs / "a.json").stat().st_mode & 0o777 == 0o644
