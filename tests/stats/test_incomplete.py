"""Lost runs widen intervals; they neither shift what is told nor take it away."""

import itertools
import math

import numpy as np
import pytest

from bnexp import stats
from bnexp.stats.estimate import paired_t
from bnexp.stats.factorial import all_contrasts, within_seeds
from bnexp.stats.incomplete import contributions, fitted, seed_values, whole_seeds
from tests.fabricate import frame_of

FACTORS = {"a": ("0", "1"), "b": ("0", "1", "2")}
MAIN, *_, INTERACTION = (one for one in all_contrasts(FACTORS) if one.kind != "simple")
SHAPE = (2, 3)


def lose(array: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return the responses with a share of the runs missing at random."""
    return np.where(rng.random(array.shape) < share, math.nan, array)


def test_without_a_loss_a_seed_contributes_its_differences(rng: np.random.Generator) -> None:
    """Where nothing is missing the fit is the paired comparison, which takes its place."""
    array = rng.normal(size=(7, *SHAPE))
    weights = MAIN.weights.reshape(-1, 1)
    found = contributions(array.reshape(7, -1), weights)
    assert found is not None
    np.testing.assert_allclose(found[:, 0], within_seeds(array, MAIN.weights), atol=1e-11)
    assert fitted(array, MAIN.weights) is None
    np.testing.assert_array_equal(
        seed_values(array, MAIN.weights), within_seeds(array, MAIN.weights)
    )
    np.testing.assert_array_equal(whole_seeds(array), array)


def test_the_estimate_is_that_of_least_squares(rng: np.random.Generator) -> None:
    """A column for each cell and each seed, solved outright, gives the same difference."""
    array = lose(rng.normal(size=(10, *SHAPE)) + rng.normal(0, 5, size=(10, 1, 1)), 0.3, rng)
    for one in (MAIN, INTERACTION):
        cells, weights = array[:, one.weights != 0], one.weights[one.weights != 0]
        seed, cell = np.nonzero(~np.isnan(cells))
        columns = np.hstack([np.eye(len(weights))[cell], np.eye(10)[seed]])
        solved = np.linalg.lstsq(columns, cells[seed, cell], rcond=None)[0]
        values = fitted(array, one.weights)
        assert values is not None
        expected = float(solved[: len(weights)] @ weights)
        assert np.nanmean(values) == pytest.approx(expected, abs=1e-9)


def test_what_a_seed_adds_to_all_of_its_cells_cancels(rng: np.random.Generator) -> None:
    """Seeds a hundred apart, and lost runs: an effect without noise is found to the digit."""
    means = rng.normal(size=SHAPE)
    array = lose(means + rng.normal(0, 100, size=(10, 1, 1)), 0.3, rng)
    values = seed_values(array, INTERACTION.weights)
    expected = pytest.approx((means * INTERACTION.weights).sum(), abs=1e-8)
    assert np.nanmean(values) == expected


def test_two_cells_are_compared_within_seeds(rng: np.random.Generator) -> None:
    """A seed that lacks one of two cells says nothing of their difference."""
    array = lose(rng.normal(size=(10, 2)), 0.3, rng)
    assert fitted(array, np.array([-1.0, 1.0])) is None


def test_a_seed_that_says_nothing_of_a_contrast_does_not_count(
    rng: np.random.Generator,
) -> None:
    """A seed without any run of one level tells nothing of the other: pairs say as much."""
    array = rng.normal(size=(5, *SHAPE))
    array[1, 0] = math.nan
    assert fitted(array, MAIN.weights) is None
    array[2, 0, 0] = math.nan
    values = fitted(array, MAIN.weights)
    assert values is not None
    assert np.isnan(values).tolist() == [False, True, False, False, False]


def test_too_few_runs_are_not_made_up_for(rng: np.random.Generator) -> None:
    """A cell of two runs, or a few seeds that decide alone, leave the seeds that are whole."""
    array = rng.normal(size=(10, *SHAPE))
    array[2:, 0, 0] = math.nan
    assert fitted(array, MAIN.weights) is None
    few = rng.normal(size=(30, 2, 2))
    few[4:, 0, 0] = math.nan
    weights = np.array([[-0.5, -0.5], [0.5, 0.5]])
    assert fitted(few, weights) is None
    assert fitted(few[1:6], weights) is not None
    assert fitted(few[2:7], weights) is None
    assert np.count_nonzero(~np.isnan(seed_values(few, weights))) == 4


def test_a_mean_is_of_whole_seeds(rng: np.random.Generator) -> None:
    """What is no difference depends on its seeds: none is filled in."""
    array = lose(rng.normal(size=(10, *SHAPE)), 0.3, rng)
    weighed = np.array([[0.5, 0.3, 0.2], [0, 0, 0]])
    np.testing.assert_array_equal(seed_values(array, weighed), within_seeds(array, weighed))


def test_seeds_that_change_nothing_leave_no_interval(rng: np.random.Generator) -> None:
    """Runs that are the same for every seed say nothing of noise, lost ones included."""
    for means in rng.normal(100, 1, size=(20, 1, *SHAPE)):
        array = np.repeat(means, 10, axis=0)
        array[0, 0, 0] = array[1, 1, 1] = math.nan
        estimate = paired_t(seed_values(array, MAIN.weights))
        assert estimate.n == 10
        assert math.isnan(estimate.ci_low)


@pytest.mark.parametrize("noise", ["equal", "unequal"])
@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (2, 2, 2, 2)])
@pytest.mark.parametrize("studies", [500, pytest.param(10_000, marks=pytest.mark.thorough)])
def test_intervals_hold_with_a_third_missing(
    shape: tuple[int, ...], noise: str, studies: int, rng: np.random.Generator
) -> None:
    """Of ten seeds that lack a third of their runs 95 % of intervals hold the truth."""
    names = {str(i): tuple(map(str, range(size))) for i, size in enumerate(shape)}
    planned = [one for one in all_contrasts(names) if one.kind != "simple"]
    scale = np.ones(shape)
    if noise == "unequal":
        scale[0] = 5
    hits: dict[int, list[bool]] = {0: [], len(planned) - 1: []}
    for _ in range(studies):
        array = rng.normal(size=(10, *shape)) * scale
        array += rng.normal(0, 2, size=(10, *[1] * len(shape)))
        array = lose(array, 1 / 3, rng)
        for at, found in hits.items():
            values = fitted(array, planned[at].weights)
            if values is not None:
                estimate = paired_t(values)
                found.append(estimate.ci_low < 0 < estimate.ci_high)
    for found in hits.values():
        assert len(found) > 0.9 * studies
        assert np.mean(found) == pytest.approx(0.95, abs=0.02)


def test_a_planted_effect_is_found_in_what_is_left(rng: np.random.Generator) -> None:
    """Whole seeds are one in eleven; the fit finds an effect of two of its noise's SD."""
    n_found = n_paired = 0
    for _ in range(100):
        array = rng.normal(size=(10, *SHAPE)) + rng.normal(0, 5, size=(10, 1, 1))
        array[:, 1] += 2
        array = lose(array, 1 / 3, rng)
        n_found += paired_t(seed_values(array, MAIN.weights)).ci_low > 0
        n_paired += paired_t(within_seeds(array, MAIN.weights)).ci_low > 0
    assert n_found >= 90
    assert n_paired <= 10


def test_a_table_says_how_it_was_estimated(rng: np.random.Generator) -> None:
    """The method of a row that lacks runs is named, and what it assumes is a caveat."""
    cells = list(itertools.product(*FACTORS.values()))
    frame = frame_of({cell: rng.normal(size=10) for cell in cells}, list(FACTORS))
    whole = stats.contrasts(frame, FACTORS, range(10), ["y"])
    lost = frame.drop(index=0)
    table = stats.contrasts(lost, FACTORS, range(10), ["y"])
    by_fit = table["method"].str.startswith("least squares")
    touched = [one.weights[0, 0] != 0 for one in all_contrasts(FACTORS)]
    several = [np.count_nonzero(one.weights) > 2 for one in all_contrasts(FACTORS)]
    assert by_fit.tolist() == list(np.logical_and(touched, several))
    assert (table[by_fit]["n"] == 10).all()
    assert (table[by_fit]["p"] == table[by_fit]["p_t"]).all()
    alike = ["estimate", "ci_low", "ci_high", "p", "method", "sd", "effect_size"]
    untouched = ~np.array(touched)
    assert whole[untouched][alike].equals(table[untouched][alike])
    footing = lost.assign(rule="", optimistic=False)
    caveats = stats.caveats(table, footing, lost, FACTORS)
    text = caveats.set_index("code").loc["pairs_missing"]["text"]
    assert "least squares with the seeds as blocks" in text
    assert "nothing to do with their results" in text
