"""Which panels a figure of many combinations of levels has, and what their axes show."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from bnexp.metrics.metric import Metric
from bnexp.plots.style import MOST_PANELS, Factors

MOST_COLUMNS = 4
WIDE_RANGE = 30

Levels = dict[str, str]
# What a row of panels shows (a response, a threshold), and the combination of each panel.
PanelRow = tuple[str, list[Levels]]


def numbers(levels: Sequence[str]) -> list[float]:
    """Return levels as numbers, or none where they are not all positive numbers."""
    try:
        found = [float(level) for level in levels]
    except ValueError:
        return []
    return found if all(0 < number < math.inf for number in found) else []


def ordered(levels: Sequence[str]) -> list[str]:
    """Return levels from low to high where they are numbers, else as they were declared."""
    found = numbers(levels)
    return [levels[i] for i in np.argsort(found, kind="stable")] if found else list(levels)


def panel_rows(
    shown: Sequence[str], factors: Factors, columns: int = MOST_COLUMNS
) -> tuple[list[PanelRow], int]:
    """Return the rows of panels, and how many combinations of these factors they leave out.

    A row is of one thing shown (a response) where its combinations fit side by side. More
    combinations take all rows for the first thing.
    """
    combinations = [
        dict(zip(factors, levels, strict=True))
        for levels in itertools.product(*factors.values())
    ]
    if len(combinations) <= columns:
        most = max(1, MOST_PANELS // len(combinations))
        return [(one, combinations) for one in shown[:most]], 0
    columns = aligned(factors, columns)
    kept = combinations[:MOST_PANELS]
    rows = [(shown[0], kept[at : at + columns]) for at in range(0, len(kept), columns)]
    return rows, len(combinations) - len(kept)


def ended(cells: pd.DataFrame) -> "pd.Series[Any]":
    """Return how many runs of each cell ended: 0 where none diverged."""
    return (cells["n_diverged"] / cells["divergence_rate"]).round().fillna(0).astype(int)


def flattered(cells: pd.DataFrame) -> "pd.Series[bool]":
    """Return which means leave out runs that diverged; some responses count them as chance."""
    return cells["n"] < ended(cells)


def aligned(factors: Factors, columns: int = MOST_COLUMNS) -> int:
    """Return how many panels stand side by side, so that rows begin at the same level."""
    n_levels = len(list(factors.values())[-1]) if factors else 1
    return columns // n_levels * n_levels or columns


def name_epochs(grid: np.ndarray, n: int) -> None:
    """Name the horizontal axis of a grid of panels, of which the first n are in use.

    Args:
        grid: Of `Axes`, shape (rows, columns).
    """
    for number, axes in enumerate(grid.flat):
        axes.set_visible(number < n)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if number + grid.shape[1] >= n:
            axes.set_xlabel("epoch")
            axes.tick_params(labelbottom=True)


def is_wide(what: Metric, least: float, most: float) -> bool:
    """Return whether a response spans too much for any scale but a log one, and may have it."""
    return what.is_log and most > WIDE_RANGE * least > 0


def log2_axis(axes: Axes, levels: Sequence[str], inches: float) -> None:
    """Give an axis a log2 scale with a tick at each level that has room for its name."""
    names = ordered(levels)
    at = np.log2(numbers(names))
    around = 0.06 * (at[-1] - at[0]) + 0.15
    axes.set_xscale("log", base=2)
    axes.set_xlim(2 ** (at[0] - around), 2 ** (at[-1] + around))
    per_inch = (at[-1] - at[0] + 2 * around) / inches
    kept: list[int] = []
    for i, name in enumerate(names):
        if kept:
            room = 0.04 * (len(name) + len(names[kept[-1]])) + 0.07
        if not kept or (at[i] - at[kept[-1]]) / per_inch >= room:
            kept.append(i)
    axes.xaxis.set_major_locator(FixedLocator([float(2 ** at[i]) for i in kept]))
    axes.xaxis.set_major_formatter(FixedFormatter([names[i] for i in kept]))
    axes.xaxis.set_minor_locator(NullLocator())
