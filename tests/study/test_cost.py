from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnexp.config.schema import Config
from bnexp.study.cohorts import Cohort, structure
from bnexp.study.cost import Speed, estimate_s, run_s, trained_plainly
from tests.study.test_cohorts import runs_of


@pytest.mark.parametrize("n_val", [0, 100])
def test_time_is_counted_part_by_part(compose: Callable[..., Config], n_val: int) -> None:
    """A run takes its training, its evaluations and its population statistics."""
    settings = ("data=digits", "train.epochs=3", "norm=batch", f"data.val_size={n_val}")
    config = compose(*settings, "eval.statistics=[running,population]")
    n_train, n_test = 1437 - n_val, 360
    parts = [
        (Speed(1, 1, 0, 0), 3 * n_train),
        (Speed(1, 0, 1, 0), 3 * (2 * n_test + n_val) + n_train),
        (Speed(1, 0, 0, 1), 3 * n_train),
        (Speed(1, 0, 0, 0, 7), 7),
    ]
    for speed, expected in parts:
        assert run_s(config, speed) == expected


def test_the_last_epoch_s_population_is_all_of_the_training_set(
    compose: Callable[..., Config],
) -> None:
    """Before, a curve's population statistics are of the first 10,000 images."""
    settings = ("data=fashion_mnist", "train.epochs=3", "norm=batch")
    config = compose(*settings, "eval.statistics=[running,population]")
    assert run_s(config, Speed(1, 0, 0, 1)) == 2 * 10_000 + 60_000


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 4))
def test_a_study_takes_as_long_as_its_busiest_worker(
    compose: Callable[..., Config], counts: list[int], workers: int
) -> None:
    """The estimate lies between an even share of the work and one worker doing all."""
    config = compose("model=mlp")
    cohorts = [Cohort("study", tuple(runs_of(config, ["a"] * n))) for n in counts]
    speeds = {structure(config): Speed(1, 1e-6, 0, 0)}
    each = run_s(config, speeds[structure(config)])
    found = estimate_s(cohorts, speeds, workers) / each
    assert max(*counts, sum(counts) / workers) <= found * (1 + 1e-9)
    assert found <= sum(counts) * (1 + 1e-9)
    assert estimate_s(cohorts, speeds, 1) == pytest.approx(each * sum(counts))


def test_who_trains_one_by_one_is_told(compose: Callable[..., Config]) -> None:
    """The line counts the runs of the plain program and names what no other run has."""
    own = "norm=function"
    configs = [compose("model=mlp", one) for one in ("norm=none", own, "optimizer=adam")]
    cohorts = [Cohort("study", tuple(runs_of(one, ["a", "b"]))) for one in configs]
    keys = list(map(structure, configs))

    def told(alone: tuple[int, ...], of: slice = slice(3)) -> str:
        speeds = {key: Speed(1, 1, 0, 0, 0, n in alone) for n, key in enumerate(keys)}
        return trained_plainly(cohorts[of], speeds)

    by = "trained one by one by the plain program"
    assert told(()) == ""
    assert told((1,)) == f"2 of 6 runs are {by}, as no faster one knows {own}"
    assert told((0,)) == f"2 of 6 runs are {by}"
    assert (
        told((1, 2)) == f"4 of 6 runs are {by}, as no faster one knows {own} and optimizer=adam"
    )
    assert told((1,), slice(1, 2)) == f"these runs are {by}, as no faster one knows {own}"
    assert told((0,), slice(1)) == f"these runs are {by}"
