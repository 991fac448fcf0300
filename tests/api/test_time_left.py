"""How long a training still takes, said from what it took so far."""

import heapq
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from bnexp.api.time_left import TimeLeft
from bnexp.config.schema import Config
from bnexp.study.cohorts import Cohort, make_cohorts
from bnexp.study.design import Cell, Run
from tests.fabricate import record_of

EPOCHS = 5


def told(
    runs: list[Run], workers: int, seconds: Callable[[Run], float]
) -> Iterator[tuple[float, float | None]]:
    """Yield the time and the time left that is said, at the end of each epoch of a training.

    Each worker takes the next run, and says when an epoch or a run is over.
    """
    config = runs[0].cell.config
    cohorts = make_cohorts("study", runs, config.engine, workers, on_cpu=True)
    free, said = [0.0] * workers, []
    for run in (run for cohort in cohorts for run in cohort.runs):
        took = seconds(run)
        start = heapq.heapreplace(free, free[0] + took)
        said += [(start + took * (n + 1) / EPOCHS, run, n + 1, took) for n in range(EPOCHS)]
    left = TimeLeft(cohorts, workers)
    for now, run, epoch, took in sorted(said, key=lambda one: one[0]):
        left.epoch(run.run_id, now)
        if epoch == EPOCHS:
            record = record_of(run, {"test_accuracy": 0.5})
            record.provenance["elapsed_s"] = took
            left.run(record)
        yield now, left.seconds(now)


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("slower", [1, 3])
def test_it_is_right_within_a_fifth_after_the_first_tenth(
    compose: Callable[..., Config], rng: np.random.Generator, workers: int, slower: float
) -> None:
    """Of networks that cost one or three times as much, in any number of workers."""
    cells = [
        Cell({}, compose(f"norm={norm}", f"optimizer.lr={lr}", f"train.epochs={EPOCHS}"))
        for norm in ("none", "batch")
        for lr in (0.1, 1.0)
    ]
    runs = [
        Run(f"{n}-{seed}", cell, seed) for seed in range(20) for n, cell in enumerate(cells)
    ]

    def seconds(run: Run) -> float:
        price = slower if run.cell.config.norm.name == "batch" else 1
        return 20 * price * rng.uniform(0.9, 1.1)

    said = list(told(runs, workers, seconds))
    whole = said[-1][0]
    after = [(now, left) for now, left in said if 0.1 * whole <= now < 0.95 * whole]
    assert len(after) > 100
    for now, left in after:
        assert left is not None
        assert abs(now + left - whole) < 0.2 * (whole - now) + 0.02 * whole
    assert said[-1][1] == 0


def test_nothing_is_said_before_anything_is_known(compose: Callable[..., Config]) -> None:
    """Without an epoch there is no number; the first epoch gives one."""
    run = Run("a", Cell({}, compose("train.epochs=4")), 0)
    left = TimeLeft([Cohort("study", (run,))], 1)
    assert left.seconds(10) is None
    left.epoch("a", 10)
    assert left.seconds(10) == pytest.approx(30)


def test_runs_of_one_program_share_its_time(compose: Callable[..., Config]) -> None:
    """Of four networks that end an epoch of 8 s together, each costs 2 s an epoch."""
    cell = Cell({}, compose("model=mlp", "train.epochs=3"))
    runs = [Run(str(seed), cell, seed) for seed in range(8)]
    left = TimeLeft([Cohort("study", tuple(runs[:4])), Cohort("study", tuple(runs[4:]))], 1)
    for now in (20, 28):
        for run in runs[:4]:
            left.epoch(run.run_id, now)
    assert left.seconds(28) == pytest.approx(8 + 3 * 8)
