"""How runs learn: means by epoch, with bands over the seeds."""

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnexp.metrics import describe
from bnexp.plots.marks import mark
from bnexp.plots.names import Factors, panel_title, wrapped
from bnexp.plots.panels import (
    MOST_BANDS,
    aligned,
    combinations,
    is_wide,
    lines_and_panels,
    log_ticks,
    name_epochs,
)
from bnexp.plots.says import of_epochs, of_response, series_of
from bnexp.plots.style import (
    LINES,
    add_legend,
    add_note,
    level_handles,
    look,
    new_figure,
)
from bnexp.plural import counted
from bnexp.store.frames import where

DOT = 3.5  # points


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
        curves: One row a cell, epoch and response (`stats.curves`). The scale has room for all
            of them, whichever levels `factors` leaves to this picture.
        responses: One, or several of one scale, each with its dashes.
        n_seeds: How many seeds the bands span at most.
        names: Of the dashes, where there are several.
        label: What the vertical axis shows; "" for the first response's own.
    """
    first, others = lines_and_panels(factors)
    panels = combinations({key: factors[key] for key in others})
    shown = [levels for levels in panels if len(where(curves, levels))]
    columns = min(aligned({key: factors[key] for key in others}), len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(max(2.4 * columns, 5.0) + 0.8, 2.1 * rows + 1.3)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    levels = factors[first] if first else [""]
    banded = len(levels) <= MOST_BANDS
    called = dict(zip(responses, names, strict=False))
    least, most = curves["min"].min(), curves["max"].max()
    for panel, axes in zip(shown, grid.flat, strict=False):
        here = where(curves, panel)
        for level in levels:
            colour, marker, _ = look(first, level, factors)
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
        axes.set_title(panel_title(panel, 2.3))
    name_epochs(grid, len(shown))
    what = describe(responses[0])
    highest = what.cap * max(1, least)
    if wide := is_wide(what, least, most):
        ends = least / 1.2, min(most * 1.2, highest)
        grid[0, 0].set(yscale="log", ylim=ends)  # of all
        log_ticks(grid[0, 0].yaxis, *ends)
    else:
        ends = least * what.scale, most * what.scale
        grid[0, 0].update_datalim([(1, end) for end in ends], updatex=False)
        grid[0, 0].autoscale_view()
    for axes in grid[:, 0]:
        axes.set_ylabel(wrapped(label or what.words, "" if label else what.details, what.unit))
    handles = level_handles(first, factors) if first else []
    handles += [
        Line2D([], [], color="grey", linestyle=dashes, label=name)
        for dashes, name in zip(LINES, names, strict=False)
    ]
    add_legend(figure, handles)
    band = ", band: lowest to highest" if banded else ""
    add_note(
        figure,
        f"line: mean{band} of {counted(n_seeds, 'seed')}"
        + (f"; values above {highest:g} are cut off" if wide and most > highest else ""),
    )
    return figure
