"""Every run of every cell, with the cell's mean: in rows, or in panels of a large design."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnexp.metrics import describe
from bnexp.plots.marks import mark
from bnexp.plots.names import Factors, cell_name, panel_title, short, wrapped
from bnexp.plots.panels import Levels, PanelRow, ordered, panel_rows
from bnexp.plots.says import of_means, of_response, of_runs, series_of
from bnexp.plots.style import (
    MOST_ROWS,
    add_legend,
    add_note,
    add_source,
    draw_intervals,
    level_handles,
    look,
    new_figure,
    response_panels,
    share_x,
    source_handle,
    with_values,
)
from bnexp.store.frames import where

DOT = 3.5  # points
WIDE = 2.3  # inches, of a panel

Cell = tuple[str, ...]  # its levels


class Panel(NamedTuple):
    """The cells of some levels, in one response."""

    response: str
    levels: Levels
    axes: Axes


def cell_means(
    cells: pd.DataFrame,
    runs: pd.DataFrame,
    factors: Factors,
    responses: Sequence[str],
    reported: Mapping[tuple[str, int], float],
) -> Figure:
    """Return every seed of every cell with the cell's mean and interval.

    A row a cell; of a large design a row for each level of the factor with most, with the
    levels of the first beside each other, and a panel for each combination of the others.

    Args:
        cells: One row a response and cell, these in one order for all responses
            (`stats.cells`).
        runs: One row a run. The scale has room for all of them, whichever levels `factors`
            leaves to this picture.
        reported: Numbers of the sources by (response, row of the cell).
    """
    responses, lacking = with_values(cells.groupby("response")["mean"].count(), responses)
    order = _cells(cells[cells["response"] == responses[0]], factors)
    if is_large(factors, len(order)):
        figure, panels = _small_multiples(factors, responses)
        row, place = row_of(factors), {}
        names = ordered(factors[row])
        first, at = next(iter(factors)), list(factors).index(row)
        for cell in order:
            beside = factors[first].index(cell[0]) - (len(factors[first]) - 1) / 2
            place[cell] = names.index(cell[at]) + 0.8 * beside / len(factors[first])
    else:
        place = {cell: float(row) for row, cell in enumerate(order)}
        figure, panels = _rows(factors, responses, order)
    for panel in panels:
        _draw(panel, cells, runs, factors, place)
        for row_number, cell in enumerate(order):
            inside = dict(zip(factors, cell, strict=True)).items() >= panel.levels.items()
            if inside and (panel.response, row_number) in reported:
                scale = describe(panel.response).scale
                value = reported[panel.response, row_number] * scale
                add_source(panel.axes, place[cell], value)
        values = runs[panel.response].dropna() * describe(panel.response).scale
        ends = [(end, 0) for end in (values.min(), values.max()) if len(values)]
        panel.axes.update_datalim(ends, updatey=False)
        panel.axes.margins(x=0.08)
    share_x([panel.axes for panel in panels], [panel.response for panel in panels])
    first_factor = next(iter(factors), None)
    handles = level_handles(first_factor, factors) if first_factor else []
    add_legend(figure, handles + ([source_handle()] if reported else []))
    n = int(cells["n"].max())
    note = (
        f"dots: each of up to {n} seeds; marker and bar: mean and its 95 % Student-t interval"
    )
    note = (note if n > 1 else "one seed a cell: no interval") + lacking
    add_note(figure, note)
    return figure


def is_large(factors: Factors, n_cells: int) -> bool:
    """Return whether a design has too many cells for a row each."""
    return n_cells > MOST_ROWS and len(factors) > 1


def row_of(factors: Factors) -> str:
    """Return the factor whose levels are the rows of a large design: that with most levels."""
    return max(list(factors)[1:], key=lambda key: len(factors[key]))


def _cells(rows: pd.DataFrame, factors: Factors) -> list[Cell]:
    if not factors:
        return [()] * len(rows)
    return list(rows[list(factors)].astype(str).itertuples(index=False, name=None))


def _rows(
    factors: Factors, responses: Sequence[str], order: Sequence[Cell]
) -> tuple[Figure, list[Panel]]:
    """Return a panel for each response, with a row for each cell."""
    figure, axes = response_panels(len(responses), 0.27 * len(order) + 1.7)
    names = [cell_name(dict(zip(factors, cell, strict=True))) or "all runs" for cell in order]
    axes[0].set_yticks(range(len(order)), names)
    axes[0].set_ylim(len(order) - 0.4, -0.6)
    for response, one in zip(responses, axes, strict=True):
        what = describe(response)
        one.set_xlabel(wrapped(what.words, what.details, what.unit))
    return figure, [Panel(response, {}, one) for response, one in zip(responses, axes)]  # noqa: B905


def panels_of_cells(factors: Factors) -> Factors:
    """Return the factors of a large design whose combinations have a panel each."""
    inside = (row_of(factors), next(iter(factors)))
    return {key: levels for key, levels in factors.items() if key not in inside}


def _small_multiples(factors: Factors, responses: Sequence[str]) -> tuple[Figure, list[Panel]]:
    """Return a panel for each response and combination."""
    row, first = row_of(factors), next(iter(factors))
    names = ordered(factors[row])
    lines = panel_rows(responses, panels_of_cells(factors))
    columns = max(len(combinations) for _, combinations in lines)
    tall = (0.12 + 0.06 * len(factors[first])) * len(names) + 0.95
    figure = new_figure(max(WIDE * columns, 4.2) + 0.8, tall * len(lines) + 0.6)
    grid = figure.subplots(len(lines), columns, squeeze=False, sharey=True)
    panels = []
    below: list[PanelRow] = [*lines[1:], ("", [])]
    for (response, combinations), line, (next_one, under) in zip(
        lines, grid, below, strict=True
    ):
        what = describe(response)
        n_named = len(under) if next_one == response else 0  # by the axis of a panel below
        for axes in line[len(combinations) :]:
            axes.remove()
        for column, (levels, axes) in enumerate(zip(combinations, line, strict=False)):
            panels.append(Panel(response, levels, axes))
            axes.set_title(panel_title(levels, WIDE - 0.2))
            if column >= n_named:
                axes.set_xlabel(wrapped(what.words, what.details, what.unit))
        line[0].set_ylabel(short(row))
    grid[0, 0].set_yticks(range(len(names)), names)
    grid[0, 0].set_ylim(len(names) - 0.4, -0.6)
    return figure, panels


def _draw(
    panel: Panel,
    cells: pd.DataFrame,
    runs: pd.DataFrame,
    factors: Factors,
    place: Mapping[Cell, float],
) -> None:
    """Draw the runs and means of a panel's cells.

    Args:
        place: The height of each cell's mean; without other levels in the panel its runs are
            below it.
    """
    response, levels, axes = panel
    first = next(iter(factors), None)
    scale, of = describe(response).scale, of_response(response)
    of_panel = where(cells[cells["response"] == response], levels)
    of_runs_here = where(runs, levels).dropna(subset=[response])
    for level in factors[first] if first else [""]:
        colour, marker, _ = look(first, level, factors)
        series = series_of(first, level)
        here = of_panel[of_panel[first] == level] if first else of_panel
        own = of_runs_here[of_runs_here[first] == level] if first else of_runs_here
        dots: dict[str, Any] = {"color": colour, "alpha": 0.4, "ms": DOT, "mew": 0}
        at = np.array([place[cell] for cell in _cells(own, factors)])
        at += 0.22 * (len(place) <= MOST_ROWS)
        drawn = axes.plot(own[response] * scale, at, "o", zorder=1.5, **dots)
        mark(drawn, series=series, of=of, says=of_runs(own, factors, response), dots=DOT)
        draw_intervals(
            axes,
            [place[cell] for cell in _cells(here, factors)],
            here[["mean", "ci_low", "ci_high"]] * scale,
            colour=colour,
            marker=marker,
            says=of_means(here, factors, scale),
            series=series,
            of=of,
        )
