"""What a study found, as lines of a terminal: printed by `run`, `report` and `show`."""

import shutil
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from bnexp.api.columns import aligned
from bnexp.plural import counted, plural
from bnexp.reading import visible

MOST_EFFECTS, MOST_TABLES = 12, 3  # more are on the page


def findings(summary: dict[str, Any]) -> str:
    """Return the answer, the effects with their intervals, and what diverged or failed.

    Args:
        summary: As `bnexp.report.summary` makes it.
    """
    width = shutil.get_terminal_size().columns
    blocks = [_answers(summary, width), _effects(summary, width), _lost(summary)]
    return "\n\n".join(visible("\n".join(block)) for block in map(list, blocks) if block)


def _answers(summary: dict[str, Any], width: int) -> Iterator[str]:
    if summary["question"]:
        yield from textwrap.wrap(summary["question"], width)
    texts = [one["sentence"] for one in summary["openings"]]
    for text in [*texts, *filter(None, [summary["tally"]])]:
        yield from textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="    ")


def _effects(summary: dict[str, Any], width: int) -> Iterator[str]:
    """Yield main effects, then interactions: a column a response, side by side if they fit."""
    rows: dict[str, dict[str, str]] = defaultdict(dict)
    n_of: dict[str, int] = {}
    for one in sorted(summary["effects"], key=lambda one: one["kind"] != "main"):
        rows[one["comparison"]][one["response"]] = one["text"]
        # Some responses may lack seeds that others have: the fewest are told.
        n_of[one["comparison"]] = min(one["n"], n_of.get(one["comparison"], one["n"]))
    if not rows:
        return
    shown = list(rows)[:MOST_EFFECTS]
    names = ["comparison", *shown]
    n = ["n", *(str(n_of[one]) for one in shown)]
    columns = []
    for name, what in summary["responses"].items():
        unit = f", {what['unit']}" if what["unit"] else ""
        columns.append([what["label"] + unit, *(rows[one].get(name, "") for one in shown)])
    tables = [[columns[0]]]
    for column in columns[1:]:
        beside = [names, *tables[-1], column, n]
        fits = sum(max(map(len, one)) + 2 for one in beside) - 2 <= width
        tables = [*tables[:-1], [*tables[-1], column]] if fits else [*tables, [column]]
    for number, table in enumerate(tables[:MOST_TABLES]):
        yield from [""] * (number > 0)
        yield from aligned(list(zip(names, *table, n, strict=True))).splitlines()
    n_responses = sum(map(len, tables[MOST_TABLES:]))
    left = [
        f"{n} more {plural(n, noun)}"
        for n, noun in ((len(rows) - len(shown), "comparison"), (n_responses, "response"))
        if n
    ]
    if left:
        yield f"and {' and '.join(left)} on the page"


def _lost(summary: dict[str, Any]) -> Iterator[str]:
    """Yield a line on each kind of run that has no number; all are well otherwise."""
    runs = summary["runs"]
    said = [f"{runs['ok']} of {counted(runs['planned'], 'run')} ended well"]
    said += [f"{runs[kind]} {kind}" for kind in ("diverged", "failed", "missing") if runs[kind]]
    yield ", ".join(said)
