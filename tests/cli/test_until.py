"""`study.until`: seeds are added until a rule is met, and each look is told and kept."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bnexp.api import plan, training
from bnexp.cli import main
from bnexp.config.engines import Engine
from bnexp.config.until import Until
from bnexp.engine import EpochDone
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort
from bnexp.study.declare import open_design
from bnexp.study.design import Run
from tests.fabricate import record_of

pytestmark = pytest.mark.usefixtures("undrawn")
SWEEP = ["-m", "norm=none,batch", "name=grown", "engine=inline"]
THREE = "seed=range(3)"
Receive = Callable[[RunRecord | EpochDone], None]


class Trainer:
    """Stands for the training: BN adds an effect to the noise of a run.

    Attributes:
        trained: The seed and level of each run in turn.
        stop_after: Interrupts after so many runs.
    """

    def __init__(self, effect: float) -> None:
        self.effect = effect
        self.trained: list[tuple[int, str]] = []
        self.stop_after: int | None = None
        self.fails = False

    def measured(self, one: Run) -> dict[str, float | None]:
        batch = one.cell.labels["norm"] == "batch"
        noise = np.random.default_rng([one.seed, batch]).normal(0, 0.01)
        accuracy = 0.7 + self.effect * batch + noise
        return {"test_accuracy": accuracy, "train_loss": 1 - accuracy}

    def execute(
        self,
        cohorts: list[Cohort],
        engine: Engine,
        devices: list[str],
        store: Store,
        receive: Receive,
        **_: object,
    ) -> None:
        for one in (one for cohort in cohorts for one in cohort.runs):
            if len(self.trained) == self.stop_after:
                raise KeyboardInterrupt
            if self.fails:
                record = one.record("grown", "failed", provenance={}, error="no memory")
            else:
                record = record_of(one, self.measured(one), "grown")
            self.trained.append((one.seed, one.cell.labels["norm"]))
            store.save(record)
            receive(record)


@pytest.fixture
def trainer(
    weird_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[float], tuple[Trainer, Store]]:
    """Return a function from an effect to who trains, and the store that it fills."""

    def made(effect: float) -> tuple[Trainer, Store]:
        stand_in = Trainer(effect)
        monkeypatch.setattr(training, "execute", stand_in.execute)
        monkeypatch.setattr(plan, "_effort", lambda *_: "")  # it times a few steps
        monkeypatch.chdir(weird_path)
        return stand_in, Store(Path("results/grown"))

    return made


def looks_of(store: Store) -> list[int]:
    """Return the numbers of seeds that `study.json` says were looked at."""
    return [look["seeds"] for look in json.loads(store.study.read_text())["looks"]]


def test_seeds_are_added_until_the_direction_is_settled(
    trainer: Callable[[float], tuple[Trainer, Store]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each look is one line and one entry in `study.json`; the page is built at the end."""
    stand_in, store = trainer(0.04)
    command = ["run", *SWEEP, THREE, "study.until.most=30", "study.until.step=3"]
    assert main(command) == 0
    said = capsys.readouterr().out
    told = [line for line in said.splitlines() if line.startswith("look at ")]
    n = len(store.read_study().seeds)
    assert 3 < n < 30
    assert looks_of(store) == list(range(3, n + 1, 3))
    assert len(told) == n // 3
    assert told[0].startswith("look at 3 seeds: 0 of 1 effect on accuracy (test) is settled; ")
    assert all(line.endswith("; 3 seeds more") for line in told[:-1])
    assert told[-1].endswith("; no more seeds are needed")
    assert said.splitlines()[-1] == f"report: {store.page}"
    assert sorted(stand_in.trained) == sorted(
        (seed, level) for seed in range(n) for level in ("none", "batch")
    )
    page = (store.folder / "report.md").read_text()
    assert "The direction is settled." in page
    assert "at each of any number of looks" in page
    assert "as if no other would follow" not in page
    # Once more: nothing to train, the same look, the page as it is.
    before = {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}
    assert main(command) == 0
    assert len(stand_in.trained) == 2 * n
    lines = capsys.readouterr().out.splitlines()
    assert told[-1] in lines
    assert lines[-1] == f"report: {store.page}"
    after = {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}
    assert after == before


