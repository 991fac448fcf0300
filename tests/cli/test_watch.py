"""`bnexp watch`: a study that another command trains, followed from its files alone."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bnexp.cli import main, watch
from bnexp.store.folder import Store

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def trained(results: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a study of twelve runs, of which two are trained each time that one looks away."""
    store = Store(results / "reported")
    waiting = sorted(store.runs.iterdir())
    for path in waiting:
        path.rename(path.with_suffix(".later"))
    waiting = [path.with_suffix(".later") for path in waiting]
    began = time.time() - 100
    patch_started(monkeypatch, began)

    def sleep(_: float) -> None:
        for _ in range(2):
            if waiting:
                path = waiting.pop()
                path.rename(path.with_suffix(".json"))
                os.utime(path.with_suffix(".json"))

    monkeypatch.setattr(watch.time, "sleep", sleep)
    return store


def patch_started(monkeypatch: pytest.MonkeyPatch, began: float) -> None:
    """Have all runs have begun at a time."""
    load = Store.load

    def loaded(self: Store, ids: object) -> object:
        records = load(self, ids)  # type: ignore[arg-type]
        text = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(began))
        for one in records:
            one.provenance["started"] = text
        return records

    monkeypatch.setattr(Store, "load", loaded)


def test_a_study_is_followed_to_its_answer(trained: Store, capsys: Captured) -> None:
    """A line whenever runs have ended, with the time left; then what was found, and where."""
    assert main(["watch", str(trained.folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:8]] == [
        f"{n}/12" for n in (0, 2, 4, 6, 8, 10, 12)
    ]
    # Two runs in 100 s leave 500 s for ten.
    assert lines[2] == "2/12 runs, about 8 min left"
    assert lines[7] == "12/12 runs"
    assert any("runs ended well" in line for line in lines)
    assert lines[-1] == f"report: {trained.page}"


def test_a_run_that_failed_counts_as_ended(results: Path, capsys: Captured) -> None:
    """It is said, and the exit code is that of the training."""
    first = min((results / "bare" / "runs").iterdir())
    first.rename(first.with_suffix(".failed.json"))
    for path in (results / "bare" / "runs").iterdir():
        os.utime(path, (1e9, 1e9))
    assert main(["watch", str(results / "bare")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "5/6 runs, 1 failed"
    assert lines[-1] == "no report of these runs yet: bnexp report results/bare"


def test_a_training_that_is_silent_is_doubted(results: Path) -> None:
    """Nothing ended for long: perhaps nobody trains."""
    store = Store(results / "bare")
    first, *others = sorted(store.runs.iterdir())
    first.unlink()
    for path in others:
        os.utime(path)
    said: Callable[[], str] = lambda: str(watch.look(store))  # noqa: E731
    assert "still being trained" not in said()
    for path in others:
        os.utime(path, (time.time() - 1200,) * 2)
    assert said().endswith("the last one ended 20 min ago: is it still being trained?")


def test_what_is_no_study_is_one_message(results: Path, capsys: Captured) -> None:
    """Exit code 2."""
    assert main(["watch", str(results / "notes")]) == 2
    assert "holds no study.json" in capsys.readouterr().err
