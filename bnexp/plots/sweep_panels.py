"""The panels of a sweep: means with their intervals, what diverges, and what is marked."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from bnexp.metrics import describe
from bnexp.plots.marks import mark
from bnexp.plots.names import Factors
from bnexp.plots.panels import (
    flattered,
    is_wide,
    log_ticks,
    numbers,
    ordered,
)
from bnexp.plots.says import interval, mark_bars, of_means, of_response, of_runs, series_of
from bnexp.plots.style import look

DOT = 3.0  # points
Places = npt.NDArray[np.float64]


class Place(NamedTuple):
    """What stands on the axis, and which factor has a line a level, if any has.

    `floors` says by response where a log axis begins; minus infinity where it is none.
    """

    factors: Factors
    axis: str
    lines: str | None
    floors: Mapping[str, float]


def _lines(cells: pd.DataFrame, place: Place) -> Iterator[tuple[str, pd.DataFrame, Places]]:
    """Yield each line's level, its cells along the axis and where they stand."""
    names = ordered(place.factors[place.axis])
    at = np.array(numbers(names))
    step = min(1.0, float(np.diff(np.log2(at)).min()))
    levels = place.factors[place.lines] if place.lines else [""]
    for i, level in enumerate(levels):
        here = cells[cells[place.lines] == level] if place.lines else cells
        # Beside each other: intervals at one number would hide each other.
        shift = step * 0.09 * (i - (len(levels) - 1) / 2)
        yield level, here.set_index(place.axis).reindex(names), at * 2**shift


def draw_panel(
    axes: Axes,
    cells: pd.DataFrame,
    runs: pd.DataFrame,
    response: str,
    place: Place,
) -> None:
    """Draw the means of one response, their intervals and every seed.

    An interval that goes on below a log axis ends there with an arrow.
    """
    scale = describe(response).scale
    for level, here, x in _lines(cells[cells["response"] == response], place):
        colour, marker, dashes = look(place.lines, level, place.factors)
        seeds = runs[runs[place.lines] == level] if place.lines else runs
        at = seeds[place.axis].map(dict(zip(here.index, x, strict=True)))
        dots: dict[str, Any] = {"color": colour, "alpha": 0.3, "ms": DOT, "mew": 0}
        drawn = axes.plot(at, seeds[response] * scale, "o", zorder=1.5, **dots)
        series, of = series_of(place.lines, level), of_response(response)
        says = of_runs(seeds, place.factors, response)
        mark(drawn, series=series, of=of, says=says, dots=DOT)
        mean = here["mean"] * scale
        lows = here["ci_low"] * scale
        floor = place.floors[response]
        ends = (mean - lows.clip(lower=floor), here["ci_high"] * scale - mean)
        if (beyond := (lows < floor).to_numpy()).any():
            arrow: dict[str, Any] = {"color": colour, "ms": 5, "mew": 0, "clip_on": False}
            mark(
                axes.plot(x[beyond], np.full(beyond.sum(), floor), "v", **arrow), series=series
            )
        bars: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": 1.3}
        line = axes.errorbar(x, mean, yerr=ends, capsize=2, **bars)
        mark_bars(line, None, series=series, of=of)
        hollow = flattered(here).to_numpy()
        cells_here = here.reset_index()
        for some, face in ((~hollow, colour), (hollow, "white")):
            style: dict[str, Any] = {"ms": 5, "color": colour, "mfc": face, "zorder": 3}
            drawn = axes.plot(x[some], mean[some], marker, **style)
            says = of_means(cells_here[some], place.factors, scale)
            mark(drawn, series=series, of=of, says=says)


def floor_of(runs: pd.DataFrame, response: str) -> float:
    """Return where the axis of a response begins if it is a log axis, else -inf."""
    what = describe(response)
    values = runs[response].dropna() * what.scale
    wide = len(values) and is_wide(what, values.min(), values.max())
    return float(values.min() / 1.5) if wide else -math.inf


def lowest_of(cells: pd.DataFrame, response: str) -> float:
    """Return the lowest end of an interval of a response."""
    lowest = cells.loc[cells["response"] == response, "ci_low"].min()
    return float(lowest * describe(response).scale)


def limit_axis(axes: Axes, runs: pd.DataFrame, response: str, floor: float) -> None:
    """Keep to what was measured: the interval of two seeds can be ten times as long."""
    what = describe(response)
    values = runs[response].dropna() * what.scale
    if not len(values):
        return
    least, most = values.min(), values.max()
    if np.isfinite(floor):
        ends = floor, most * 1.5
        axes.set_yscale("log")
        axes.set_ylim(*ends)
        log_ticks(axes.yaxis, *ends)
        return
    room = 0.25 * (most - least)
    axes.update_datalim([(0, least), (0, most)], updatex=False)
    axes.autoscale_view(scalex=False)
    low, high = axes.get_ylim()
    if room:
        axes.set_ylim(max(low, least - room), min(high, most + room))


def draw_strip(axes: Axes, cells: pd.DataFrame, place: Place) -> None:
    """Draw the share of runs that diverged, with its interval."""
    cells = cells[cells["response"] == cells["response"].iloc[0]]
    for level, here, x in _lines(cells, place):
        colour, marker, line = look(place.lines, level, place.factors)
        rate = here["divergence_rate"] * 100
        # Never negative, but by rounding.
        ends = (
            (rate - here["divergence_low"] * 100).clip(lower=0),
            (here["divergence_high"] * 100 - rate).clip(lower=0),
        )
        style: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1}
        drawn = axes.errorbar(
            x, rate, yerr=ends, marker=marker, ms=3.5, elinewidth=0.8, **style
        )
        said = {"cell": of_means(here.reset_index(), place.factors, 1)["cell"]}
        limits = (here["divergence_low"] * 100, here["divergence_high"] * 100)
        says = {**said, **interval(rate, *limits)}
        mark_bars(drawn, says, series=series_of(place.lines, level), of="diverged (%)")
    axes.set_ylim(-8, 108)
    axes.set_yticks([0, 50, 100])


def mark_limits(axes: Axes, table: pd.DataFrame, place: Place) -> None:
    """Draw the limit of each line, with its interval as a band where it has one."""
    for _, row in table[table["lr"].notna()].iterrows():
        level = str(row[place.lines]) if place.lines else ""
        colour, marker, _ = look(place.lines, level, place.factors)
        at, low, high = float(row["lr"]), float(row["lr_low"]), float(row["lr_high"])
        axes.axvline(at, color=colour, linestyle=":", linewidth=1.3, zorder=1.2)
        if np.isfinite([low, high]).all():
            axes.axvspan(low, high, color=colour, alpha=0.1, linewidth=0, zorder=0.5)
        style: dict[str, Any] = {"mec": "white", "mew": 0.5, "zorder": 4, "clip_on": False}
        foot = axes.get_xaxis_transform()
        axes.plot(at, 0, marker, color=colour, ms=4.5, transform=foot, **style)
