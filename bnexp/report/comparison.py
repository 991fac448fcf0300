"""Several folders on one page: the same study twice, or different studies in turn."""

import dataclasses
import os
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bnexp.errors import UsageError
from bnexp.report.analysis import Analysis
from bnexp.report.links import Linked
from bnexp.report.page import setting
from bnexp.report.side_by_side import Pair, pair
from bnexp.report.tables.claims import claims_table
from bnexp.report.tables.effects import effects_table, shares_table
from bnexp.report.tables.text import TableText


@dataclass(frozen=True)
class Part:
    """One study on its own, or two folders of the same study side by side."""

    name: str
    title: str
    notes: list[str]
    tables: list[TableText]


@dataclass(frozen=True)
class Brief:
    """The gist of a part: what was found, and the main effects."""

    title: str
    notes: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Comparison:
    """What the page of a comparison shows.

    Attributes:
        folders: Each folder under its letter.
        brief: What a terminal shows of each part.
    """

    folders: TableText
    parts: list[Part]
    brief: list[Brief]


def compare(analyses: Sequence[Analysis]) -> Comparison:
    """Return the comparison of several folders, with links as seen from the first.

    Folders with the same factors and levels are set side by side with the first of them.
    Where there are different studies, the claims and main effects of each follow.

    Raises:
        UsageError: If a folder is named twice, or there are more than 26.
    """
    folders = [analysis.store.folder.resolve() for analysis in analyses]
    if len(set(folders)) < len(folders):
        raise UsageError("a folder is named twice: name different folders to compare them")
    if len(folders) > len(string.ascii_uppercase):
        raise UsageError(f"{len(folders)} folders are too many to compare: at most 26")
    lettered = dict(zip(string.ascii_uppercase, analyses, strict=False))
    groups: list[dict[str, Analysis]] = []
    for letter, analysis in lettered.items():
        design = analysis.study.overrides
        for group in groups:
            if next(iter(group.values())).study.overrides == design:
                group[letter] = analysis
                break
        else:
            groups.append({letter: analysis})
    parts, brief = [], []
    for group in groups:
        first, *others = group
        for other in others:
            found = pair(first, group[first], other, group[other])
            parts.append(_pair_part(found, first, other, lettered))
            brief.append(Brief(found.title, found.notes, found.brief))
    if len(groups) > 1:
        for letter, analysis in lettered.items():
            part = _study_part(letter, analysis, lettered)
            parts.append(part)
            brief.append(Brief(part.title, part.notes, _mains(analysis)))
    return Comparison(_folders(lettered), parts, brief)


def _pair_part(found: Pair, first: str, other: str, lettered: Mapping[str, Analysis]) -> Part:
    name = f"{first}-{other}"
    prefixes = {f"n {letter}": _address(letter, lettered) for letter in (first, other)}
    return Part(
        name,
        found.title,
        [*found.notes, found.rule],
        [_placed(one, name, prefixes) for one in found.tables],
    )


def _study_part(letter: str, analysis: Analysis, lettered: Mapping[str, Analysis]) -> Part:
    study, tables = analysis.study, analysis.tables
    found = [claims_table(study, tables), _effects(analysis), shares_table(tables)]
    prefixes = {"n": _address(letter, lettered)}
    return Part(
        letter,
        f"{letter}: {study.name}",
        [study.question] if study.question else [],
        [_placed(table, letter, prefixes) for table in found if table.rows],
    )


def _effects(analysis: Analysis) -> TableText:
    contrasts = analysis.tables.contrasts
    mains = contrasts[contrasts["kind"] == "main"]
    return effects_table(analysis.study, analysis.tables, mains)


def _address(letter: str, lettered: Mapping[str, Analysis]) -> str:
    """Return where a folder's report lies, as seen from the first folder."""
    here = next(iter(lettered.values())).store.folder
    path = os.path.relpath(lettered[letter].store.folder / "report.html", here)
    return quote(Path(path).as_posix())


def _placed(table: TableText, part: str, prefixes: Mapping[str, str]) -> TableText:
    """Return a table with a name of its own, its links leading to the reports."""
    rows = [
        [
            Linked(text, prefixes[head] + text.href) if isinstance(text, Linked) else text
            for head, text in zip(table.header, row, strict=True)
        ]
        for row in table.rows
    ]
    return dataclasses.replace(table, name=f"{part}-{table.name}", rows=rows, file="")


def _mains(analysis: Analysis) -> list[list[str]]:
    """Return the main effects of a study on its own, with their head, if it has any."""
    table = _effects(analysis).plain
    return [table.header, *table.rows] if table.rows else []


def _folders(lettered: Mapping[str, Analysis]) -> TableText:
    rows = []
    for letter, analysis in lettered.items():
        told = dict(setting(analysis.study, analysis.records))
        rows.append(
            [
                letter,
                analysis.study.name,
                Linked(str(analysis.store.folder), _address(letter, lettered)),
                told["seeds"],
                told["runs"],
                told["hardware"],
                told["versions"],
            ]
        )
    return TableText(
        "folders",
        "What is compared",
        "Each folder has its own report, rebuilt at the same time.",
        ["name", "study", "folder", "seeds", "runs", "hardware", "versions"],
        rows,
    )
