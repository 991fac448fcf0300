"""What factors change: the forest plot and the interaction plot."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from bnexp.metrics import describe
from bnexp.plots.names import LETTER, Factors, contrast_name, short, wrapped
from bnexp.plots.says import change_of, mark_bars, of_means, of_response, series_of
from bnexp.plots.style import (
    MOST_ROWS,
    add_legend,
    add_noise,
    add_note,
    add_source,
    draw_intervals,
    handle,
    level_handles,
    look,
    noise_handle,
    response_panels,
    share_x,
    source_handle,
    with_values,
)

# A response and a row of the forest plot: factor, level a, level b.
Compared = tuple[str, str, str, str]
MAIN, INTERACTION = "main effect", "interaction"


def effects(
    contrasts: pd.DataFrame,
    responses: Sequence[str],
    reported: Mapping[Compared, float] | None = None,
    noise: Mapping[str, float] | None = None,
) -> Figure:
    """Return main effects and interactions with their intervals, a forest plot.

    Args:
        contrasts: One row a response and contrast, these in one order for all responses
            (`stats.contrasts`); simple effects are left out.
        reported: Differences that the sources report, level a minus level b.
        noise: By how much two runs of one cell differ, by response (`stats.seed_noise`).
    """
    reported, noise = reported or {}, noise or {}
    table = contrasts[contrasts["kind"] != "simple"]
    compared = table[["factor", "level_a", "level_b"]].drop_duplicates()
    names = list(compared.itertuples(index=False, name=None))
    more = len(names) - MOST_ROWS
    names = names[:MOST_ROWS]
    responses, lacking = with_values(table.groupby("response")["estimate"].count(), responses)
    labels = np.array([contrast_name(*name) for name in names])
    figure, panels = response_panels(len(responses), 0.3 * len(names) + 1.7)
    for response, axes in zip(responses, panels, strict=True):
        what = describe(response)
        here = table[table["response"] == response].head(len(names))
        axes.axvline(0, color="black", linewidth=0.8)
        rows = np.arange(len(names))
        is_main = here["kind"].eq("main").to_numpy()
        for some, colour, marker in ((is_main, "black", "o"), (~is_main, "#777777", "s")):
            values = here.loc[some, ["estimate", "ci_low", "ci_high"]] * what.scale
            says = {"effect": labels[some], "n": here.loc[some, "n"].to_numpy()}
            draw_intervals(
                axes,
                rows[some],
                values,
                colour=colour,
                marker=marker,
                says=says,
                series=MAIN if marker == "o" else INTERACTION,
                of=change_of(response),
            )
        for row, name in enumerate(names):
            if (response, *name) in reported:
                add_source(axes, row, reported[response, *name] * what.scale)
        better = {"higher": "right", "lower": "left"}.get(what.better)
        trimmed = here["average"].eq("interquartile mean").any()
        words = f"{what.words}, interquartile means" if trimmed else what.words
        label = wrapped(f"change in {words}", what.details, what.unit_difference)
        axes.set_xlabel(label + (f"\n{better} is better" if better else ""))
        axes.margins(x=0.12)
        if response in noise:
            add_noise(axes, noise[response] * what.scale)
    share_x(panels, responses)
    axes = panels[0]
    axes.set_yticks(range(len(names)), labels)
    axes.set_ylim(len(names) - 0.4, -0.6)
    figure.align_xlabels()
    handles: list[Artist] = [handle("o", MAIN, color="black")]
    if (table["kind"] == "interaction").any():
        handles.append(handle("s", INTERACTION, color="#777777"))
    if any((response, *name) in reported for response in responses for name in names):
        handles.append(source_handle())
    if noise.keys() & set(responses):
        handles.append(noise_handle())
    add_legend(figure, handles)
    n = int(table["n"].max()) if len(table) else 0
    note = f"mean of up to {n} paired differences and its 95 % Student-t interval{lacking}"
    if table["average"].eq("interquartile mean").any():
        note += "; of interquartile means Yuen's"
    add_note(figure, note + (f"; {more} more effects are in contrasts.csv" if more > 0 else ""))
    return figure


def interaction(
    cells: pd.DataFrame, factors: Factors, responses: Sequence[str], by: tuple[str, str]
) -> Figure:
    """Return the response by the levels of one factor, a line for each level of another.

    Parallel lines: no interaction. A response without two means to join has no panel.

    Args:
        cells: One row for each combination of the two factors and response, averaged
            over the others within each seed (`stats.cells` of averaged runs).
        by: The factor of the lines (and colours), and that of the axis.
    """
    lines, axis = by
    names = factors[axis]
    longest = cells.groupby(["response", lines])["mean"].count().groupby("response").max()
    responses, lacking = with_values(longest, responses, fewest=2)
    # Room for the levels' names side by side.
    wide = max(2.7, (LETTER * max(map(len, names)) + 0.1) * len(names) + 0.7)
    figure, panels = response_panels(len(responses), 3.7, wide, 0.6, sharey=False)
    for response, axes in zip(responses, panels, strict=True):
        what = describe(response)
        for i, level in enumerate(factors[lines]):
            colour, marker, line = look(lines, level, factors)
            here = cells[(cells["response"] == response) & (cells[lines] == level)]
            shift = 0.04 * (i - (len(factors[lines]) - 1) / 2)
            x = [list(factors[axis]).index(name) + shift for name in here[axis]]
            errors = [
                (here["mean"] - here["ci_low"]) * what.scale,
                (here["ci_high"] - here["mean"]) * what.scale,
            ]
            drawn = axes.errorbar(
                x,
                here["mean"] * what.scale,
                yerr=errors,
                color=colour,
                marker=marker,
                linestyle=line,
                capsize=3,
            )
            says = of_means(here, {key: factors[key] for key in by}, what.scale)
            mark_bars(drawn, says, series=series_of(lines, level), of=of_response(response))
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.4, len(names) - 0.6)
        axes.set_xlabel(short(axis))
        axes.set_ylabel(wrapped(what.words, what.details, what.unit))
    add_legend(figure, level_handles(lines, factors))
    rest = [short(key) for key in factors if key not in by]
    over = f", averaged over {', '.join(rest)}" if rest else ""
    add_note(
        figure,
        f"mean of up to {int(cells['n'].max())} seeds{over}, and its 95 % Student-t interval"
        + lacking,
    )
    return figure
