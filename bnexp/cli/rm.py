"""`bnexp rm`: remove a study with its runs and reports."""

import argparse

from bnexp.cli.ask import agreed
from bnexp.plural import counted
from bnexp.reading import visible
from bnexp.store.folder import Store
from bnexp.store.removal import check_removable, remove, written


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    store = Store(options.folder)
    check_removable(store)
    n_runs = len(store.done())
    size = sum(path.stat().st_size for path in written(store)) / 1e6
    what = f"{visible(str(store.folder))} with {counted(n_runs, 'finished run')}"
    if not agreed(f"Remove {what} ({size:.1f} MB) for good?", yes=options.yes):
        return 0
    left = remove(store)
    print(f"removed: {what}")
    if left:
        names = ", ".join(visible(path.name) for path in left)
        print(f"left in it, not written by bnexp: {names}")
    return 0
