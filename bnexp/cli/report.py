"""`bnexp report`: rebuild tables, figures and reports from the stored runs."""

import argparse
from contextlib import closing

from bnexp.cli.columns import print_columns
from bnexp.report.figure_pool import FigurePool
from bnexp.store.folder import Store


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    stores = [Store(folder) for folder in options.folders]
    for store in stores:
        store.read_study()  # a folder that holds none says so before anything is imported
    with closing(FigurePool()) as pool:
        pool.start()
        from bnexp.report.reports import (  # takes as long as that process to get ready
            build,
            build_all,
        )

        if len(stores) == 1:
            print(build(stores[0], pool))
            return 0
        lines, comparison = build_all(stores, pool)
    for row in comparison.folders.rows:
        print(f"{row[0]}  {row[2]}")
    for part in comparison.brief:
        print("", part.title, *part.notes, sep="\n")
        if part.rows:
            print_columns(part.rows)
    print()
    print("\n".join(lines))
    return 0
