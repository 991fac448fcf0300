"""What each command takes: its arguments, options and help."""

import argparse
import os
from pathlib import Path
from typing import Any

import bnexp

COMMANDS = {
    "run": "train what is missing, then write tables, figures and reports",
    "plan": "show factors, cells, runs done and missing, and the time; train nothing",
    "report": "rebuild tables, figures and reports from the stored runs; compare folders",
    "ls": "list the studies here: their state, their age and their answer",
    "show": "show a study's answer, or one run with its curves, settings and partners",
    "open": "open a study's page in the browser",
    "watch": "follow a study that another command trains, from its files alone",
    "export": "write a study's tables as CSV, Parquet or JSON",
    "pack": "put the finished runs of a study into one file, as for a repository",
    "unpack": "give each packed run a file of its own again",
    "set-aside": "put damaged runs of a study away, so that they are trained again",
    "prune": "remove the runs that a study no longer declares; asks first",
    "rm": "remove a study with its runs and reports; asks first",
    "config": "print the composed configuration as YAML",
    "studies": "list the shipped studies, or the claims of the sources and what was found",
    "doctor": "check this machine: versions, devices, batch normalization, data, a training",
    "bench": "measure the speed of training beside the sources' own loops",
}
SETTINGS = """\
arguments are overrides in Hydra's grammar, options may stand anywhere among them:
  study=pooling_vs_bn                   a declared study (see: bnexp studies)
  norm=batch optimizer.lr=0.5           settings (see: bnexp config)
"""
SWEEPS = f"""\
{SETTINGS}  -m norm=none,batch seed='range(5)'    a sweep: every combination, paired by seed
"""
SEVERAL = """\
With several folders, each is rebuilt and they are compared: in short on the screen, in full
in comparison.html and comparison.md in the first folder. Folders with the same factors and
levels (yours and a published one) stand side by side: estimates, their difference with its
interval, whether they agree, and whether runs that both have gave the same numbers.
Different studies are lined up by the factors that they share.
"""
PACKING = """\
Packed or not, a study reads the same: bnexp plan, run and report find its runs in either
form. A run that is trained later has a file of its own beside the packed ones until bnexp
pack is called again. Packing and unpacking gives back the same bytes, and nothing is lost if a
command is stopped: give it again. Runs that failed are not packed.
"""
SHOWING = """\
A run is named by its id, by the beginning of its id, or by its file. Where it is named by its
id, it is looked for in the studies of results/; --in DIR looks elsewhere.
"""
REMOVING = """\
Only what bnexp wrote is removed: other files, and whatever a link leads to, stay. Without a
terminal to ask in, nothing is removed unless --yes is given.
"""
EXPORTING = """\
One file for each table: runs, epochs, cells, contrasts, shares, claims, caveats and, where they
apply, others. They go to export/ in the study's folder, or to the folder that --out names. The
tables are made from the runs as they are now. Parquet needs pyarrow.
"""
EPILOGS = {
    **dict.fromkeys(("run", "plan"), SWEEPS),
    **dict.fromkeys(("config", "doctor", "bench"), SETTINGS),
    **dict.fromkeys(("pack", "unpack"), PACKING),
    **dict.fromkeys(("rm", "prune"), REMOVING),
    "report": SEVERAL,
    "show": SHOWING,
    "export": EXPORTING,
}
FORMATS = ("csv", "parquet", "json")


class Parser(argparse.ArgumentParser):
    """One whose options may stand anywhere among its other arguments, as Hydra's users do."""

    mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return options and what is left, as argparse does; a completion goes its own way."""
        takes_commands = self._subparsers is not None
        if self.mixing or takes_commands or "_ARGCOMPLETE" in os.environ:
            return super().parse_known_args(args, namespace)
        self.mixing = True  # before Python 3.12 the next line calls this method
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.mixing = False


def parser() -> argparse.ArgumentParser:
    """Return what reads a command line."""
    found = Parser(
        prog="bnexp",
        description="Ablation studies of batch normalization: every number with its interval.",
        epilog="For more: bnexp COMMAND --help. Start with: bnexp run study=quickstart",
    )
    found.add_argument("--version", action="version", version=f"bnexp {bnexp.__version__}")
    commands = found.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=EPILOGS.get(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in ("run", "plan", "config", "doctor", "bench"):
            _settings(sub, name)
        elif name == "studies":
            _studies(sub)
        else:
            _folders(sub, name)
        if name in ("run", "plan", "report", "ls", "show"):
            _flag(sub, "--json", "print one JSON object and nothing else on standard output")
        if name in ("run", "report"):
            _flag(sub, "--open", "open the page in the browser when it is written")
    return found


def _flag(sub: argparse.ArgumentParser, name: str, words: str, *short: str) -> None:
    sub.add_argument(*short, name, action="store_true", help=words)


def _settings(sub: argparse.ArgumentParser, name: str) -> None:
    """Add what a command of overrides takes."""
    overrides = sub.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    overrides.completer = _complete  # type: ignore[attr-defined] # argcomplete's hook
    if name == "bench":
        _flag(
            sub,
            "--full",
            "train studies of 64 runs and 10 epochs, and time every network and normalization "
            "(an hour on two cores)",
        )
        sub.add_argument(
            "--against",
            type=Path,
            metavar="FILE",
            help="show how each ratio has changed since this file of bnexp bench",
        )
        return
    _config_dir(sub)
    if name == "config":
        _flag(sub, "--model", "show the network's layers instead")
    if name not in ("run", "plan"):
        return
    _flag(sub, "--multirun", "sweep keys with several values", "-m")
    _flag(
        sub,
        "--replace",
        "ask for fewer seeds or cells than before; the runs of the others are kept",
    )
    if name == "run":
        _flag(sub, "--dry-run", "the same as bnexp plan")
        _flag(sub, "--fail-fast", "stop at the first run that fails")


def _config_dir(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--config-dir", type=Path, metavar="DIR", help="a folder with your own YAML files"
    )
    _flag(sub, "--allow-code", "import and run the functions that files of that folder name")


def _studies(sub: argparse.ArgumentParser) -> None:
    _config_dir(sub)
    _flag(
        sub,
        "--short",
        "one line for each study: its runs, how long they take, what results/ holds",
    )
    sub.add_argument(
        "--source",
        metavar="NAME",
        help="show what a source says and what answers it: d2l, blog, fastai or lab",
    )


def _folders(sub: argparse.ArgumentParser, name: str) -> None:
    """Add what a command of folders takes."""
    if name in ("report", "pack", "unpack", "set-aside"):
        place = sub.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    elif name == "ls":
        place = sub.add_argument("folder", nargs="?", type=Path, metavar="DIR")
    elif name == "show":
        place = sub.add_argument("what", metavar="RUN|DIR")
        sub.add_argument(
            "--in", dest="within", type=Path, metavar="DIR", help="where to look for a run"
        )
    else:
        place = sub.add_argument("folder", type=Path, metavar="DIR")
    place.completer = _complete_folder  # type: ignore[attr-defined] # argcomplete's hook
    if name in ("rm", "prune"):
        _flag(sub, "--yes", "do not ask")
    if name == "export":
        sub.add_argument("--to", choices=FORMATS, default="csv", help="csv unless given")
        sub.add_argument("--out", type=Path, metavar="DIR", help="where the files go")


def _complete(prefix: str, **options: object) -> list[str]:
    from bnexp.cli.completion import complete

    return complete(prefix, **options)


def _complete_folder(prefix: str, **options: object) -> list[str]:
    from bnexp.cli.completion import complete_folder

    return complete_folder(prefix, **options)
