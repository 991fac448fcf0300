"""How many seeds have reached a threshold by each epoch?"""

from collections.abc import Sequence

import pandas as pd

from bnexp.metrics import EPOCHS_TO
from bnexp.stats.cells import Factors
from bnexp.stats.proportion import wilson
from bnexp.store.frames import where


def reached(runs: pd.DataFrame, epochs: pd.DataFrame, factors: Factors) -> pd.DataFrame:
    """Return one row a threshold, cell and epoch: the share of runs that have reached it.

    Columns: threshold (the metric's name, `epochs_to_80`), the factors, epoch (from 0),
    share, low, high (95 %, Wilson), n. A run that ended without reaching it, diverged or
    not, stays in n for good; one that failed or is not trained is in neither number.
    """
    columns = ["threshold", *factors, "epoch", "share", "low", "high", "n"]
    ended = runs[runs["status"] != "failed"]
    cells = []
    for key, group in _cells(ended, list(factors)):
        trained = where(epochs, dict(zip(factors, key, strict=True)))
        finished = trained[trained["seed"].isin(group["seed"][group["status"] == "ok"])]
        # Where all runs of a cell diverged, it was still to train as long as the others.
        last = (finished if len(finished) else epochs)["epoch"].max()
        cells.append((key, group, range(int(last) + 1)))
    rows = []
    for name in _thresholds(runs):
        for key, group, trained_for in cells:
            values = group[name].to_numpy(float)
            for epoch in trained_for:
                found = wilson(int((values <= epoch).sum()), len(values))
                rows.append((name, *key, epoch, found.share, found.low, found.high, found.n))
    return pd.DataFrame(rows, columns=columns)


def _thresholds(runs: pd.DataFrame) -> list[str]:
    """Return the metrics that say when a threshold was reached, the lowest first."""
    names = [str(name) for name in runs if str(name).startswith(EPOCHS_TO)]
    return sorted(names, key=lambda name: float(name.removeprefix(EPOCHS_TO)))


def _cells(
    runs: pd.DataFrame, factors: Sequence[str]
) -> "list[tuple[tuple[str, ...], pd.DataFrame]]":
    if not factors:
        return [((), runs)]
    grouped = runs.groupby(list(factors), sort=False)
    return [(tuple(map(str, key)), group) for key, group in grouped]
