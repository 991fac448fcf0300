"""`python -m bnexp` is `bnexp`."""

import sys
from typing import NoReturn

from bnexp.cli import main
from bnexp.startup import end_at_once


def start() -> NoReturn:
    """Run the command of `sys.argv` as a process of its own; exit with its code."""
    code = 1  # what Python exits with after a traceback
    end_at_once(lambda: code)
    try:
        code = main()
    except SystemExit as end:  # argparse's, after its message
        code = int(end.code or 0)
    sys.exit(code)


if __name__ == "__main__":
    start()
