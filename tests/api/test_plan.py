"""What a plan says: seeds as one says them, and each cell's runs in its row."""

import json
from pathlib import Path

import pytest

from bnexp.api import plan
from bnexp.api.opened import Opened
from bnexp.api.plan import Plan
from bnexp.study.declare import open_design
from tests.fabricate import record_of

SWEEP = ["data=digits", "norm=none,batch", "seed=range(3)"]


def planned(*more: str) -> Plan:
    """Return a plan of a sweep whose training is not timed."""
    return Plan(Opened.of(open_design([*SWEEP, *more], True, None)), None, "", "")


@pytest.mark.parametrize(
    ("seeds", "said"),
    [((4,), "4"), ((0, 1), "0, 1"), ((3, 4, 5), "3 to 5"), ((0, 2, 4), "0, 2, 4")],
)
def test_seeds_in_a_row_are_a_range(seeds: tuple[int, ...], said: str) -> None:
    """From three on, they are named by their ends."""
    assert plan._seeds(seeds) == said


def test_each_cell_says_what_is_done_and_missing(tmp_path: Path) -> None:
    """A run that is stored counts as done in the row of its cell, in text, frame and JSON."""
    where = f"results_dir='{tmp_path}'"
    opened = planned(where).opened
    runs = {(run.cell.labels["norm"], run.seed): run for run in opened.design.runs}
    opened.store.declare(opened.design.declaration())
    for key in (("none", 0), ("none", 1), ("none", 2), ("batch", 2)):
        opened.store.save(record_of(runs[key], {"test_accuracy": 0.5}))
    now = planned(where)
    table = str(now).split("\n\n")[1]
    rows = [["norm", "done", "missing"], ["none", "3", "0"], ["batch", "1", "2"]]
    assert [line.split() for line in table.splitlines()] == rows
    assert [list(now.cells), *now.cells.astype(str).to_numpy().tolist()] == rows
    told = json.loads(json.dumps(now.to_json()))
    assert told["runs"] == {"planned": 6, "done": 4, "missing": 2, "others": 0}
    assert told["cells"][1] == {"levels": {"norm": "batch"}, "done": 1, "missing": 2}


def test_cells_that_are_not_shown_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and the number below them make all cells."""
    monkeypatch.setattr(plan, "MOST_CELLS", 2)
    lines = str(planned("model.pool=avg,max,none")).split("\n\n")[1].splitlines()
    assert (len(lines), lines[3]) == (4, "... and 4 more cells")


def test_runs_that_train_one_by_one_have_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `trained_plainly` says stands below the time, and in no plan without such runs."""
    for told in ("2 of 4 runs are trained one by one", ""):
        effort = plan.Effort(1, 1, 1, unknown="an hour", plainly=told)
        monkeypatch.setattr(plan, "_effort", lambda opened, effort=effort: effort)
        monkeypatch.setattr(plan, "foresight", lambda design: "")
        after = str(plan.plan(planned().opened)).partition("an hour\n")[2]
        assert after.startswith(f"{told}\nbnexp run" if told else "bnexp run")


def test_what_seeds_will_find_is_told_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line stands where something is to train, and is left out where nothing is known."""
    monkeypatch.setattr(plan, "_effort", lambda opened: plan.Effort(1, 1, 1, unknown="an hour"))
    for told in ("10 seeds find a point", ""):
        monkeypatch.setattr(plan, "foresight", lambda design, told=told: told)
        asked = Opened.of(open_design(SWEEP, True, None))
        after = str(plan.plan(asked)).partition("an hour\n")[2]
        assert after.startswith(f"{told}\nbnexp run" if told else "bnexp run")
