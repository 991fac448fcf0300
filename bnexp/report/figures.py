"""Which figures a study gets, with the sentence that says how to read each."""

import re
from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd

from bnexp import plots, stats
from bnexp.config.study import DifferenceClaim, ValueClaim
from bnexp.plots import Factors
from bnexp.report import captions
from bnexp.report.figure_pool import Make, ReportFigure
from bnexp.report.figures_by_epoch import POPULATION, RUNNING, by_epoch
from bnexp.report.sheets import in_sheets
from bnexp.report.tables.learning_rates import TRAINS
from bnexp.stats.max_lr import LR
from bnexp.stats.tables import Tables
from bnexp.store.declared import Declared

FEWEST = 3  # levels of a curve
CLAIMS = "claims"  # the figure beside them
MOST_ARMS = 12  # panels of seeds joined
ANSWER = "answer"  # the figure that stands right below the answer
MOST_EFFECTS = 24  # rows of a forest plot: with more, the main effects alone


def draw(study: Declared, tables: Tables) -> Iterator[ReportFigure]:
    """Yield the figures that this design has data for, the answer first."""
    factors, responses = study.factors, list(tables.responses)
    noise = stats.seed_noise(tables.cells)
    answers = tables.answers
    compared = answers[(answers["kind"] == "difference") & (answers["outcome"] != "reversal")]
    if len(compared):
        yield ReportFigure(
            ANSWER,
            "The differences that answer the question.",
            partial(plots.answer, compared, study.varied, noise),
        )
    if len(tables.claims):
        yield ReportFigure(
            CLAIMS,
            "What would support each claim of the sources, and what came out.",
            partial(plots.claims, tables.claims, [one.is_difference for one in study.claims]),
        )
    yield from _arms(study, tables)
    if len(tables.max_lr):
        yield from _swept(study, tables, [LR])
    if len(tables.contrasts):
        differences = _differences(study, tables)
        compared = tables.contrasts[tables.contrasts["kind"] != "simple"]
        n_rows = len(compared) // len(responses)
        mains = compared[compared["kind"] == "main"]
        too_many = n_rows > MOST_EFFECTS
        yield ReportFigure(
            "effects",
            "What each factor changes, averaged over all others, with the interval of that "
            "effect alone; a direction is settled by the wider interval in the tables"
            + (
                f"; all {n_rows} effects, the interactions among them, are in the table."
                if too_many
                else "; an interaction says how much one effect depends on another factor."
            )
            + (
                " Diamonds are the differences that the sources report, of one run each."
                if differences
                else ""
            ),
            partial(
                plots.effects, mains if too_many else compared, responses, differences, noise
            ),
        )
    if len(study.varied) > 1:
        lines, axis = captions.crossed(study, tables)
        yield ReportFigure(
            "interaction",
            captions.interaction(tables, lines, axis),
            partial(
                plots.interaction,
                _averaged(study, tables, (lines, axis)),
                factors,
                responses,
                (lines, axis),
            ),
        )
    swept = [key for key in factors if key != LR or not len(tables.max_lr)]
    yield from _swept(study, tables, swept)
    yield from _maps(study, tables)
    reported = _reported(study, responses)
    large = plots.is_large(factors, len(study.cells))
    yield from in_sheets(
        "cells",
        captions.cells(study, tables),
        lambda here, some: partial(
            plots.cell_means, tables.cells, tables.runs, here, some, reported
        ),
        factors,
        panels=plots.panels_of_cells(factors) if large else {},
        shown=responses,
    )
    if tables.epochs["epoch"].nunique() > 1:  # one is a dot, which the cells show
        yield from by_epoch(study, tables)
    if factors and POPULATION in tables.runs and _differ(tables.runs):
        yield ReportFigure(
            "statistics",
            captions.statistics(tables.runs, next(iter(factors)), (RUNNING, POPULATION)),
            partial(plots.statistics, tables.runs, factors, (RUNNING, POPULATION)),
        )


def _arms(study: Declared, tables: Tables) -> Iterator[ReportFigure]:
    """Yield the seeds of a factor of two levels, joined, if a design has few panels of them."""
    factors, response = study.factors, tables.responses[0]
    pairs = [key for key in study.varied if len(factors[key]) == 2]
    if not pairs or len(study.seeds) == 1 or len(study.cells) > 2 * MOST_ARMS:
        return
    left, right = factors[pairs[0]]
    yield ReportFigure(
        "arms",
        f"Each seed with {plots.short(pairs[0])} {left} and with {right}: they start from the "
        "same weights and see the same images in the same order, so lines of one slope are an "
        "effect that every seed has.",
        partial(plots.arms, tables.runs, factors, response, (pairs[0], left, right), MOST_ARMS),
    )


