"""The figures whose axis is the training itself: learning curves and what else it tells."""

import math
from collections.abc import Iterator
from functools import partial

import pandas as pd

from bnexp import plots, stats
from bnexp.metrics import describe
from bnexp.metrics.probes.shift import UNIT_INPUTS
from bnexp.report import captions
from bnexp.report.figure_pool import ReportFigure
from bnexp.report.sheets import in_sheets
from bnexp.stats.tables import Tables
from bnexp.store.declared import Declared

RUNNING, POPULATION = "test_accuracy", "test_accuracy_population"


def by_epoch(study: Declared, tables: Tables) -> Iterator[ReportFigure]:
    """Yield the learning curves, what was asked for beside them, and the time to accuracies."""
    factors = study.factors
    accuracy = {
        metric: f"{name} statistics"
        for metric, name in ((RUNNING, "running"), (POPULATION, "population"))
        if metric in tables.epochs
    }
    yield from _curves(
        study,
        tables,
        "test_accuracy",
        captions.curves(study)
        + (
            " Running and population statistics evaluate the same weights; the population "
            "statistics are those of 10,000 training images before the last epoch, and of all "
            "of them after it."
            if len(accuracy) > 1
            else ""
        ),
        accuracy,
    )
    yield from _curves(
        study,
        tables,
        "train_loss",
        captions.curves(study),
        {"train_loss": ""},
    )
    for name, lines in _asked(tables):
        of = describe(next(iter(lines))).words if len(lines) > 1 else ""
        yield from _curves(
            study, tables, name, "How it develops during training.", lines, label=of
        )
    if set(UNIT_INPUTS) <= set(tables.epochs):
        yield from in_sheets(
            "unit_inputs",
            "The input of one unit of the last activation during training, with one seed: its "
            "15th, 50th and 85th percentile over the first minibatch. Where the band stays in "
            "place, the distribution is stable.",
            lambda here, _: partial(
                plots.unit_inputs,
                tables.epochs[tables.epochs["seed"] == study.seeds[0]],
                here,
                UNIT_INPUTS,
            ),
            factors,
            panels=factors,
        )
    shares = stats.reached(tables.runs, tables.epochs, factors)
    enough = shares["epoch"].max() >= captions.FEWEST_EPOCHS
    if enough and shares["share"].gt(0).any():
        yield from _reached(shares, factors)


def _reached(shares: pd.DataFrame, factors: plots.Factors) -> Iterator[ReportFigure]:
    """Yield when runs reach accuracies: of a design of many panels, one of these."""
    panels = {key: factors[key] for key in plots.lines_and_panels(factors)[1]}
    found = plots.telling(shares)
    many = math.prod(map(len, panels.values())) > plots.MOST_COLUMNS
    kept = found[:1] if many else [one for one in shares["threshold"].unique() if one in found]
    yield from in_sheets(
        "time_to_accuracy",
        "The share of runs that have reached an accuracy by each epoch. Where a curve ends "
        "below 100 %, some runs never did; those that diverged count among them."
        + (
            f" Of {len(found)} accuracies it is the one that cells differ most in; "
            "tables/epochs.csv has all."
            if len(found) > len(kept)
            else ""
        ),
        lambda here, some: partial(plots.time_to_accuracy, shares, here, some),
        factors,
        panels=panels,
        shown=kept,
    )


def _curves(
    study: Declared,
    tables: Tables,
    name: str,
    caption: str,
    lines: dict[str, str],
    *,
    label: str = "",
) -> Iterator[ReportFigure]:
    """Yield metrics by epoch, if the runs have them, in one figure.

    Args:
        lines: What to call each of several metrics.
        label: What they are together; "" for the first's own.
    """
    shown = list(lines)
    factors = study.factors
    per_run = tables.epochs.groupby([*study.factors, "seed"])["epoch"].transform("nunique")
    epochs = tables.epochs[per_run > 1]  # a single one is a dot, which the cells show
    curves = stats.curves(epochs, factors, shown)
    if len(curves):
        names = tuple(lines.values()) if len(lines) > 1 else ()
        yield from in_sheets(
            f"curves_{name}",
            caption,
            lambda here, _: partial(
                plots.learning_curves,
                curves,
                here,
                shown,
                len(study.seeds),
                names=names,
                label=label,
            ),
            factors,
            panels={key: factors[key] for key in plots.lines_and_panels(factors)[1]},
        )


def _asked(tables: Tables) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each figure of responses that probes tell by epoch, with the names of its lines."""
    by_figure: dict[str, dict[str, str]] = {}
    for key in tables.responses:
        what = describe(key)
        if what.probe and key in tables.epochs:
            by_figure.setdefault(what.figure or key, {})[key] = what.details
    yield from by_figure.items()
