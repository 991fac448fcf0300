"""`bnexp pack`: put the finished runs of a study into one file."""

import argparse

from bnexp.plural import counted
from bnexp.store.folder import Store
from bnexp.store.packed import ZIPPED
from bnexp.store.packing import pack


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    for folder in options.folders:
        store = Store(folder)
        foreign = pack(store)
        n_runs = len(store.packed.lines())
        file = folder / ZIPPED
        size = file.stat().st_size / 1e6 if n_runs else 0
        print(f"packed: {counted(n_runs, 'run')} in {file} ({size:.1f} MB)")
        if foreign:
            print(f"left as they are, not as bnexp writes them: {', '.join(map(str, foreign))}")
    return 0
