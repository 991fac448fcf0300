"""Where on a grid of two factors is the response best?"""

import itertools
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bnexp.metrics import describe
from bnexp.plots.panels import MOST_COLUMNS, ended, flattered, ordered, panel_rows
from bnexp.plots.style import (
    LETTER,
    Factors,
    add_note,
    new_figure,
    panel_title,
    short,
    wrapped,
)
from bnexp.plural import counted
from bnexp.store.frames import where

WIDEST = 11.0  # inches
PAGE = "#e8e8e8"  # below the hatching of cells without a mean


def heat_map(
    cells: pd.DataFrame, factors: Factors, responses: Sequence[str], by: tuple[str, str]
) -> Figure:
    """Return the mean of every cell as a colour and a number; see `lighter` for the colours.

    A row of panels for each response, a panel for each combination of the other factors.

    Args:
        cells: One row a cell and response (`stats.cells`).
        by: The factor of the rows, and that of the columns.
    """
    names = [ordered(factors[key]) for key in by]
    rest = {key: levels for key, levels in factors.items() if key not in by}
    # A cell has room for its number and its level's name, a panel for the names at its side.
    cell = max(0.62, LETTER * max(map(len, names[1])) + 0.1)
    wide = cell * len(names[1]) + max(0.5, LETTER * max(map(len, names[0])) + 0.2)
    fit = max(1, min(MOST_COLUMNS, int(WIDEST // wide)))
    rows, more = panel_rows(responses, rest, fit)
    n_columns = max(len(combinations) for _, combinations in rows)
    tall = 0.4 * len(names[0]) + 0.85
    figure = new_figure(max(wide * n_columns + 1.6, 4.6), tall * len(rows) + 0.3)
    grid = figure.subplots(len(rows), n_columns, squeeze=False)
    for response in dict.fromkeys(response for response, _ in rows):
        what = describe(response)
        # One response has one scale, or its panels could not be compared.
        of_it = cells[cells["response"] == response]
        norm = Normalize(of_it["mean"].min() * what.scale, of_it["mean"].max() * what.scale)
        colours = mpl.colormaps["cividis_r" if what.better == "lower" else "cividis"]
        lines = [at for at, (one, _) in enumerate(rows) if one == response]
        for at, column in itertools.product(lines, range(n_columns)):
            axes, combinations = grid[at, column], rows[at][1]
            axes.set_visible(column < len(combinations))
            if column < len(combinations):
                here = where(of_it, combinations[column])
                _map(axes, here, names, by, (norm, colours))
                axes.set_title(panel_title(combinations[column], wide))
                axes.set_xlabel(short(by[1]))
                axes.set_ylabel(short(by[0]) if column == 0 else "")
        mappable, beside = mpl.cm.ScalarMappable(norm, colours), grid[lines].ravel()
        bar = figure.colorbar(mappable, ax=beside, pad=0.02, aspect=20 * len(lines))
        bar.set_label(wrapped(what.words, what.details, what.unit))
        bar.outline.set_visible(False)
    left_out = f"; {more} more combinations are in cells.csv" if more else ""
    shown = cells[cells["response"].isin([response for response, _ in rows])]
    lost = "; hatched: no mean" if shown["mean"].isna().any() else ""
    if shown["n_diverged"].any():
        lost += "; div.: diverged"
    if flattered(shown).any():
        lost += ", the mean is of the others"
    n = int(shown["n"].max())
    means = lighter([response for response, _ in rows])
    note = f"mean of up to {counted(n, 'seed')}, lighter is {means}{lost}{left_out}"
    add_note(figure, note)
    return figure


def lighter(responses: Sequence[str]) -> str:
    """Return what a lighter colour means in a map of these responses."""
    neutral = [describe(response).better == "none" for response in responses]
    if not any(neutral):
        return "better"
    return "higher" if all(neutral) else "better (where neither is better: higher)"


def _map(
    axes: Axes,
    cells: pd.DataFrame,
    names: list[list[str]],
    by: tuple[str, str],
    scale: tuple[Normalize, Colormap],
) -> None:
    """Draw one grid of cells."""
    norm, colours = scale
    for (_, cell), n_ended in zip(cells.iterrows(), ended(cells), strict=True):
        what = describe(str(cell["response"]))
        row, column = names[0].index(cell[by[0]]), names[1].index(cell[by[1]])
        missing = bool(np.isnan(cell["mean"]))
        fill: Any = PAGE if missing else colours(norm(cell["mean"] * what.scale))
        ink = "black" if missing or _luminance(fill) > 0.18 else "white"
        style: dict[str, Any] = {"facecolor": fill, "edgecolor": "white", "linewidth": 0.8}
        if missing:
            style |= {"hatch": "////", "edgecolor": "#999999", "linewidth": 0}
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **style))
        text = "" if missing else what.show(cell["mean"])
        if cell["n_diverged"]:
            text += f"\n{int(cell['n_diverged'])}/{n_ended} div."
        box = {"facecolor": PAGE, "linewidth": 0, "pad": 1} if missing else None
        look: dict[str, Any] = {"ha": "center", "va": "center", "color": ink, "fontsize": 7}
        axes.text(column, row, text.strip(), bbox=box, linespacing=0.95, **look)
    axes.set_xticks(range(len(names[1])), names[1])
    axes.set_yticks(range(len(names[0])), names[0])
    axes.set_xlim(-0.5, len(names[1]) - 0.5)
    axes.set_ylim(-0.5, len(names[0]) - 0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _luminance(colour: Sequence[float]) -> float:
    """Return the relative luminance of a colour (WCAG 2.1), 0 for black and 1 for white."""
    r, g, b = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in colour[:3]
    )
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
