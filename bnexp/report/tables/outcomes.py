"""What holds on other test images, and on which images levels differ: `eval.outcomes`."""

import math
from types import SimpleNamespace
from typing import Any

import pandas as pd

from bnexp.plots import contrast_name
from bnexp.plural import counted
from bnexp.report import links
from bnexp.report.numbers import SHARE, column, each, ends, interval, listed, shown
from bnexp.report.tables.text import MOST_ROWS, Hinted, TableText, cut, described, filled
from bnexp.stats.outcomes import MOST_IMAGES
from bnexp.stats.tables import Tables
from bnexp.store.declared import Declared

TOGETHER = Hinted(
    "together [95\N{NO-BREAK SPACE}%]",
    "the interval over seeds and images that holds together with those of all comparisons that "
    "were planned of a response (Šidák), exploratory ones apart",
)
BY_IMAGES = Hinted(
    "by images, %", "share of the variance of the mean that is due to the images"
)
MCNEMAR = Hinted(
    "McNemar",
    "in how many seeds McNemar's exact test at 5 % calls the first level better, and in how "
    "many the second: what that one seed would say, of two networks and not of training",
)
# Images named in a row; the file has more.
MOST_NAMED = 6


def outcomes_table(study: Declared, tables: Tables) -> TableText:
    """Return the main effects on accuracies over other test images, beside those over these.

    Where all of them average over cells of several test sets, it has the simple effects.
    """
    responses = described(tables.responses)
    kinds = tables.outcomes["kind"]
    chosen = tables.outcomes[kinds == ("main" if "main" in set(kinds) else "simple")]
    rows = []
    for one in each(chosen):
        what = responses[one.response]
        only = links.of_contrast(study.factors, one.factor, one.level_a, one.level_b, one.given)
        of_seeds = SimpleNamespace(
            estimate=one.estimate, ci_low=one.seeds_low, ci_high=one.seeds_high
        )
        rows.append(
            [
                contrast_name(one.factor, one.level_a, one.level_b),
                one.given,
                column(what, True),
                interval(what, of_seeds, difference=True),
                interval(what, one, difference=True),
                ends(what, one.sim_low, one.sim_high, difference=True),
                shown(SHARE, one.image_share),
                links.to_runs(str(one.n), only),
                _of_each(one),
            ]
        )
    header, rows = filled(
        [
            *("comparison", "given", "response", "over seeds [95 %]"),
            *("over seeds and images [95 %]", TOGETHER, BY_IMAGES, "n", MCNEMAR),
        ],
        rows,
    )
    note = _note(tables, chosen) + cut(rows, "outcomes") if rows else ""
    return TableText("outcomes", "On other test images", note, header, rows[:MOST_ROWS])


def _of_each(one: Any) -> str:
    """Return in how many seeds McNemar's test calls either level better, if it was made."""
    if math.isnan(one.p_mcnemar):
        return ""
    return f"{one.n_mcnemar_a:.0f} and {one.n_mcnemar_b:.0f}"


def _note(tables: Tables, chosen: pd.DataFrame) -> str:
    """Return what either interval speaks of, and how many directions each of them settles."""
    keys = ["factor", "level_a", "level_b", "given", "response"]
    here, there = (
        int(((table["sim_low"] > 0) | (table["sim_high"] < 0)).sum())
        for table in (tables.contrasts.merge(chosen[keys], on=keys), chosen)
    )
    settled = "No direction is settled on these images, so none is on others."
    if here:
        settled = (
            f"Of {counted(here, 'difference')} whose direction is settled on these images, "
            f"{there or 'none'} {'is' if there < 2 else 'are'} settled on others of their kind."
        )
    n_images = listed([f"{n:,}" for n in sorted(set(chosen["n_images"]))])
    return (
        f"An interval over seeds speaks of training again and testing on these {n_images} "
        "images. The one over seeds and images speaks of other images of their kind as well: "
        "both are drawn at random and crossed, every network being tested on every image "
        "(variance components, Satterthwaite's degrees of freedom; it is never narrower than "
        f"that over seeds). {settled} Interactions and simple effects, with McNemar's test of "
        "each seed where two cells are compared, are in tables/outcomes.csv."
    )


def images_table(tables: Tables) -> TableText:
    """Return the images on which levels differ most, a row a comparison and accuracy."""
    responses = described(tables.responses)
    rows = []
    keys = ["factor", "level_a", "level_b", "response"]
    for compared, images in tables.images.groupby(keys, sort=False):
        factor, a, b, response = map(str, compared)
        named = [
            f"{one.image} ({100 * one.right_a:.0f} and {100 * one.right_b:.0f})"
            for one in each(images.head(MOST_NAMED))
        ]
        rows.append(
            [
                contrast_name(factor, a, b),
                responses[response].label,
                ", ".join(named),
                str(images["n"].iloc[0]),
            ]
        )
    return TableText(
        "images",
        "The images on which levels differ most",
        "The number of a test image, from 0, and the per cent of the first level's runs and of "
        "the second's that get it right. They are picked for lying far apart, and with few "
        "seeds much of that is chance: they are for looking at. "
        f"tables/images.csv names {MOST_IMAGES} of each comparison.",
        ["comparison", "response", "image (right, %)", "n"],
        rows,
    )
