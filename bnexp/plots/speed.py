"""Measured speeds beside their references."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from bnexp.plots.panels import log_ticks
from bnexp.plots.style import COLOURS, new_figure


def speeds(names: Sequence[str], ours: Sequence[float], reference: Sequence[float]) -> Figure:
    """Return a row a case: both numbers as dots on a log axis, joined, with their ratio.

    Args:
        names: Of the cases; all numbers are of one unit, examples a second.
    """
    figure = new_figure(7.0, 0.32 * len(names) + 1.2)
    axes = figure.subplots()
    for row, (one, other) in enumerate(zip(ours, reference, strict=True)):
        axes.plot([other, one], [row, row], color="0.7", linewidth=1.5, zorder=1)
        axes.plot(other, row, "s", color=COLOURS[1], zorder=2)
        axes.plot(one, row, "o", color=COLOURS[0], zorder=2)
        axes.annotate(
            f"{one / other:.3g} x",
            (max(one, other), row),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_xscale("log")
    axes.margins(x=0.12)
    log_ticks(axes.xaxis, *axes.get_xlim())
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("training examples a second (log scale)")
    axes.plot([], [], "o", color=COLOURS[0], label="bnexp")
    axes.plot([], [], "s", color=COLOURS[1], label="reference")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def cost_per_run(runs: Sequence[int], seconds: Sequence[float]) -> Figure:
    """Return what a run costs as a study grows.

    Args:
        runs: Of each study.
        seconds: Of the whole command, divided by its runs.
    """
    figure = new_figure(4.5, 3.0)
    axes = figure.subplots()
    axes.plot(runs, seconds, "o-", color=COLOURS[0])
    axes.set_xscale("log", base=2)
    axes.set_xticks(runs, [str(n) for n in runs])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("runs of the study (log scale)")
    axes.set_ylabel("seconds a run")
    return figure
