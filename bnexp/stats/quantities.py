"""Weights of the cells in what a claim or a question names by levels, and their sums by seed.

Weights have the shape (levels of each factor); factors that are not named are averaged over.
"""

from collections.abc import Mapping

import numpy as np

from bnexp.stats.cells import Factors
from bnexp.stats.estimate import Values, known
from bnexp.stats.factorial import difference_weights
from bnexp.stats.incomplete import seed_values
from bnexp.stats.interquartile import freedom, iqm_values


def cell_weights(levels: Mapping[str, str], factors: Factors) -> Values:
    """Return the weights of the mean over the cells with these levels."""
    given = _at(levels, factors)
    axis, level = next(iter(given.items()))
    return difference_weights(_shape(factors), axis, level, None, given)


def pair_weights(
    pair: tuple[str, str, str], given: Mapping[str, str], factors: Factors
) -> Values:
    """Return the weights of a factor's one level minus another, at levels of others.

    Args:
        pair: The factor, the one level and the other.
    """
    factor, one, other = pair
    ((axis, a),) = _at({factor: one}, factors).items()
    ((_, b),) = _at({factor: other}, factors).items()
    return difference_weights(_shape(factors), axis, a, b, _at(given, factors))


def size_weights(
    factor: str, given: Mapping[str, str], array: Values, factors: Factors
) -> Values:
    """Return the weights of a main effect in the direction that it has on average.

    |effect| of each seed would make a factor without any effect look like one.

    Args:
        array: The response by seed and cell, shape (S, levels of each factor).
    """
    first, second = factors[factor]
    weights = pair_weights((factor, second, first), given, factors)
    return weights * (-1 if np.nansum(seed_values(array, weights)) < 0 else 1)


def contrast_values(array: Values, weights: Values, *, by_iqm: bool) -> tuple[Values, int]:
    """Return a contrast of means as one value a seed, shape (S,), and the freedom of its t.

    Args:
        array: As in `iqm_values`, where it is not of means but of interquartile means.
    """
    values = (iqm_values if by_iqm else seed_values)(array, weights)
    n = len(known(values))
    return values, freedom(n) if by_iqm else n - 1


def _at(levels: Mapping[str, str], factors: Factors) -> dict[int, int]:
    """Return positions of levels by the axis of their factor."""
    keys = list(factors)
    return {keys.index(k): list(factors[k]).index(v) for k, v in levels.items()}


def _shape(factors: Factors) -> tuple[int, ...]:
    return tuple(len(levels) for levels in factors.values())
