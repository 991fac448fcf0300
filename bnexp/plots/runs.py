"""What runs and cells reached: curves, every seed, running against population statistics."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnexp.metrics import describe
from bnexp.plots.panels import MOST_COLUMNS, aligned, is_wide, name_epochs
from bnexp.plots.style import (
    COLOURS,
    DENSE,
    LETTER,
    LINES,
    MOST_PANELS,
    MOST_ROWS,
    Factors,
    add_legend,
    add_note,
    add_source,
    cell_name,
    draw_intervals,
    level_handles,
    look,
    new_figure,
    panel_title,
    response_panels,
    share_x,
    short,
    source_handle,
    with_values,
    wrapped,
)
from bnexp.plural import counted
from bnexp.store.frames import where

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
                axes.plot(
                    line["epoch"],
                    line["mean"] * scale,
                    dashes,
                    color=colour,
                    marker=marker,
                    markersize=2.5,
                    linewidth=1.3,
                )
                if banded:
                    axes.fill_between(
                        line["epoch"],
                        line["min"] * scale,
                        line["max"] * scale,
                        color=colour,
                        alpha=0.18,
                        linewidth=0,
                    )
        axes.set_title(panel_title({str(key): str(level) for key, level in panel.items()}, 2.3))
    name_epochs(grid, len(shown))
    what = describe(responses[0])
    highest = what.cap * max(1, least)
    if wide := is_wide(what, least, most):
        grid[0, 0].set(yscale="log", ylim=(least / 1.2, min(most * 1.2, highest)))  # of all
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
    dense = len(runs) * len(responses) > DENSE
    # By the first factor's level, which gives the look.
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows_of.setdefault(name.get(str(first), ""), []).append(row)
    seeds = pd.concat(
        {row: where(runs, name).reindex(columns=responses) for row, name in enumerate(names)}
    )
    for response, axes in zip(responses, panels, strict=True):
        what = describe(response)
        here = cells[cells["response"] == response][["mean", "ci_low", "ci_high"]]
        for level, rows in rows_of.items():
            colour, marker, _ = look(first, level, factors)
            dots: dict[str, Any] = {
                "color": colour,
                "alpha": 0.4,
                "ms": 3.5,
                "mew": 0,
                "rasterized": dense,
                "zorder": 1.5,  # one after the other: one image
            }
            values = seeds.loc[rows, response].dropna() * what.scale
            axes.plot(values, values.index.get_level_values(0) + 0.22, "o", **dots)
            means = here.iloc[rows] * what.scale
            draw_intervals(axes, rows, means, colour=colour, marker=marker)
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
    dense = len(runs) > DENSE
    for level, title, axes in zip(levels, titles, grid.flat, strict=False):
        colour = look(first, level, factors).colour
        here = runs[(runs[first] == level) & runs[list(pairs)].notna().all(axis=1)]
        values = here[list(pairs)].to_numpy(float) * scale
        style: dict[str, Any] = {"color": colour, "alpha": 0.45, "rasterized": dense}
        lines = [[(0, running), (1, population)] for running, population in values]
        axes.add_collection(LineCollection(lines, linewidth=0.9, zorder=1.5, **style))
        axes.plot([0, 1] * len(values), values.ravel(), "o", ms=3.5, mew=0, zorder=1.5, **style)
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
