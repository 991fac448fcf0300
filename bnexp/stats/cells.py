"""Each cell by itself: its seeds, their mean and spread, how often it diverges."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from bnexp.stats.estimate import Values, known, paired_t, spread
from bnexp.stats.interquartile import iqm
from bnexp.stats.lattice import snapped
from bnexp.stats.proportion import wilson
from bnexp.store.columns import FACTORS, LEVELS, RESPONSE, Column, names

Factors = Mapping[str, Sequence[str]]

COLUMNS = {
    FACTORS: LEVELS,
    "response": Column("The number that is averaged, a column of runs.csv."),
    "n": Column("How many runs have it.", "seeds"),
    "n_diverged": Column("How many runs diverged: their loss stopped being finite.", "runs"),
    "n_failed": Column("How many runs ended with an error.", "runs"),
    "n_untrained": Column("How many runs are not trained.", "runs"),
    "divergence_rate": Column(
        "The share that diverged of the runs that ended.",
        "share of 1",
        "Failed runs do not count.",
    ),
    "divergence_low": Column(
        "Lower end of its 95 % interval.",
        "share of 1",
        "Wilson (1927): it covers 95 % on average over rates, less near 0 and 1.",
    ),
    "divergence_high": Column("Upper end of it.", "share of 1"),
    "mean": Column("Mean over the seeds; runs that diverged have no number.", RESPONSE),
    "sd": Column(
        "Standard deviation of runs that differ in nothing but their seed.",
        RESPONSE,
        "Divided by n - 1. No number of runs shows how large it can be: one that fails rarely "
        "may not be among them.",
    ),
    "ci_low": Column(
        "Lower end of the 95 % interval of the mean.",
        RESPONSE,
        "Student's t, for runs that are about normal. Two cells whose intervals overlap can "
        "still differ: comparisons are paired by seed, see contrasts.csv.",
    ),
    "ci_high": Column("Upper end of it.", RESPONSE),
    "min": Column("The lowest of the runs.", RESPONSE),
    "max": Column("The highest of the runs.", RESPONSE),
    "iqm": Column(
        "Interquartile mean: the mean of the middle half of the runs.",
        RESPONSE,
        "The lowest and highest n // 4 runs are left out (Agarwal et al. 2021).",
    ),
}


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
    position = [runs["seed"].map({seed: i for i, seed in enumerate(seeds)})]
    for key, levels in factors.items():
        position.append(runs[key].map({level: i for i, level in enumerate(levels)}))
    index = tuple(at.to_numpy(dtype=np.intp) for at in position)
    array[index] = runs[response].to_numpy(dtype=np.float64)
    return snapped(array)


def combinations(factors: Factors) -> Iterator[dict[str, str]]:
    """Yield every combination of the levels of these factors, by their keys."""
    for levels in itertools.product(*factors.values()):
        yield dict(zip(factors, levels, strict=True))


def diverged_array(runs: pd.DataFrame, factors: Factors, seeds: Sequence[int]) -> Values:
    """Return 1 where a run diverged and 0 where it finished, in `response_array`'s shape.

    NaN where it is not trained or failed.
    """
    outcome = runs["status"].map({"ok": 0.0, "diverged": 1.0})
    return response_array(runs.assign(status=outcome), factors, seeds, "status")


def cells(
    runs: pd.DataFrame, factors: Factors, seeds: Sequence[int], responses: Sequence[str]
) -> pd.DataFrame:
    """Return one row a cell and response; see `COLUMNS`."""
    rows = []
    arrays = {name: response_array(runs, factors, seeds, name) for name in responses}
    shape = tuple(len(levels) for levels in factors.values())
    diverged = diverged_array(runs, factors, seeds)
    failed = response_array(
        runs.assign(status=runs["status"] == "failed"), factors, seeds, "status"
    )
    ended = {
        index: _ended(diverged[(slice(None), *index)], failed[(slice(None), *index)])
        for index in np.ndindex(shape)
    }
    for response, array in arrays.items():
        for index in np.ndindex(shape):
            values = array[(slice(None), *index)]
            found = known(values)
            mean = paired_t(values)
            rows.append(
                {
                    **dict(_labels(factors, index)),
                    "response": response,
                    "n": mean.n,
                    **ended[index],
                    "mean": mean.estimate,
                    "sd": spread(values).estimate,
                    "ci_low": mean.ci_low,
                    "ci_high": mean.ci_high,
                    "min": found.min() if len(found) else math.nan,
                    "max": found.max() if len(found) else math.nan,
                    "iqm": iqm(values),
                }
            )
    return pd.DataFrame(rows, columns=names(COLUMNS, list(factors)))


def _ended(diverged: Values, failed: Values) -> dict[str, float]:
    """Return how the runs of a cell ended, from 1 or 0 a seed; NaN where none is trained."""
    n_diverged, n_failed = int(np.nansum(diverged)), int(np.nansum(failed))
    n_trained = len(known(failed))
    rate = wilson(n_diverged, n_trained - n_failed)
    return {
        "n_diverged": n_diverged,
        "n_failed": n_failed,
        "n_untrained": len(failed) - n_trained,
        "divergence_rate": rate.share,
        "divergence_low": rate.low,
        "divergence_high": rate.high,
    }


def _labels(factors: Factors, index: Sequence[int]) -> Iterator[tuple[str, str]]:
    for (key, levels), level in zip(factors.items(), index, strict=True):
        yield key, levels[level]


def seed_noise(cells: pd.DataFrame) -> dict[str, float]:
    """Return by how much two runs of one cell differ, by response: one standard deviation.

    Of the median cell: a few whose runs fall apart would make noise of everything.

    Args:
        cells: As `cells` returns them; a response without two seeds in a cell has none.
    """
    spread = cells.groupby("response", sort=False)["sd"].median().dropna()
    return {str(name): math.sqrt(2) * float(sd) for name, sd in spread.items()}


def curves(epochs: pd.DataFrame, factors: Factors, responses: Sequence[str]) -> pd.DataFrame:
    """Return mean, lowest and highest value over the seeds by cell, epoch and response."""
    present = [name for name in responses if name in epochs]
    if not present:
        return pd.DataFrame()
    long = epochs.melt([*factors, "seed", "epoch"], present, "response", "value")
    grouped = long.groupby([*factors, "epoch", "response"], sort=False)["value"]
    return grouped.agg(["mean", "min", "max", "count"]).reset_index()