def _swept(study: Declared, tables: Tables, keys: Sequence[str]) -> Iterator[ReportFigure]:
    """Yield a curve for each of these factors that has enough numbers for one."""
    factors, responses = study.factors, list(tables.responses)
    for key in keys:
        if len(factors[key]) >= FEWEST and plots.numbers(factors[key]):
            limits = _limits(tables) if key == LR else None
            yield from in_sheets(
                f"sweep_{_file_name(key)}",
                f"Every level of {plots.short(key)}."
                + (
                    " A mean that leaves diverged runs out, a hollow one, flatters its level."
                    if tables.cells["n_diverged"].any()
                    else ""
                )
                + (
                    f" Dotted, with its 95 % interval: the largest at which {limits.meaning}; "
                    "none where it lies beyond those tried."
                    if limits
                    else ""
                ),
                partial(_sweep, tables, key, limits),
                factors,
                panels=plots.panels_of_sweep(factors, key),
                shown=responses,
            )


def _sweep(
    tables: Tables,
    key: str,
    limits: plots.Limits | None,
    here: Factors,
    some: Sequence[str],
) -> Make:
    return partial(plots.sweep, tables.cells, tables.runs, here, some, axis=key, limits=limits)


def _maps(study: Declared, tables: Tables) -> Iterator[ReportFigure]:
    """Yield a map of the two factors with most levels, if both have at least three.

    Every map shows all cells, whichever two factors it has for its sides: one is enough.
    """
    factors, responses = study.factors, list(tables.responses)
    many = [key for key, levels in factors.items() if len(levels) >= FEWEST]
    if len(many) >= 2:
        most = sorted(many, key=lambda key: -len(factors[key]))[:2]
        rows, columns = sorted(most, key=many.index)
        yield from in_sheets(
            f"map_{_file_name(rows)}_{_file_name(columns)}",
            f"The mean of each combination of {plots.short(rows)} and {plots.short(columns)}.",
            lambda here, some: partial(
                plots.heat_map, tables.cells, here, some, (rows, columns)
            ),
            factors,
            panels={key: levels for key, levels in factors.items() if key not in most},
            shown=responses,
            columns=plots.maps_beside(factors, (rows, columns)),
        )


def _limits(tables: Tables) -> plots.Limits | None:
    """Return the largest learning rates that come close to the best accuracy."""
    if not len(tables.max_lr):
        return None
    table = tables.max_lr[tables.max_lr["definition"] == TRAINS]
    return plots.Limits(table, "half of the seeds reach 90 % of the best accuracy")


def _file_name(key: str) -> str:
    return re.sub(r"\W+", "_", key)


def _averaged(study: Declared, tables: Tables, by: tuple[str, str]) -> pd.DataFrame:
    """Return the cells of two factors, averaged over all others within each seed."""
    n_others = len(study.cells) // (len(study.factors[by[0]]) * len(study.factors[by[1]]))
    grouped = tables.runs.groupby([*by, "seed"], sort=False)[list(tables.responses)]
    # A mean over fewer cells than the others' would compare unlike with unlike.
    means = grouped.mean().where(grouped.count() == n_others)
    factors = {key: study.factors[key] for key in by}
    frame = means.reset_index().assign(status="ok")
    return stats.cells(frame, factors, study.seeds, tables.responses)


def _reported(study: Declared, responses: list[str]) -> dict[tuple[str, int], float]:
    """Return the sources' numbers by response and row of the cell."""
    found = {}
    for claim in study.claims:
        if isinstance(claim, ValueClaim) and claim.response in responses:
            for row, (levels, _) in enumerate(study.cells):
                if all(levels[key] == level for key, level in claim.cell.items()):
                    found[claim.response, row] = claim.reported
    return found


def _differences(study: Declared, tables: Tables) -> dict[tuple[str, str, str, str], float]:
    """Return the sources' differences by response and main effect, level a minus level b.

    One at a fixed level of another factor is none of these, which average over it.
    """
    main = tables.contrasts[tables.contrasts["kind"] == "main"]
    rows = set(
        main[["response", "factor", "level_a", "level_b"]].itertuples(index=False, name=None)
    )
    found = {}
    for claim in study.claims:
        if isinstance(claim, DifferenceClaim) and claim.reported is not None:
            pair = (claim.higher, claim.lower)
            for sign, (a, b) in ((1, pair), (-1, pair[::-1])):
                row = (claim.response, claim.factor, a, b)
                if row in rows and not claim.given:
                    found[row] = sign * claim.reported
    return found


def _differ(runs: pd.DataFrame) -> bool:
    return bool((runs[RUNNING] - runs[POPULATION]).abs().gt(0).any())
