"""`bnexp.study` and `bnexp.sweep`: from Python to the same runs as from a terminal."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bnexp
from bnexp.api import plan as planning
from bnexp.api.experiment import _overrides
from bnexp.api.opened import Opened
from bnexp.engine import EpochDone
from bnexp.errors import UsageError
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import structure
from bnexp.study.cost import Speed
from bnexp.study.declare import open_design
from tests.fabricate import planted

SHORT = ["data=digits", "data.train_size=64", "train.epochs=2", "model=mlp", "engine=inline"]


@pytest.fixture(autouse=True)
def elsewhere(weird_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder."""
    monkeypatch.chdir(weird_path)
    return weird_path


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_is_planned_and_run(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing trains once, each epoch and run is told, and the results come back."""

    def speeds_of(cohorts, *_):  # measured in tests/engine
        kinds = {structure(one.runs[0].cell.config) for one in cohorts}
        return dict.fromkeys(kinds, Speed(1, 1.0, 0.0, 0.0)), 0.5

    monkeypatch.setattr(planning, "speeds_of", speeds_of)
    sweep = bnexp.sweep("norm=none,batch", *SHORT, seed=range(2))
    plan = sweep.plan()
    assert repr(plan) == str(plan) != repr(sweep) == str(sweep)
    assert plan.cells.to_numpy().tolist() == [["none", 0, 2], ["batch", 0, 2]]
    # 4 runs of 2 epochs of 64 images, the worker's start, the command's and the report's.
    assert plan.seconds == 4 * 2 * 64 + 0.5 + planning.COMMAND_S + 2 * planning.REPORT_S_A_CELL
    assert not list(elsewhere.iterdir())
    told: list[RunRecord | EpochDone] = []
    results = sweep.run(progress=told.append)
    assert sum(isinstance(one, RunRecord) for one in told) == 4
    assert sum(isinstance(one, EpochDone) for one in told) == 8
    assert results.folder == sweep.folder == Path("results/norm")
    assert list(results.runs["status"]) == 4 * ["ok"]
    assert len(results.epochs) == 8
    assert results.page.is_file()
    assert capsys.readouterr().out == ""
    told.clear()
    again = sweep.run(progress=told.append)
    assert told == []
    assert again.runs.equals(results.runs)
    assert "4 done, 0 to train" in str(sweep)


@pytest.mark.parametrize(
    ("asked", "typed"),
    [
        (
            lambda: bnexp.sweep(norm=["none", "batch"], seed=range(3)),
            ["norm=none,batch", "seed=range(3)"],
        ),
        (lambda: bnexp.sweep("norm=none,batch", seed=[0, 4]), ["norm=none,batch", "seed=0,4"]),
        (
            lambda: bnexp.sweep(**{"optimizer.lr": [0.1, 1.0], "model.fc120": [True, False]}),
            ["optimizer.lr=0.1,1.0", "model.fc120=true,false"],
        ),
        (
            lambda: bnexp.sweep("model=mlp", **{"model.hidden": [(8,), (8, 16)]}),
            ["model=mlp", "model.hidden=[8],[8,16]"],
        ),
        (lambda: bnexp.study("quickstart"), ["study=quickstart"]),
        (lambda: bnexp.study("quickstart", norm="batch"), ["study=quickstart", "norm=batch"]),
        (
            lambda: bnexp.study("pooling_vs_bn", seed=range(2)),
            ["study=pooling_vs_bn", "seed=range(2)"],
        ),
    ],
)
def test_python_and_the_terminal_ask_for_the_same_runs(asked: Any, typed: list[str]) -> None:
    """Values of Python become Hydra's, a list or a range each of its own."""
    design, there = asked().design, open_design(typed, True, None)
    assert [run.run_id for run in design.runs] == [run.run_id for run in there.runs]
    assert [factor.key for factor in design.study.factors] == [
        factor.key for factor in there.study.factors
    ]


def test_a_path_keeps_its_letters() -> None:
    """Spaces, commas and quotation marks of a folder's name mean nothing to Hydra."""
    folder = Path("it's, all=(mine)")
    asked = bnexp.sweep("norm=none,batch", results_dir=folder)
    assert asked.folder == folder / "norm"
    assert list(_overrides({"device": None, "norm.affine": "both"})) == [
        "device=null", "norm.affine=both"
    ]  # fmt: skip


def test_a_mistake_is_an_exception_that_says_what_to_do() -> None:
    """The same messages as in a terminal, before anything is written."""
    with pytest.raises(UsageError, match="did you mean study=pooling_vs_bn"):
        bnexp.study("polling_vs_bn")
    with pytest.raises(UsageError, match="did you mean 'norm'"):
        bnexp.sweep(nrom=["none", "batch"])


def test_an_interruption_is_one_of_pythons(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that is interrupted hears of it, and what is finished is kept."""

    def stop(message: RunRecord | EpochDone) -> None:
        if isinstance(message, RunRecord):
            raise KeyboardInterrupt

    sweep = bnexp.sweep(*SHORT, seed=range(3))
    with pytest.raises(KeyboardInterrupt, match="1 run kept, 2 to train"):
        sweep.run(progress=stop)
    assert sweep.plan().to_json()["runs"]["done"] == 1


def test_a_smaller_design_of_other_settings_is_refused(elsewhere: Path) -> None:
    """As in a terminal: results are not put behind fewer runs unless that is asked for."""
    with pytest.raises(UsageError, match=r"holds no study\.json"):
        bnexp.load("nowhere")
    planted(["study=quickstart"], elsewhere / "results", lambda run: {"test_accuracy": 0.5})
    asked = bnexp.study("quickstart", "train.epochs=1", seed=0)
    with pytest.raises(UsageError, match="would take their place"):
        asked.run()
    assert "would take their place" in planning.plan(Opened.of(asked.design)).stops


def test_importing_is_quick_and_loads_nothing_heavy() -> None:
    """Less than a tenth of a second; its names are there, those of its packages too."""
    script = (
        "import sys, time\n"
        "start = time.process_time()\n"
        "import bnexp\n"
        "took = time.process_time() - start\n"
        "heavy = {'torch', 'pandas', 'numpy', 'hydra', 'matplotlib', 'pydantic'}\n"
        "named = {'study', 'sweep', 'load'} <= set(dir(bnexp))\n"
        "print(took < 0.1, sorted(heavy & set(sys.modules)), named)\n"
        "bnexp.load\n"
        "print(sorted({'torch', 'hydra', 'matplotlib'} & set(sys.modules)))\n"
        "import bnexp.study.design\n"
        "print(callable(bnexp.study), bnexp.study.design.__name__)\n"
        "print(bnexp.study('quickstart').name, bnexp.sweep(seed=2).name)\n"
        "print(sorted({'torch', 'pandas'} & set(sys.modules)))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines() == [
        "True [] True", "[]", "True bnexp.study.design", "quickstart single", "[]"
    ]  # fmt: skip


@pytest.mark.long
def test_a_script_without_a_main_guard_trains_once(elsewhere: Path) -> None:
    """Its body runs in one process alone, though workers and a figures' process are begun."""
    Path("script.py").write_text(
        "print('body', flush=True)\n"
        "import bnexp\n"
        "sweep = bnexp.sweep('norm=none,batch', 'data=digits', 'data.train_size=64',\n"
        "                    'train.epochs=1', seed=range(2))\n"
        "print(len(sweep.run(progress=False).runs))\n"
    )
    ended = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, check=True
    )
    assert (ended.stdout, ended.stderr) == ("body\n4\n", "")


def test_types_are_declared_for_all_that_python_calls() -> None:
    """`py.typed` is there, and the types name what the package hands out when it is asked."""
    package = Path(bnexp.__file__).parent
    assert (package / "py.typed").is_file()
    types = (package / "__init__.pyi").read_text()
    assert set(re.findall(r"import (\w+) as \1$", types, re.MULTILINE)) == set(bnexp._CALLED)
