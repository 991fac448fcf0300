"""How small a difference a number of seeds can find: before anything is trained, and after."""

import functools
import math

ALPHA, POWER = 0.05, 0.80
# Seeds beyond that are not counted one by one.
MOST_SEEDS = 10_000


@functools.cache
def detectable(n: int, freedom: int | None = None) -> float:
    """Return the smallest difference that n pairs detect, in SDs of it; NaN below two pairs.

    Two-sided paired t-test at the 5 % level with 80 % power: of a noncentral t, 20 % lies below
    the critical value. What lies beyond that of the other sign is less than one in a million.

    Args:
        n: Seeds.
        freedom: Degrees of freedom of the t-test, n - 1 unless it says otherwise.

    Source: Cohen (1988), "Statistical power analysis for the behavioral sciences", ch. 2.
    """
    from scipy.special import nctdtrinc, stdtrit  # 0.2 s, which a command's start has not

    freedom = n - 1 if freedom is None else freedom
    if freedom < 1:
        return math.nan
    critical = stdtrit(freedom, 1 - ALPHA / 2)
    return float(nctdtrinc(freedom, 1 - POWER, critical)) / math.sqrt(n)


def seeds_for(difference: float) -> int | None:
    """Return how many seeds find a difference, given in SDs of it; None if too many."""
    low, high = 1, 2
    while detectable(high) > difference:
        low, high = high, 2 * high
        if high > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if detectable(middle) <= difference else (middle, high)
    return high
