"""What a design can see at all: the smallest effect that its seeds can detect."""

import functools
import math

from statsmodels.stats.power import TTestPower

from bnexp.stats.estimate import Values, known, vary
from bnexp.stats.testing import ALPHA

POWER = 0.80


@functools.cache
def detectable(n: int) -> float:
    """Return the smallest standardized effect that n pairs detect; NaN below two.

    Two-sided paired t-test at the 5 % level with 80 % power.

    Source: Cohen (1988), "Statistical power analysis for the behavioral sciences", ch. 2;
    solved by `statsmodels`.
    """
    if n < 2:
        return math.nan
    solved = TTestPower().solve_power(nobs=n, alpha=ALPHA, power=POWER)
    return float(solved)


def minimum_detectable_effect(values: Values) -> float:
    """Return the smallest effect that a contrast of this spread and n can detect."""
    found = known(values)
    return detectable(len(found)) * float(found.std(ddof=1)) if vary(found) else math.nan
