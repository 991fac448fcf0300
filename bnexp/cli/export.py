"""`bnexp export`: a study's tables for other programs."""

import argparse
import importlib.util
import io

import pandas as pd

from bnexp.errors import UsageError
from bnexp.plural import counted
from bnexp.report.reports import analyse, csv_bytes
from bnexp.store.folder import Store
from bnexp.store.json_files import write_bytes


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    store = Store(options.folder)
    store.read_study()
    if options.to == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UsageError("Parquet needs pyarrow: pip install pyarrow, or use --to csv")
    tables = analyse(store).tables.files()
    out = options.out or store.folder / "export"
    try:
        for name, table in tables.items():
            write_bytes(out / f"{name}.{options.to}", _bytes(table, options.to))
    except UsageError as error:
        reason = str(error).partition(". ")[0]
        raise UsageError(f"{reason}: choose another place with --out DIR") from None
    print(f"exported: {counted(len(tables), 'table')} to {out}")
    return 0


def _bytes(table: pd.DataFrame, to: str) -> bytes:
    if to == "csv":
        return csv_bytes(table)
    if to == "json":
        text = table.to_json(orient="records", indent=1, force_ascii=False, double_precision=15)
        return f"{text}\n".encode()
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()
