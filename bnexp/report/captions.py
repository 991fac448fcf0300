"""What is said below a figure, where it depends on what the runs show."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bnexp import plots
from bnexp.config.study import ValueClaim
from bnexp.metrics import describe
from bnexp.report.numbers import each, interval, listed
from bnexp.stats.estimate import paired_t
from bnexp.stats.tables import Tables
from bnexp.stats.testing import error_of_each
from bnexp.store.declared import Declared
from bnexp.store.given import of_text

FEWEST_EPOCHS = 3  # of a curve that shows when accuracies are reached
MOST_NAMED = 4


def crossed(study: Declared, tables: Tables) -> tuple[str, str]:
    """Return the factor of the lines and that of the axis: of the question, if it has two.

    A question that compares levels of one factor at levels of another is about these two.
    """
    answers = tables.answers[tables.answers["kind"] == "difference"]
    for row in each(answers):
        beside = [key for key in of_text(row.given) if key in study.varied]
        if row.factor in study.varied and beside:
            return beside[0], row.factor
    first, second = study.varied[:2]
    return first, second


def interaction(tables: Tables, lines: str, axis: str) -> str:
    """Return in which responses one factor's effect depends on another, as intervals tell."""
    contrasts = tables.contrasts
    names = (f"{lines}:{axis}", f"{axis}:{lines}")
    rows = contrasts[contrasts["factor"].isin(names) & (contrasts["kind"] == "interaction")]
    settled = rows[(rows["sim_low"] > 0) | (rows["sim_high"] < 0)]
    depends = [name for name in tables.responses if name in set(settled["response"])]
    rest = [name for name in tables.responses if name not in depends]
    one, other = plots.short(lines), plots.short(axis)
    said = [
        f"A line for each {one}; parallel lines would mean that it does the same everywhere."
    ]
    if depends:
        said.append(
            f"What {one} does depends on {other} in {_labels(depends)}: an interval of the "
            "interaction excludes zero (simultaneous over all planned effects on a response)."
        )
    if rest and len(rows):
        said.append(f"In {_labels(rest)} the lines cannot be told from parallel ones.")
    return " ".join(said)


def cells(study: Declared, tables: Tables) -> str:
    """Return what the dots are, how a large design is laid out, and what has no figure."""
    said = "Every trained network is a dot."
    if any(isinstance(claim, ValueClaim) for claim in study.claims):
        said += " Diamonds are the numbers that the sources report, from one run each."
    if plots.is_large(study.factors, len(study.cells)):
        first = next(iter(study.factors))
        row = plots.row_of(study.factors)
        said += (
            f" A row for each {plots.short(row)}, with the levels of {plots.short(first)} in "
            f"it{_panels([key for key in study.factors if key not in (first, row)])}."
        )
    n = int(tables.epochs["epoch"].max()) if len(tables.epochs) else 0
    if n < FEWEST_EPOCHS:
        said += (
            f" Runs of {n} epochs are too short for a figure of when they reach an accuracy."
            if n > 1
            else " Runs without a second epoch have no curves."
        )
    return said


def curves(study: Declared) -> str:
    """Return what a line and a panel of learning curves are."""
    lines, panels = plots.lines_and_panels(study.factors)
    of = f", a line for each {plots.short(lines)}" if lines in study.varied else ""
    return f"Learning curves{of}{_panels(panels)}."


def statistics(runs: pd.DataFrame, factor: str, pair: tuple[str, str]) -> str:
    """Return what the population statistics change on average, by level of a factor.

    Args:
        runs: One row a run.
        pair: The metrics with running and with population statistics.
    """
    what = describe(pair[0])
    gains = runs[pair[1]] - runs[pair[0]]
    by_seed = gains.groupby([runs[factor], runs["seed"]], sort=False).mean()
    values = {
        str(level): of.to_numpy(dtype=np.float64)
        for level, of in by_seed.groupby(level=0, sort=False)
        if (of.abs() > 0).any()
    }
    together = 1 - error_of_each(len(values))
    told = [
        f"{interval(what, paired_t(of, together), difference=True)} with {plots.short(factor)} "
        f"{level}"
        for level, of in values.items()
    ]
    cut = f", and so on ({len(told)} levels)" if len(told) > MOST_NAMED else ""
    return (
        "The same trained weights, evaluated with the running statistics and with those of the "
        "whole training set. From the first to the second, accuracy changes on average by "
        f"{listed(told[:MOST_NAMED])}{cut} ({what.unit_difference}; Student-t intervals over "
        "the seeds, together 95 %): a line that rises shows what the running statistics cost, "
        "one that falls what they gain."
    )


def _panels(keys: Sequence[str]) -> str:
    if not keys:
        return ""
    names = listed([plots.short(key) for key in keys])
    return f", and a panel for each {'combination of ' * (len(keys) > 1)}{names}"


def _labels(responses: Sequence[str]) -> str:
    return listed([describe(name).label for name in responses])
