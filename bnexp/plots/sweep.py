"""How a response changes along a factor of numbers: learning rates, batch sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnexp.metrics import describe
from bnexp.plots.panels import flattered, is_wide, log2_axis, numbers, ordered, panel_rows
from bnexp.plots.style import (
    DENSE,
    Factors,
    add_legend,
    add_note,
    handle,
    level_handles,
    look,
    new_figure,
    panel_title,
    short,
    wrapped,
)
from bnexp.store.frames import where

PANEL, STRIP = 2.2, 0.9  # inches
Places = npt.NDArray[np.float64]


class Place(NamedTuple):
    """What stands on the axis, and which factor has a line a level, if any has."""

    factors: Factors
    axis: str
    lines: str | None


@dataclass(frozen=True)
class Limits:
    """Values of the axis that are marked for combinations of the other factors.

    Attributes:
        table: The other factors, `lr`, `lr_low` and `lr_high`; NaN where there is none.
        meaning: What is marked, for the legend.
    """

    table: pd.DataFrame
    meaning: str


def sweep(
    cells: pd.DataFrame,
    runs: pd.DataFrame,
    factors: Factors,
    responses: Sequence[str],
    *,
    axis: str,
    limits: Limits | None = None,
) -> Figure:
    """Return the response along a factor of numbers, and below how many runs diverge.

    A line for each level of the first other factor, a panel for each combination of the
    rest.

    Args:
        cells: One row a cell and response (`stats.cells`).
        runs: One row a run.
        axis: The factor; its levels are positive numbers.
    """
    others = [key for key in factors if key != axis]
    place = Place(factors, axis, others[0] if others else None)
    rows, more = panel_rows(responses, {key: factors[key] for key in others[1:]})
    n_columns = max(len(combinations) for _, combinations in rows)
    diverge = bool(cells["n_diverged"].any())
    # Rows of the same combinations share a strip, below the last of them.
    together = len({response for response, _ in rows}) == len(rows)
    strips = [diverge and (not together or i == len(rows) - 1) for i in range(len(rows))]
    heights = [height for strip in strips for height in ([PANEL, STRIP] if strip else [PANEL])]
    wide = 2.5 if n_columns > 1 else 3.6
    figure = new_figure(max(wide * n_columns, 4.2) + 0.8, sum(heights) * 1.12 + 1.1)
    grid = figure.add_gridspec(len(heights), n_columns, height_ratios=heights)
    dense = len(runs) * len(responses) > DENSE
    at = 0
    for (response, combinations), strip in zip(rows, strips, strict=True):
        line: list[Axes] = []
        below: list[Axes] = []
        for column, levels in enumerate(combinations):
            here = where(cells, levels)
            axes = figure.add_subplot(grid[at, column], sharey=line[0] if line else None)
            line.append(axes)
            _panel(axes, here, where(runs, levels), response, place, dense=dense)
            if limits is not None:
                _mark(axes, where(limits.table, levels), place)
            if at == 0 or not together:
                axes.set_title(panel_title(levels, wide - 0.2))
            if strip:
                share = below[0] if below else None
                below.append(figure.add_subplot(grid[at + 1, column], sharey=share))
                _strip(below[-1], here, place)
        _limit(line[0], runs, response)
        what = describe(response)
        line[0].set_ylabel(wrapped(what.words, what.details, what.unit))
        for axes in below[:1]:
            axes.set_ylabel("diverged (%)")
        for axes in (*line, *below):
            log2_axis(axes, factors[axis], wide - 0.4)
            axes.tick_params(labelleft=axes in (line[0], *below[:1]))
        at += 1 + int(strip)
        for axes in (below or line) if at == len(heights) or not together else []:
            axes.set_xlabel(short(axis))
        for axes in line if strip else []:
            axes.tick_params(labelbottom=False)
    figure.align_ylabels()
    handles = level_handles(place.lines, factors, lines=True) if place.lines else []
    note = (
        f"dots: each of up to {int(cells['n'].max())} seeds; line: mean and its 95 % Student-t "
        "interval"
    )
    if flattered(cells[cells["response"].isin([response for response, _ in rows])]).any():
        note += "; hollow: mean of the runs that did not diverge"
    if diverge:
        note += "; strip: Wilson interval"
    if limits is not None and limits.table["lr"].notna().any():
        handles.append(handle("None", f"largest {short(axis)}", color="#555555", linestyle=":"))
        note += (
            f"; dotted: the largest {short(axis)} at which {limits.meaning}; shaded: its 95 %"
        )
    add_legend(figure, handles)
    add_note(figure, note + (f"; {more} more combinations are in cells.csv" if more else ""))
    return figure


def _lines(cells: pd.DataFrame, place: Place) -> Iterator[tuple[str, pd.DataFrame, Places]]:
    """Yield each line's level, its cells along the axis and where they stand."""
    names = ordered(place.factors[place.axis])
    at = np.array(numbers(names))
    step = min(1.0, float(np.diff(np.log2(at)).min()))
    levels = place.factors[place.lines] if place.lines else [""]
    for i, level in enumerate(levels):
        here = cells[cells[place.lines] == level] if place.lines else cells
        # Beside each other: intervals at one number would hide each other.
        shift = step * 0.09 * (i - (len(levels) - 1) / 2)
        yield level, here.set_index(place.axis).reindex(names), at * 2**shift


