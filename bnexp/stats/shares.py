"""Which share of the differences between cells each factor accounts for."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from bnexp.stats.cells import Factors, response_array
from bnexp.stats.estimate import Values, paired_t


def shares(
    runs: pd.DataFrame, factors: Factors, seeds: Sequence[int], responses: Sequence[str]
) -> pd.DataFrame:
    """Return which share of the variation between cells each factor accounts for.

    Within each seed the sum of squares between cells is split into main effects and
    interactions (orthogonal in a full factorial); an interaction is shared equally by its
    factors, which is their Shapley value. The shares of a seed sum to 1.
    """
    rows = []
    for response in responses:
        array = response_array(runs, factors, seeds, response)
        per_seed = np.array([_shapley(table) for table in array])  # (S, factors)
        for axis, key in enumerate(factors):
            estimate = paired_t(per_seed[:, axis])
            rows.append({"factor": key, "response": response, **asdict(estimate)})
    columns = ["factor", "response", "estimate", "ci_low", "ci_high", "n"]
    return pd.DataFrame(rows, columns=columns)


def _shapley(table: Values) -> Values:
    """Return each factor's share of the variation of one seed's cells."""
    axes = range(table.ndim)
    share: Values = np.zeros(table.ndim)
    if np.isnan(table).any() or np.ptp(table) == 0:
        return np.full(table.ndim, math.nan)
    for size in range(1, table.ndim + 1):
        for subset in itertools.combinations(axes, size):
            effect = np.zeros_like(table)
            for part in itertools.chain.from_iterable(
                itertools.combinations(subset, k) for k in range(size + 1)
            ):
                rest = tuple(axis for axis in axes if axis not in part)
                effect += (-1) ** (size - len(part)) * table.mean(axis=rest, keepdims=True)
            share[list(subset)] += (effect**2).sum() / size
    share /= share.sum()
    return share
