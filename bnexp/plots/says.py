"""What points of figures say to whoever points at them, by name."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.container import ErrorbarContainer
from numpy.typing import ArrayLike

from bnexp.metrics import describe
from bnexp.plots.marks import Says, mark
from bnexp.plots.names import Factors, cell_name, short


def series_of(factor: str | None, level: str) -> str:
    """Return the entry of the legend for a level; "" where there is no factor."""
    return f"{short(factor)} {level}" if factor else ""


def of_response(response: str) -> str:
    """Return what values of a response are of, with their unit, on one line."""
    what = describe(response)
    return f"{what.label} ({what.unit})" if what.unit else what.label


def change_of(response: str) -> str:
    """Return what differences of a response are of, with their unit, on one line."""
    what = describe(response)
    return f"change in {what.label}" + (
        f" ({what.unit_difference})" * bool(what.unit_difference)
    )


def of_runs(runs: pd.DataFrame, factors: Factors, response: str) -> Says:
    """Return what a point for each run says.

    Args:
        runs: One row a run.
    """
    says = {
        "cell": cells_of(runs, factors),
        "seed": runs["seed"].to_numpy(),
        "value": (runs[response] * describe(response).scale).to_numpy(float),
    }
    return says | ({"run": runs["run_id"].to_numpy()} if "run_id" in runs else {})


def of_means(cells: pd.DataFrame, factors: Factors, scale: float) -> Says:
    """Return what a point for the mean of each cell says.

    Args:
        cells: One row a cell, with the columns of `stats.cells`.
        scale: From the stored to the shown unit.
    """
    numbers = interval(*(cells[name] * scale for name in ("mean", "ci_low", "ci_high")))
    return {"cell": cells_of(cells, factors), **numbers, "n": cells["n"].to_numpy()}


def interval(means: ArrayLike, lows: ArrayLike, highs: ArrayLike) -> dict[str, Any]:
    """Return what points that have an interval say of their numbers."""
    return {"value": np.asarray(means), "low": np.asarray(lows), "high": np.asarray(highs)}


def mark_bars(drawn: ErrorbarContainer, says: Says | None, *, series: str, of: str) -> None:
    """Say what a line with error bars stands for; see `marks.Mark`."""
    line, caps, bars = drawn.lines
    mark([*caps, *bars], series=series)
    if line is not None:
        mark(line, series=series, of=of, says=says)


def cells_of(rows: pd.DataFrame, factors: Factors) -> list[str]:
    """Return the name of each row's cell."""
    keys = [key for key in factors if key in rows]
    return [
        cell_name({key: str(level) for key, level in zip(keys, levels, strict=True)})
        for levels in rows[keys].itertuples(index=False, name=None)
    ]


def of_epochs(curve: pd.DataFrame, factors: Factors, scale: float) -> Says:
    """Return what the points of a mean curve say.

    Args:
        curve: One row an epoch, with the columns of `stats.curves`.
        scale: From the stored to the shown unit.
    """
    numbers = {
        said: (curve[name] * scale).to_numpy(float)
        for said, name in (("value", "mean"), ("lowest", "min"), ("highest", "max"))
    }
    return {"cell": cells_of(curve, factors), "epoch": curve["epoch"].to_numpy(), **numbers}