def _panel(
    axes: Axes,
    cells: pd.DataFrame,
    runs: pd.DataFrame,
    response: str,
    place: Place,
    *,
    dense: bool,
) -> None:
    """Draw the means of one response, their intervals and every seed."""
    scale = describe(response).scale
    for level, here, x in _lines(cells[cells["response"] == response], place):
        colour, marker, line = look(place.lines, level, place.factors)
        seeds = runs[runs[place.lines] == level] if place.lines else runs
        at = seeds[place.axis].map(dict(zip(here.index, x, strict=True)))
        dots: dict[str, Any] = {"color": colour, "alpha": 0.3, "ms": 3, "mew": 0}
        axes.plot(at, seeds[response] * scale, "o", zorder=1.5, rasterized=dense, **dots)
        mean = here["mean"] * scale
        ends = (mean - here["ci_low"] * scale, here["ci_high"] * scale - mean)
        bars: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1.3}
        axes.errorbar(x, mean, yerr=ends, capsize=2, **bars)
        hollow = flattered(here).to_numpy()
        for some, face in ((~hollow, colour), (hollow, "white")):
            axes.plot(x[some], mean[some], marker, ms=5, color=colour, mfc=face, zorder=3)


def _limit(axes: Axes, runs: pd.DataFrame, response: str) -> None:
    """Keep to what was measured: the interval of two seeds can be ten times as long."""
    what = describe(response)
    values = runs[response].dropna() * what.scale
    if not len(values):
        return
    least, most = values.min(), values.max()
    if is_wide(what, least, most):
        axes.set_yscale("log")
        axes.set_ylim(least / 1.5, most * 1.5)
        return
    room = 0.25 * (most - least)
    low, high = axes.get_ylim()
    if room:
        axes.set_ylim(max(low, least - room), min(high, most + room))


def _strip(axes: Axes, cells: pd.DataFrame, place: Place) -> None:
    """Draw the share of runs that diverged, with its interval."""
    cells = cells[cells["response"] == cells["response"].iloc[0]]
    for level, here, x in _lines(cells, place):
        colour, marker, line = look(place.lines, level, place.factors)
        rate = here["divergence_rate"] * 100
        # Never negative, but by rounding.
        ends = (
            (rate - here["divergence_low"] * 100).clip(lower=0),
            (here["divergence_high"] * 100 - rate).clip(lower=0),
        )
        style: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1}
        axes.errorbar(x, rate, yerr=ends, marker=marker, ms=3.5, elinewidth=0.8, **style)
    axes.set_ylim(-8, 108)
    axes.set_yticks([0, 50, 100])


def _mark(axes: Axes, table: pd.DataFrame, place: Place) -> None:
    """Draw the limit of each line, with its interval as a band where it has one."""
    for _, row in table[table["lr"].notna()].iterrows():
        level = str(row[place.lines]) if place.lines else ""
        colour, marker, _ = look(place.lines, level, place.factors)
        at, low, high = float(row["lr"]), float(row["lr_low"]), float(row["lr_high"])
        axes.axvline(at, color=colour, linestyle=":", linewidth=1.3, zorder=1.2)
        if np.isfinite([low, high]).all():
            axes.axvspan(low, high, color=colour, alpha=0.1, linewidth=0, zorder=0.5)
        style: dict[str, Any] = {"mec": "white", "mew": 0.5, "zorder": 4, "clip_on": False}
        foot = axes.get_xaxis_transform()
        axes.plot(at, 0, marker, color=colour, ms=4.5, transform=foot, **style)
