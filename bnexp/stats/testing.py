"""Is a mean of paired differences zero, and is it as good as zero?"""

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from bnexp.stats.estimate import Estimate, Values, known, paired_t, standard_error, vary
from bnexp.study.power import ALPHA

# 2^15 sums a half: 10 ms. The confirmatory studies have 29 seeds.
EXACT_UP_TO = 30
SIGN_FLIPS = 99_999
AT_ONCE = 10  # signs a look-up, in a table that stays in the nearest cache


@dataclass(frozen=True)
class PValue:
    """A p-value, and the standard error that it has where it was drawn, else 0."""

    p: float
    error: float


def sign_flip(values: Values) -> PValue:
    """Return the two-sided sign-flip permutation p of a mean of zero.

    It assumes nothing but that a difference and its negative are equally likely. It is
    exact up to `EXACT_UP_TO` seeds and drawn (Monte Carlo) beyond. With n seeds it cannot
    fall below 2/2^n, and takes only multiples of that: at n = 5 a test at the 5 % level
    never rejects, and one at .0625 rejects in 6.25 % of all cases without an effect.

    Args:
        values: Shape (S,), NaN where a seed has no value. Where all are the same there is no
            p: seeds that change nothing are no repetitions.

    Source: Fisher (1935), "The design of experiments", sec. 21; the enumeration by halves
    is that of Horowitz and Sahni (1974).
    """
    values = known(values)
    n = len(values)
    if not vary(values):
        return PValue(math.nan, math.nan)
    # Sums of the same numbers in another order differ in their last digits.
    least = abs(values.sum()) - 1e-12 * np.abs(values).sum()
    if n <= EXACT_UP_TO:
        one, other = (_signs(len(half)) @ half for half in (values[::2], values[1::2]))
        one.sort()
        # Signs come in opposite pairs: |sum| is large as often above as below.
        n_above = len(one) - np.searchsorted(one, least - other)
        n_below = np.searchsorted(one, -least - other, side="right")
        # Where nothing is too small to count, each flip counts once, not from both sides.
        share = 1.0 if least <= 0 else (n_above.sum() + n_below.sum()) / 2**n
        return PValue(float(share), 0.0)
    groups = np.pad(values, (0, -n % AT_ONCE)).reshape(-1, AT_ONCE)
    sums = np.zeros(SIGN_FLIPS)
    for group, flips in zip(groups, _drawn(n), strict=True):
        sums += (_signs(AT_ONCE) @ group).take(flips)
    as_large = np.count_nonzero(np.abs(sums) >= least)
    p = (as_large + 1) / (SIGN_FLIPS + 1)
    return PValue(p, math.sqrt(p * (1 - p) / SIGN_FLIPS))


def smallest_p(n: int) -> float:
    """Return the smallest p that `sign_flip` can give for n seeds."""
    if n < 2:
        return math.nan
    return 2 / 2**n if n <= EXACT_UP_TO else 1 / (SIGN_FLIPS + 1)


@functools.cache
def _signs(n: int) -> Values:
    """Return all 2^n sign vectors, shape (2^n, n).

    `scipy.stats.permutation_test` enumerates them anew at each call, at 100 times the
    cost; a study has hundreds of contrasts.
    """
    return np.array(list(itertools.product((1.0, -1.0), repeat=n))).reshape(2**n, n)


@functools.cache
def _drawn(n: int) -> npt.NDArray[np.intp]:
    """Return rows of `_signs(AT_ONCE)`, shape (n / `AT_ONCE`, `SIGN_FLIPS`)."""
    size = (-(-n // AT_ONCE), SIGN_FLIPS)
    return np.random.default_rng(0).integers(2**AT_ONCE, size=size)


def t_test_p(values: Values, freedom: int | None = None) -> float:
    """Return the two-sided p-value of a mean of zero, the one that goes with `paired_t`."""
    values = known(values)
    if not vary(values):
        return math.nan
    freedom = len(values) - 1 if freedom is None else freedom
    return float(2 * stdtr(freedom, -abs(values.mean()) / standard_error(values)))


def holm(p: Values) -> Values:
    """Return p-values adjusted for their family; NaN stays, and counts in no family.

    `statsmodels.stats.multitest.multipletests` gives the same, but collects garbage at
    each call (0.2 s).

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".
    """
    adjusted = np.full(len(p), math.nan)
    there = np.flatnonzero(~np.isnan(p))
    order = there[np.argsort(p[there], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def error_of_each(n_comparisons: int) -> float:
    """Return the error that each of a family may have that 95 % of families hold none.

    It is exact for independent comparisons. Of those that share cells or seeds it is a bound,
    and a close one, since each has a spread of its own: drawn for main effects and
    interactions of designs of 2 to 81 cells at 3 to 30 seeds, 94 to 96.5 % of families hold,
    unequal noise in the cells included (tests/stats/test_interval_coverage.py).

    Source: Sidak (1967), "Rectangular confidence regions for the means of multivariate normal
    distributions", JASA 62.
    """
    return float(1 - (1 - ALPHA) ** (1 / max(n_comparisons, 1)))


@dataclass(frozen=True)
class Equivalence:
    """Whether a mean lies within a margin of zero.

    Attributes:
        interval: The mean with its 90 % interval.
        p: Of the worse of the two one-sided tests; below .05 exactly if the interval
            lies inside the margin.
    """

    interval: Estimate
    p: float


def tost(values: Values, margin: float, freedom: int | None = None) -> Equivalence:
    """Return the two one-sided paired t-tests of |mean| >= margin.

    Source: Schuirmann (1987), "A comparison of the two one-sided tests procedure and the
    power approach", J. Pharmacokinetics and Biopharmaceutics 15.
    """
    values = known(values)
    interval = paired_t(values, 1 - 2 * ALPHA, freedom)
    if not vary(values):
        return Equivalence(interval, math.nan)
    slack = margin - abs(float(values.mean()))
    freedom = len(values) - 1 if freedom is None else freedom
    return Equivalence(interval, float(stdtr(freedom, -slack / standard_error(values))))


def equivalence_margin(values: Values, freedom: int | None = None) -> float:
    """Return the margin beyond which `tost` shows equivalence: the farther 90 % end."""
    interval = paired_t(values, 1 - 2 * ALPHA, freedom)
    return max(abs(interval.ci_low), abs(interval.ci_high))
