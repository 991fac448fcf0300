"""What the report says: sentences and rows of text, the same for both pages."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bnexp.frames import Declared
from bnexp.plots import contrast_name
from bnexp.records import Response, RunRecord, response
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


@dataclass(frozen=True)
class Page:
    """All that both pages show, but for the figures."""

    title: str
    question: str
    source: str
    warnings: list[str]
    claims: TableText | None
    effects: TableText | None
    cells: TableText
    simple: TableText | None
    runs: TableText
    setting: list[tuple[str, str]]
    command: str


def page(study: Declared, tables: Tables, records: Sequence[RunRecord], n_other: int) -> Page:
    """Return the content of a study's report."""
    effects = tables.contrasts[tables.contrasts["kind"] != "simple"]
    simple = tables.contrasts[tables.contrasts["kind"] == "simple"]
    return Page(
        title=study.name,
        question=study.question,
        source=study.source,
        warnings=_warnings(study, tables, records, n_other),
        claims=_claims(tables) if len(tables.claims) else None,
        effects=_effects(tables, effects) if len(effects) else None,
        cells=_cells(study, tables),
        simple=_simple(simple) if len(simple) else None,
        runs=_runs(study, tables),
        setting=_setting(study, tables, records),
        command=study.command,
    )


def _warnings(
    study: Declared, tables: Tables, records: Sequence[RunRecord], n_other: int
) -> list[str]:
    found = []
    status = Counter(record.status for record in records)
    n_runs = len(study.run_ids)
    if len(records) < n_runs:
        found.append(
            f"{n_runs - len(records)} of {n_runs} runs are not trained yet; the estimates are "
            f"of those that are. To train them: {study.command}"
        )
    if status["failed"]:
        found.append(
            f"{status['failed']} runs failed with an error and are missing from every "
            f"estimate. To try them again: {study.command}"
        )
    if status["diverged"]:
        found.append(
            f"{status['diverged']} runs diverged (their loss stopped being finite). They have "
            "no final loss or accuracy, so means are of the other seeds and flatter the "
            "cells they come from; n_diverged in the table of cells says which."
        )
    if len(study.seeds) == 1:
        found.append(
            "One seed: no number here has an interval, and none of the differences can be "
            "told from chance. Add seeds, for example seed='range(5)'."
        )
    if n_other:
        found.append(
            f"This folder holds {n_other} more finished runs, of settings that this design "
            "does not ask for; they are kept and take no part in this page."
        )
    return found


def _claims(tables: Tables) -> TableText:
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


def _effects(tables: Tables, effects: pd.DataFrame) -> TableText:
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
    for name, group in tables.shares.groupby("factor", sort=False):
        shown = [_percent(one) for one in _each(group)]
        label = f"{name}: share of the differences between cells"
        rows.append([label, "share", *shown, str(group["n"].min())])
    return TableText(
        "What each factor changes",
        "Difference of two levels within each seed, averaged over the levels of all other "
        "factors; its mean over the seeds and 95 % Student-t interval. An interaction is the "
        "difference of two such differences, not halved. The share is the part of the sum of "
        "squares between cells that a factor accounts for, an interaction counting equally "
        "for its factors (Shapley value).",
        ["comparison", "kind", *(_column(what, difference=True) for what in responses), "n"],
        rows,
    )


def _cells(study: Declared, tables: Tables) -> TableText:
    rows = []
    responses = [response(name) for name in tables.responses]
    for levels, _ in study.cells:
        here = tables.cells
        for key, level in levels.items():
            here = here[here[key] == level]
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


def _simple(simple: pd.DataFrame) -> TableText:
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
                _p(one.p),
                _p(one.p_adjusted),
                _p(one.p_sign_flip),
            ]
        )
    cut = (
        f" The first {MOST_ROWS}; tables/contrasts.csv has all."
        if len(rows) > MOST_ROWS
        else ""
    )
    return TableText(
        "Simple effects",
        "The same differences at fixed levels of other factors. p belongs to the interval (t "
        "test); p adjusted is Holm's over the simple effects of a response; p sign-flip "
        f"assumes no distribution, and cannot fall below 2/2^n.{cut}",
        [
            "comparison",
            "given",
            "response",
            "difference [95 %]",
            "n",
            "p",
            "adjusted",
            "sign-flip",
        ],
        rows[:MOST_ROWS],
    )


def _runs(study: Declared, tables: Tables) -> TableText:
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


def _setting(
    study: Declared, tables: Tables, records: Sequence[RunRecord]
) -> list[tuple[str, str]]:
    done = [record for record in records if record.status != "failed"]

    def each(key: str) -> str:
        return ", ".join(sorted({str(record.provenance.get(key)) for record in done}))

    base = study.base
    varied = ", ".join(f"{key} ({', '.join(levels)})" for key, levels in study.factors.items())
    hours = sum(record.provenance.get("elapsed_s") or 0 for record in done) / 3600
    starts = sorted(record.provenance["started"] for record in done)
    return [
        ("varied", varied or "nothing"),
        ("seeds", f"{len(study.seeds)}, shared by all cells"),
        ("runs", f"{len(done)}, {hours * 60:.0f} minutes of training and evaluation in all"),
        ("data", f"{base['data']['name']}, train_size {base['data']['train_size'] or 'all'}"),
        *((part, _flat(base[part])) for part in ("model", "norm", "optimizer", "train")),
        ("hardware", f"{each('hardware')} ({each('device')}, {each('threads')} thread a run)"),
        (
            "versions",
            f"bnexp {each('bnexp')} at {each('commit')}, torch {each('torch')}, "
            f"Python {each('python')}",
        ),
        ("trained", f"{starts[0]} to {starts[-1]}; declared {study.declared}"),
    ]


def _each(table: pd.DataFrame) -> Iterator[Any]:
    """Yield the rows of a table with their columns as attributes."""
    yield from table.itertuples(index=False)


def _flat(section: dict[str, object]) -> str:
    name = section.get("name")
    rest = ", ".join(f"{key} {value}" for key, value in section.items() if key != "name")
    return f"{name}: {rest}" if name and rest else str(name or rest)


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
