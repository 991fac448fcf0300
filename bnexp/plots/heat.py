"""Where on a grid of two factors is the response best?"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bnexp.metrics import describe
from bnexp.plots.dark import luminance
from bnexp.plots.marks import mark
from bnexp.plots.names import LETTER, Factors, panel_title, short, wrapped
from bnexp.plots.panels import MOST_COLUMNS, ended, flattered, ordered, panel_rows
from bnexp.plots.says import of_means, of_response
from bnexp.plots.style import add_note, new_figure
from bnexp.plural import counted
from bnexp.store.frames import where

WIDEST = 11.0  # inches
PAGE = "#e8e8e8"  # below the hatching of cells without a mean
INKS = ("#010101", "#ffffff")  # on a light and a dark cell; what is black takes the page's ink


def heat_map(
    cells: pd.DataFrame, factors: Factors, responses: Sequence[str], by: tuple[str, str]
) -> Figure:
    """Return the mean of every cell as a colour and a number; see `_colours` for the colours.

    A row of panels for each response, a panel for each combination of the other factors, each
    with its own scale: what differs little within it would be hidden by what lies far off.

    Args:
        cells: One row a cell and response (`stats.cells`).
        by: The factor of the rows, and that of the columns.
    """
    names = [ordered(factors[key]) for key in by]
    rest = {key: levels for key, levels in factors.items() if key not in by}
    wide = _width(names)
    rows = panel_rows(responses, rest, maps_beside(factors, by))
    n_columns = max(len(combinations) for _, combinations in rows)
    tall = 0.4 * len(names[0]) + 0.85
    figure = new_figure(max(wide * n_columns, 4.6), (tall + 0.2) * len(rows) + 0.3)
    grid = figure.subplots(len(rows), n_columns, squeeze=False)
    for (response, combinations), line in zip(rows, grid, strict=True):
        what = describe(response)
        of_it = cells[cells["response"] == response]
        signed = _signed(of_it["mean"])
        title = wrapped(what.words, what.details, what.unit)
        for levels, axes in itertools.zip_longest(combinations, line):
            axes.set_visible(levels is not None)
            if levels is not None:
                _map(axes, where(of_it, levels), names, by, factors, signed=signed)
                axes.set_title("\n".join(filter(None, (title, panel_title(levels, wide)))))
                axes.set_xlabel(short(by[1]))
                axes.set_ylabel(short(by[0]) if axes is line[0] else "")
    shown = cells[cells["response"].isin([response for response, _ in rows])]
    lost = "; hatched: no mean" if shown["mean"].isna().any() else ""
    if shown["n_diverged"].any():
        lost += "; div.: diverged"
    if flattered(shown).any():
        lost += ", the mean is of the others"
    n = int(shown["n"].max())
    meant = _colours(shown, [response for response, _ in rows])
    note = f"mean of up to {counted(n, 'seed')}; in each panel, {meant}{lost}"
    add_note(figure, note)
    return figure


def maps_beside(factors: Factors, by: tuple[str, str]) -> int:
    """Return how many panels fit side by side."""
    return max(1, min(MOST_COLUMNS, int(WIDEST // _width([factors[key] for key in by]))))


def _width(names: Sequence[Sequence[str]]) -> float:
    """Return the width of a panel, in inches, of these levels in rows and in columns.

    A cell has room for its number and its level's name, a panel for the names at its side.
    """
    cell = max(0.62, LETTER * max(map(len, names[1])) + 0.1)
    return cell * len(names[1]) + max(0.5, LETTER * max(map(len, names[0])) + 0.2)


def _colours(cells: pd.DataFrame, responses: Sequence[str]) -> str:
    """Return what the colours mean in a map of these responses."""
    if all(_signed(cells[cells["response"] == response]["mean"]) for response in responses):
        return "orange is below 0, purple above, white 0"
    neutral = [describe(response).better == "none" for response in responses]
    if not any(neutral):
        return "lighter is better"
    if all(neutral):
        return "lighter is higher"
    return "lighter is better (where neither is better: higher)"


def _signed(means: "pd.Series[float]") -> bool:
    """Return whether zero divides these means, so that it has to be seen which are below."""
    return bool((means < 0).any() and (means > 0).any())


def _scale(
    cells: pd.DataFrame, *, signed: bool
) -> Callable[[float], tuple[float, float, float, float]]:
    """Return the colour of a mean among those of its panel.

    Args:
        signed: Whether zero is the middle, as in all panels of its response.
    """
    what = describe(str(cells["response"].iloc[0]))
    least, most = cells["mean"].min(), cells["mean"].max()
    name = "cividis_r" if what.better == "lower" else "cividis"
    if signed:
        most = max(abs(least), abs(most))
        least, name = -most, "PuOr"
    norm = Normalize(least, most)
    return lambda mean: mpl.colormaps[name](float(norm(mean)))


def _map(
    axes: Axes,
    cells: pd.DataFrame,
    names: list[list[str]],
    by: tuple[str, str],
    factors: Factors,
    *,
    signed: bool,
) -> None:
    """Draw one grid of cells; see `_scale`."""
    colour = _scale(cells, signed=signed)
    for (_, cell), n_ended in zip(cells.iterrows(), ended(cells), strict=True):
        what = describe(str(cell["response"]))
        row, column = names[0].index(cell[by[0]]), names[1].index(cell[by[1]])
        missing = bool(np.isnan(cell["mean"]))
        fill: Any = PAGE if missing else colour(cell["mean"])
        ink = INKS[int(not missing and luminance(fill) <= 0.18)]
        style: dict[str, Any] = {"facecolor": fill, "edgecolor": "white", "linewidth": 0.8}
        if missing:
            style |= {"hatch": "////", "edgecolor": "#999999", "linewidth": 0}
        mark(axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **style)), as_it_is=True)
        text = "" if missing else what.show(cell["mean"])
        if cell["n_diverged"]:
            text += f"\n{int(cell['n_diverged'])}/{n_ended} div."
        box = {"facecolor": PAGE, "linewidth": 0, "pad": 1} if missing else None
        look: dict[str, Any] = {"ha": "center", "va": "center", "color": ink, "fontsize": 7}
        told = axes.text(column, row, text.strip(), bbox=box, linespacing=0.95, **look)
        mark(told, as_it_is=True)
    response = str(cells["response"].iloc[0])
    says = of_means(cells, factors, describe(response).scale)
    at = [cells[key].map(name.index) for key, name in zip(by, names, strict=True)]
    nothing = axes.plot(at[1], at[0], linestyle="none")  # the places of what is said
    mark(nothing, of=of_response(response), says=says)
    axes.set_xticks(range(len(names[1])), names[1])
    axes.set_yticks(range(len(names[0])), names[0])
    axes.set_xlim(-0.5, len(names[1]) - 0.5)
    axes.set_ylim(-0.5, len(names[0]) - 0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
