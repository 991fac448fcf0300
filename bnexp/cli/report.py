"""`bnexp report`: rebuild tables, figures and reports from the stored runs."""

import argparse
from contextlib import closing

from bnexp.api.columns import aligned
from bnexp.cli.browser import show_or_tell
from bnexp.cli.json_output import json_output
from bnexp.report.figure_pool import FigurePool
from bnexp.store import summary_file
from bnexp.store.folder import Store


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    stores = [Store(folder) for folder in options.folders]
    for store in stores:
        store.read_study()  # a folder that holds none says so before anything is imported
    with json_output(options.json) as tell:
        _build(stores)
        several = len(stores) > 1
        page = stores[0].folder / "comparison.html" if several else stores[0].page
        summaries = [summary_file.read(store.summary) for store in stores]
        pages = [str(store.page) for store in stores]
        comparison = str(page) if several else None
        tell("report", {"reports": summaries, "pages": pages, "comparison": comparison})
        if options.open:
            show_or_tell(page)
    return 0


def _build(stores: list[Store]) -> None:
    """Write the reports, and print where they are and how they compare."""
    with closing(FigurePool()) as pool:
        pool.start()
        from bnexp.report.reports import (  # takes as long as that process to get ready
            build,
            build_all,
        )

        if len(stores) == 1:
            print(build(stores[0], pool))
            return
        lines, comparison = build_all(stores, pool)
    for row in comparison.folders.rows:
        print(f"{row[0]}  {row[2]}")
    for part in comparison.brief:
        print("", part.title, *part.notes, sep="\n")
        if part.rows:
            print(aligned(part.rows))
    print()
    print("\n".join(lines))
