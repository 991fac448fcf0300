"""Several commands in one folder: they share the work, and each learns of all of it."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bnexp.config.schema import Config
from bnexp.engine import execute, shared
from bnexp.engine import worker as worker_module
from bnexp.engine.queue import PORTION, CohortQueue
from bnexp.engine.shared import Shared
from bnexp.store.claims import Claims
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort
from tests.engine.small import SMALL, Collected, portions, record_of, runs_of


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at what others do all the time."""
    monkeypatch.setattr(shared, "LOOK_S", 0.0)
    monkeypatch.setattr(shared, "LOOK_SHARE", math.inf)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty folder of a study."""
    return Store(tmp_path / "study")


@pytest.mark.parametrize("size", [1, 4])
def test_each_run_is_trained_once_and_told_to_all(
    compose: Callable[..., Config], store: Store, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Three commands at once: every one ends with all records, and none trained them all."""
    trained: Counter[str] = Counter()
    by: dict[str, set[int]] = {}

    def train(cohort: Cohort, device: str, send: Callable[[RunRecord], None]) -> None:
        for run in cohort.runs:
            time.sleep(0.005)
            trained[run.run_id] += 1
            by.setdefault(run.run_id, set()).add(threading.get_ident())
            record = record_of(run)
            send(replace(record, status="failed", error="planted") if run.seed == 5 else record)

    monkeypatch.setattr(worker_module, "train", train)
    monkeypatch.setattr("bnexp.engine.LOOK_S", 0.001)
    runs = runs_of(compose(*SMALL), 24)
    engine = compose("engine=inline").engine
    told = [Collected() for _ in range(3)]
    commands = [
        threading.Thread(
            target=execute, args=(portions(runs, size), engine, ["cpu"], store, one)
        )
        for one in told
    ]
    for command in commands:
        command.start()
    for command in commands:
        command.join()
    assert trained == {run.run_id: 1 for run in runs}
    assert len(set.union(*by.values())) > 1
    for one in told:
        assert sorted(record.run_id for record in one.records) == sorted(trained)
        assert one.by_id[runs[5].run_id].status == "failed"
    assert all(not path.name.startswith(".") for path in store.runs.iterdir())


def test_what_a_dead_command_leaves_is_trained(
    compose: Callable[..., Config], store: Store
) -> None:
    """Its runs wait together, as they were, for who is still there."""
    runs = runs_of(compose(*SMALL), 4)
    said = Collected()
    with Claims(store) as dead:
        assert all(dead.take(run.run_id) for run in runs[:3])
        with Claims(store) as own:
            queue = CohortQueue([Cohort("study", tuple(runs))], Shared(own, store, said))
            assert queue.take_shared() == Cohort("study", (runs[3],))
            assert queue.take_shared() is None
            assert queue
            store.save(record_of(runs[0]))
            for run in runs[:3]:
                dead.release(run.run_id)
            assert queue.take_shared() == Cohort("study", tuple(runs[1:3]))
            assert [record.run_id for record in said.records] == [runs[0].run_id]
            assert not queue


def test_a_failure_of_an_earlier_command_is_tried_again(
    compose: Callable[..., Config], store: Store
) -> None:
    """One of a command that trains at the same time is not: once is enough."""
    old, new = runs_of(compose(*SMALL), 2)
    said = Collected()
    store.open_for_writing()
    store.save(replace(record_of(old), status="failed", error="before"))
    time.sleep(0.02)  # the clock of a disk is coarse
    with Claims(store) as own:
        time.sleep(0.02)
        store.save(replace(record_of(new), status="failed", error="now"))
        queue = CohortQueue([Cohort("study", (old, new))], Shared(own, store, said))
        assert queue.take_shared() == Cohort("study", (old,))
        assert [record.error for record in said.records] == ["now"]


def test_a_large_cohort_is_shared_where_others_train(
    compose: Callable[..., Config], store: Store
) -> None:
    """Alone a command takes all of it; beside others a portion, and leaves the rest to them."""
    cohort = Cohort("study", tuple(runs_of(compose(*SMALL), PORTION + 8)))
    with Claims(store) as own:
        alone = CohortQueue([cohort], Shared(own, store, Collected()))
        assert alone.take_shared() == cohort
    with Claims(store) as one, Claims(store) as other:
        first = CohortQueue([cohort], Shared(one, store, Collected())).take_shared()
        second = CohortQueue([cohort], Shared(other, store, Collected())).take_shared()
        assert first == replace(cohort, runs=cohort.runs[:PORTION])
        assert second == replace(cohort, runs=cohort.runs[PORTION:])


def test_claims_cost_little(compose: Callable[..., Config], store: Store) -> None:
    """A run's claim costs less than keeping its record does."""
    runs = runs_of(compose(*SMALL), 200)
    with Claims(store) as own:
        start = time.process_time()
        CohortQueue(
            [Cohort("study", tuple(runs))], Shared(own, store, Collected())
        ).take_shared()
        for run in runs:
            own.release(run.run_id)
        claimed = time.process_time() - start
    start = time.process_time()
    for run in runs:
        store.save(record_of(run))
    assert claimed < 2 * (time.process_time() - start)


def test_a_record_that_json_has_no_words_for_is_written_all_the_same(
    compose: Callable[..., Config], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a failed run, with the reason: nothing is tried again and again."""

    def train(cohort: Cohort, device: str, send: Callable[[RunRecord], None]) -> None:
        for run in cohort.runs:
            send(replace(record_of(run), metrics={"test_loss": float("nan")}))

    monkeypatch.setattr(worker_module, "train", train)
    (run,) = runs_of(compose(*SMALL), 1)
    said = Collected()
    execute(portions([run], 1), compose("engine=inline").engine, ["cpu"], store, said)
    (kept,) = store.load([run.run_id])
    assert said.records == [kept]
    assert kept.reason.startswith("its record cannot be written: ValueError")
