import io
import itertools
import multiprocessing
import os
import pickle
import struct
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnexp.config.schema import Config
from bnexp.engine import execute, local, n_workers
from bnexp.engine.messages import CohortDone, EpochDone
from bnexp.engine.queue import ATTEMPTS
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort
from tests.engine.small import SMALL, Collected, portions, record_of, runs_of
from tests.fabricate import lasting

# Real child processes. Each start takes seconds, so there are few of these tests.


def test_a_child_trains_as_this_process_does(
    compose: Callable[..., Config], tmp_path: Path
) -> None:
    """In a child or here, in any company, a run gives the same record but for times."""
    runs = runs_of(compose(*SMALL, "norm=batch"), 2)
    cohorts = portions(runs, 1)
    here, children = Collected(), Collected()
    store = Store(tmp_path)
    execute(cohorts, compose("engine=inline").engine, ["cpu"], store, here)
    assert store.load(run.run_id for run in runs) == here.records
    # More workers than cohorts: two are started, not five.
    several = compose("engine=local", "engine.workers=5").engine
    execute(cohorts, several, ["cpu"], Store(tmp_path / "other"), children)
    assert [record.status for record in here.records] == ["ok", "ok"]
    expected = {record.run_id: lasting(record) for record in here.records}
    assert {record.run_id: lasting(record) for record in children.records} == expected
    assert len(children.records) == 2
    assert Counter(children.epochs) == Counter(here.epochs)
    assert {record.provenance["threads"] for record in children.records} == {1}
    assert multiprocessing.active_children() == []


class Reader(pickle.Unpickler):
    """Keeps the modules that a message needs."""

    def __init__(self, message: bytes) -> None:
        super().__init__(io.BytesIO(message))
        self.modules: set[str] = set()

    def find_class(self, module: str, name: str) -> object:
        """Return what a message refers to."""
        self.modules.add(module)
        return super().find_class(module, name)


@pytest.mark.parametrize("lr", [0.1, 1e30])
def test_a_command_reads_what_workers_say_without_pytorch(
    compose: Callable[..., Config], tmp_path: Path, lr: float
) -> None:
    """A record is made of Python's own types: PyTorch takes seconds and memory to import."""
    asked = ("eval.units=true", "eval.affine=true", "eval.shift=true", "eval.gradients=true")
    (run,) = runs_of(compose(*SMALL, *asked, "norm=batch", f"optimizer.lr={lr}"), 1)
    said = Collected()
    execute(portions([run], 1), compose("engine=inline").engine, ["cpu"], Store(tmp_path), said)
    assert said.records[0].status == ("ok" if lr < 1 else "diverged")
    for message in (*said.records, *said.epochs):
        reader = Reader(pickle.dumps(message))
        assert reader.load() == message
        assert {module.partition(".")[0] for module in reader.modules} == {"bnexp"}


def test_a_killed_child_costs_its_run_only(compose: Callable[..., Config]) -> None:
    """A run whose process is killed twice is recorded as failed; the others train."""
    (deadly,) = runs_of(compose(*SMALL, "train.epochs=1000"), 1)
    fine = runs_of(compose(*SMALL), 2)
    collected = Collected()
    kills = 0
    scores = set()

    def receive(message: RunRecord | EpochDone) -> None:
        nonlocal kills
        collected(message)
        if message.run_id == deadly.run_id and isinstance(message, EpochDone):
            kills += message.epoch == 1  # later epochs were said before it died
            for child in multiprocessing.active_children():
                with suppress(OSError):  # not Linux
                    scores.add(Path(f"/proc/{child.pid}/oom_score_adj").read_text())
                child.kill()

    cohorts = portions([fine[0], deadly, fine[1]], 1)
    local.run_in_children(cohorts, 1, ["cpu"], receive)
    assert {one.run_id: one.status for one in collected.records} == {
        fine[0].run_id: "ok",
        deadly.run_id: "failed",
        fine[1].run_id: "ok",
    }
    assert len(collected.records) == 3
    assert kills == ATTEMPTS == 2
    failed = collected.by_id[deadly.run_id]
    assert "died 2 times (signal 9)" in str(failed.error)
    assert scores <= {"500\n"}  # before the command itself, the system ends a worker
    assert failed.config == deadly.cell.config.identity()
    assert multiprocessing.active_children() == []


def test_a_listener_that_raises_leaves_no_child(compose: Callable[..., Config]) -> None:
    """What the listener raises ends the training, and no process outlives it."""

    class Stop(Exception):
        """Enough."""

    def receive(message: RunRecord | EpochDone) -> None:
        raise Stop

    runs = runs_of(compose(*SMALL, "train.epochs=1000"), 2)
    with pytest.raises(Stop):
        local.run_in_children(portions(runs, 1), 2, ["cpu"], receive)
    assert multiprocessing.active_children() == []


