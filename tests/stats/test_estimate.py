import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from bnexp.stats.estimate import paired_t, spread
from bnexp.stats.testing import EXACT_UP_TO, sign_flip, t_test_p

VALUES = arrays(
    float, st.integers(2, 12), elements=st.floats(-100, 100).map(lambda x: round(x, 3))
)


@given(VALUES)
def test_interval_is_that_of_scipy(values: np.ndarray) -> None:
    """The interval and p are those of the one-sample t test in scipy."""
    estimate = paired_t(values)
    if np.ptp(values) == 0:
        assert math.isnan(estimate.ci_low)
        assert math.isnan(t_test_p(values))
        return
    reference = stats.ttest_1samp(values, 0)
    interval = reference.confidence_interval(0.95)
    # Two ways of rounding the same sums of numbers up to 100.
    np.testing.assert_allclose(
        (estimate.ci_low, estimate.ci_high), (interval.low, interval.high), atol=1e-9
    )
    assert t_test_p(values) == pytest.approx(reference.pvalue, abs=1e-9)


def test_one_seed_has_no_interval() -> None:
    """N = 1 gives the value and NaN for everything that needs a spread."""
    estimate = paired_t(np.array([0.7]))
    assert (estimate.estimate, estimate.n) == (0.7, 1)
    assert math.isnan(estimate.ci_low)
    assert math.isnan(t_test_p(np.array([0.7])))
    assert math.isnan(sign_flip(np.array([0.7])).p)


def test_missing_seeds_are_left_out_and_counted() -> None:
    """A seed without a value counts neither in the mean nor in n."""
    estimate = paired_t(np.array([1.0, math.nan, 3.0]))
    assert (estimate.estimate, estimate.n) == (2.0, 2)
    assert paired_t(np.array([math.nan])).n == 0


@pytest.mark.parametrize(("n", "smallest"), [(3, 0.25), (5, 0.0625), (8, 2 / 256)])
def test_sign_flips_are_exact(n: int, smallest: float) -> None:
    """Differences of one sign have the smallest p that n seeds allow: 2 / 2^n."""
    assert sign_flip(np.arange(1.0, n + 1)).p == pytest.approx(smallest)


def test_sign_flips_agree_with_scipy(rng: np.random.Generator) -> None:
    """The enumeration gives the exact p of scipy's permutation test."""
    for n in (2, 4, 6):
        values = rng.normal(0.5, 1, size=n)
        reference = stats.permutation_test((values,), np.sum, permutation_type="samples")
        assert sign_flip(values).p == pytest.approx(reference.pvalue)


def test_drawn_sign_flips_come_close_to_the_t_test(rng: np.random.Generator) -> None:
    """Beyond 30 seeds flips are drawn: p has an error, and is near that of t."""
    values = rng.normal(0.3, 1, size=EXACT_UP_TO + 1)
    drawn = sign_flip(values)
    # Two different tests of the same thing; 4 errors of the drawn one, .005 between them.
    assert drawn.p == pytest.approx(t_test_p(values), abs=0.005 + 4 * drawn.error)
    assert 0 < drawn.error < 0.002


@given(VALUES.filter(lambda values: np.ptp(values) > 0), st.floats(0.5, 50), st.floats(-50, 50))
def test_scale_and_shift_pass_through(values: np.ndarray, scale: float, shift: float) -> None:
    """Scaling and shifting the response scales and shifts the estimate and its interval."""
    before, after = paired_t(values), paired_t(values * scale + shift)
    # Rounding of numbers up to 5,050.
    for end in ("estimate", "ci_low", "ci_high"):
        assert getattr(after, end) == pytest.approx(
            getattr(before, end) * scale + shift, abs=1e-8
        )


@given(VALUES.filter(lambda values: np.ptp(values) > 0), st.floats(0.5, 50), st.floats(-50, 50))
def test_a_spread_follows_the_scale_alone(
    values: np.ndarray, scale: float, shift: float
) -> None:
    """Other units change the spread and its interval alike; a shift changes neither."""
    before, after = spread(values), spread(values * scale + shift)
    for one, other in (
        (before.estimate, after.estimate),
        (before.ci_low, after.ci_low),
        (before.ci_high, after.ci_high),
    ):
        # What is left of the sum of a shift and numbers up to 5,000.
        assert other == pytest.approx(scale * one, rel=1e-6, abs=1e-9)


RUNS = {
    "normal": (lambda rng, size: rng.normal(size=size), 1.0),
    "heavy tails": (lambda rng, size: rng.standard_t(3, size=size), math.sqrt(3)),
    "skewed": (lambda rng, size: rng.lognormal(size=size), math.sqrt(math.e**2 - math.e)),
    "one in ten crashes": (
        lambda rng, size: rng.normal(size=size) - 10 * (rng.random(size) < 0.1),
        math.sqrt(1 + 100 * 0.1 * 0.9),
    ),
}


@pytest.mark.parametrize("runs", RUNS)
@pytest.mark.parametrize("n", [3, 10, 30])
def test_what_a_spread_is_at_least_holds(runs: str, n: int, rng: np.random.Generator) -> None:
    """Of runs of any kind 95 % or more have an SD above what they are said to have at least."""
    draw, truth = RUNS[runs]
    draws = 4000
    held = np.mean([spread(one).ci_low <= truth for one in draw(rng, (draws, n))])
    assert held >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / draws)


def test_what_a_spread_is_at_least_is_of_use(rng: np.random.Generator) -> None:
    """Thirty normal runs show that their SD is above seven tenths of what it is."""
    assert np.median([spread(one).ci_low for one in rng.normal(size=(400, 30))]) > 0.7
    assert spread(np.array([1.0, 2.0])).ci_low == 0
    assert spread(np.array([1.0, 2.0])).ci_high == math.inf


def test_one_seed_has_no_spread() -> None:
    """The spread of one number is unknown, not zero."""
    found = spread(np.array([0.7, math.nan]))
    assert found.n == 1
    assert math.isnan(found.estimate)
