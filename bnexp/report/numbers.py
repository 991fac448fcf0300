"""Numbers as text: every page writes an estimate in the same way."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from bnexp.metrics.metric import Metric


class Marked(str):
    """A text that a page shows as something else than a text: by its kind, not its words.

    Attributes:
        kind: `loud` where something is missing and may not be overlooked, `absent` for a number
            that there is none of, or what was found: `supported`, `refuted`, `inconclusive`,
            `yes` or `no`.
    """

    kind: str

    def __new__(cls, text: str, kind: str) -> "Marked":
        marked = super().__new__(cls, text)
        marked.kind = kind
        return marked


SHARE = Metric("share", "share", unit="%", scale=100)


def column(what: Metric, difference: bool = False) -> str:
    """Return a response's name and unit as they head a column."""
    unit = what.unit_difference if difference else what.unit
    return f"{what.label}, {unit}" if unit else what.label


def shown(what: Metric, value: float | None, *, difference: bool = False) -> str:
    """Return a number, or nothing where there is none."""
    if value is None or math.isnan(value):
        return ""
    return what.show(value, difference=difference)


def interval(
    what: Metric, row: object, *, mean: str = "estimate", difference: bool = False
) -> str:
    """Return `estimate [low, high]`, or what of it is known."""
    estimate, low, high = (float(getattr(row, key)) for key in (mean, "ci_low", "ci_high"))
    if math.isnan(estimate):
        return Marked("none", "absent")
    text = what.show(estimate, difference=difference)
    return text if math.isnan(low) else f"{text} {bracketed(what, low, high, difference)}"


def bracketed(what: Metric, low: float, high: float, difference: bool = False) -> str:
    """Return `[low, high]`, or `(at least low)` where nothing bounds it from above."""
    first, last = (what.show(end, difference=difference) for end in (low, high))
    return f"(at least {first})" if math.isinf(high) else f"[{first}, {last}]"


def ends(what: Metric, low: float, high: float, *, difference: bool = False) -> str:
    """Return `low to high`, or nothing where there is no such range."""
    if math.isnan(low):
        return ""
    return " to ".join(what.show(end, difference=difference) for end in (low, high))


def chance(share: float, low: float, high: float) -> str:
    """Return how often something happens, in whole per cent, or nothing if it never could."""
    if math.isnan(share):
        return ""
    return f"{share:.0%} [{low:.0%}, {high:.0%}]".replace("%", "")


def percent(row: object) -> str:
    """Return a share with its interval."""
    return interval(SHARE, row)


def pure(value: float, low: float, high: float) -> str:
    """Return a number without a unit and its interval, or nothing where there is none."""
    if math.isnan(value):
        return ""
    return f"{value:.2f}" if math.isnan(low) else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def p_value(value: float) -> str:
    """Return a p-value to four digits."""
    if math.isnan(value):
        return ""
    return "< .0001" if value < 0.0001 else f"{value:.4f}".lstrip("0")


def typeset(text: str) -> str:
    """Return a text with real minus signs before its numbers."""
    return re.sub(r"(?<![\w.-])-(?=[\d.])", "\N{MINUS SIGN}", text)


def listed(names: Sequence[str], last: str = "and") -> str:
    """Return names as one says them: a, b and c; with semicolons where one holds a comma."""
    *first, end = names
    if first and any("," in name for name in names):
        return f"{'; '.join(first)}; {last} {end}"
    return f"{', '.join(first)} {last} {end}" if first else end


def each(table: pd.DataFrame) -> Iterator[Any]:
    """Yield the rows of a table with their columns as attributes."""
    yield from table.itertuples(index=False)
