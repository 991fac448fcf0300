"""The report's tables as rows of text, the same for every page: cells and runs."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bnexp.metrics import describe
from bnexp.metrics.metric import Metric
from bnexp.report import links
from bnexp.report.numbers import Marked, chance, column, each, interval, shown
from bnexp.stats.tables import Tables
from bnexp.store.declared import Declared

# Longer tables of a page are cut, which keeps it under 5 MB; the CSV files have every row.
MOST_ROWS = 2000


class Hinted(str):
    """A column's name that needs an explanation; only the HTML page has such columns."""

    hint: str

    def __new__(cls, name: str, hint: str) -> "Hinted":
        hinted = super().__new__(cls, name)
        hinted.hint = hint
        return hinted


@dataclass(frozen=True)
class TableText:
    """A table of strings with its caption.

    Attributes:
        name: What an address of the page calls it, as in `report.html#runs`.
        file: Which file of `tables/` it shows, whose columns are explained.
        brief: What pages without its hinted columns say instead of them.
    """

    name: str
    title: str
    note: str
    header: list[str]
    rows: list[list[str]]
    brief: str = ""
    file: str = ""

    @property
    def hints(self) -> list[Hinted]:
        """Return the columns that are explained below the note, each once."""
        return [name for name in dict.fromkeys(self.header) if isinstance(name, Hinted)]

    @property
    def plain(self) -> "TableText":
        """Return the table without its hinted columns, for pages that are read as text."""
        kept = [i for i, name in enumerate(self.header) if not isinstance(name, Hinted)]
        return dataclasses.replace(
            self,
            note=" ".join(filter(None, (self.note, self.brief))),
            header=[self.header[i] for i in kept],
            rows=[[row[i] for i in kept] for row in self.rows],
        )


def filled(header: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows without the columns in which no row has a text."""
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]
    return [header[i] for i in kept], [[row[i] for i in kept] for row in rows]


def described(names: Sequence[str]) -> dict[str, Metric]:
    """Return how responses are shown; running statistics are named beside population ones."""
    found = {name: describe(name) for name in names}
    for name, what in found.items():
        if f"{name}_population" in found:
            details = f"{what.details}, running statistics"
            found[name] = dataclasses.replace(what, details=details)
    return found


def named(tables: Tables, response: str) -> Metric:
    """Return how one response is shown, by the same name as among all that a page tells of."""
    return described([*tables.responses, response])[response]


def cells_table(study: Declared, tables: Tables) -> TableText:
    """Return a row for each cell, a column for each response."""
    rows = []
    responses = described(tables.responses)
    diverged = bool(tables.cells["n_diverged"].any())
    found: dict[tuple[str, ...], dict[str, Any]] = defaultdict(dict)
    levels_of = tables.cells[[*study.factors]].to_numpy().tolist()
    for labels, cell in zip(levels_of, each(tables.cells), strict=True):
        found[tuple(labels)][cell.response] = cell
    for levels, _ in study.cells:
        by_response = found[tuple(levels[key] for key in study.factors)]
        first = by_response[tables.responses[0]]
        numbers = [
            interval(what, by_response[name], mean="mean") for name, what in responses.items()
        ]
        n = links.to_runs(str(first.n), {key: [level] for key, level in levels.items()})
        lost = first.n_failed + first.n_untrained
        rate = _divergence(first, len(study.seeds) - lost) if diverged else ""
        rows.append([*levels.values(), *numbers, n, rate, missing(0, lost)])
    columns = [column(what) for what in responses.values()]
    header, texts = filled(
        [*study.factors, *columns, "n", "diverged, % [95 %]", "missing"], rows
    )
    return TableText(
        "cells",
        "Every cell",
        "Mean over the seeds and its 95 % Student-t interval. Two cells whose intervals "
        "overlap can still differ: the comparison is paired by seed, see the effects. "
        + (
            "Diverged: of the runs that ended, with the 95 % Wilson interval."
            if diverged
            else "No run diverged."
        )
        + cut(rows, "cells"),
        header,
        texts[:MOST_ROWS],
    )


def _divergence(cell: Any, n_ended: int) -> str:
    """Return how often a cell's runs diverge."""
    rate = chance(cell.divergence_rate, cell.divergence_low, cell.divergence_high)
    count = f"{cell.n_diverged} of {n_ended}".replace(" ", "\N{NO-BREAK SPACE}")
    return Marked(f"{rate}, {count}", "loud") if cell.n_diverged else rate


def missing(n_diverged: int, n_untrained: int, n_silent: int = 0) -> str:
    """Return which runs a number lacks, and why; nothing where it lacks none.

    Args:
        n_silent: Runs that ended well and do not have it: no epoch reached the accuracy.
    """
    reasons = ("diverged", "failed or not trained", "without a number")
    counts = (n_diverged, n_untrained, n_silent)
    parts = [f"{n} {why}" for n, why in zip(counts, reasons, strict=True) if n]
    return Marked(", ".join(parts), "loud") if parts else ""


def silent(contrasts: Any) -> Any:
    """Return how many runs ended well and lack the number, of one contrast or of each."""
    return contrasts.n_missing - contrasts.n_diverged - contrasts.n_untrained


def runs_table(study: Declared, tables: Tables) -> TableText:
    """Return a row for each trained network."""
    responses = described(tables.responses)
    rows = [
        [
            *[run[key] for key in study.factors],
            str(run["seed"]),
            run["status"],
            *[shown(what, run[name]) for name, what in responses.items()],
            links.to_run(run["run_id"]),
        ]
        for run in tables.runs.head(MOST_ROWS).to_dict("records")
    ]
    columns = [column(what) for what in responses.values()]
    return TableText(
        "runs",
        "Every run",
        "One trained network a row; its id leads to its curves, settings and partners."
        + cut(tables.runs, "runs"),
        [*study.factors, "seed", "status", *columns, "run id"],
        rows,
    )


def cut(rows: Sequence[object] | pd.DataFrame, file: str) -> str:
    """Return a sentence where a table is longer than the page shows."""
    if len(rows) <= MOST_ROWS:
        return ""
    return f" The first {MOST_ROWS} of {len(rows)}; tables/{file}.csv has all."
