"""What one unit is given while it trains: the picture of internal covariate shift."""

import math

import pandas as pd
from matplotlib.figure import Figure

from bnexp.plots.marks import mark
from bnexp.plots.names import Factors, panel_title
from bnexp.plots.panels import MOST_COLUMNS, aligned, combinations, name_epochs
from bnexp.plots.says import cells_of, interval
from bnexp.plots.style import add_note, look, new_figure
from bnexp.store.frames import where


def unit_inputs(
    epochs: pd.DataFrame, factors: Factors, percentiles: tuple[str, str, str]
) -> Figure:
    """Return the percentiles of one unit's inputs by epoch, a panel for each cell.

    Args:
        epochs: One row an epoch, of one seed. The scale has room for all of them, whichever
            levels `factors` leaves to this picture.
        percentiles: The columns, from the lowest to the highest: a band and a line in it.
    """
    low, median, high = percentiles
    shown = [levels for levels in combinations(factors) if len(where(epochs, levels))]
    columns = min(aligned(factors, MOST_COLUMNS), len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(max(2.1 * columns, 4.2) + 0.8, 1.9 * rows + 0.8)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    first = next(iter(factors), None)
    for levels, axes in zip(shown, grid.flat, strict=False):
        here = where(epochs, levels)
        colour = look(first, levels.get(str(first), ""), factors).colour
        axes.fill_between(here["epoch"], here[low], here[high], color=colour, alpha=0.25, lw=0)
        drawn = axes.plot(here["epoch"], here[median], color=colour, linewidth=1.3)
        says = {"cell": cells_of(here, factors), "epoch": here["epoch"].to_numpy()}
        says |= interval(here[median], here[low], here[high])
        mark(drawn, of="input of one unit, its median", says=says)
        axes.set_title(panel_title(levels, 2.0))
    name_epochs(grid, len(shown))
    for axes in grid[:, 0]:
        axes.set_ylabel("input of one unit")
    ends = epochs[low].min(), epochs[high].max()
    grid[0, 0].update_datalim([(0, end) for end in ends], updatex=False)
    grid[0, 0].autoscale_view()
    add_note(
        figure,
        "line: median, band: 15th to 85th percentile of the inputs of one seed's unit",
    )
    return figure
