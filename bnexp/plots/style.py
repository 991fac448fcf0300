"""The house style: palette, sizes, names and the pieces that figures share."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from bnexp.metrics import describe
from bnexp.plots.marks import Says, mark
from bnexp.plots.names import LETTER, Factors
from bnexp.plots.says import interval, series_of

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
    "text.parse_math": False,  # a level may be called $x$
}
MOST_PANELS = 24  # of one picture; a figure that needs more has several (`panels.sheets`)
MOST_ROWS = 60
MOST_BESIDE = 4  # responses: with more, a page shows them too small
# Hollow and larger than what it may lie upon, which stays to be seen.
SOURCE: Any = {"mfc": "none", "mec": "#555555", "ms": 8, "mew": 1.2}

NOISE = "two runs of one cell (\N{PLUS-MINUS SIGN}1 SD)"
REPORTED = "reported by a source"


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
    axes: Axes,
    rows: ArrayLike,
    values: pd.DataFrame,
    *,
    colour: str,
    marker: str,
    says: Says,
    series: str = "",
    of: str = "",
) -> None:
    """Draw means with their intervals; no bar where there is none.

    All at once: matplotlib takes a millisecond for each thing that it draws.

    Args:
        rows: Where each stands.
        values: Mean, lower and upper end of each, in shown units.
        says: What each says besides these numbers.
        series: The entry of the legend that they belong to.
        of: What the numbers are of.
    """
    means, lows, highs = values.to_numpy(float).T
    at = np.asarray(rows, dtype=float)
    bars = ~np.isnan(lows)
    line: dict[str, Any] = {"linewidth": 1.8, "capstyle": "butt", "zorder": 2}
    mark(axes.hlines(at[bars], lows[bars], highs[bars], colour, **line), series=series)
    drawn = axes.plot(means, at, marker, color=colour, ms=5.5, mec="white", mew=0.6, zorder=3)
    mark(drawn, series=series, of=of, says={**says, **interval(means, lows, highs)})


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
        out.append(handle(marker, series_of(factor, level), color=colour, **style))
    return out


def handle(marker: str, label: str, **style: Any) -> Line2D:
    """Return a legend entry that is a marker alone."""
    return Line2D([], [], marker=marker, label=label, **{"linestyle": "none", **style})


def add_noise(axes: Axes, size: float) -> None:
    """Shade the differences that two runs of one cell have, as far as the axis goes."""
    ends = axes.get_xlim()
    span = axes.axvspan(-size, size, color="#777777", alpha=0.13, linewidth=0, zorder=0)
    mark(span, series=NOISE)
    axes.set_xlim(*ends)


def add_source(axes: Axes, row: float, value: float) -> None:
    """Mark the number that a source reports."""
    says = {"value": [value]}
    mark(
        axes.plot(value, row, "D", zorder=4, **SOURCE), series=REPORTED, of=REPORTED, says=says
    )


def noise_handle() -> Patch:
    """Return the legend entry of the noise."""
    return Patch(color="#777777", alpha=0.13, linewidth=0, label=NOISE)


def source_handle() -> Line2D:
    """Return the legend entry of the sources' numbers."""
    return handle("D", REPORTED, **SOURCE)


def add_legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """Put a legend above the panels, in as many columns as fit."""
    if handles:
        widest = max(len(str(handle.get_label())) for handle in handles)
        fits = int(figure.get_size_inches()[0] // (LETTER * widest + 0.5))
        columns = max(1, min(len(handles), fits))
        width, height = figure.get_size_inches()
        more = math.ceil(len(handles) / columns) - 1  # rows, which panels have no room for
        figure.set_size_inches(width, height + 0.2 * more)
        legend = figure.legend(handles=handles, loc="outside upper center", ncols=columns)
        for shown, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            entry = [one for one in (shown, text) if one is not None]
            mark(entry, series=text.get_text(), is_legend=True)


def add_note(figure: Figure, text: str) -> None:
    """Put a line or more below the panels: n, and what bars and bands mean."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(text, int(width / 0.058))
    free = (0.07 + 0.15 * len(lines)) / height
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, free, 1, 1 - free))
    text = "\n".join(lines)
    below = 0.04 / height
    figure.text(0.01, below, text, ha="left", va="bottom", fontsize=8, color="#555555")


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
