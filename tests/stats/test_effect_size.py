"""Effect sizes and correlations of arms: unbiased, and with intervals that cover."""

import math

import numpy as np
import pytest
from scipy import stats as reference

from bnexp import stats
from bnexp.stats.effect_size import effect_size, minimum_detectable_effect, pairing
from bnexp.stats.estimate import Estimate, paired_t
from bnexp.study.power import detectable
from tests.fabricate import frame_of


def holds(one: Estimate, truth: float) -> bool:
    return one.ci_low <= truth <= one.ci_high


def errors(share: float, studies: int) -> float:
    """Return four standard errors of a simulated share."""
    return 4 * math.sqrt(share * (1 - share) / studies)


@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.parametrize("size", [0.0, 0.8, 3.0])
@pytest.mark.parametrize("studies", [600, pytest.param(10_000, marks=pytest.mark.long)])
def test_effect_sizes_are_unbiased_and_their_intervals_cover(
    size: float, n: int, studies: int, rng: np.random.Generator
) -> None:
    """Of normal differences the mean is the true size, and 95 % of intervals hold it."""
    found = [effect_size(values) for values in rng.normal(size, 1, size=(studies, n))]
    sizes = np.array([one.estimate for one in found])
    assert sizes.mean() == pytest.approx(size, abs=4 * sizes.std() / math.sqrt(studies))
    covered = np.mean([holds(one, size) for one in found])
    assert covered == pytest.approx(0.95, abs=errors(0.05, studies))
    assert all(holds(one, one.estimate) for one in found)


def test_effect_sizes_are_those_of_the_noncentral_t(rng: np.random.Generator) -> None:
    """At each end of an interval, what was found is as extreme as 2.5 %."""
    for n, mean in ((3, 0.3), (10, -1.0), (30, 4.0)):
        values = rng.normal(mean, 1, size=n)
        one = effect_size(values)
        t = reference.ttest_1samp(values, 0).statistic
        shares = [
            reference.nct.cdf(t, n - 1, end * math.sqrt(n)) for end in (one.ci_low, one.ci_high)
        ]
        np.testing.assert_allclose(shares, [0.975, 0.025], atol=1e-6)


def test_an_effect_size_is_told_from_zero_as_the_difference_is(
    rng: np.random.Generator,
) -> None:
    """Its interval excludes zero exactly if the t interval does, and turns with the sign."""
    for values in rng.normal(0.6, 1, size=(200, 10)):
        one, other, mean = effect_size(values), effect_size(-values), paired_t(values)
        assert (one.ci_low > 0) == (mean.ci_low > 0)
        assert other.estimate == -one.estimate
        assert (other.ci_low, other.ci_high) == pytest.approx((-one.ci_high, -one.ci_low))
        assert effect_size(1000 * values).estimate == pytest.approx(one.estimate)


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0], [3.0] * 10, []])
def test_too_few_seeds_and_no_spread_have_no_effect_size(values: list[float]) -> None:
    """Below three seeds nothing can be corrected, and without spread nothing is its unit."""
    one = effect_size(np.array(values))
    assert math.isnan(one.estimate)
    assert math.isnan(one.ci_low)


@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.parametrize("r", [0.0, 0.6, -0.5])
@pytest.mark.parametrize("studies", [600, pytest.param(10_000, marks=pytest.mark.long)])
def test_intervals_of_correlations_cover(
    r: float, n: int, studies: int, rng: np.random.Generator
) -> None:
    """Of normal responses of two arms, 94 to 96 % of intervals hold the true correlation."""
    draws = rng.multivariate_normal([0, 5], [[1, r], [r, 1]], size=(studies, n))
    found = [pairing(*draw.T) for draw in draws]
    covered = np.mean([holds(one, r) for one in found])
    assert 0.94 - errors(0.05, studies) <= covered <= 0.965 + errors(0.05, studies)
    assert found[0].estimate == pytest.approx(np.corrcoef(draws[0].T)[0, 1])


def test_pairing_is_worth_what_the_correlation_says(rng: np.random.Generator) -> None:
    """The variance of a difference within seeds is 1 - r of that of independent runs."""
    one, other = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], size=4000).T
    share = (one - other).var() / (one.var() + other.var())
    assert share == pytest.approx(1 - pairing(one, other).estimate, abs=0.01)


def test_sides_that_are_the_same_or_do_not_vary() -> None:
    """Perfect correlation has no interval, and an arm without spread no correlation."""
    runs = np.array([0.1, 0.5, 0.3, 0.4, 0.2])
    assert pairing(runs, 3 * runs + 1).estimate == pytest.approx(1)
    assert math.isnan(pairing(runs, 3 * runs + 1).ci_low)
    assert math.isnan(pairing(runs, np.full(5, 0.1) * 3).estimate)
    assert pairing(runs, np.append(runs[:4], math.nan)).n == 4


def test_a_contrast_has_the_correlation_of_its_two_sides(rng: np.random.Generator) -> None:
    """A main effect compares means of cells within seeds: these are correlated."""
    factors = {"norm": ("none", "batch"), "pool": ("avg", "max")}
    cells = [(a, b) for a in factors["norm"] for b in factors["pool"]]
    runs = rng.normal(size=(10, 4)) + rng.normal(size=(10, 1))
    frame = frame_of(dict(zip(cells, runs.T, strict=True)), list(factors))
    table = stats.contrasts(frame, factors, range(10), ["y"]).set_index(["factor", "given"])
    main, simple = table.loc[("norm", "")], table.loc[("norm", "pool=max")]
    of_main = np.corrcoef(runs[:, :2].mean(axis=1), runs[:, 2:].mean(axis=1))[0, 1]
    assert main["correlation"] == pytest.approx(of_main)
    assert simple["correlation"] == pytest.approx(np.corrcoef(runs[:, 1], runs[:, 3])[0, 1])
    expected = effect_size(runs[:, 3] - runs[:, 1])
    numbers = simple[["effect_size", "effect_low", "effect_high"]].tolist()
    assert numbers == pytest.approx([expected.estimate, expected.ci_low, expected.ci_high])


def test_the_smallest_effect_is_in_the_unit_of_the_response(rng: np.random.Generator) -> None:
    """It is so many SDs of the difference; an SD that is not there detects nothing."""
    values = rng.normal(size=12)
    expected = detectable(12) * values.std(ddof=1)
    assert minimum_detectable_effect(values) == pytest.approx(expected)
    assert math.isnan(minimum_detectable_effect(np.ones(12)))
