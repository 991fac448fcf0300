"""`bnexp studies`: list the shipped studies, and what the sources say beside its answers."""

import argparse
import math
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnexp.api.columns import aligned
from bnexp.errors import UsageError
from bnexp.plural import counted, duration
from bnexp.processes import n_cores
from bnexp.store import summary_file
from bnexp.store.folder import Store
from bnexp.study import sources

if TYPE_CHECKING:
    from bnexp.config.compose import Composer


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    if options.short:
        _list_shortly(options)
    elif options.source is None:
        _list(options)
    else:
        _table(sources.of_source(sources.covered(options.config_dir), options.source))
    return 0


def _list(options: argparse.Namespace) -> None:
    from bnexp.config.compose import Composer  # Hydra, which the table does without

    width = shutil.get_terminal_size().columns
    with Composer(options.config_dir, allow_code=options.allow_code) as composer:
        studies = sources.read_studies(composer.folders)
        answers = sources.read_answers(studies)
        rows = sources.answered(studies)
        for name, file in studies.items():
            study = _section(composer, name, file)
            print(f"{name}  ({_n_runs(composer, study)} runs)")
            texts = [study["question"], f"source: {study['source']}"]
            if answers[name]:
                texts.append(f"answers: {', '.join(answers[name])}")
            for text in texts:
                print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="  "))
            print(f"  bnexp run study={name}\n")
    print(textwrap.fill(sources.summary(rows), width))
    print("bnexp studies --source d2l (or blog, fastai, lab) shows them")


def _list_shortly(options: argparse.Namespace) -> None:
    """Print a line a study: its runs, how long those here took, and which these are."""
    from bnexp.config.compose import Composer

    rows = [["study", "runs", "time", "results here"]]
    with Composer(options.config_dir) as composer:
        for name, file in sources.read_studies(composer.folders).items():
            study = _section(composer, name, file)
            rows.append([name, str(_n_runs(composer, study)), *_here(name)])
    print(aligned(rows))
    cores = counted(n_cores(), "core")
    print(
        f"\ntime: what the runs here took, shared by {cores}; bnexp plan study=NAME says how "
        "long the missing ones take"
    )


def _here(name: str) -> tuple[str, str]:
    """Return how long a study's runs took, and how many there are, where results lie here."""
    store = Store(Path("results") / name)
    if not store.study.exists():
        return "", "none"
    try:
        ids = store.read_study().run_ids
        n_done = len(store.done() & set(ids))
    except UsageError:
        return "", "damaged"
    summary = summary_file.read(store.summary)
    took = duration(summary["train_s"] / n_cores()) if summary and summary["train_s"] else ""
    return took, f"{n_done} of {counted(len(ids), 'run')}"


def _section(composer: "Composer", name: str, file: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a study's section as a dictionary.

    Composing takes a tenth of a second a study. It is done only where the file does not
    say it all: where it builds on another study, or is not whole, so that the composer's
    message tells what is wrong.
    """
    study = file.get("study")
    if isinstance(study, dict) and _says_it_all(file.get("defaults") or [], study):
        return study
    _, spec = composer.compose([f"study={name}"])
    if spec is None:
        raise UsageError(f"study={name} has no study: section")
    return spec.model_dump()


def _says_it_all(defaults: Sequence[object], study: Mapping[str, Any]) -> bool:
    # Only `override /group: option` leaves a study's own section alone.
    words = [
        word for entry in defaults for word in (entry if isinstance(entry, dict) else [""])
    ]
    return (
        all(str(word).startswith("override ") for word in words)
        and "${" not in str(study)  # an interpolation is Hydra's to resolve
        and {"question", "source"} <= study.keys()
        and isinstance(study.get("factors"), dict)
        and isinstance(study.get("seeds"), int | list)
    )


def _n_runs(composer: "Composer", study: Mapping[str, Any]) -> int:
    """Return how many runs a study declares: its levels' product times its seeds."""
    seeds = study["seeds"]
    n_seeds = seeds if isinstance(seeds, int) else len(seeds)
    n_levels = [_n_levels(composer, key, levels) for key, levels in study["factors"].items()]
    return math.prod(n_levels) * n_seeds


def _n_levels(composer: "Composer", key: str, levels: object) -> int:
    if isinstance(levels, dict):
        return len(levels)
    from bnexp.config.overrides import read, settings

    (override,) = read([f"{key}={levels}"], composer.options)
    return len(settings(override, composer.options))


def _table(rows: Sequence[sources.Row]) -> None:
    """Print rows with what each says and what answers it, wrapped to the terminal."""
    width = shutil.get_terminal_size().columns
    first = max(len(row.id) for row in rows) + 2
    source = None
    for row in rows:
        if row.source != source:
            print(sources.SOURCES[row.source])
            source = row.source
        parts = [
            ("says", row.says),
            ("reported", row.reported),
            *[("study", f"bnexp run study={study}") for study in row.studies],
            *[("test", test) for test in row.tests],
            (
                "answered",
                sources.GRADES[row.grade] + (f": {row.missing}" if row.missing else ""),
            ),
            ("note", row.note),
        ]
        begin = row.id
        for name, text in parts:
            if text:
                _print_part(f"{begin:<{first}}{name:<10}", text, width)
                begin = ""
        print()
    print(textwrap.fill(sources.summary(rows), width))


def _print_part(indent: str, text: str, width: int) -> None:
    if len(indent) + len(text) > width:
        # A test's id has no spaces: its file and its name go on a line each.
        text = text.replace("::", " ::")
    subsequent = " " * len(indent)
    for line in textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=subsequent,
        break_on_hyphens=False,
    ):
        print(line)
