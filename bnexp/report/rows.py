"""The report's tables as rows of text, the same for both pages."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bnexp.frames import Declared, where
from bnexp.plots import contrast_name
from bnexp.records import Response, response
from bnexp.report.tables import Tables

# Longer tables of a page are cut; the CSV files have every row.
MOST_ROWS = 400


@dataclass(frozen=True)
class TableText:
    """A table of strings with its caption."""

    title: str
    note: str
    header: list[str]
    rows: list[list[str]]


def claims_table(tables: Tables) -> TableText:
    """Return the verdicts with our numbers beside the sources'."""
    rows = []
    for claim in _each(tables.claims):
        what = response(claim.response)
        difference = claim.kind != "value"
        rows.append(
            [
                claim.verdict,
                claim.claim,
                claim.source,
                _shown(what, claim.reported, difference=difference),
                _interval(what, claim, difference=difference),
                str(claim.n),
            ]
        )
    return TableText(
        "What the sources claimed",
        "A claim is supported if the 95 % interval lies wholly inside what it claims, refuted "
        "if it lies wholly outside, and inconclusive otherwise. A claimed value counts as "
        "reproduced within the tolerance that the study file states; a claimed difference "
        "claims its sign; “changes more than” compares the sizes of two main effects, and its "
        "number is the first size minus the second. The sources' numbers are single runs.",
        ["verdict", "claim", "source", "reported", "ours [95 % interval]", "n"],
        rows,
    )


def effects_table(tables: Tables, effects: pd.DataFrame) -> TableText:
    """Return main effects and interactions, a column for each response."""
    responses = [response(name) for name in tables.responses]
    rows = []
    keys = ["kind", "factor", "level_a", "level_b"]
    for key, group in effects.groupby(keys, sort=False):
        kind, factor, a, b = map(str, key)
        by_response = {row.response: row for row in _each(group)}
        shown = [
            _interval(what, by_response[response_name], difference=True)
            for response_name, what in zip(tables.responses, responses, strict=True)
        ]
        rows.append([contrast_name(factor, a, b), kind, *shown, str(group["n"].min())])
    # With one factor its share is all there is.
    shares = tables.shares if tables.shares["factor"].nunique() > 1 else tables.shares.iloc[:0]
    for name, group in shares.groupby("factor", sort=False):
        shown = [_percent(one) for one in _each(group)]
        share = f"{name}: share of the differences between cells"
        rows.append([share, "share", *shown, str(group["n"].min())])
    return TableText(
        "What each factor changes",
        "Difference of two levels within each seed, averaged over the levels of all other "
        "factors; its mean over the seeds and 95 % Student-t interval. An interaction is the "
        "difference of two such differences, not halved. The share is the part of the sum of "
        "squares between cells that a factor accounts for, an interaction counting equally "
        "for its factors (Shapley value)."
        + (
            " “accuracy (test)” is with the running statistics."
            if "test_accuracy_population" in tables.responses
            else ""
        ),
        ["comparison", "kind", *(_column(what, difference=True) for what in responses), "n"],
        rows,
    )


def cells_table(study: Declared, tables: Tables) -> TableText:
    """Return a row for each cell, a column for each response."""
    rows = []
    responses = [response(name) for name in tables.responses]
    for levels, _ in study.cells:
        here = where(tables.cells, levels)
        by_response = {row.response: row for row in _each(here)}
        first = by_response[tables.responses[0]]
        shown = [
            _interval(what, by_response[name], mean="mean", difference=False)
            for name, what in zip(tables.responses, responses, strict=True)
        ]
        rows.append([*levels.values(), *shown, str(first.n), str(first.n_diverged)])
    return TableText(
        "Every cell",
        "Mean over the seeds and its 95 % Student-t interval. Two cells whose intervals "
        "overlap can still differ: the comparison is paired by seed, see the effects.",
        [*study.factors, *(_column(what) for what in responses), "n", "n diverged"],
        rows[:MOST_ROWS],
    )


def simple_table(simple: pd.DataFrame) -> TableText:
    """Return every simple effect with its p-values."""
    rows = []
    for one in _each(simple):
        what = response(one.response)
        unit = f" {what.unit_difference}" if what.unit_difference else ""
        rows.append(
            [
                contrast_name(one.factor, one.level_a, one.level_b),
                one.given,
                what.label,
                _interval(what, one, difference=True) + unit,
                str(one.n),
                _p(one.p_t),
                _p(one.p),
                _p(one.p_adjusted),
            ]
        )
    cut = (
        f" The first {MOST_ROWS}; tables/contrasts.csv has all."
        if len(rows) > MOST_ROWS
        else ""
    )
    return TableText(
        "Simple effects",
        "The same differences at fixed levels of other factors. p t belongs to the interval (t "
        "test); p sign-flip assumes no distribution, and cannot fall below 2/2^n; p adjusted "
        f"is Holm's on it, over the simple effects of a response.{cut}",
        [
            "comparison",
            "given",
            "response",
            "difference [95 %]",
            "n",
            "p t",
            "p sign-flip",
            "p adjusted",
        ],
        rows[:MOST_ROWS],
    )


def runs_table(study: Declared, tables: Tables) -> TableText:
    """Return a row for each trained network."""
    rows = []
    for _, run in tables.runs.head(MOST_ROWS).iterrows():
        shown = [_shown(response(name), run[name]) for name in tables.responses]
        rows.append(
            [
                *(run[key] for key in study.factors),
                str(run["seed"]),
                run["status"],
                *shown,
                run["run_id"],
            ]
        )
    columns = [_column(response(name)) for name in tables.responses]
    cut = (
        f" The first {MOST_ROWS}; tables/runs.csv has all."
        if len(tables.runs) > MOST_ROWS
        else ""
    )
    return TableText(
        "Every run",
        f"One trained network a row; runs/<id>.json has its curves and configuration.{cut}",
        [*study.factors, "seed", "status", *columns, "run id"],
        rows,
    )


def _column(what: Response, *, difference: bool = False) -> str:
    unit = what.unit_difference if difference else what.unit
    return f"{what.label}, {unit}" if unit else what.label


def _shown(what: Response, value: float, *, difference: bool = False) -> str:
    return "" if value is None or math.isnan(value) else what.show(value, difference=difference)


def _interval(what: Response, row: object, *, mean: str = "estimate", difference: bool) -> str:
    """Return `estimate [low, high]`, without the brackets where there is no interval."""
    estimate, low, high = (float(getattr(row, key)) for key in (mean, "ci_low", "ci_high"))
    if math.isnan(estimate):
        return "none"
    text = what.show(estimate, difference=difference)
    if math.isnan(low):
        return text
    ends = (what.show(end, difference=difference) for end in (low, high))
    return f"{text} [{', '.join(ends)}]"


def _percent(row: object) -> str:
    return _interval(Response("share", "%", "%", 100, "none"), row, difference=False)


def _p(value: Any) -> str:
    if math.isnan(value):
        return ""
    return "< .0001" if value < 0.0001 else f"{value:.4f}".lstrip("0")


def _each(table: pd.DataFrame) -> Iterator[Any]:
    """Yield the rows of a table with their columns as attributes."""
    yield from table.itertuples(index=False)
