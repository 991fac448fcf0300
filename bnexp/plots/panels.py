"""Which panels a figure of many combinations of levels has, and what their axes show."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    NullLocator,
)

from bnexp.metrics.metric import Metric
from bnexp.plots.names import Factors
from bnexp.plots.style import COLOURS, MOST_PANELS

MOST_COLUMNS = 4
MOST_BANDS = len(COLOURS)  # more would hide each other
MOST_DECADES = 5  # with a tick each
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


def combinations(factors: Factors) -> list[Levels]:
    """Return every combination of the levels of these factors."""
    every = itertools.product(*factors.values())
    return [dict(zip(factors, levels, strict=True)) for levels in every]


def panel_rows(
    shown: Sequence[str], factors: Factors, columns: int = MOST_COLUMNS
) -> list[PanelRow]:
    """Return the rows of panels, each of one thing shown (a response)."""
    panels = combinations(factors)
    if len(panels) > columns:
        columns = aligned(factors, columns)
    return [
        (one, panels[at : at + columns])
        for one in shown
        for at in range(0, len(panels), columns)
    ]


def sheets(
    shown: Sequence[str], panels: Factors, columns: int = MOST_COLUMNS
) -> list[tuple[list[str], Levels]]:
    """Return what each picture of a figure shows: the things, and the levels that are fixed.

    All are in one picture where that has few panels, and the combinations of one thing fit
    side by side. Else each thing has its own; and where its panels are still too many, the
    fewest factors are fixed that leave few, the later ones first.

    Args:
        shown: Things that have panels of their own (responses).
        panels: The factors whose combinations have a panel each.
    """
    n = math.prod(len(levels) for levels in panels.values())
    together = n <= columns and n * len(shown) <= MOST_PANELS
    keys = [key for key in panels if len(panels[key]) > 1][::-1]
    fixed = next(
        set(some)
        for count in range(len(keys) + 1)
        for some in itertools.combinations(keys, count)
        if n <= MOST_PANELS * math.prod(len(panels[key]) for key in some)
    )
    each = combinations({key: levels for key, levels in panels.items() if key in fixed})
    things = [list(shown)] if together else [[one] for one in shown]
    return [(some, levels) for some in things for levels in each]


def lines_and_panels(factors: Factors) -> tuple[str | None, list[str]]:
    """Return the factor whose levels share a panel, and those whose combinations have one each.

    It is the first; in a design of too many panels, that with the most levels.
    """
    first = next(iter(factors), None)
    if first is None:
        return None, []
    panels = math.prod(len(levels) for levels in factors.values()) // len(factors[first])
    if panels > MOST_PANELS:
        first = max(factors, key=lambda key: len(factors[key]))
    return first, [key for key in factors if key != first]


def ended(cells: pd.DataFrame) -> "pd.Series[Any]":
    """Return how many runs of each cell ended: 0 where none diverged."""
    return (cells["n_diverged"] / cells["divergence_rate"]).round().fillna(0).astype(int)


def flattered(cells: pd.DataFrame) -> "pd.Series[bool]":
    """Return which means leave out runs that diverged; some responses count them as chance."""
    return cells["n"] < ended(cells)


def aligned(factors: Factors, columns: int = MOST_COLUMNS) -> int:
    """Return how many panels stand side by side, so that rows begin at the same level."""
    varied = [len(levels) for levels in factors.values() if len(levels) > 1]
    n_levels = varied[-1] if varied else 1
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


def log_ticks(axis: Axis, least: float, most: float) -> None:
    """Give an axis of a log scale some even ticks, with their numbers in plain digits.

    Args:
        least: Where the axis begins; at less than a decade from `most`, its end, 2 and 5 have
            ticks, too.
    """
    decades = math.log10(most / least)
    every = max(1, math.ceil(decades / MOST_DECADES))
    locator = (
        LogLocator(10.0**every, (1.0,)) if decades >= 2 else LogLocator(10, (1.0, 2.0, 5.0))
    )
    axis.set_major_locator(locator)
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_locator(NullLocator())


def plain(value: float) -> str:
    """Return a number as one reads it on an axis: 0.01, 20, 10,000, 1e7."""
    if 1e-4 <= value < 1e6:
        return f"{value:,.10g}"
    return f"{value:.0e}".replace("e+0", "e").replace("e-0", "e\N{MINUS SIGN}")


def log2_axis(axes: Axes, levels: Sequence[str], inches: float) -> None:
    """Give an axis a log2 scale with ticks at levels, as many as have room for their names.

    Evenly many levels lie between two ticks, unless the levels themselves lie unevenly.
    """
    names = ordered(levels)
    at = np.log2(numbers(names))
    around = 0.06 * (at[-1] - at[0]) + 0.15
    axes.set_xscale("log", base=2)
    axes.set_xlim(2 ** (at[0] - around), 2 ** (at[-1] + around))
    per_inch = (at[-1] - at[0] + 2 * around) / inches

    def fit(one: int, other: int) -> bool:
        room = 0.04 * (len(names[one]) + len(names[other])) + 0.07
        return bool((at[other] - at[one]) / per_inch >= room)

    steps = np.diff(at)
    if len(steps) and np.allclose(steps, steps[0], rtol=0.02):
        even = (range(0, len(names), step) for step in range(1, len(names) + 1))
        kept = next(list(one) for one in even if all(map(fit, one, one[1:])))
    else:
        kept = [0]
        for i in range(1, len(names)):
            if fit(kept[-1], i):
                kept.append(i)
    axes.xaxis.set_major_locator(FixedLocator([float(2 ** at[i]) for i in kept]))
    axes.xaxis.set_major_formatter(FixedFormatter([names[i] for i in kept]))
    axes.xaxis.set_minor_locator(NullLocator())
