"""`python -m bnexp` is `bnexp`."""

import sys
from contextlib import suppress
from typing import NoReturn

from bnexp import startup  # nothing more: a request to stop is not understood before `start`


def start() -> NoReturn:
    """Run the command of `sys.argv` as a process of its own; exit with its code."""
    code = 1  # what Python exits with after a traceback
    startup.end_at_once(lambda: code)
    try:
        startup.hear_requests_to_stop()
        from bnexp.cli import main

        code = main()
    except SystemExit as end:  # argparse's, after its message
        code = int(end.code or 0)
    except BaseException:
        if not startup.stop_is_asked():
            raise
        with suppress(OSError):  # its reader has left
            sys.stderr.write("bnexp: interrupted\n")
    if startup.stop_is_asked():
        code = 130
    startup.hear_no_more()
    sys.exit(code)


if __name__ == "__main__":
    start()
