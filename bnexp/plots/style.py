"""The house style: palette, sizes, names and the pieces that figures share."""

import io
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike

from bnexp.metrics import describe
from bnexp.plots.svg import smaller

# Okabe and Ito (2008), a palette that colour-blind readers can tell apart.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*"]
LINES: list[Any] = ["-", "--", "-.", ":"]
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.hashsalt": "bnexp",  # the same figure is the same file
    "svg.fonttype": "none",  # text that can be searched and copied; its fonts: `smaller`
    "figure.facecolor": "white",
}
# Panels of learning curves; a larger design shows its first ones and says so.
MOST_PANELS = 12
MOST_ROWS = 60
MOST_BESIDE = 4  # responses: with more, a page shows them too small
# A figure with more dots than this has them as an image in its SVG: one element a dot would
# make the file as large as the rest of the page.
DENSE = 400
RASTER_DPI = 200

# Hollow and larger than what it may lie upon, which stays to be seen.
SOURCE: Any = {"mfc": "none", "mec": "#555555", "ms": 8, "mew": 1.2}

LETTER = 0.075  # inches of a name's width

Factors = Mapping[str, Sequence[str]]


def short(key: str) -> str:
    """Return a factor's name without its section: pool for model.pool."""
    return key.rpartition(".")[2]


def cell_name(levels: Mapping[str, str]) -> str:
    """Return the levels of a cell as one reads them."""
    return ", ".join(f"{short(key)} {level}" for key, level in levels.items())


def panel_title(levels: Mapping[str, str], inches: float) -> str:
    """Return the name of a cell, broken into lines that do not run into the next panel's."""
    lines = [""]
    for part in filter(None, cell_name(levels).split(", ")):
        if lines[-1] and len(lines[-1]) + len(part) + 2 > inches / 0.067:
            lines.append("")
        lines[-1] += f", {part}" if lines[-1] else part
    return ",\n".join(lines)


def contrast_name(factor: str, a: str, b: str) -> str:
    """Return a comparison as one reads it: pool: max - avg."""
    keys, of_a, of_b = factor.split(":"), a.split(":"), b.split(":")
    names = " \N{MULTIPLICATION SIGN} ".join(short(key) for key in keys)
    # A level may hold a colon itself; then nobody can tell where it ends.
    if len(keys) == 1 or not len(keys) == len(of_a) == len(of_b):
        return f"{names}: {a} \N{MINUS SIGN} {b}"
    levels = [f"({x} \N{MINUS SIGN} {y})" for x, y in zip(of_a, of_b, strict=True)]
    return f"{names}: {' by '.join(levels)}"


def styled() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn and written."""
    return mpl.rc_context(STYLE)


def made(make: Callable[[], Figure]) -> dict[str, bytes]:
    """Draw a figure in the house style; return it as `files` does."""
    with styled():
        return files(make())


def drawn(make: Callable[[], Figure]) -> Figure:
    """Draw a figure in the house style; as a result of a notebook's cell it shows itself."""
    with styled():
        figure = make()
    # A figure that pyplot does not know is a line of text to a notebook.
    vars(figure)["_repr_png_"] = lambda: made(lambda: figure)["png"]
    return figure


def files(figure: Figure) -> dict[str, bytes]:
    """Return a figure as the content of an SVG and a PNG file, by ending."""
    svg, png = io.BytesIO(), io.BytesIO()
    # Each canvas prints by itself: `savefig` draws every figure once more beforehand.
    figure.set_dpi(150)
    canvas = FigureCanvasAgg(figure)
    _lay_out(figure)
    canvas.print_png(png)
    figure.set_dpi(RASTER_DPI)
    unsaid = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(svg, metadata=unsaid)
    return {"svg": smaller(svg.getvalue()), "png": png.getvalue()}


