"""What is said of a training while it goes on."""

import io
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import pytest

from bnexp.api import progress
from bnexp.api.progress import Progress
from bnexp.config.schema import Config
from bnexp.engine import EpochDone
from bnexp.study.cohorts import Cohort
from bnexp.study.design import Cell, Run


def test_the_time_left_is_as_much_as_the_epochs_left_took(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After one of four runs, three times what it took; after the last, nothing."""
    now = 100.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    cell = Cell({}, compose("train.epochs=2"))
    runs = [Run(f"r{seed}", cell, seed) for seed in range(4)]
    with Progress([Cohort("study", (run,)) for run in runs], 1) as bars:
        for run in runs:
            now += 20
            bars.run(run.record("study", "ok", provenance={}, metrics={"test_accuracy": 0.5}))
    _, first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "[1/4] ok seed=0 test accuracy 0.500 - 60 s left"
    assert last == "[4/4] ok seed=3 test accuracy 0.500"


@pytest.mark.parametrize(("n", "said"), [(1, "1 other command"), (2, "2 other commands")])
def test_other_commands_of_the_folder_are_named(
    compose: Callable[..., Config], capsys: pytest.CaptureFixture[str], n: int, said: str
) -> None:
    """Who sees runs counted that this command has not trained is told why."""
    with Progress([Cohort("study", (Run("r", Cell({}, compose()), 0),))], 1) as bars:
        bars.meet(n)
    assert f"the work is shared with {said} in this folder" in capsys.readouterr().out


class _Cell(io.StringIO):
    """What a notebook has below a cell, where standard output goes."""

    __module__ = "ipykernel.iostream"


@pytest.mark.parametrize("notebook", [False, True])
def test_a_terminal_and_a_notebook_have_one_bar_with_one_time(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    notebook: bool,
) -> None:
    """It counts runs and what diverged, says how long it takes, and ends with all of them."""
    now = 100.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    below = _Cell()
    if notebook:
        monkeypatch.setattr("sys.stdout", below)
    else:
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(progress, "tqdm", partial(progress.tqdm, ncols=60, mininterval=0))
    cell = Cell({}, compose("train.epochs=2"))
    runs = [Run(f"r{seed}", cell, seed) for seed in range(4)]
    with Progress([Cohort("study", (run,)) for run in runs], 1) as bar:
        for run in runs:
            for epoch in (1, 2):
                now += 10
                bar(EpochDone(run.run_id, epoch))
            bar(run.record("study", "ok" if run.seed else "diverged", provenance={}))
    captured = capsys.readouterr()
    written = [captured.err, below.getvalue()]
    shown = [line.strip() for line in written[notebook].split("\r") if line.strip()]
    assert captured.out == written[not notebook] == ""
    assert all(line.count(" left") <= 1 for line in shown)
    assert any("1/4 runs" in line and "50 s left, 1 diverged" in line for line in shown)
    assert shown[-1].startswith("4/4 runs |")
    assert shown[-1].endswith("| 100 %, 1 diverged")
