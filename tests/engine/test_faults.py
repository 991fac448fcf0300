"""The fault zoo: whatever a user's network does, its run fails and its mates do not."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bnexp.config.schema import Config
from bnexp.engine import execute, local, watch
from bnexp.engine.messages import AtWork, CohortDone, EpochDone
from bnexp.processes import CAN_FORK
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort
from tests.engine.small import SMALL, Collected, portions, runs_of
from tests.fabricate import lasting

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="signals are POSIX's")
SECONDS = 5.0  # a busy machine's epoch of 64 images takes less

# What each says of the run with seed 1.
ZOO = {
    "raises": "ValueError: seed 1 cannot",
    "leaves": "SystemExit: 0",
    "interrupts": "KeyboardInterrupt",
    "cannot_say": "Odd",
    "undecodable": r"ValueError: bad \udcff name \x1b[2J",
    "endless": "characters left out",
    "eats": "memory",
    "ends": "died 2 times (exit code 7)",
    "kills": "died 2 times (signal 9)",
    "closes": "died 2 times (exit code 1)",
    "hangs": "no progress for",
    "hangs_within_a_step": "no progress for",
    "stops": "no progress for",
}
MARKS = {"kills": (), "stops": pytest.mark.thorough}  # of the others: long


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for seconds, not for a minute."""
    monkeypatch.setattr(watch, "AT_LEAST_S", SECONDS)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=MARKS.get(name, pytest.mark.long)) for name in ZOO],
)
@pytest.mark.usefixtures("impatient")
def test_a_run_that_goes_wrong_costs_no_other(
    compose: Callable[..., Config], faulty: str, tmp_path: Path, name: str
) -> None:
    """In real processes: its record says what happened, and its mates' records are as ever."""
    model = ("model=custom", f"model.function={faulty}:{name}")
    runs = runs_of(compose(*SMALL, *model), 4)
    found, undisturbed = Collected(), Collected()
    engine = compose("engine=local", "engine.workers=1").engine
    store = Store(tmp_path / "study")
    execute([Cohort("study", tuple(runs))], engine, ["cpu"], store, found)
    assert {one.seed: one.status for one in found.records} == {
        0: "ok", 1: "failed", 2: "ok", 3: "ok",
    }  # fmt: skip
    assert len(found.records) == 4
    assert ZOO[name] in found.by_id[runs[1].run_id].reason
    assert "out of memory is the usual cause" not in str(found.by_id[runs[1].run_id].error)
    assert store.failed() == {runs[1].run_id}
    inline = compose("engine=inline").engine
    mates = [runs[0], runs[2], runs[3]]
    elsewhere = Store(tmp_path / "undisturbed")
    execute([Cohort("study", tuple(mates))], inline, ["cpu"], elsewhere, undisturbed)
    for record in undisturbed.records:
        assert lasting(record) == lasting(found.by_id[record.run_id])
    assert multiprocessing.active_children() == []
    assert not [path for path in store.runs.iterdir() if path.name.startswith(".")]


@pytest.mark.long
@pytest.mark.parametrize("name", ZOO)
def test_the_study_ends_by_itself(faulty: str, tmp_path: Path, name: str) -> None:
    """As a command: exit code 1, the culprit's name and reason, nothing left running."""
    command = [sys.executable, "-m", "bnexp", "run", "-m", "model=custom", "seed=range(3)"]
    command += [f"model.function={faulty}:{name}", "data.train_size=200", "engine.workers=2"]
    command += ["optimizer.lr=0.1,0.05", "train.epochs=1", "train.batch_size=32"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert ended.returncode == 1, ended.stderr
    failed = [line for line in ended.stdout.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 2
    assert all("seed=1: " in line and ZOO[name] in line for line in failed)
    assert len(list((tmp_path / "results" / "optimizer.lr" / "runs").glob("*.json"))) == 6


@pytest.mark.usefixtures("impatient")
def test_a_worker_that_is_stopped_is_replaced(compose: Callable[..., Config]) -> None:
    """A stopped process (SIGSTOP) trains nothing: its run fails, the others are trained."""
    (stopped,) = runs_of(compose(*SMALL, "train.epochs=1000"), 1)
    fine = runs_of(compose(*SMALL), 1)
    collected = Collected()

    def receive(message: RunRecord | EpochDone) -> None:
        collected(message)
        if message == EpochDone(stopped.run_id, 1):
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, signal.SIGSTOP)

    local.run_in_children(portions([stopped, *fine], 1), 1, ["cpu"], receive)
    assert {one.run_id: one.status for one in collected.records} == {
        stopped.run_id: "failed",
        fine[0].run_id: "ok",
    }
    assert "no progress for" in str(collected.by_id[stopped.run_id].error)


def test_a_portion_that_kills_leaves_the_others_together(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the runs that a dead worker was at are tried alone."""
    from tests.engine.test_local import Script, Stage

    def run(self: Script) -> None:
        try:
            while True:
                cohort = self.theirs.recv()
                self.tried.append(tuple(one.run_id for one in cohort.runs))
                for one in cohort.runs:
                    self.theirs.send(AtWork((one.run_id,)))
                    if self.deadly.get(one.run_id):
                        return self.die()
                    self.theirs.send(one.record("study", "ok", provenance={}))
                self.theirs.send(CohortDone())
        except (EOFError, OSError):
            return None

    monkeypatch.setattr(Script, "run", run)
    runs = runs_of(compose(*SMALL), 6)
    stage = Stage(monkeypatch, {runs[2].run_id: 9})
    collected = Collected()
    local.run_in_children([Cohort("study", tuple(runs))], 1, ["cpu"], collected)
    assert [collected.by_id[one.run_id].status for one in runs].count("failed") == 1
    ids = tuple(one.run_id for one in runs)
    assert [child.tried for child in stage.children] == [
        [ids],
        [ids[3:], (ids[2],)],
    ]
