"""The figure of the answer: the numbers that it rests on, and nothing else."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bnexp.metrics import describe
from bnexp.plots.names import LETTER, contrast_name, in_lines, named_levels, wrapped
from bnexp.plots.says import change_of
from bnexp.plots.style import add_noise, add_note, draw_intervals, new_figure
from bnexp.store.given import of_text

COLOUR = {"cannot_tell": "#777777"}  # of a difference whose interval holds zero
MOST_ROWS = 40
LETTERS, LINE = 26, 0.155  # of a line of a row's name, and its height in inches


def answer(
    answers: pd.DataFrame, varied: Sequence[str], noise: Mapping[str, float] | None = None
) -> Figure:
    """Return the differences that answer the question, by response, with their intervals.

    Args:
        answers: Differences as `stats.answer` returns them, at least one.
        varied: The factors whose levels are named.
        noise: By how much two runs of one cell differ, by response (`stats.seed_noise`).
    """
    noise = noise or {}
    table = answers.head(MOST_ROWS)
    responses = list(dict.fromkeys(table["response"]))
    sizes = [int((table["response"] == name).sum()) for name in responses]
    lines = [name.split("\n") for name in _labels(table, varied)]
    tall = 0.3 + LINE * (max(map(len, lines)) - 1)
    figure = new_figure(
        4 + LETTER * max(len(line) for one in lines for line in one),
        sum(tall * size + 0.75 for size in sizes) + 0.3,
    )
    panels = figure.subplots(
        len(responses), 1, squeeze=False, height_ratios=[n + 1 for n in sizes]
    )
    for response, axes in zip(responses, panels[:, 0], strict=True):
        what = describe(response)
        here = table[table["response"] == response]
        axes.axvline(0, color="black", linewidth=0.8)
        rows = np.arange(len(here))
        labels = _labels(here, varied)
        names_here = np.array([label.replace("\n", " ") for label in labels])
        values = here[["estimate", "ci_low", "ci_high"]] * what.scale
        unsettled = here["outcome"].isin(COLOUR).to_numpy()
        for some, colour in ((~unsettled, "black"), (unsettled, COLOUR["cannot_tell"])):
            says = {"difference": names_here[some], "n": here["n"].to_numpy()[some]}
            draw_intervals(
                axes,
                rows[some],
                values[some],
                colour=colour,
                marker="o",
                says=says,
                of=change_of(response),
            )
        axes.set_yticks(rows, labels)
        axes.set_ylim(len(here) - 0.4, -0.6)
        axes.margins(x=0.12)
        if response in noise:
            add_noise(axes, noise[response] * what.scale)
        better = {"higher": "right", "lower": "left"}.get(what.better)
        label = wrapped(f"change in {what.words}", what.details, what.unit_difference)
        axes.set_xlabel(label + (f"; {better} is better" if better else ""))
    cut = f"; the first {MOST_ROWS} of {len(answers)}" * (len(answers) > MOST_ROWS)
    shaded = "; shaded: as far apart are two runs of one cell (1 SD)"
    add_note(
        figure,
        f"mean of up to {int(answers['n'].max())} paired differences; the intervals hold "
        f"together in 95 % of studies; grey: zero lies inside{cut}"
        + shaded
        * bool(noise.keys() & set(responses)),
    )
    return figure


def _labels(answers: pd.DataFrame, varied: Sequence[str]) -> list[str]:
    """Return the name of each difference, in lines that leave room on a phone."""
    found = []
    for row in answers.astype(str).to_dict("records"):
        levels = of_text(row["given"]).items()
        given = named_levels({key: level for key, level in levels if key in varied})
        name = contrast_name(row["factor"], row["level_a"], row["level_b"])
        found.append(in_lines([name, *given], LETTERS))
    return found
