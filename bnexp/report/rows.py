"""The report's tables as rows of text, the same for every page."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bnexp.frames import Declared, where
from bnexp.plots import contrast_name
from bnexp.records import Response, response
from bnexp.report import links
from bnexp.report.show import column, each, interval, p_value, percent, shown
from bnexp.report.tables import Tables

# Longer tables of a page are cut, which keeps it under 5 MB; the CSV files have every row.
MOST_ROWS = 2000


@dataclass(frozen=True)
class TableText:
    """A table of strings with its caption.

    Attributes:
        name: What an address of the page calls it, as in `report.html#runs`.
    """

    name: str
    title: str
    note: str
    header: list[str]
    rows: list[list[str]]


def described(names: Sequence[str]) -> dict[str, Response]:
    """Return how responses are shown; running statistics are named beside population ones."""
    found = {name: response(name) for name in names}
    for name, what in found.items():
        if f"{name}_population" in found:
            label = what.label.replace(")", ", running statistics)")
            found[name] = dataclasses.replace(what, label=label)
    return found


def effects_table(study: Declared, tables: Tables, effects: pd.DataFrame) -> TableText:
    """Return main effects and interactions, a column for each response."""
    responses = described(tables.responses)
    rows = []
    keys = ["kind", "factor", "level_a", "level_b"]
    for key, group in effects.groupby(keys, sort=False):
        kind, factor, a, b = map(str, key)
        by_response = {row.response: row for row in each(group)}
        numbers = [
            interval(what, by_response[name], difference=True)
            for name, what in responses.items()
        ]
        only = links.of_contrast(study.factors, factor, a, b, "")
        n = links.to_runs(str(group["n"].min()), only)
        rows.append([contrast_name(factor, a, b), kind, *numbers, n])
    # With one factor its share is all there is.
    shares = tables.shares if tables.shares["factor"].nunique() > 1 else tables.shares.iloc[:0]
    for name, group in shares.groupby("factor", sort=False):
        numbers = [percent(one) for one in each(group)]
        share = f"{name}: share of the differences between cells"
        rows.append([share, "share", *numbers, links.to_runs(str(group["n"].min()), {})])
    return TableText(
        "effects",
        "What each factor changes",
        "Difference of two levels within each seed, averaged over the levels of all other "
        "factors; its mean over the seeds and 95 % Student-t interval. An interaction is the "
        "difference of two such differences, not halved. The share is the part of the sum of "
        "squares between cells that a factor accounts for, an interaction counting equally "
        "for its factors (Shapley value).",
        ["comparison", "kind", *(column(what, True) for what in responses.values()), "n"],
        rows,
    )


def cells_table(study: Declared, tables: Tables) -> TableText:
    """Return a row for each cell, a column for each response."""
    rows = []
    responses = described(tables.responses)
    for levels, _ in study.cells:
        by_response = {row.response: row for row in each(where(tables.cells, levels))}
        first = by_response[tables.responses[0]]
        numbers = [
            interval(what, by_response[name], mean="mean") for name, what in responses.items()
        ]
        n = links.to_runs(str(first.n), {key: [level] for key, level in levels.items()})
        rows.append([*levels.values(), *numbers, n, str(first.n_diverged)])
    return TableText(
        "cells",
        "Every cell",
        "Mean over the seeds and its 95 % Student-t interval. Two cells whose intervals "
        "overlap can still differ: the comparison is paired by seed, see the effects."
        + _cut(rows, "cells"),
        [*study.factors, *(column(what) for what in responses.values()), "n", "n diverged"],
        rows[:MOST_ROWS],
    )


def simple_table(study: Declared, tables: Tables, simple: pd.DataFrame) -> TableText:
    """Return every simple effect with its p-values."""
    rows = []
    responses = described(tables.responses)
    for one in each(simple):
        what = responses[one.response]
        unit = f" {what.unit_difference}" if what.unit_difference else ""
        only = links.of_contrast(study.factors, one.factor, one.level_a, one.level_b, one.given)
        rows.append(
            [
                contrast_name(one.factor, one.level_a, one.level_b),
                one.given,
                what.label,
                interval(what, one, difference=True) + unit,
                links.to_runs(str(one.n), only),
                p_value(one.p_t),
                p_value(one.p),
                p_value(one.p_adjusted),
            ]
        )
    return TableText(
        "simple",
        "Simple effects",
        "The same differences at fixed levels of other factors. p t belongs to the interval (t "
        "test); p sign-flip assumes no distribution, and cannot fall below 2/2^n; p adjusted "
        "is Holm's on it, over the simple effects of a response." + _cut(rows, "contrasts"),
        [
            *("comparison", "given", "response", "difference [95 %]", "n"),
            *("p t", "p sign-flip", "p adjusted"),
        ],
        rows[:MOST_ROWS],
    )


def runs_table(study: Declared, tables: Tables) -> TableText:
    """Return a row for each trained network."""
    responses = described(tables.responses)
    rows = [
        [
            *(run[key] for key in study.factors),
            str(run["seed"]),
            run["status"],
            *(shown(what, run[name]) for name, what in responses.items()),
            links.to_file(run["run_id"], run["status"]),
        ]
        for run in tables.runs.head(MOST_ROWS).to_dict("records")
    ]
    columns = [column(what) for what in responses.values()]
    return TableText(
        "runs",
        "Every run",
        "One trained network a row; runs/<id>.json has its curves and configuration."
        + _cut(tables.runs, "runs"),
        [*study.factors, "seed", "status", *columns, "run id"],
        rows,
    )


def _cut(rows: Sequence[object] | pd.DataFrame, file: str) -> str:
    if len(rows) <= MOST_ROWS:
        return ""
    return f" The first {MOST_ROWS} of {len(rows)}; tables/{file}.csv has all."