# Scripted children: threads that speak a child's words through a real pipe, and die by
# closing it. Everything but the operating system is as above, at no cost.


class Script(threading.Thread):
    """A child that trains in no time, and dies where it is told to."""

    def __init__(self, pipe: Connection, deadly: dict[str, int], idle: set[str]) -> None:
        super().__init__(daemon=True)
        self.theirs = pipe
        self.deadly = deadly
        self.idle = idle
        self.exitcode = 0
        self.tried: list[tuple[str, ...]] = []
        self.killed = False

    def run(self) -> None:
        """Train cohorts until the pipe closes or a run kills."""
        try:
            while True:
                cohort = self.theirs.recv()
                self.tried.append(tuple(run.run_id for run in cohort.runs))
                for run in cohort.runs:
                    if self.deadly.get(run.run_id, 0) > 0:
                        self.deadly[run.run_id] -= 1
                        return self.die()
                    self.theirs.send(EpochDone(run.run_id, 1))
                    self.theirs.send(record_of(run))
                self.theirs.send(CohortDone())
                if self.idle & set(self.tried[-1]):
                    return self.die()
        except (EOFError, OSError):
            return None

    def die(self) -> None:
        """Go as a killed process goes: without a word."""
        self.exitcode = -9
        self.theirs.close()

    def kill(self) -> None:
        """Note that the parent has ended this child."""
        self.killed = True


class Stage:
    """Scripted children in the place of processes.

    Args:
        deadly: How often a run kills its child, by run id.
        idle: Runs after whose cohort the child dies, with nothing to do.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        deadly: dict[str, int] | None = None,
        idle: Sequence[str] = (),
    ) -> None:
        self.children: list[Script] = []
        self.devices: list[str] = []

        def start(device: str) -> local.Worker:
            ours, theirs = multiprocessing.Pipe()
            child = Script(theirs, deadly or {}, set(idle))
            child.start()
            self.children.append(child)
            self.devices.append(device)
            return local.Worker(child, ours, device)  # type: ignore[arg-type]

        monkeypatch.setattr(local, "_start", start)

    def tried(self, run_id: str) -> list[tuple[str, ...]]:
        """Return the company in which a run was tried."""
        every = itertools.chain(*(child.tried for child in self.children))
        return [cohort for cohort in every if run_id in cohort]

    @property
    def alive(self) -> list[Script]:
        """Return the children that still run."""
        return [child for child in self.children if child.is_alive()]


@given(st.integers(0, 7), st.integers(1, 4), st.integers(1, 4), st.sets(st.integers(0, 6)))
def test_every_run_is_recorded_once(
    compose: Callable[..., Config], n: int, size: int, workers: int, killers: set[int]
) -> None:
    """Whichever runs kill their child, in whichever cohorts: they fail, the others do not."""
    runs = runs_of(compose(*SMALL), n)
    deadly = {runs[number].run_id: 99 for number in killers if number < n}
    collected = Collected()
    with pytest.MonkeyPatch.context() as monkeypatch:
        stage = Stage(monkeypatch, deadly)
        local.run_in_children(portions(runs, size), workers, ["cpu"], collected)
    assert sorted(one.run_id for one in collected.records) == sorted(r.run_id for r in runs)
    for run in runs:
        expected = "failed" if run.run_id in deadly else "ok"
        assert collected.by_id[run.run_id].status == expected
    for run_id in deadly:
        # Two deaths are its own; before, it may have died in the company of another.
        assert len(stage.tried(run_id)) in (ATTEMPTS, ATTEMPTS + 1)
        assert stage.tried(run_id)[-1] == (run_id,)
    assert stage.alive == []


def test_a_run_that_dies_by_chance_has_another_try(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One death may have been someone else's fault: tried again, the run is trained."""
    runs = runs_of(compose(*SMALL), 2)
    stage = Stage(monkeypatch, {runs[0].run_id: 1})
    collected = Collected()
    local.run_in_children(portions(runs, 1), 1, ["cpu"], collected)
    assert {one.status for one in collected.records} == {"ok"}
    assert len(stage.tried(runs[0].run_id)) == 2


