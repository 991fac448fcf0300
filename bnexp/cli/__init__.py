"""The command line: arguments in, messages and exit codes out.

Exit codes: 0 all runs finished, 1 a run failed, 2 wrong usage, 130 interrupted.
"""

import difflib
import importlib
import os
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress

from bnexp import startup
from bnexp.cli.arguments import COMMANDS, parser
from bnexp.cli.visible import Visible
from bnexp.errors import UsageError
from bnexp.reading import in_short, visible


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    whole = parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        _leave_flags_out()
        argcomplete.autocomplete(whole)
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        _check_command(arguments)
        options = whole.parse_args(arguments)
        if options.command is None:
            whole.print_help()
            return 2
        startup.collect_rarely()
        if options.command == "run" and not options.dry_run:
            startup.begin_workers(options.overrides)
        # A command's module is imported when it is called: --help must not wait for torch.
        command = importlib.import_module(f"bnexp.cli.{options.command.replace('-', '_')}")
        with redirect_stdout(Visible(sys.stdout)):
            code = command.main(options)
        sys.stdout.flush()
    except UsageError as error:
        return _refused(str(error))
    except KeyboardInterrupt:
        with suppress(OSError):  # its terminal was closed
            print("bnexp: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has left: nothing more to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # such as of a full disk, or of a file that has just been removed
        where = f"{in_short(str(error.filename))}: " if error.filename else ""
        return _refused(f"{where}{error.strerror or error}")
    assert isinstance(code, int)
    return code


def _refused(why: str) -> int:
    print(f"bnexp: {visible(why)}", file=sys.stderr)
    return 2


def _leave_flags_out() -> None:
    """Have the line that is completed lack what stands among its other arguments.

    Behind a flag, argparse knows of no further argument, and would complete none.
    """
    typed = os.fsencode(os.environ["COMP_LINE"])[: int(os.environ["COMP_POINT"])]
    line = re.sub(rb" (-m|--(?!(config-dir|source|to|out|in) )[a-z-]+)(?= )", b"", typed)
    os.environ["COMP_LINE"], os.environ["COMP_POINT"] = os.fsdecode(line), str(len(line))


def _check_command(arguments: Sequence[str]) -> None:
    """Check that the command is one, before argparse would list them all."""
    name = arguments[0] if arguments else "-"
    if name.startswith("-") or name in COMMANDS:
        return
    if "=" in name:
        raise UsageError(f"{name!r} is no command; did you mean bnexp run {shlex.quote(name)}?")
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean bnexp {near[0]}? " if near else ""
    raise UsageError(f"there is no command {name!r}; {hint}bnexp --help lists them")