def test_the_most_seeds_are_the_most(
    trainer: Callable[[float], tuple[Trainer, Store]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without an effect the last look is at that number, not at whole steps beyond."""
    stand_in, store = trainer(0.0)
    assert main(["run", *SWEEP, THREE, "study.until.most=8"]) == 0
    assert looks_of(store) == [3, 8]
    assert "; no more seeds are allowed\n" in capsys.readouterr().out
    assert len(stand_in.trained) == 16
    # Allowed more, it goes on from there.
    assert main(["run", *SWEEP, THREE, "study.until.most=10"]) == 0
    assert looks_of(store) == [3, 8, 10]
    assert len(stand_in.trained) == 20 == len(set(stand_in.trained))


def test_what_was_stopped_goes_on(
    trainer: Callable[[float], tuple[Trainer, Store]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Interrupted between two looks, the same command trains the rest of the step first."""
    stand_in, store = trainer(0.0)
    command = ["run", *SWEEP, THREE, "study.until.most=13"]
    stand_in.stop_after = 11
    assert main(command) == 130
    assert "11 runs finished and kept, 5 missing" in capsys.readouterr().out
    assert looks_of(store) == [3]
    stand_in.stop_after = None
    assert main(["plan", *command[1:]]) == 0
    assert "8 seeds: 3 as declared and 5 more added" in capsys.readouterr().out
    assert main(command) == 0
    assert looks_of(store) == [3, 8, 13]
    assert len(stand_in.trained) == 26 == len(set(stand_in.trained))


def test_no_seeds_are_added_while_runs_fail(
    trainer: Callable[[float], tuple[Trainer, Store]], capsys: pytest.CaptureFixture[str]
) -> None:
    """What fails for 3 seeds would fail for 30."""
    stand_in, store = trainer(0.0)
    stand_in.fails = True
    assert main(["run", *SWEEP, THREE, "study.until.most=30"]) == 1
    assert "no seeds are added while runs fail" in capsys.readouterr().out
    assert len(stand_in.trained) == 6
    assert looks_of(store) == []


@pytest.mark.parametrize(
    ("rule", "told", "most"),
    [
        (["study.until.kind=half_width", "study.until.within=0.02"], "known well enough", 29),
        (["study.until={kind:equivalence,within:0.03,most:60}"], "known to be equivalent", 59),
    ],
)
def test_other_rules_end_where_they_are_met(
    rule: list[str],
    told: str,
    most: int,
    trainer: Callable[[float], tuple[Trainer, Store]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A narrow interval, or equivalence within a margin, ends the adding of seeds."""
    _, store = trainer(0.0)
    if len(rule) > 1:
        rule = [*rule, "study.until.most=60"]
    assert main(["run", *SWEEP, THREE, *rule]) == 0
    last = [one for one in capsys.readouterr().out.splitlines() if one.startswith("look")][-1]
    assert f"1 of 1 effect on accuracy (test) is {told}" in last
    assert 6 <= looks_of(store)[-1] < most


def test_a_study_that_grew_after_a_look_is_judged_so(
    trainer: Callable[[float], tuple[Trainer, Store]],
) -> None:
    """Without a rule more seeds are a second look: other intervals, and a caveat."""
    _, store = trainer(0.008)
    assert main(["run", *SWEEP, "seed=range(8)"]) == 0
    assert looks_of(store) == [8]
    first = (store.folder / "report.md").read_text()
    assert "Results were looked at with" not in first
    assert main(["run", *SWEEP, "seed=range(8)"]) == 0
    assert looks_of(store) == [8]  # a page that is shown again is no other look
    assert main(["run", *SWEEP, "seed=range(16)"]) == 0
    assert looks_of(store) == [8, 16]
    page = (store.folder / "report.md").read_text()
    assert "Results were looked at with 8 and 16 seeds." in page
    assert "The look at 8 seeds was judged as if no other would follow" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study.until.kind=settled"], "study.until.most: Field required"),
        (["study.until.mots=9"], "there is no key 'study.until.mots'; did you mean"),
        (["study.until.most=2"], "study.until.most=2: the study starts with 3 seeds"),
        (["study.until.most=0"], "study.until.most=0: input should be greater than"),
        (["study.until.most=9,10"], "names several values"),
        (["study.until.most=9", "study.until.kind=half_width"], "needs study.until.within"),
        (["study.until={most:9,within:0.1}"], "has no use for study.until.within"),
        (["study.until=9"], "study.until=9: name its parts, for example study.until.most=60"),
        (["study.until={most:9,factor:model.pool}"], "the study varies norm"),
        (["study.until={most:9,response:beauty}"], "responses are test_accuracy, train_loss"),
        (["study.until={kind:half_width,within:30,most:9}"], "lies between 0 and 1"),
    ],
)
def test_a_rule_that_says_nothing_is_refused(
    arguments: list[str],
    message: str,
    trainer: Callable[[float], tuple[Trainer, Store]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, one message with the key, and nothing written."""
    stand_in, store = trainer(0.0)
    assert main(["run", *SWEEP, THREE, *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not stand_in.trained
    assert not store.folder.exists()


def test_a_rule_needs_levels_to_compare(
    trainer: Callable[[float], tuple[Trainer, Store]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A single cell has no effect that could be settled."""
    trainer(0.0)
    assert main(["run", "study.until.most=9"]) == 2
    assert "no factor has two of them" in capsys.readouterr().err


def test_a_plan_shows_the_rule_and_the_range(
    trainer: Callable[[float], tuple[Trainer, Store]], capsys: pytest.CaptureFixture[str]
) -> None:
    """It says when the study ends, from how many seeds on, and what that comes to."""
    trainer(0.0)
    assert main(["plan", *SWEEP, THREE, "study.until.most=30"]) == 0
    (line,) = (one for one in capsys.readouterr().out.splitlines() if "until" in one[:5])
    assert line == (
        "until     the direction of each main effect on accuracy (test) is settled, which "
        "takes 6 seeds at least, or 30 seeds: 5 at a time are added to 3, so 6 to 60 runs"
    )


def test_a_study_file_states_a_rule(
    weird_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key of a file is overridden in parts, turned off with null, and not used in smoke."""
    (weird_path / "mine" / "study").mkdir(parents=True)
    (weird_path / "mine" / "study" / "own.yaml").write_text(
        "# @package _global_\n"
        "study:\n"
        "  question: Does it?\n"
        "  source: mine\n"
        "  factors: {norm: 'none,batch', model.pool: 'avg,max'}\n"
        "  seeds: 3\n"
        "  responses: [train_loss]\n"
        "  until: {factor: 'model.pool:norm', most: 20}\n"
        "  budgets: {smoke: 'train.epochs=1 seed=0'}\n"
    )
    mine = weird_path / "mine"

    def until(*arguments: str) -> Until | None:
        return open_design(["study=own", *arguments], False, mine).study.until

    assert until("study.until.most=40", "study.until.step=2") == Until(
        factor="norm:model.pool", response="train_loss", most=40, step=2
    )
    assert until("study.until=null") is None
    assert until("budget=smoke") is None
    shown = ["config", "--config-dir", str(mine), "study=own", "study.until.most=40"]
    assert main(shown) == 0
    assert "    most: 40\n" in capsys.readouterr().out
    assert main(["config", "study.until.most=40"]) == 2
    assert "there is no study here; add study=NAME" in capsys.readouterr().err
