"""A report is written again when it would come out otherwise, and only then."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bnexp.cli import main
from bnexp.report import current
from bnexp.report.current import is_current
from bnexp.report.reports import build
from bnexp.store.folder import Store
from bnexp.store.packing import pack
from bnexp.study.design import Run
from tests.fabricate import planted, redeclared

SWEEP = ["norm=none,batch", "seed=range(2)"]


def measure(run: Run) -> dict[str, float | None]:
    """Return an accuracy and a loss."""
    return {"test_accuracy": 0.7 + 0.1 * run.seed, "train_loss": 0.5}


@pytest.fixture
def store(weird_path: Path, undrawn: None) -> Store:
    """Return a study with its report, all of it written a minute ago."""
    store = planted(SWEEP, weird_path, measure)[1]
    build(store)
    for path in [store.folder, *store.folder.rglob("*")]:
        os.utime(path, ns=(0, path.stat().st_mtime_ns - 60 * 10**9))
    assert is_current(store)
    return store


def write_again(store: Store) -> None:
    path = sorted(store.runs.iterdir())[0]
    path.write_text(path.read_text().replace("0.7", "0.6"))


def lose_a_run(store: Store) -> None:
    sorted(store.runs.iterdir())[0].unlink()


def lose_a_table(store: Store) -> None:
    (store.tables / "cells.csv").unlink()


def lose_all_figures(store: Store) -> None:
    for path in store.figures.iterdir():
        path.unlink()
    store.figures.rmdir()


def save_an_old_run(store: Store) -> None:
    path = store.run_file("0123")
    path.write_text("{}")
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize(
    "change",
    [
        write_again,
        lose_a_run,
        lose_a_table,
        lose_all_figures,
        save_an_old_run,
        pack,
        lambda store: redeclared(store, question="Another one?"),
        lambda store: (store.folder / "report.md").unlink(),
        lambda store: store.page.unlink(),
        lambda store: store.page.write_text("a page of another program"),
        lambda store: store.failed_file("0123").write_text("{}"),
    ],
)
def test_whatever_changes_makes_a_report_old(
    change: Callable[[Store], object], store: Store
) -> None:
    """Runs, what is declared, the form of the runs, and every file that was written count."""
    change(store)
    assert not is_current(store)


def test_another_program_writes_its_own_report(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page says which program wrote it, to the last letter of its source."""
    monkeypatch.setattr(current, "_program", lambda: b"another")
    assert not is_current(store)


def test_a_run_with_nothing_missing_leaves_a_current_report_alone(
    store: Store, weird_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says where the report is, and writes it when a run has changed."""
    command = ["run", "-m", *SWEEP, f"results_dir='{weird_path}'"]
    before = store.page.stat().st_mtime_ns
    for again in (False, True):
        if again:
            write_again(store)
        assert main(command) == 0
        assert capsys.readouterr().out.endswith(f"report: {store.page}\n")
        assert (store.page.stat().st_mtime_ns > before) is again
        assert is_current(store)


def test_report_always_writes(store: Store) -> None:
    """Bnexp report is for those who want it anew, whatever it shows."""
    before = store.page.stat().st_mtime_ns
    assert main(["report", str(store.folder)]) == 0
    assert store.page.stat().st_mtime_ns > before
