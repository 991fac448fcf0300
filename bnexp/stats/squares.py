"""Sums of squares between cells, corrected for the noise of the seeds.

A sum of squares of cell means is too large: noise squared is added to it, the more the more
levels there are. Every quantity here is a quadratic form m'Wm of the true cell means m, and is
estimated by the mean of y_s'W y_t over pairs of *different* seeds s and t: noise of two seeds
is independent, so it adds nothing on average, whatever its size in each cell (Hoeffding 1948,
"A class of statistics with asymptotically normal distribution"; with one noise in all cells
this is the correction of omega squared, Hays 1963). All that is needed are the products
y_s'W y_t, a matrix of seeds by seeds.
"""

import itertools

import numpy as np
from scipy import stats

from bnexp.stats.estimate import Values

# What is smaller beside the numbers it was computed from is what rounding left of zero.
ROUNDING = 1e-12


def products(array: Values) -> Values:
    """Return y_s'W y_t of each factor's share of the sum of squares, shape (factors, S, S).

    W of a factor takes its main effect, and of each interaction an equal part for each of its
    factors: the Shapley value of a sum of squares, which the factors share out completely.

    Args:
        array: A response by seed and cell, shape (S, levels of each factor), nothing missing.

    Source: Shapley (1953); Lindeman, Merenda and Gold (1980), "Introduction to bivariate and
    multivariate analysis", for shares of a sum of squares.
    """
    n, *shape = array.shape
    found: Values = np.zeros((len(shape), n, n))
    rounding = ROUNDING * np.abs(array).max()
    # Shifting all cells of a seed changes no difference, but keeps the digits of small ones.
    array = array - array.mean(axis=tuple(range(1, array.ndim)), keepdims=True)
    for chosen in itertools.product((False, True), repeat=len(shape)):
        if not any(chosen):
            continue
        effect = array
        for axis, within in enumerate(chosen, start=1):
            mean = effect.mean(axis=axis, keepdims=True)
            effect = effect - mean if within else mean
        flat = np.where(np.abs(effect) > rounding, effect, 0).reshape(n, -1)
        stands_for = np.prod(shape) / flat.shape[1]  # cells that are averaged over
        found[np.array(chosen)] += flat @ flat.T * stands_for / sum(chosen)
    return found


def corrected(products: Values) -> Values:
    """Return the sum of squares without what noise adds to it; it may be below zero.

    Args:
        products: Shape (..., S, S) with S of at least 2.
    """
    n = products.shape[-1]
    own = np.trace(products, axis1=-2, axis2=-1)
    return np.asarray((products.sum(axis=(-2, -1)) - own) / (n * (n - 1)))


def covariance(one: Values, other: Values) -> Values:
    """Return the covariance of two corrected sums of squares, of shapes that broadcast.

    Source: Searle (1971), "Linear models", sec. 2.5: variances of quadratic forms of normal
    variables, here with the covariance of the cells as the seeds show it.
    """
    n = one.shape[-1]
    slopes = [each.mean(axis=-1) for each in (one, other)]
    slopes = [each - each.mean(axis=-1, keepdims=True) for each in slopes]
    of_effect = 4 * (slopes[0] * slopes[1]).sum(axis=-1) / (n * (n - 1))
    of_noise = 2 * (_centred(one) * _centred(other)).sum(axis=(-2, -1))
    return np.asarray(of_effect + of_noise / ((n - 1) ** 3 * n))


def noise_p(products: Values) -> float:
    """Return the p-value of "no effect at all": the joint test of all that W holds.

    F of the sum of squares over its noise, with the degrees of freedom that the covariance of
    the cells leaves: neither equal noise in all cells nor more seeds than cells are needed.
    It is careful where seeds are few: for cells of equal noise it rejects in less than 5 %.
    NaN with one seed, or where the seeds change nothing.

    Args:
        products: Shape (S, S).

    Source: Box (1954), "Some theorems on quadratic forms applied in the study of analysis of
    variance problems", II; Greenhouse and Geisser (1959), "On methods in the analysis of
    profile data".
    """
    n = len(products)
    noise = _centred(products)
    if n < 2 or np.trace(noise) <= ROUNDING * np.trace(products):
        return float("nan")
    mean_square = products.sum() / n / (np.trace(noise) / (n - 1))
    freedom = np.trace(noise) ** 2 / (noise**2).sum()
    return float(stats.f.sf(mean_square, freedom, freedom * (n - 1)))


def _centred(products: Values) -> Values:
    """Return the products of what is left of each seed without the mean of all."""
    rows = products.mean(axis=-1, keepdims=True)
    columns = products.mean(axis=-2, keepdims=True)
    return np.asarray(products - rows - columns + rows.mean(axis=-2, keepdims=True))
