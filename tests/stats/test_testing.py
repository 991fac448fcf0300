import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as reference
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from bnexp.stats.estimate import BCA_FROM, bca, paired_t, prediction, spread
from bnexp.stats.testing import equivalence_margin, holm, sign_flip, smallest_p, t_test_p, tost

VALUES = arrays(
    float, st.integers(2, 12), elements=st.floats(-100, 100).map(lambda x: round(x, 3))
)
SPREAD = VALUES.filter(lambda values: np.ptp(values) > 0)


@given(SPREAD)
def test_sign_flips_are_those_counted_one_by_one(values: np.ndarray) -> None:
    """Joining two halves counts every flip once, ties included."""
    signs = np.array(np.meshgrid(*[[1, -1]] * len(values))).reshape(len(values), -1)
    sums = np.abs(values @ signs)
    # Numbers of three decimals: sums that are equal differ by rounding only.
    share = (sums >= abs(values.sum()) - 1e-9).mean()
    assert sign_flip(values).p == pytest.approx(share, abs=1e-12)
    assert sign_flip(values).error == 0


@given(SPREAD, st.floats(0.01, 100))
def test_p_does_not_know_units_or_directions(values: np.ndarray, scale: float) -> None:
    """Swapping the levels, another unit and another order of seeds leave p as it is."""
    p = sign_flip(values).p
    assert sign_flip(-values).p == p
    assert sign_flip(values[::-1]).p == p
    assert sign_flip(values * scale).p == p


@given(st.floats(-100, 100), st.integers(2, 40))
def test_seeds_that_change_nothing_show_nothing(value: float, n: int) -> None:
    """Equal values have no interval of width zero, and no p-value however many there are."""
    values = np.full(n, value)
    found = [sign_flip(values).p, tost(values, 1e6).p, *bca(values), *prediction(values)]
    found += [t_test_p(values), paired_t(values).ci_low, spread(values).ci_high]
    assert np.isnan(found).all()
    assert paired_t(values).estimate == value


def test_p_never_falls_below_what_n_allows() -> None:
    """Differences of one sign reach the smallest p, exact or drawn."""
    for n in (2, 5, 12, 30, 40):
        values = np.linspace(1, 2, n)
        assert sign_flip(values).p == pytest.approx(smallest_p(n))


@settings(max_examples=8)  # statsmodels collects garbage at each call
@given(arrays(float, st.integers(1, 20), elements=st.floats(0, 1)))
def test_holm_is_that_of_statsmodels(p: np.ndarray) -> None:
    """The adjustment is the reference's, and a missing p takes no part in it."""
    expected = multipletests(p, method="holm")[1]
    np.testing.assert_allclose(holm(p), expected)
    with_gap = holm(np.append(p, math.nan))
    np.testing.assert_allclose(with_gap[:-1], expected)
    assert math.isnan(with_gap[-1])


@given(SPREAD, st.floats(0.1, 100))
def test_equivalence_is_that_of_statsmodels(values: np.ndarray, margin: float) -> None:
    """The p is the reference's, and below 5 % exactly if the 90 % interval is inside."""
    found = tost(values, margin)
    p = DescrStatsW(values).ttost_mean(-margin, margin)[0]
    assert found.p == pytest.approx(p, abs=1e-9)
    inside = -margin < found.interval.ci_low and found.interval.ci_high < margin
    if abs(p - 0.05) > 1e-9:  # on the edge rounding decides
        assert (found.p < 0.05) == inside


@given(SPREAD)
def test_the_smallest_margin_is_the_one_at_5_percent(values: np.ndarray) -> None:
    """At its own equivalence margin a contrast has a p of .05."""
    assert tost(values, equivalence_margin(values)).p == pytest.approx(0.05, abs=1e-6)


def test_bca_is_that_of_scipy(rng: np.random.Generator) -> None:
    """Both ends agree with scipy's BCa, which one far value pulls up; none below 20."""
    values = np.append(np.linspace(0, 1, 19), 12.0)  # the upper end is 3.4, by t it is 2.3
    interval = reference.bootstrap((values,), np.mean, n_resamples=20000, rng=rng)
    # Other resamples move the ends by some hundredths.
    np.testing.assert_allclose(bca(values), interval.confidence_interval, atol=0.1)
    assert bca(values) == bca(values)
    assert all(math.isnan(end) for end in bca(values[: BCA_FROM - 1]))


def test_one_new_run_lies_in_the_prediction_interval(rng: np.random.Generator) -> None:
    """95 % of the intervals hold the next run, and they are wider than those of the mean."""
    draws = rng.normal(3, 2, size=(4000, 6))
    hits = [low <= new <= high for new, (low, high) in map(_predicted, draws)]
    assert np.mean(hits) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))
    low, high = prediction(draws[0])
    mean = paired_t(draws[0])
    assert low < mean.ci_low < mean.ci_high < high
    assert all(math.isnan(end) for end in prediction(draws[0, :1]))


def _predicted(draw: np.ndarray) -> tuple[float, tuple[float, float]]:
    return draw[-1], prediction(draw[:-1])
