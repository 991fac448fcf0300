"""What a number of seeds can find, and how many seeds find a difference."""

import math

import numpy as np
import pytest
from scipy import stats as reference
from statsmodels.stats.power import TTestPower

from bnexp.study.power import POWER, detectable, seeds_for


def test_the_detectable_effect_is_detected_in_80_percent(rng: np.random.Generator) -> None:
    """With a true effect of that size a paired t-test rejects in 80 % of the studies."""
    for n in (5, 20):
        draws = rng.normal(detectable(n), 1, size=(4000, n))
        share = np.mean(reference.ttest_1samp(draws, 0, axis=1).pvalue < 0.05)
        assert share == pytest.approx(POWER, abs=4 * math.sqrt(0.8 * 0.2 / 4000))
    assert math.isnan(detectable(1))


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30, 100])
def test_the_detectable_effect_is_that_of_statsmodels(n: int) -> None:
    """Leaving out the other tail of the noncentral t changes nothing that is shown."""
    power = TTestPower().power(detectable(n), n, 0.05)
    assert power == pytest.approx(POWER, abs=1e-4)


def test_fewer_degrees_of_freedom_detect_less() -> None:
    """A t-test whose noise is known worse needs a larger effect."""
    assert detectable(10, 5) > detectable(10, 9) == detectable(10)


@pytest.mark.parametrize("difference", [0.1, 0.3, 0.9, 2.0, 20.0])
def test_seeds_are_the_fewest_that_find_it(difference: float) -> None:
    """One seed less does not detect the difference."""
    n = seeds_for(difference)
    assert n is not None
    assert detectable(n) <= difference
    assert n == 2 or detectable(n - 1) > difference


def test_what_no_number_of_seeds_finds_has_none() -> None:
    """A difference of a hundredth of an SD needs more seeds than anybody trains."""
    assert seeds_for(0.01) is None
