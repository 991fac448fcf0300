"""`bnexp plan`: what a command would train, and how long that would take."""

import argparse

from bnexp.api.opened import opened
from bnexp.api.plan import plan
from bnexp.cli.json_output import json_output


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    with json_output(options.json) as tell:
        found = plan(opened(options), replace=options.replace)
        print(found)
        tell("plan", found.to_json())
    return 0
