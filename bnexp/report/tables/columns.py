"""What the columns of the files in `tables/` mean, as tables of text."""

from bnexp.report.tables.text import TableText
from bnexp.stats.tables import Tables
from bnexp.store.columns import Explained


def columns_tables(tables: Tables) -> list[TableText]:
    """Return a table for each file of a study: a row for each of its columns."""
    return [_table(name, table) for name, table in tables.explained().items()]


def _table(name: str, table: Explained) -> TableText:
    return TableText(
        f"columns-{name}",
        f"{name}.csv",
        f"A row is {table.row}.",
        ["column", "what it is", "unit", "how, and what that assumes"],
        [[key, one.words, one.unit, one.method] for key, one in table.columns.items()],
    )
