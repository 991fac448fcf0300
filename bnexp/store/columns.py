"""What a column of a table means: each table says it beside the code that makes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bnexp.metrics import describe, entry


@dataclass(frozen=True)
class Column:
    """What stands in a column.

    Attributes:
        words: What it is.
        unit: Of its numbers, as they are stored; empty for a text and a pure number.
        method: How it was computed, what that assumes, and whose method it is.
    """

    words: str
    unit: str = ""
    method: str = ""


Columns = Mapping[str, Column]


@dataclass(frozen=True)
class Explained:
    """What a row of a table is, and what its columns mean, by name and in their order."""

    row: str
    columns: Columns


# The unit of numbers that are measured in that of a row's response.
RESPONSE = "as the response"
# What stands for columns that depend on the study: one for each factor, one for each number.
FACTORS, METRICS = "<factor>", "<number>"
LEVELS = Column("The level of this factor.")
EACH = Column("A number that runs report, by its key.")


def names(columns: Columns, factors: Sequence[str] = ()) -> list[str]:
    """Return the names of a table's columns in their order, those of the factors in place."""
    return [one for key in columns for one in (factors if key == FACTORS else (key,))]


def explained(table: Explained, found: Sequence[str], factors: Sequence[str]) -> Explained:
    """Return what each column that was found in a table means, in the table's order.

    Raises:
        KeyError: If it is not said of one of them.
    """
    columns = table.columns

    def of(name: str) -> Column:
        if FACTORS in columns and name in factors:
            return columns[FACTORS]
        return columns[name] if METRICS not in columns or name in columns else number(name)

    return Explained(table.row, {name: of(name) for name in found})


def number(key: str) -> Column:
    """Return what a number of a run, or of an epoch, is."""
    try:
        what = describe(key)
    except KeyError:
        what = entry(key)
    unit = what.unit if what.scale == 1 else f"1 is {what.scale:g} {what.unit}"
    better = "" if what.better == "none" else f"{what.better.capitalize()} is better."
    return Column(f"{what.label[0].upper()}{what.label[1:]}.", unit, better)
