"""What runs and cells reached: curves, every seed, running against population statistics."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnexp.metrics import describe
from bnexp.plots.marks import mark
from bnexp.plots.names import LETTER, Factors, cell_name, panel_title, short, wrapped
from bnexp.plots.panels import MOST_COLUMNS, aligned, is_wide, log_ticks, name_epochs
from bnexp.plots.says import of_epochs, of_response, of_runs, series_of
from bnexp.plots.style import (
    COLOURS,
    LINES,
    MOST_PANELS,
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
from bnexp.plural import counted
from bnexp.store.frames import where

DOT = 3.5  # points
MOST_BANDS = len(COLOURS)


def learning_curves(
    curves: pd.DataFrame,
    factors: Factors,
    responses: Sequence[str],
    n_seeds: int,
    *,
    names: Sequence[str] = (),
    label: str = "",
) -> Figure:
    """Return mean curves, a panel for each further level, with bands over the seeds.

    More bands than a palette has colours would hide each other, and are left out. A loss that
    spans much has a log scale, up to its cap (times its lowest value, where above 1).

    Args:
        curves: One row a cell, epoch and response (`stats.curves`).
        responses: One, or several of one scale, each with its dashes.
        n_seeds: How many seeds the bands span at most.
        names: Of the dashes, where there are several.
        label: What the vertical axis shows; "" for the first response's own.
    """
    first, *others = list(factors) or [""]
    combinations = curves[others].drop_duplicates() if others else pd.DataFrame([{}])
    shown = combinations.head(MOST_PANELS).to_dict("records")
    columns = min(aligned({key: factors[key] for key in others}), len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(max(2.4 * columns, 5.0) + 0.8, 2.1 * rows + 1.3)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    levels = factors[first] if first else [""]
    banded = len(levels) <= MOST_BANDS
    called = dict(zip(responses, names, strict=False))
    least, most = math.inf, -math.inf
    for panel, axes in zip(shown, grid.flat, strict=False):
        here = where(curves, {str(key): str(level) for key, level in panel.items()})
        least, most = min(least, here["min"].min()), max(most, here["max"].max())
        for level in levels:
            colour, marker, _ = look(first or None, level, factors)
            for dashes, response in zip(LINES, responses, strict=False):
                line = here[here["response"] == response]
                line = line[line[first] == level] if first else line
                scale = describe(response).scale
                drawn = axes.plot(
                    line["epoch"],
                    line["mean"] * scale,
                    dashes,
                    color=colour,
                    marker=marker,
                    markersize=2.5,
                    linewidth=1.3,
                )
                series = "\n".join(
                    filter(None, (series_of(first, level), called.get(response)))
                )
                says = of_epochs(line, factors, scale)
                mark(drawn, series=series, of=of_response(response), says=says)
                if banded:
                    band = axes.fill_between(
                        line["epoch"],
                        line["min"] * scale,
                        line["max"] * scale,
                        color=colour,
                        alpha=0.18,
                        linewidth=0,
                    )
                    mark(band, series=series)
        axes.set_title(panel_title({str(key): str(level) for key, level in panel.items()}, 2.3))
    name_epochs(grid, len(shown))
    what = describe(responses[0])
    highest = what.cap * max(1, least)
    if wide := is_wide(what, least, most):
        ends = least / 1.2, min(most * 1.2, highest)
        grid[0, 0].set(yscale="log", ylim=ends)  # of all
        log_ticks(grid[0, 0].yaxis, *ends)
    for axes in grid[:, 0]:
        axes.set_ylabel(wrapped(label or what.words, "" if label else what.details, what.unit))
    handles = level_handles(first, factors) if first else []
    handles += [
        Line2D([], [], color="grey", linestyle=dashes, label=name)
        for dashes, name in zip(LINES, names, strict=False)
    ]
    add_legend(figure, handles)
    more = len(combinations) - len(shown)
    band = ", band: lowest to highest" if banded else ""
    add_note(
        figure,
        f"line: mean{band} of {counted(n_seeds, 'seed')}"
        + (f"; values above {highest:g} are cut off" if wide and most > highest else "")
        + (f"; {more} more combinations are in epochs.csv" if more > 0 else ""),
    )
    return figure


def cell_means(
    cells: pd.DataFrame,
    runs: pd.DataFrame,
    factors: Factors,
    responses: Sequence[str],
    reported: Mapping[tuple[str, int], float],
) -> Figure:
    """Return every seed of every cell with the cell's mean and interval.

    Args:
        cells: One row a response and cell, these in one order for all responses
            (`stats.cells`).
        runs: One row a run.
        reported: Numbers of the sources by (response, row of the cell).
    """
    keys = list(factors)
    first = keys[0] if keys else None
    responses, lacking = with_values(cells.groupby("response")["mean"].count(), responses)
    found = cells[cells["response"] == responses[0]][keys].head(MOST_ROWS).to_dict("records")
    names = [{str(key): str(level) for key, level in name.items()} for name in found]
    figure, panels = response_panels(len(responses), 0.27 * len(names) + 1.7)
    # By the first factor's level, which gives the look.
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows_of.setdefault(name.get(str(first), ""), []).append(row)
    seeds = pd.concat({row: where(runs, name) for row, name in enumerate(names)})
    for response, axes in zip(responses, panels, strict=True):
        what = describe(response)
        of_it = cells[cells["response"] == response]
        here, n_of = of_it[["mean", "ci_low", "ci_high"]], of_it["n"]
        for level, rows in rows_of.items():
            colour, marker, _ = look(first, level, factors)
            dots: dict[str, Any] = {
                "color": colour,
                "alpha": 0.4,
                "ms": DOT,
                "mew": 0,
                "zorder": 1.5,
            }
            series, of = series_of(first, level), of_response(response)
            own = seeds.loc[rows].dropna(subset=response)
            at = own.index.get_level_values(0) + 0.22
            drawn = axes.plot(own[response] * what.scale, at, "o", **dots)
            says = of_runs(own, factors, response)
            mark(drawn, series=series, of=of, says=says, dots=DOT)
            means = here.iloc[rows] * what.scale
            said = {"cell": [cell_name(names[row]) for row in rows], "n": n_of.iloc[rows]}
            draw_intervals(
                axes, rows, means, colour=colour, marker=marker, says=said, series=series, of=of
            )
        for row in range(len(names)):
            if (response, row) in reported:
                add_source(axes, row, reported[response, row] * what.scale)
        axes.set_xlabel(wrapped(what.words, what.details, what.unit))
        axes.margins(x=0.08)
    share_x(panels, responses)
    axes = panels[0]
    axes.set_yticks(range(len(names)), [cell_name(name) or "all runs" for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    handles = level_handles(first, factors) if first else []
    if reported:
        handles.append(source_handle())
    add_legend(figure, handles)
    n = int(cells["n"].max())
    note = (
        f"dots: each of up to {n} seeds; marker and bar: mean and its 95 % Student-t interval"
    )
    add_note(figure, (note if n > 1 else "one seed a cell: no interval") + lacking)
    return figure


def statistics(runs: pd.DataFrame, factors: Factors, pairs: tuple[str, str]) -> Figure:
    """Return each run's accuracy under two kinds of statistics, joined by a line.

    Args:
        runs: One row a run.
        pairs: The two metrics, running statistics first.
    """
    first = next(iter(factors))
    differ = (runs[pairs[0]] - runs[pairs[1]]).abs() > 0
    levels = [level for level in factors[first] if differ[runs[first] == level].any()]
    titles = [f"{short(first)} {level}" for level in levels]
    columns = min(len(levels), MOST_COLUMNS)
    rows = math.ceil(len(levels) / columns)
    wide = max(2.2, LETTER * max(map(len, titles)) + 0.3)
    figure = new_figure(wide * max(columns, 2) + 0.8, 3.1 * rows + 0.7)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in grid.flat[len(levels) :]:
        axes.remove()
    scale = describe(pairs[0]).scale
    for level, title, axes in zip(levels, titles, grid.flat, strict=False):
        colour = look(first, level, factors).colour
        here = runs[(runs[first] == level) & runs[list(pairs)].notna().all(axis=1)]
        values = here[list(pairs)].to_numpy(float) * scale
        style: dict[str, Any] = {"color": colour, "alpha": 0.45, "zorder": 1.5}
        # One path: a gap ends each run's line.
        ends = np.insert(values, 2, np.nan, axis=1).ravel()
        axes.plot([0, 1, np.nan] * len(values), ends, linewidth=0.9, **style)
        for side, response in enumerate(pairs):
            dots = axes.plot([side] * len(values), values[:, side], "o", ms=DOT, mew=0, **style)
            says = of_runs(here, factors, response)
            mark(dots, of=of_response(response), says=says, dots=DOT)
        axes.set_xticks([0, 1], ["running", "population"])
        axes.set_xlim(-0.3, 1.3)
        axes.set_title(f"{title}\n{len(here)} runs")
    what = describe(pairs[0])
    for axes in grid[:, 0]:
        axes.set_ylabel(wrapped(what.words, what.details, what.unit))
    for axes in grid.flat[max(len(levels) - columns, 0) : len(levels)]:
        axes.set_xlabel("statistics in evaluation")
    add_note(figure, "a line is one run: the same weights, evaluated twice")
    return figure
