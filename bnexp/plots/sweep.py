"""How a response changes along a factor of numbers: learning rates, batch sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnexp.metrics import describe
from bnexp.plots.names import Factors, panel_title, short, wrapped
from bnexp.plots.panels import (
    flattered,
    log2_axis,
    panel_rows,
)
from bnexp.plots.style import add_legend, add_note, handle, level_handles, new_figure
from bnexp.plots.sweep_panels import (
    Place,
    draw_panel,
    draw_strip,
    floor_of,
    limit_axis,
    lowest_of,
    mark_limits,
)
from bnexp.store.frames import where

PANEL, STRIP = 2.2, 0.9  # inches


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
        runs: One row a run. The scale has room for all of them, whichever levels `factors`
            leaves to this picture.
        axis: The factor; its levels are positive numbers.
    """
    others = [key for key in factors if key != axis]
    rows = panel_rows(responses, panels_of_sweep(factors, axis))
    floors = {response: floor_of(runs, response) for response, _ in rows}
    place = Place(factors, axis, others[0] if others else None, floors)
    n_columns = max(len(combinations) for _, combinations in rows)
    diverge = bool(cells["n_diverged"].any())
    # Rows of the same combinations share a strip, below the last of them.
    together = len({response for response, _ in rows}) == len(rows)
    strips = [diverge and (not together or i == len(rows) - 1) for i in range(len(rows))]
    heights = [height for strip in strips for height in ([PANEL, STRIP] if strip else [PANEL])]
    wide = 2.5 if n_columns > 1 else 3.6
    figure = new_figure(max(wide * n_columns, 4.2) + 0.8, sum(heights) * 1.12 + 1.1)
    grid = figure.add_gridspec(len(heights), n_columns, height_ratios=heights)
    at = 0
    for (response, combinations), strip in zip(rows, strips, strict=True):
        line: list[Axes] = []
        below: list[Axes] = []
        for column, levels in enumerate(combinations):
            here = where(cells, levels)
            axes = figure.add_subplot(grid[at, column], sharey=line[0] if line else None)
            line.append(axes)
            draw_panel(axes, here, where(runs, levels), response, place)
            if limits is not None:
                mark_limits(axes, where(limits.table, levels), place)
            if at == 0 or not together:
                axes.set_title(panel_title(levels, wide - 0.2))
            if strip:
                share = below[0] if below else None
                below.append(figure.add_subplot(grid[at + 1, column], sharey=share))
                draw_strip(below[-1], here, place)
        limit_axis(line[0], runs, response, place.floors[response])
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
    note = _note(cells[cells["response"].isin(place.floors)], place)
    if limits is not None and limits.table["lr"].notna().any():
        handles.append(handle("None", f"largest {short(axis)}", color="#555555", linestyle=":"))
        note += f"; dotted: the largest {short(axis)} at which {limits.meaning}"
        note += "; shaded: its 95 % interval"
    add_legend(figure, handles)
    add_note(figure, note)
    return figure


def panels_of_sweep(factors: Factors, axis: str) -> Factors:
    """Return the factors whose combinations have a panel each: all but axis and lines."""
    others = [key for key in factors if key != axis]
    return {key: factors[key] for key in others[1:]}


def _note(cells: pd.DataFrame, place: Place) -> str:
    """Return what dots, lines and bars of these cells mean."""
    note = (
        f"dots: each of up to {int(cells['n'].max())} seeds; line: mean and its 95 % Student-t "
        "interval"
    )
    if any(lowest_of(cells, response) < floor for response, floor in place.floors.items()):
        note += ", which an arrow shows to go on below the axis"
    if flattered(cells).any():
        note += "; hollow: mean of the runs that did not diverge"
    return note + "; strip: Wilson interval" * bool(cells["n_diverged"].any())
