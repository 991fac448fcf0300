"""One function a figure: frames of estimates in, a matplotlib Figure out.

Nothing is estimated here. The first factor gives the colour, the same for a level in
every figure; markers and line styles repeat it for readers in black and white.
"""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from bnexp.records import response as describe

# Okabe and Ito (2008), a palette that colour-blind readers can tell apart.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
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
    "figure.facecolor": "white",
}
# Panels of learning curves; a larger design shows its first ones and says so.
MOST_PANELS = 12
MOST_ROWS = 60

Factors = Mapping[str, Sequence[str]]
Drawing = Figure  # for those that hold a figure, but do not draw


def short(key: str) -> str:
    """Return a factor's name without its section: pool for model.pool."""
    return key.rpartition(".")[2]


def cell_name(levels: Mapping[str, str]) -> str:
    """Return the levels of a cell as one reads them."""
    return ", ".join(f"{short(key)} {level}" for key, level in levels.items())


def learning_curves(
    curves: pd.DataFrame, factors: Factors, responses: Sequence[str], n_seeds: int
) -> Figure:
    """Return mean curves with bands over the seeds, a panel for each further level.

    Args:
        curves: One row a cell, epoch and response (`stats.curves`).
        responses: One, or the same under running and population statistics (dashed).
        n_seeds: How many seeds the bands span at most.
    """
    first, *others = list(factors) or [""]
    combinations = curves[others].drop_duplicates() if others else pd.DataFrame([{}])
    shown = combinations.head(MOST_PANELS).to_dict("records")
    columns = min(4, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = _figure(max(2.4 * columns, 5.0) + 0.8, 2.1 * rows + 1.3)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    levels = factors[first] if first else [""]
    for panel, axes in zip(shown, grid.flat, strict=False):
        here = _where(curves, {str(key): str(level) for key, level in panel.items()})
        for i, level in enumerate(levels):
            for dashes, response in zip(LINES, responses, strict=False):
                line = here[here["response"] == response]
                line = line[line[first] == level] if first else line
                scale = describe(response).scale
                axes.plot(
                    line["epoch"],
                    line["mean"] * scale,
                    dashes,
                    color=COLOURS[i % len(COLOURS)],
                    marker=MARKERS[i % len(MARKERS)],
                    markersize=2.5,
                    linewidth=1.3,
                )
                axes.fill_between(
                    line["epoch"],
                    line["min"] * scale,
                    line["max"] * scale,
                    color=COLOURS[i % len(COLOURS)],
                    alpha=0.18,
                    linewidth=0,
                )
        axes.set_title(cell_name({str(key): str(level) for key, level in panel.items()}))
        axes.xaxis.get_major_locator().set_params(integer=True)
    for number, axes in enumerate(grid.flat):
        axes.set_visible(number < len(shown))
        if number + columns >= len(shown):
            axes.set_xlabel("epoch")
            axes.tick_params(labelbottom=True)
    what = describe(responses[0])
    for axes in grid[:, 0]:
        axes.set_ylabel(_wrapped(what.label, what.unit))
    handles = _level_handles(first, factors) if first else []
    if len(responses) > 1:
        handles += [
            Line2D([], [], color="grey", linestyle=dashes, label=f"{name} statistics")
            for dashes, name in zip(LINES, ("running", "population"), strict=False)
        ]
    _legend(figure, handles)
    more = len(combinations) - len(shown)
    _note(
        figure,
        f"line: mean, band: lowest to highest of {n_seeds} seed{'s' * (n_seeds != 1)}"
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
        cells: One row a cell and response (`stats.cells`).
        runs: One row a run.
        reported: Numbers of the sources by (response, row of the cell).
    """
    keys = list(factors)
    first = keys[0] if keys else None
    found = cells[cells["response"] == responses[0]][keys].head(MOST_ROWS).to_dict("records")
    names = [{str(key): str(level) for key, level in name.items()} for name in found]
    figure = _figure(2.6 * len(responses) + 2.6, 0.27 * len(names) + 1.7)
    grid = figure.subplots(1, len(responses), sharey=True, squeeze=False)
    for response, axes in zip(responses, grid.flat, strict=True):
        what = describe(response)
        for row, name in enumerate(names):
            at = 0 if first is None else list(factors[first]).index(name[first])
            look = {"colour": COLOURS[at % len(COLOURS)], "marker": MARKERS[at % len(MARKERS)]}
            seeds = _where(runs, name)
            if response in seeds:
                values = seeds[response].dropna() * what.scale
                dots: dict[str, Any] = {
                    "color": look["colour"],
                    "alpha": 0.4,
                    "ms": 3.5,
                    "mew": 0,
                }
                axes.plot(values, [row + 0.22] * len(values), "o", **dots)
            cell = _where(cells[cells["response"] == response], name).iloc[0]
            _interval(axes, row, _scaled(cell, "mean", what.scale), **look)
            if (response, row) in reported:
                value = reported[response, row] * what.scale
                axes.plot(value, row, "D", mfc="none", mec="black", ms=6.5, zorder=4)
        axes.set_xlabel(_wrapped(what.label, what.unit))
        axes.margins(x=0.08)
    _share_x(grid.flat, responses)
    axes = grid.flat[0]
    axes.set_yticks(range(len(names)), [cell_name(name) or "all runs" for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    handles = _level_handles(first, factors) if first else []
    if reported:
        handles.append(_handle("D", "source", mfc="none", mec="black"))
    _legend(figure, handles)
    n = int(cells["n"].max())
    note = (
        f"dots: each of up to {n} seeds; marker and bar: mean and its 95 % Student-t interval"
    )
    _note(figure, note if n > 1 else "one seed a cell: no interval")
    return figure


def effects(contrasts: pd.DataFrame, responses: Sequence[str]) -> Figure:
    """Return main effects and interactions with their intervals, a forest plot.

    Args:
        contrasts: One row a contrast (`stats.contrasts`); simple effects are left out.
    """
    table = contrasts[contrasts["kind"] != "simple"]
    compared = table[["factor", "level_a", "level_b"]].drop_duplicates()
    names = list(compared.itertuples(index=False, name=None))
    names = names[:MOST_ROWS]
    figure = _figure(2.6 * len(responses) + 2.6, 0.3 * len(names) + 1.7)
    grid = figure.subplots(1, len(responses), sharey=True, squeeze=False)
    for response, axes in zip(responses, grid.flat, strict=True):
        what = describe(response)
        here = table[table["response"] == response]
        axes.axvline(0, color="black", linewidth=0.8)
        for row, (factor, a, b) in enumerate(names):
            one = _where(here, {"factor": factor, "level_a": a, "level_b": b}).iloc[0]
            look = {"colour": "black", "marker": "o"}
            if one["kind"] == "interaction":
                look = {"colour": "#777777", "marker": "s"}
            _interval(axes, row, _scaled(one, "estimate", what.scale), **look)
        better = {"higher": "right", "lower": "left"}.get(what.better)
        label = _wrapped(f"change in {what.label}", what.unit_difference)
        axes.set_xlabel(label + (f"\n{better} is better" if better else ""))
        axes.margins(x=0.12)
    _share_x(grid.flat, responses)
    axes = grid.flat[0]
    axes.set_yticks(range(len(names)), [contrast_name(*name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    figure.align_xlabels()
    _legend(
        figure,
        [
            _handle("o", "main effect", color="black"),
            _handle("s", "interaction", color="#777777"),
        ][: 1 + int((table["kind"] == "interaction").any())],
    )
    n = int(table["n"].max()) if len(table) else 0
    _note(figure, f"mean of up to {n} paired differences and its 95 % Student-t interval")
    return figure


def interaction(
    cells: pd.DataFrame, factors: Factors, responses: Sequence[str], by: tuple[str, str]
) -> Figure:
    """Return the response by the levels of one factor, a line for each level of another.

    Parallel lines: no interaction.

    Args:
        cells: One row for each combination of the two factors and response, averaged
            over the others within each seed (`stats.cells` of averaged runs).
        by: The factor of the lines (and colours), and that of the axis.
    """
    lines, axis = by
    figure = _figure(2.7 * len(responses) + 0.6, 3.7)
    grid = figure.subplots(1, len(responses), squeeze=False)
    for response, axes in zip(responses, grid.flat, strict=True):
        what = describe(response)
        for i, level in enumerate(factors[lines]):
            here = cells[(cells["response"] == response) & (cells[lines] == level)]
            shift = 0.04 * (i - (len(factors[lines]) - 1) / 2)
            x = [list(factors[axis]).index(name) + shift for name in here[axis]]
            errors = [
                (here["mean"] - here["ci_low"]) * what.scale,
                (here["ci_high"] - here["mean"]) * what.scale,
            ]
            axes.errorbar(
                x,
                here["mean"] * what.scale,
                yerr=errors,
                color=COLOURS[i % len(COLOURS)],
                marker=MARKERS[i % len(MARKERS)],
                linestyle=LINES[i % len(LINES)],
                capsize=3,
            )
        axes.set_xticks(range(len(factors[axis])), factors[axis])
        axes.set_xlim(-0.4, len(factors[axis]) - 0.6)
        axes.set_xlabel(short(axis))
        axes.set_ylabel(_wrapped(what.label, what.unit))
    _legend(figure, _level_handles(lines, factors))
    rest = [short(key) for key in factors if key not in by]
    over = f", averaged over {', '.join(rest)}" if rest else ""
    _note(
        figure,
        f"mean of up to {int(cells['n'].max())} seeds{over}, and its 95 % Student-t interval",
    )
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
    figure = _figure(2.2 * max(len(levels), 2) + 0.8, 3.8)
    grid = figure.subplots(1, len(levels), sharey=True, squeeze=False)
    scale = describe(pairs[0]).scale
    for level, axes in zip(levels, grid.flat, strict=True):
        colour = COLOURS[list(factors[first]).index(level) % len(COLOURS)]
        here = runs[(runs[first] == level) & runs[list(pairs)].notna().all(axis=1)]
        for values in here[list(pairs)].itertuples(index=False):
            axes.plot(
                [0, 1],
                [value * scale for value in values],
                "-o",
                color=colour,
                alpha=0.45,
                linewidth=0.9,
                markersize=3.5,
            )
        axes.set_xticks([0, 1], ["running", "population"])
        axes.set_xlim(-0.3, 1.3)
        axes.set_title(f"{short(first)} {level}: {len(here)} runs")
    what = describe(pairs[0])
    grid.flat[0].set_ylabel(_wrapped(what.label, what.unit))
    for axes in grid.flat:
        axes.set_xlabel("statistics in evaluation")
    _note(figure, "a line is one run: the same weights, evaluated twice")
    return figure


def contrast_name(factor: str, a: str, b: str) -> str:
    """Return a comparison as one reads it: pool: max - avg."""
    if ":" not in factor:
        return f"{short(factor)}: {a} \N{MINUS SIGN} {b}"
    names = " \N{MULTIPLICATION SIGN} ".join(short(key) for key in factor.split(":"))
    levels = [
        f"{x} \N{MINUS SIGN} {y}" for x, y in zip(a.split(":"), b.split(":"), strict=True)
    ]
    return f"{names}: ({levels[0]}) by ({levels[1]})"


def files(figure: Figure) -> dict[str, bytes]:
    """Return a figure as the content of an SVG and a PNG file, by ending."""
    out = {}
    for ending, options in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": 150})):
        buffer = io.BytesIO()
        with mpl.rc_context(STYLE):
            figure.savefig(buffer, format=ending, **options)
        out[ending] = buffer.getvalue()
    return out


def styled() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn."""
    return mpl.rc_context(STYLE)


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches, with a line left free below for its note."""
    figure = Figure(figsize=(width, height))
    engine = ConstrainedLayoutEngine(rect=(0, 0.2 / height, 1, 1 - 0.2 / height))
    figure.set_layout_engine(engine)
    return figure


def _interval(
    axes: Axes, row: float, values: tuple[float, float, float], *, colour: str, marker: str
) -> None:
    """Draw a mean with its interval (mean, low, high); no bar where there is none."""
    mean, low, high = values
    if not math.isnan(low):
        bar: dict[str, Any] = {"color": colour, "linewidth": 1.8, "solid_capstyle": "butt"}
        axes.plot([low, high], [row, row], **bar)
    axes.plot(mean, row, marker, color=colour, ms=5.5, mec="white", mew=0.6, zorder=3)


def _scaled(row: "pd.Series[Any]", mean: str, scale: float) -> tuple[float, float, float]:
    return row[mean] * scale, row["ci_low"] * scale, row["ci_high"] * scale


def _where(frame: pd.DataFrame, levels: Mapping[str, str]) -> pd.DataFrame:
    for key, level in levels.items():
        frame = frame[frame[key] == level]
    return frame


def _level_handles(factor: str, factors: Factors) -> list[Line2D]:
    return [
        _handle(
            MARKERS[i % len(MARKERS)],
            f"{short(factor)} {level}",
            color=COLOURS[i % len(COLOURS)],
        )
        for i, level in enumerate(factors[factor])
    ]


def _handle(marker: str, label: str, **style: Any) -> Line2D:
    return Line2D([], [], linestyle="none", marker=marker, label=label, **style)


def _legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    if handles:
        widest = max(len(str(handle.get_label())) for handle in handles)
        fits = int(figure.get_size_inches()[0] // (0.075 * widest + 0.5))
        columns = max(1, min(len(handles), fits))
        figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def _note(figure: Figure, text: str) -> None:
    below = 0.04 / figure.get_size_inches()[1]
    figure.text(0.01, below, text, ha="left", va="bottom", fontsize=7, color="#555555")


def _wrapped(label: str, unit: str) -> str:
    """Return an axis label with its unit, broken into lines that fit beside a panel."""
    text = f"{label} ({unit})" if unit else label
    if len(text) <= 28:
        return text
    text = label.replace(" (", "\n(", 1)
    return f"{text}\n({unit})" if unit else text


def _share_x(panels: Iterable[Axes], responses: Sequence[str]) -> None:
    """Give panels of one unit one scale: accuracies are there to be compared."""
    groups: dict[str, list[Axes]] = {}
    for axes, response in zip(panels, responses, strict=True):
        groups.setdefault(f"{describe(response).label.partition(' ')[0]}", []).append(axes)
    for group in groups.values():
        low = min(axes.get_xlim()[0] for axes in group)
        high = max(axes.get_xlim()[1] for axes in group)
        for axes in group:
            axes.set_xlim(low, high)
