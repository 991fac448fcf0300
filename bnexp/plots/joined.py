"""Runs that belong to each other, joined: evaluated twice, or of one seed in two arms."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnexp.metrics import describe
from bnexp.plots.marks import mark
from bnexp.plots.names import LETTER, Factors, panel_title, short, wrapped
from bnexp.plots.panels import MOST_COLUMNS, aligned
from bnexp.plots.says import of_response, of_runs
from bnexp.plots.style import add_note, look, new_figure
from bnexp.plural import counted
from bnexp.store.frames import where

DOT = 3.5  # points


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
        says = [of_runs(here, factors, response) for response in pairs]
        _join(axes, values, says, [colour] * 2, list(map(of_response, pairs)))
        axes.set_xticks([0, 1], ["running", "population"])
        axes.set_title(f"{title}\n{len(here)} runs")
    what = describe(pairs[0])
    for axes in grid[:, 0]:
        axes.set_ylabel(wrapped(what.words, what.details, what.unit))
    for axes in grid.flat[max(len(levels) - columns, 0) : len(levels)]:
        axes.set_xlabel("statistics in evaluation")
    add_note(figure, "a line is one run: the same weights, evaluated twice")
    return figure


def arms(
    runs: pd.DataFrame, factors: Factors, response: str, by: tuple[str, str, str], most: int
) -> Figure:
    """Return each seed's run in one arm joined with its run in the other, a slopegraph.

    A panel for each combination of the other factors; above it, in how many pairs the value
    rises.

    Args:
        runs: One row a run.
        by: The factor, and the levels on the left and on the right.
        most: Panels.
    """
    factor, left, right = by
    rest = {key: levels for key, levels in factors.items() if key != factor}
    combinations = runs[list(rest)].drop_duplicates() if rest else pd.DataFrame([{}])
    shown = combinations.head(most).to_dict("records")
    columns = min(aligned(rest), len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(max(2.1 * columns, 3.4) + 0.8, 2.5 * rows + 0.7)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.remove()
    n = 0
    for panel, axes in zip(shown, grid.flat, strict=False):
        levels = {str(key): str(level) for key, level in panel.items()}
        here = where(runs, levels).dropna(subset=[response])
        sides = [here[here[factor] == level].set_index("seed") for level in (left, right)]
        both = sides[0].index.intersection(sides[1].index)
        n = max(n, len(both))
        sides = [side.loc[both].reset_index() for side in sides]
        values = np.column_stack([side[response] for side in sides])
        says = [of_runs(side, factors, response) for side in sides]
        inks = [look(factor, level, factors).colour for level in (left, right)]
        _join(axes, values * describe(response).scale, says, inks, [of_response(response)] * 2)
        rising = int((values[:, 1] > values[:, 0]).sum())
        up = f"higher in {rising} of {len(both)}"
        axes.set_title("\n".join(filter(None, (panel_title(levels, 2.0), up))))
        axes.set_xticks([0, 1], [left, right])
        axes.set_xlabel(short(factor))
    what = describe(response)
    for axes in grid[:, 0]:
        axes.set_ylabel(wrapped(what.words, what.details, what.unit))
    more = len(combinations) - len(shown)
    note = f"a line is one seed: its run with {left} and its run with {right}"
    note += f"; {counted(n, 'pair')} or fewer a panel"
    add_note(figure, note + (f"; {more} more combinations are in runs.csv" if more else ""))
    return figure


def _join(
    axes: Axes,
    values: np.ndarray,
    says: Sequence[Mapping[str, Any]],
    colours: Sequence[Any],
    of: Sequence[str],
) -> None:
    """Draw pairs as dots on the left and on the right, with a line from one to the other.

    Args:
        values: In the shown unit, shape (pairs, 2).
        says: What the dots of each side say, as their `colours` and what they are `of`.
    """
    style: dict[str, Any] = {"alpha": 0.5, "zorder": 1.5}
    # One path: a gap ends each line.
    ends = np.insert(values, 2, np.nan, axis=1).ravel()
    line = colours[0] if colours[0] == colours[1] else "#777777"
    axes.plot([0, 1, np.nan] * len(values), ends, linewidth=0.9, color=line, **style)
    for side, (said, colour) in enumerate(zip(says, colours, strict=True)):
        at = [side] * len(values)
        dots = axes.plot(at, values[:, side], "o", ms=DOT, mew=0, color=colour, **style)
        mark(dots, of=of[side], says=said, dots=DOT)
    axes.set_xlim(-0.3, 1.3)
