"""`bnexp report`: rebuild tables, figures and reports from the stored runs."""

import argparse

from bnexp.report import build
from bnexp.store import Store


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    for folder in options.folders:
        print(build(Store(folder)))
    return 0
