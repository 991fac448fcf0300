"""The command line: arguments in, messages and exit codes out.

Exit codes: 0 all runs finished, 1 a run failed, 2 wrong usage, 130 interrupted.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import bnexp
from bnexp import startup
from bnexp.errors import UsageError

COMMANDS = {
    "run": "train what is missing, then write tables, figures and reports",
    "plan": "show factors, cells, runs done and missing, and the time; train nothing",
    "report": "rebuild tables, figures and reports from the stored runs; compare folders",
    "pack": "put the finished runs of a study into one file, as for a repository",
    "unpack": "give each packed run a file of its own again",
    "config": "print the composed configuration as YAML",
    "studies": "list the shipped studies, and what each source says with its answers",
    "doctor": "check this machine: versions, devices, batch normalization, data, a training",
    "bench": "measure examples a second beside the sources' training loops",
}
OVERRIDES = """\
arguments are overrides in Hydra's grammar:
  study=pooling_vs_bn                   a declared study (see: bnexp studies)
  norm=batch optimizer.lr=0.5           settings (see: bnexp config)
  -m norm=none,batch seed='range(5)'    a sweep: every combination, paired by seed
"""
SEVERAL = """\
With several folders, each is rebuilt and they are compared: in short on the screen, in full
in comparison.html and comparison.md in the first folder. Folders with the same factors and
levels (yours and a published one) stand side by side: estimates, their difference with its
interval, whether they agree, and whether runs that both have gave the same numbers. Of
different studies, the claims and main effects of each follow one another.
"""
PACKING = """\
Packed or not, a study reads the same: bnexp plan, run and report find its runs in either
form. A run that is trained later has a file of its own beside the packed ones until bnexp
pack is called again. Back and forth gives the same bytes, and nothing is lost if a command
is stopped: give it again. Runs that failed are not packed.
"""
EPILOGS = {"report": SEVERAL, "pack": PACKING, "unpack": PACKING, "studies": None}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    startup.collect_rarely()
    try:
        if options.command == "run" and not options.dry_run:
            startup.begin_workers(options.overrides)
        # A command's module is imported when it is called: --help must not wait for torch.
        command = importlib.import_module(f"bnexp.cli.{options.command}")
        code = command.main(options)
        sys.stdout.flush()
    except UsageError as error:
        print(f"bnexp: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bnexp: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has left: nothing more to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    assert isinstance(code, int)
    return code


def _complete(prefix: str, **options: object) -> list[str]:
    from bnexp.cli.completion import complete

    return complete(prefix, **options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bnexp",
        description="Ablation studies of batch normalization: every number with its interval.",
        epilog="bnexp COMMAND --help tells more. Start with: bnexp run study=quickstart",
    )
    parser.add_argument("--version", action="version", version=f"bnexp {bnexp.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=EPILOGS.get(name, OVERRIDES),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in ("report", "pack", "unpack"):
            sub.add_argument("folders", nargs="+", type=Path, metavar="DIR")
            continue
        if name == "bench":
            sub.add_argument(
                "--full",
                action="store_true",
                help="train whole studies of 64 runs and 10 epochs (20 minutes on two cores)",
            )
            sub.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
            continue
        sub.add_argument(
            "--config-dir", type=Path, metavar="DIR", help="a folder with your own YAML files"
        )
        if name == "studies":
            sub.add_argument(
                "--source",
                metavar="NAME",
                help="show what a source says and what answers it: d2l, blog, fastai or lab",
            )
            continue
        overrides = sub.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
        overrides.completer = _complete  # type: ignore[attr-defined] # argcomplete's hook
        if name == "doctor":
            continue
        if name == "config":
            sub.add_argument(
                "--model", action="store_true", help="show the network's layers instead"
            )
            continue
        sub.add_argument(
            "-m", "--multirun", action="store_true", help="sweep keys with several values"
        )
        sub.add_argument(
            "--replace",
            action="store_true",
            help="report fewer seeds or cells than the folder does now; its runs are kept",
        )
        if name == "run":
            sub.add_argument("--dry-run", action="store_true", help="the same as bnexp plan")
            sub.add_argument(
                "--fail-fast", action="store_true", help="stop at the first run that fails"
            )
    return parser
