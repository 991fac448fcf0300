"""What a page holds for its folded parts: tables and runs as data, built when looked at."""

import base64
import gzip
import json
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from bnexp.metrics import entry
from bnexp.plots import short
from bnexp.reading import visible
from bnexp.report.links import Linked
from bnexp.report.numbers import Marked, typeset
from bnexp.report.one_run import ended, number, origin, settings
from bnexp.report.tables.text import TableText, described
from bnexp.stats.tables import Tables
from bnexp.store.declared import Declared
from bnexp.store.records import RunRecord
from bnexp.study.repeat import repeats

# Letters of all runs' outcomes that a page carries; of more it has the counts alone.
MOST_OUTCOMES = 400_000
DIGITS = 4  # of a curve's numbers: finer than a pixel


def packed(content: Mapping[str, Any]) -> str:
    """Return data as a page carries it: JSON, compressed, as letters that are no markup.

    Control characters are written out, as everywhere on a page.
    """
    text = json.dumps(_visible(content), ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def tables_data(tables: Iterable[TableText]) -> dict[str, Any]:
    """Return tables by name; a cell is a text, or a text with its kind and its link."""
    return {
        one.name: {
            "title": one.title,
            "note": typeset(one.note),
            "file": one.file,
            "header": one.header,
            "hints": {name: name.hint for name in one.hints},
            "rows": [[_cell(text) for text in row] for row in one.rows],
        }
        for one in tables
    }


def runs_data(study: Declared, tables: Tables) -> dict[str, Any]:
    """Return every run of a study in columns: what it is, its numbers, curves and command."""
    records = {record.run_id: record for record in tables.records}
    runs = [
        (cell, levels, seed, records[run_id])
        for cell, (levels, ids) in enumerate(study.cells)
        for seed, run_id in ids.items()
        if run_id in records
    ]
    ours = [record for *_, record in runs]
    first = list(
        dict.fromkeys([*tables.responses, *(key for one in ours for key in one.metrics)])
    )
    return {
        "factors": [short(key) for key in study.factors],
        "cells": [list(levels.values()) for levels, _ in study.cells],
        "cell": [cell for cell, *_ in runs],
        "id": [record.run_id for record in ours],
        "seed": [seed for _, _, seed, _ in runs],
        "status": _once([ended(record) for record in ours]),
        "primary": min(3, len(tables.responses)),
        "numbers": [
            {
                "name": _label(key, first),
                "texts": _once([_number(key, record) for record in ours]),
            }
            for key in first
        ],
        "settings": _once_each([dict(settings(record.config)) for record in ours]),
        "origin": _once(["; ".join(origin(record.provenance)) for record in ours]),
        "commands": [repeats(study, levels, seed) for _, levels, seed, _ in runs],
        "epochs": _once([[epoch["epoch"] for epoch in one.history] for one in ours]),
        "curves": _curves(ours, first),
        **_outcomes(ours),
    }


def _cell(text: str) -> str | list[str]:
    kind = text.kind if isinstance(text, Marked) else ""
    href = text.href if isinstance(text, Linked) else ""
    return [typeset(text), kind, href] if kind or href else typeset(text)


def _label(key: str, among: Sequence[str]) -> str:
    try:
        return described(among)[key].label
    except KeyError:
        return key


def _number(key: str, record: RunRecord) -> str:
    return typeset(number(key, record.metrics[key])) if key in record.metrics else ""


def _once(values: Sequence[Any]) -> dict[str, Any]:
    """Return values that repeat: each once, and which of them stands where."""
    place: dict[Hashable, int] = {}
    of = [place.setdefault(json.dumps(value), len(place)) for value in values]
    return {"all": [json.loads(str(text)) for text in place], "of": of}


def _once_each(values: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return the same of mappings, each of their keys for itself."""
    names = dict.fromkeys(key for one in values for key in one)
    return {name: _once([one.get(name, "") for one in values]) for name in names}


def _curves(records: Sequence[RunRecord], first: Sequence[str]) -> list[dict[str, Any]]:
    """Return each number of the epochs, of all runs, in the unit that is shown."""
    measured = {key for one in records for epoch in one.history for key in epoch} - {"epoch"}
    keys = [*(key for key in first if key in measured), *sorted(measured - set(first))]
    found = []
    for key in keys:
        try:
            what = entry(key)
        except KeyError:
            continue
        values = [
            [_rounded(epoch.get(key), what.scale) for epoch in record.history]
            for record in records
        ]
        found.append(
            {"name": what.label, "unit": what.unit, "log": what.is_log, "values": values}
        )
    return found


def _rounded(value: float | None, scale: float) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    short_one = float(f"{value * scale:.{DIGITS}g}")
    return int(short_one) if short_one.is_integer() and abs(short_one) < 1e6 else short_one


def _outcomes(records: Sequence[RunRecord]) -> dict[str, Any]:
    """Return how many test images each run gets right, and which, where that was kept."""
    kept = [record.outcomes for record in records]
    keys = dict.fromkeys(key for one in kept if one for key in one.right)
    if not keys:
        return {}
    letters = sum(len(text) for one in kept if one for text in one.right.values())
    return {
        "outcomes": [
            {
                "name": _label(key, list(keys)),
                "images": [one.n if one and key in one.right else 0 for one in kept],
                "right": [
                    round(one.accuracies[key] * one.n) if one and key in one.right else 0
                    for one in kept
                ],
                "bits": [one.right.get(key, "") if one else "" for one in kept]
                if letters <= MOST_OUTCOMES
                else [],
            }
            for key in keys
        ]
    }


def _visible(value: Any) -> Any:
    """Return data whose texts have their control characters written out."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(key)): _visible(one) for key, one in value.items()}
    return [_visible(one) for one in value] if isinstance(value, list | tuple) else value
