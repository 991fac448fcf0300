"""`bnexp set-aside`: put damaged runs away, so that they are trained again."""

import argparse

from bnexp.plural import counted
from bnexp.store.damaged import set_aside
from bnexp.store.folder import Store


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    for folder in options.folders:
        put_away = set_aside(Store(folder))
        print(f"{folder}: {counted(len(put_away), 'damaged file')} put away")
        for path in put_away:
            print(f"  {path}")
    return 0
