"""In which fixed settings two folders differ."""

from collections.abc import Iterator, Mapping
from typing import Any

from bnexp.config.part import label
from bnexp.report.tables.text import TableText


def unlike_table(a: str, one: Mapping[str, Any], b: str, two: Mapping[str, Any]) -> TableText:
    """Return a row for each setting that is not the same in both."""
    here, there = dict(_flat("", one)), dict(_flat("", two))
    rows = [
        [key, here.get(key, ""), there.get(key, "")]
        for key in dict.fromkeys([*here, *there])
        if here.get(key) != there.get(key)
    ]
    return TableText(
        "settings",
        "What differs in their settings",
        "Settings that neither of them varies; all others are the same.",
        ["setting", a, b],
        rows,
    )


def _flat(prefix: str, section: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", label(value)
