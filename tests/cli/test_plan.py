"""What a plan prints: seeds as one says them, and each cell's runs in its row."""

from argparse import Namespace
from pathlib import Path

import pytest

from bnexp.cli import plan
from bnexp.study.declare import open_design

SWEEP = ["data=digits", "norm=none,batch", "seed=range(3)"]


@pytest.mark.parametrize(
    ("seeds", "said"),
    [((4,), "4"), ((0, 1), "0, 1"), ((3, 4, 5), "3 to 5"), ((0, 2, 4), "0, 2, 4")],
)
def test_seeds_in_a_row_are_a_range(seeds: tuple[int, ...], said: str) -> None:
    """From three on, they are named by their ends."""
    assert plan._seeds(seeds) == said


def test_each_cell_says_what_is_done_and_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """A run that is stored counts as done in the row of its cell, and in no other."""
    design = open_design(SWEEP, True, None)
    done = {run.run_id for run in design.runs if run.cell.labels["norm"] == "none"}
    last = design.cells[1].run_id(2)
    plan._print_cells(design, {*done, last})
    head, *rows = (line.split() for line in capsys.readouterr().out.splitlines()[:3])
    assert head == ["norm", "done", "missing"]
    assert rows == [["none", "3", "0"], ["batch", "1", "2"]]


def test_cells_that_are_not_shown_are_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows and the number below them make all cells."""
    monkeypatch.setattr(plan, "MOST_CELLS", 2)
    plan._print_cells(open_design([*SWEEP, "model.pool=avg,max,none"], True, None), set())
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), lines[3]) == (5, "... and 4 more cells")


def test_what_seeds_will_find_is_told_before_training(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The line stands where something is to train, and is left out where nothing is known."""
    monkeypatch.setattr(plan, "_effort", lambda design, todo: "an hour")
    arguments = [*SWEEP, f"results_dir='{tmp_path}'"]
    options = Namespace(overrides=arguments, multirun=True, config_dir=None, replace=False)
    for told in ("10 seeds find a point", ""):
        monkeypatch.setattr(plan, "foresight", lambda design, told=told: told)
        assert plan.main(options) == 0
        after = capsys.readouterr().out.partition("an hour\n")[2]
        assert after.startswith(f"{told}\nbnexp run" if told else "bnexp run")
