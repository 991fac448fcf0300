"""`bnexp studies`: list the shipped studies."""

import argparse
import shutil
import textwrap

from bnexp.config.compose import Composer
from bnexp.declare import declare
from bnexp.design import enumerate_size


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    width = shutil.get_terminal_size().columns
    with Composer(options.config_dir) as composer:
        for name in composer.options("study"):
            study = declare(composer, [f"study={name}"], multirun=False)
            print(f"{name}  ({enumerate_size(study)} runs)")
            for text in (study.question, f"source: {study.source}"):
                print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="  "))
            print(f"  bnexp run study={name}\n")
    return 0
