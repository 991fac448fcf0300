"""Equal on paper is equal here: accuracies as the counts that they are, all else rounded.

A tie that counts as a win, a p-value that misses one, a spread of 1e-13 of parameters that are
the same in every run, a mean that is printed as .8531 here and .8532 there: all are made of
last digits. An accuracy is a number of right answers over a number of images, and .8 - .7 is
.3 - .2 only if these are subtracted. What has no such number is rounded.
"""

import math
from fractions import Fraction

import numpy as np

from bnexp.stats.estimate import Values

# Of one number: images, times what averages and medians of a few cells add. A real number that
# happens to be so simple a fraction, to the last digit, is one in thousands, a column of them
# none; so all together may have more: accuracies of 10,000, 5,120 and 60,000 images.
MOST_STEPS, MOST_TOGETHER = 10**6, 10**9
LAST_DIGITS = 4 * np.finfo(np.float64).eps


def steps(values: Values) -> int:
    """Return the smallest n of which all values are multiples of 1/n, or 0 if there is none.

    Args:
        values: Of any shape, NaN where there is none.
    """
    there = values[np.isfinite(values)]
    digits = LAST_DIGITS * np.maximum(np.abs(there), 1)
    n = 1
    while n <= MOST_TOGETHER:
        off = np.abs(there * n - np.round(there * n)) > digits * n
        if not off.any():
            return n
        worst = int(off.argmax())
        simple = Fraction(there[worst]).limit_denominator(MOST_STEPS)
        if abs(simple - Fraction(there[worst])) > digits[worst] or n % simple.denominator == 0:
            break
        n = math.lcm(n, simple.denominator)
    return 0


def snapped(values: Values) -> Values:
    """Return values with their last digits put right: counts over n, else 40 of 53 bits."""
    if n := steps(values):
        return np.asarray(np.round(values * n) / n)
    grid = _grid(np.abs(values))
    return np.asarray(np.round(values / grid) * grid)


def weighted_sum(cells: Values, weights: Values) -> Values:
    """Return cells @ weights, equal where the sums are equal on paper.

    Args:
        cells: Shape (S, cells), NaN where one lacks.
        weights: Shape (cells,), fractions of the number of cells that are averaged over.
    """
    parts = steps(weights)
    whole = np.round(weights * parts)
    # Sums of whole numbers are exact, in whatever order a processor adds them.
    if n := steps(cells):
        return np.asarray((np.round(cells * n) @ whole) / (n * parts))
    grid = _grid(np.abs(cells).max(axis=1, keepdims=True))
    return np.asarray((np.round(cells / grid) @ whole) * grid[:, 0] / parts)


def _grid(scale: Values) -> Values:
    """Return 1e-12 of the size of numbers as a power of two, by which division is exact."""
    _, exponent = np.frexp(np.nan_to_num(scale))
    return np.asarray(np.maximum(np.ldexp(1.0, exponent - 40), np.finfo(np.float64).tiny))