def _lay_out(figure: Figure) -> None:
    """Put the panels in their places for good: every drawing would do so again.

    Where its variables lie in memory decides on a solver's last digits, and these on the
    names within an SVG: rounded, the same figure is the same file in every process.
    """
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        box = axes.get_position(original=True)
        axes.set_position(Bbox(box.get_points().round(9)))


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def response_panels(
    n: int, height: float, wide: float = 2.6, margin: float = 2.6, *, sharey: bool = True
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a panel for each of n responses.

    Args:
        height: In inches, of a figure with one row; more than `MOST_BESIDE` take several.
        wide: In inches, of a panel.
        margin: In inches, beside the panels.
        sharey: Whether they share the vertical axis.
    """
    rows = math.ceil(n / MOST_BESIDE)
    columns = math.ceil(n / rows)
    figure = new_figure(wide * columns + margin, (height - 0.6) * rows + 0.6)
    grid = figure.subplots(rows, columns, sharey=sharey, squeeze=False)
    for axes in grid.flat[n:]:
        axes.remove()
    return figure, list(grid.flat[:n])


def draw_intervals(
    axes: Axes, rows: ArrayLike, values: pd.DataFrame, *, colour: str, marker: str
) -> None:
    """Draw means with their intervals; no bar where there is none.

    All at once: matplotlib takes a millisecond for each thing that it draws.

    Args:
        rows: Where each stands.
        values: Mean, lower and upper end of each, in shown units.
    """
    means, lows, highs = values.to_numpy(float).T
    at = np.asarray(rows, dtype=float)
    bars = ~np.isnan(lows)
    line: dict[str, Any] = {"linewidth": 1.8, "capstyle": "butt", "zorder": 2}
    axes.hlines(at[bars], lows[bars], highs[bars], colour, **line)
    axes.plot(means, at, marker, color=colour, ms=5.5, mec="white", mew=0.6, zorder=3)


class Look(NamedTuple):
    """What tells a level from the others, in colour and without."""

    colour: Any
    marker: str
    line: Any


def look(factor: str | None, level: str, factors: Factors) -> Look:
    """Return how a level is drawn, the same in every figure; None: there is no factor."""
    if factor is None:
        return Look(COLOURS[0], MARKERS[0], LINES[0])
    levels = list(factors[factor])
    at = levels.index(level)
    is_first = factor == next(iter(factors))
    if is_first and len(levels) <= len(COLOURS):
        colour: Any = COLOURS[at]
    else:
        # The colours of the palette stand for levels of the first factor, and for no more
        # than there are; both maps grow lighter from end to end.
        shades = mpl.colormaps["plasma" if is_first else "viridis"]
        colour = to_hex(shades(0.85 * at / max(len(levels) - 1, 1)))
    return Look(colour, MARKERS[at % len(MARKERS)], LINES[at % len(LINES)])


def level_handles(factor: str, factors: Factors, *, lines: bool = False) -> list[Line2D]:
    """Return a legend entry for each level of a factor."""
    out = []
    for level in factors[factor]:
        colour, marker, line = look(factor, level, factors)
        style = {"linestyle": line} if lines else {}
        out.append(handle(marker, f"{short(factor)} {level}", color=colour, **style))
    return out


def handle(marker: str, label: str, **style: Any) -> Line2D:
    """Return a legend entry that is a marker alone."""
    return Line2D([], [], marker=marker, label=label, **{"linestyle": "none", **style})


def add_source(axes: Axes, row: float, value: float) -> None:
    """Mark the number that a source reports."""
    axes.plot(value, row, "D", zorder=4, **SOURCE)


def source_handle() -> Line2D:
    """Return the legend entry of the sources' numbers."""
    return handle("D", "reported by a source", **SOURCE)


def add_legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Put a legend above the panels, in as many columns as fit."""
    if handles:
        widest = max(len(str(handle.get_label())) for handle in handles)
        fits = int(figure.get_size_inches()[0] // (LETTER * widest + 0.5))
        columns = max(1, min(len(handles), fits))
        width, height = figure.get_size_inches()
        more = math.ceil(len(handles) / columns) - 1  # rows, which panels have no room for
        figure.set_size_inches(width, height + 0.2 * more)
        figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def add_note(figure: Figure, text: str) -> None:
    """Put a line or more below the panels: n, and what bars and bands mean."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(text, int(width / 0.051))
    free = (0.07 + 0.13 * len(lines)) / height
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, free, 1, 1 - free))
    text = "\n".join(lines)
    below = 0.04 / height
    figure.text(0.01, below, text, ha="left", va="bottom", fontsize=7, color="#555555")


def with_values(
    counts: "pd.Series[Any]", responses: Sequence[str], fewest: int = 1
) -> tuple[list[str], str]:
    """Return the responses that get a panel, and what a note says of the others.

    Args:
        counts: How many values each response has; the first has its panel in any case.
        fewest: Values that a panel needs.
    """
    lacking = [name for name in responses[1:] if counts.get(name, 0) < fewest]
    labels = "; ".join(describe(name).label for name in lacking)
    note = f"; without a panel, for lack of numbers: {labels}" if lacking else ""
    return [name for name in responses if name not in lacking], note


def wrapped(words: str, details: str, unit: str) -> str:
    """Return an axis label, broken into lines that fit beside a panel where it is long.

    Args:
        words: What is measured.
        details: What tells it from others of the same words, if anything.
        unit: Its unit, if it has one.
    """
    parts = [words, *(f"({part})" for part in (details, unit) if part)]
    text = " ".join(parts)
    if len(text) <= 28:
        return text
    return "\n".join(line for part in parts for line in textwrap.wrap(part, 30))


def share_x(panels: Iterable[Axes], responses: Sequence[str]) -> None:
    """Give panels of one quantity one scale: accuracies are there to be compared."""
    groups: dict[str, list[Axes]] = {}
    for axes, response in zip(panels, responses, strict=True):
        groups.setdefault(describe(response).quantity or response, []).append(axes)
    for group in groups.values():
        low = min(axes.get_xlim()[0] for axes in group)
        high = max(axes.get_xlim()[1] for axes in group)
        for axes in group:
            axes.set_xlim(low, high)
            # The labels of more ticks would run into each other.
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
