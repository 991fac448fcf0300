"""A mean over seeds with its interval, and the p-values of a mean of zero.

At the seeds that are usual here (5 to 10) Student's t is used: simulated for paired
differences, its 95 % intervals cover 95 % at n = 5 where bootstrap intervals cover 80 to
84 %.
"""

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.float64]

CONFIDENCE = 0.95
# Sign flips are enumerated up to 2^13 of them, else as many are drawn.
SIGN_FLIPS = 9999


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its uncertainty; NaN where n does not allow a number."""

    estimate: float
    ci_low: float
    ci_high: float
    n: int


def paired_t(values: Values) -> Estimate:
    """Return the mean of one value a seed and its 95 % Student-t interval.

    Args:
        values: Shape (S,), NaN where a seed has no value. n = 1 gives no interval.
    """
    values = values[~np.isnan(values)]
    n = len(values)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    mean = float(values.mean())
    if n == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * _standard_error(values))
    return Estimate(mean, mean - half, mean + half, n)


def _standard_error(values: Values) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def t_test_p(values: Values) -> float:
    """Return the two-sided p-value of a mean of zero, the one that goes with `paired_t`."""
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return math.nan
    error = _standard_error(values)
    if error == 0:
        return 1.0 if values.mean() == 0 else 0.0
    return float(2 * stats.t.sf(abs(values.mean()) / error, len(values) - 1))


def sign_flip_p(values: Values) -> float:
    """Return the two-sided p-value of the sign-flip permutation test of a mean of zero.

    It assumes nothing but that a difference and its negative are equally likely. With n
    seeds it cannot fall below 2 / 2^n: .0625 at n = 5.
    """
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return math.nan
    signs = _signs(len(values))
    means = np.abs(signs @ values)
    # Sums of the same numbers in another order differ in their last digits.
    as_large = means >= abs(values.sum()) * (1 - 1e-12)
    if len(signs) == 2 ** len(values):
        return float(as_large.mean())
    return float((as_large.sum() + 1) / (len(signs) + 1))


@functools.cache
def _signs(n: int) -> Values:
    """Return all 2^n sign vectors, or `SIGN_FLIPS` drawn ones, shape (flips, n).

    `scipy.stats.permutation_test` enumerates them anew at each call, at 100 times the
    cost; a study has hundreds of contrasts.
    """
    if 2**n <= SIGN_FLIPS:
        return np.array(list(itertools.product((1.0, -1.0), repeat=n)))
    return np.random.default_rng(0).choice((1.0, -1.0), size=(SIGN_FLIPS, n))
