"""`bnexp unpack`: give each packed run a file of its own again."""

import argparse

from bnexp.plural import counted
from bnexp.store.folder import Store
from bnexp.store.packing import unpack


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    for folder in options.folders:
        store = Store(folder)
        unpack(store)
        n_runs = len(store.done())
        print(f"unpacked: {counted(n_runs, 'run')} in {store.runs}")
    return 0
