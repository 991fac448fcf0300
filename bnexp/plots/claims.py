"""What the sources claimed, and what came out: a strip a claim, each on its own scale."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bnexp.metrics import describe
from bnexp.metrics.metric import Metric
from bnexp.plots.marks import mark
from bnexp.plots.says import interval
from bnexp.plots.style import REPORTED, SOURCE, add_legend, add_note, handle, new_figure

WIDE = 5.05  # inches: a phone's width, too, shows it with letters that can be read
LETTERS = 75  # of a claim on a line
LINE, STRIP = 0.155, 0.27  # inches
# Of Okabe and Ito (2008), as all colours; a marker repeats each.
VERDICTS = {
    "supported": ("#009E73", "o"),
    "refuted": ("#D55E00", "s"),
    "inconclusive": ("#777777", "D"),
}
REGION = "what would support it"


def claims(table: pd.DataFrame, differences: Sequence[bool]) -> Figure:
    """Return each claim with its region, our number with its interval, and the source's.

    Scales differ: a claim is judged by where its interval lies, not beside another claim.

    Args:
        table: `stats.tables.Tables.claims`, at least one.
        differences: Which of them are about a difference.
    """
    names = [textwrap.wrap(str(claim), LETTERS) or [""] for claim in table["claim"]]
    heights = [LINE * (len(lines) + 1) + STRIP for lines in names]
    figure = new_figure(WIDE, sum(heights) + 0.9)
    grid = figure.subplots(len(table), 1, squeeze=False, height_ratios=heights)[:, 0]
    for (_, one), lines, axes, differs in zip(
        table.iterrows(), names, grid, differences, strict=True
    ):
        _strip(axes, one, describe(str(one["response"])), differs=differs)
        axes.set_title("\n".join(lines), loc="left", fontsize=8)
    found = [verdict for verdict in VERDICTS if (table["verdict"] == verdict).any()]
    handles: list[Line2D | Patch] = [
        handle(VERDICTS[verdict][1], verdict, color=VERDICTS[verdict][0]) for verdict in found
    ]
    handles.append(Patch(color="#777777", alpha=0.2, linewidth=0, label=REGION))
    if table["reported"].notna().any():
        handles.append(handle("D", REPORTED, **SOURCE))
    add_legend(figure, handles)
    add_note(
        figure,
        "each strip has a scale of its own; dot and bar: our mean with the interval that "
        "decides; a claim is supported where all of it lies in the shaded region",
    )
    return figure


def _strip(axes: Axes, one: "pd.Series[Any]", what: Metric, *, differs: bool) -> None:
    """Draw one claim."""
    scale = what.scale
    unit = what.unit_difference if differs else what.unit
    value, reported = one["estimate"] * scale, one["reported"] * scale
    region = [one[f"region_{end}"] * scale for end in ("low", "high")]
    judged = [one[f"judged_{end}"] * scale for end in ("low", "high")]
    if not np.isfinite(judged).all():
        judged = [one[f"ci_{end}"] * scale for end in ("low", "high")]
    known = [number for number in (value, reported, *region, *judged) if math.isfinite(number)]
    least, most = (min(known), max(known)) if known else (0.0, 1.0)
    room = 0.12 * (most - least) or 0.1 * abs(most) or 1.0
    axes.set_xlim(least - room, most + room)
    ends = [np.clip(end, least - 2 * room, most + 2 * room) for end in region]
    mark(axes.axvspan(*ends, color="#777777", alpha=0.2, linewidth=0), series=REGION)
    verdict = str(one["verdict"])
    colour, marker = VERDICTS[verdict]
    if np.isfinite(judged).all():
        mark(axes.hlines(0, judged[0], judged[1], colour, linewidth=2), series=verdict)
    if math.isfinite(value):
        drawn = axes.plot(value, 0, marker, color=colour, ms=6, mec="white", mew=0.6)
        says = {"claim": [str(one["claim"])], "verdict": [verdict], "n": [one["n"]]}
        of = f"{what.label} ({unit})" if unit else what.label
        mark(drawn, series=verdict, of=of, says={**says, **interval([value], *_each(judged))})
    if math.isfinite(reported):
        source = axes.plot(reported, 0, "D", zorder=4, **SOURCE)
        mark(source, series=REPORTED, of=REPORTED, says={"value": [reported]})
    axes.set_ylim(-1, 1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False)
    axes.locator_params(axis="x", nbins=6)
    axes.tick_params(labelsize=7, length=2)
    axes.annotate(unit, (1, 0), xytext=(4, 0), xycoords="axes fraction", fontsize=7,
                  textcoords="offset points", va="center")  # fmt: skip


def _each(ends: Sequence[float]) -> list[list[float]]:
    return [[end] for end in ends]