def test_what_was_recorded_before_a_death_stays(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child's finished runs are not trained again when a later one kills it."""
    runs = runs_of(compose(*SMALL), 3)
    stage = Stage(monkeypatch, {runs[1].run_id: 99})
    collected = Collected()
    local.run_in_children(portions(runs, 3), 1, ["cpu"], collected)
    assert len(stage.tried(runs[0].run_id)) == 1
    assert stage.tried(runs[2].run_id)[1:] == [(runs[2].run_id,)]
    assert [collected.by_id[run.run_id].status for run in runs] == ["ok", "failed", "ok"]


def test_a_child_that_dies_within_a_word(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a message is a death like any other."""

    def die(self: Script) -> None:
        os.write(self.theirs.fileno(), struct.pack("!i", 1000) + b"half of what it said")
        self.theirs.close()

    monkeypatch.setattr(Script, "die", die)
    runs = runs_of(compose(*SMALL), 2)
    Stage(monkeypatch, {runs[0].run_id: 1})
    collected = Collected()
    local.run_in_children(portions(runs, 1), 1, ["cpu"], collected)
    assert {one.status for one in collected.records} == {"ok"}
    assert len(collected.records) == 2


def test_a_child_that_dies_between_cohorts_costs_nothing(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child may be killed while it has nothing to do: its next cohort goes elsewhere."""
    runs = runs_of(compose(*SMALL), 2)
    stage = Stage(monkeypatch, idle=[runs[0].run_id])
    collected = Collected()

    def receive(message: RunRecord | EpochDone) -> None:
        collected(message)
        if message == record_of(runs[0]):
            stage.children[0].join()  # dead before it is given the next

    local.run_in_children(portions(runs, 1), 1, ["cpu"], receive)
    assert [one.status for one in collected.records] == ["ok", "ok"]
    assert len(stage.children) == 2


@pytest.mark.parametrize(
    ("n", "workers", "started"), [(0, 3, 0), (2, 5, 2), (5, 2, 2), (1, 1, 1)]
)
def test_no_more_children_than_cohorts(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    n: int,
    workers: int,
    started: int,
) -> None:
    """A child that would have nothing to do is not started."""
    stage = Stage(monkeypatch)
    cohorts = portions(runs_of(compose(*SMALL), n), 1)
    local.run_in_children(cohorts, workers, ["cpu"], Collected())
    assert len(stage.children) == started


def test_children_share_the_devices_in_turn(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five children on two GPUs: one after the other, and a dead one's place stays."""
    runs = runs_of(compose(*SMALL), 5)
    stage = Stage(monkeypatch, {runs[1].run_id: 1})
    devices = ["cuda:0", "cuda:1"]
    local.run_in_children(portions(runs, 1), 5, devices, Collected())
    assert stage.devices == ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0", "cuda:1"]


def test_a_busy_child_is_ended_and_an_idle_one_let_go(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the listener raises, who still trains is killed and everyone waited for."""
    stage = Stage(monkeypatch)
    runs = runs_of(compose(*SMALL), 1)

    def receive(message: RunRecord | EpochDone) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        local.run_in_children([Cohort("study", tuple(runs))], 1, ["cpu"], receive)
    assert [child.killed for child in stage.children] == [True]
    assert stage.alive == []
    local.run_in_children([Cohort("study", tuple(runs))], 1, ["cpu"], Collected())
    assert [child.killed for child in stage.children] == [True, False]


@pytest.mark.parametrize(
    ("overrides", "devices", "expected"),
    [
        (("engine=inline",), ["cpu"], 1),
        (("engine=inline", "engine.workers=4"), ["cpu"], 1),
        (("engine.workers=4",), ["cpu"], 4),
        ((), ["cpu"], 3),
        ((), ["cuda:0"], 1),
        ((), ["cuda:0", "cuda:1"], 2),
        (("engine.workers=3",), ["cuda:0"], 3),
    ],
)
def test_how_many_train_at_a_time(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    overrides: tuple[str, ...],
    devices: list[str],
    expected: int,
) -> None:
    """One a core on a CPU, one a GPU, as many as asked for, and one in this process."""
    monkeypatch.setenv("BNEXP_CORES", "3")
    assert n_workers(compose(*overrides).engine, devices) == expected


def test_workers_share_devices_in_turn(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With more workers than GPUs, cohorts of several structures share each of them."""
    started: list[str] = []

    class Enough(Exception):
        pass

    def start(device: str) -> None:
        started.append(device)
        if len(started) == 5:
            raise Enough

    monkeypatch.setattr(local, "_start", start)
    cohorts = portions(runs_of(compose(*SMALL), 5), 1)
    engine = compose("engine.workers=5").engine
    with pytest.raises(Enough):
        execute(cohorts, engine, ["cuda:0", "cuda:1"], Store(tmp_path), Collected())
    assert started == ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0"]
