"""Each cell by itself: its seeds, their mean and spread, its learning curve."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from bnexp.frames import where
from bnexp.stats.estimate import Values, paired_t

Factors = Mapping[str, Sequence[str]]


def response_array(
    runs: pd.DataFrame, factors: Factors, seeds: Sequence[int], response: str
) -> Values:
    """Return a response by seed and cell: shape (S, levels of each factor in turn).

    NaN where a run is missing, failed or diverged.
    """
    shape = (len(seeds), *(len(levels) for levels in factors.values()))
    array = np.full(shape, math.nan)
    if response not in runs:
        return array
    position = [{level: i for i, level in enumerate(levels)} for levels in factors.values()]
    seed_position = {seed: i for i, seed in enumerate(seeds)}
    for row in runs[["seed", *factors, response]].itertuples(index=False):
        index = [levels[level] for levels, level in zip(position, row[1:-1], strict=True)]
        array[(seed_position[row[0]], *index)] = row[-1]
    return array


def cells(
    runs: pd.DataFrame, factors: Factors, seeds: Sequence[int], responses: Sequence[str]
) -> pd.DataFrame:
    """Return one row a cell and response: n, mean, SD, interval of the mean, range."""
    rows = []
    for response in responses:
        array = response_array(runs, factors, seeds, response)
        for index in np.ndindex(array.shape[1:]):
            levels = dict(_labels(factors, index))
            values = array[(slice(None), *index)]
            here = where(runs, levels)
            found = values[~np.isnan(values)]
            mean = paired_t(values)
            rows.append(
                {
                    **levels,
                    "response": response,
                    "n": mean.n,
                    "n_diverged": int((here["status"] == "diverged").sum()),
                    "n_failed": int((here["status"] == "failed").sum()),
                    "mean": mean.estimate,
                    "sd": found.std(ddof=1) if len(found) > 1 else math.nan,
                    "ci_low": mean.ci_low,
                    "ci_high": mean.ci_high,
                    "min": found.min() if len(found) else math.nan,
                    "max": found.max() if len(found) else math.nan,
                }
            )
    return pd.DataFrame(rows)


def _labels(factors: Factors, index: Sequence[int]) -> Iterator[tuple[str, str]]:
    for (key, levels), level in zip(factors.items(), index, strict=True):
        yield key, levels[level]


def curves(epochs: pd.DataFrame, factors: Factors, responses: Sequence[str]) -> pd.DataFrame:
    """Return mean, lowest and highest value over the seeds by cell, epoch and response."""
    present = [name for name in responses if name in epochs]
    if not present:
        return pd.DataFrame()
    long = epochs.melt([*factors, "seed", "epoch"], present, "response", "value")
    grouped = long.groupby([*factors, "epoch", "response"], sort=False)["value"]
    return grouped.agg(["mean", "min", "max", "count"]).reset_index()
