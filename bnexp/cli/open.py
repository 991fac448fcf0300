"""`bnexp open`: a study's page in the browser."""

import argparse
import shlex

from bnexp.cli.browser import show
from bnexp.errors import UsageError
from bnexp.store.folder import Store


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    store = Store(options.folder)
    store.read_study()
    if not store.page.is_file():
        command = shlex.join(["bnexp", "report", str(store.folder)])
        raise UsageError(f"{store.folder} has no page yet: {command} writes it")
    print(store.page)
    if not show(store.page):
        raise UsageError(f"there is no browser here: open {store.page} in one")
    return 0
