"""How soon do runs reach an accuracy, and how many never do?"""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from bnexp.metrics import EPOCHS_TO
from bnexp.plots.marks import Says, mark
from bnexp.plots.names import Factors, panel_title
from bnexp.plots.panels import (
    MOST_BANDS,
    MOST_COLUMNS,
    lines_and_panels,
    name_epochs,
    panel_rows,
)
from bnexp.plots.says import cells_of, interval, series_of
from bnexp.plots.style import add_legend, add_note, level_handles, look, new_figure
from bnexp.store.frames import where


def time_to_accuracy(
    shares: pd.DataFrame, factors: Factors, thresholds: Sequence[str]
) -> Figure:
    """Return the share of runs that have reached each threshold, by epoch, with its interval.

    A line for each level of a factor (`lines_and_panels`), a row of panels for each threshold,
    a panel for each combination of the other factors.

    Args:
        shares: One row a threshold, cell and epoch (`stats.reached`).
        thresholds: Those that have panels.
    """
    first, others = lines_and_panels(factors)
    rows = panel_rows(thresholds, {key: factors[key] for key in others})
    panels = [(name, levels) for name, combinations in rows for levels in combinations]
    # Thresholds of a design without further factors stand side by side.
    columns = len(rows) if len(rows) == len(panels) else max(len(each) for _, each in rows)
    columns = min(columns, MOST_COLUMNS)
    n_rows = -(-len(panels) // columns)
    figure = new_figure(max(2.4 * columns, 4.4) + 0.8, 2.0 * n_rows + 1.2)
    grid = figure.subplots(n_rows, columns, sharex=True, sharey=True, squeeze=False)
    levels_of_first = factors[first] if first else [""]
    banded = len(levels_of_first) <= MOST_BANDS
    for (name, levels), axes in zip(panels, grid.flat, strict=False):
        here = where(shares[shares["threshold"] == name], levels)
        goal = f"{name.removeprefix(EPOCHS_TO)} % accuracy"
        for i, level in enumerate(levels_of_first):
            line = here[here[first] == level] if first else here
            style = look(first, level, factors)
            trained = line[line["epoch"] > 0]  # before, nothing can have been reached
            series = series_of(first, level)
            if banded:
                drawn_band = axes.fill_between(
                    trained["epoch"],
                    trained["low"] * 100,
                    trained["high"] * 100,
                    step="post",
                    color=style.colour,
                    alpha=0.15,
                    linewidth=0,
                )
                mark(drawn_band, series=series)
            drawn = axes.plot(
                line["epoch"],
                line["share"] * 100,
                drawstyle="steps-post",
                color=style.colour,
                linestyle=style.line,
                marker=style.marker,
                markersize=3,
                # Lines that coincide stay visible: the later ones are thinner.
                linewidth=1.2 + 1.6 * (1 - (i + 1) / len(levels_of_first)),
            )
            mark(
                drawn,
                series=series,
                of=f"runs that reached {goal} (%)",
                says=_says(line, factors),
            )
        axes.set_title("\n".join(filter(None, (goal, panel_title(levels, 2.3)))))
        axes.set_ylim(-5, 105)
        axes.set_yticks([0, 25, 50, 75, 100])
    name_epochs(grid, len(panels))
    for axes in grid[:, 0]:
        axes.set_ylabel("runs that reached it (%)")
    add_legend(figure, level_handles(first, factors, lines=True) if first else [])
    n = int(shares["n"].max())
    band = ", band: its 95 % Wilson interval" if banded else ""
    add_note(
        figure,
        f"line: share of up to {n} runs{band}; runs that never reach it, diverged or not, keep "
        "it below 100 %",
    )
    return figure


def _says(line: pd.DataFrame, factors: Factors) -> Says:
    ends = interval(*(line[name] * 100 for name in ("share", "low", "high")))
    return {"cell": cells_of(line, factors), "epoch": line["epoch"].to_numpy(), **ends}


def telling(shares: pd.DataFrame) -> list[str]:
    """Return the thresholds that some run reached, those first that cells differ most in."""
    by_threshold = shares.groupby("threshold", sort=False)["share"]
    spread = by_threshold.std(ddof=0).fillna(0)[by_threshold.max() > 0]
    return [str(name) for name in spread.sort_values(ascending=False, kind="stable").index]
