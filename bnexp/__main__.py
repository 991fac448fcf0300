"""`python -m bnexp` is `bnexp`."""

import atexit
import os
import sys
from contextlib import suppress
from typing import NoReturn

from bnexp.cli import main


def start() -> NoReturn:
    """Run the command of `sys.argv` as a process of its own; exit with its code."""
    code = 1  # what Python exits with after a traceback

    def leave() -> None:
        # All is written and closed. Taking a study's objects apart, one by one, takes up to
        # half a second.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # its reader has left
                stream.flush()
        os._exit(code)

    atexit.register(leave)  # the first to be registered is the last to be called
    try:
        code = main()
    except SystemExit as end:  # argparse's, after its message
        code = int(end.code or 0)
    sys.exit(code)


if __name__ == "__main__":
    start()
