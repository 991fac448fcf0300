"""Which share of the differences between cells each factor accounts for."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
from scipy.special import expit

from bnexp.stats.cells import Factors, response_array
from bnexp.stats.estimate import Estimate, Values, paired_t


def shares(
    runs: pd.DataFrame, factors: Factors, seeds: Sequence[int], responses: Sequence[str]
) -> pd.DataFrame:
    """Return which share of the variation between cells each factor accounts for.

    Within each seed the sum of squares between cells is split into main effects and
    interactions (orthogonal in a full factorial); an interaction is shared equally by its
    factors, which is their Shapley value. The shares of a seed sum to 1.

    The interval is of the mean share of single seeds. It is Student's t on the scale of the
    log-odds of that mean (delta method), so that it cannot leave 0 to 1 and keeps the width
    that few seeds need; a percentile bootstrap stays inside as well, but covers too
    little at 5 seeds. A seed's noise counts as differences between its cells: a factor
    without any effect has a share a little above 0.

    Source: Shapley (1953); Lindeman, Merenda and Gold (1980) for shares of a sum of squares.
    """
    rows = []
    for response in responses:
        array = response_array(runs, factors, seeds, response)
        per_seed = np.array([_shapley(table) for table in array])  # (S, factors)
        for axis, key in enumerate(factors):
            estimate = _between_0_and_1(paired_t(per_seed[:, axis]))
            rows.append({"factor": key, "response": response, **asdict(estimate)})
    columns = ["factor", "response", "estimate", "ci_low", "ci_high", "n"]
    return pd.DataFrame(rows, columns=columns)


def _between_0_and_1(t: Estimate) -> Estimate:
    """Return the estimate with its symmetric interval moved to the scale of log-odds."""
    mean, half = t.estimate, t.ci_high - t.estimate
    if not 0 < mean < 1:  # NaN, or all seeds agree on none or all
        return t
    middle = math.log(mean / (1 - mean))
    reach = half / (mean * (1 - mean))
    low, high = (float(expit(middle + step)) for step in (-reach, reach))
    return replace(t, ci_low=low, ci_high=high)


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
