"""`bnexp prune`: remove the runs that a study no longer declares."""

import argparse

from bnexp.cli.ask import agreed
from bnexp.plural import counted
from bnexp.reading import visible
from bnexp.store.folder import Store
from bnexp.store.removal import check_removable, prune, undeclared


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    store = Store(options.folder)
    check_removable(store)
    run_ids = undeclared(store)
    folder = visible(str(store.folder))
    if not run_ids:
        print(f"nothing to prune: {folder} holds the runs of its study and no other")
        return 0
    n_kept = len(store.done() - run_ids)
    question = (
        f"Remove {counted(len(run_ids), 'run')} of other settings or seeds than {folder} now "
        f"declares for good, and keep {n_kept}?"
    )
    if agreed(question, yes=options.yes):
        prune(store, run_ids)
        print(f"pruned: {counted(len(run_ids), 'run')} removed, {n_kept} kept")
    return 0
