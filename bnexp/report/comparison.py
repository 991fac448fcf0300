"""Several folders on one page: the same study twice, or different studies in turn."""

import dataclasses
import os
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bnexp.errors import UsageError
from bnexp.plots import short
from bnexp.report.analysis import Analysis
from bnexp.report.forest import Forest
from bnexp.report.lined_up import LinedUp, line_up
from bnexp.report.links import Linked
from bnexp.report.numbers import listed
from bnexp.report.setting import setting
from bnexp.report.side_by_side import Pair, pair
from bnexp.report.tables.claims import claims_table
from bnexp.report.tables.effects import effects_table, shares_table
from bnexp.report.tables.text import TableText


@dataclass(frozen=True)
class Part:
    """Two folders of the same design, several studies of one factor, or a study on its own.

    Attributes:
        forests: Estimates of all its folders, drawn.
        shown: Tables that are short, and tell what all else rests on.
        tables: Those that are folded.
    """

    name: str
    title: str
    notes: list[str]
    forests: list[Forest]
    shown: list[TableText]
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
        title: Which studies they are.
        folders: Each folder under its letter.
        brief: What a terminal shows of each part.
    """

    title: str
    folders: TableText
    parts: list[Part]
    brief: list[Brief]


def compare(analyses: Sequence[Analysis]) -> Comparison:
    """Return the comparison of several folders, with links as seen from the first.

    Folders with the same factors and levels are set side by side with the first of them.
    Different studies are lined up by the factors that they share; of a study that shares none,
    claims and main effects follow.

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
            differing = [f"They differ in {_told(found.unlike)}."] * bool(found.unlike.rows)
            brief.append(Brief(found.title, [*differing, *found.notes], found.brief))
    leaders = {next(iter(group)): next(iter(group.values())) for group in groups}
    lined_up = line_up(leaders) if len(groups) > 1 else None
    if lined_up:
        parts.append(part := _lined_up_part(lined_up, leaders, lettered))
        brief.append(Brief(part.title, part.notes, _primary(lined_up.table)))
    for letter, analysis in leaders.items() if len(groups) > 1 else ():
        if not lined_up or not set(analysis.study.varied) & set(lined_up.factors):
            parts.append(part := _study_part(letter, analysis, lettered))
            brief.append(Brief(part.title, part.notes, _mains(analysis)))
    names = [f"{analysis.study.name} ({letter})" for letter, analysis in lettered.items()]
    return Comparison(f"{listed(names)} compared", _folders(lettered), parts, brief)


def _pair_part(found: Pair, first: str, other: str, lettered: Mapping[str, Analysis]) -> Part:
    name = f"{first}-{other}"
    prefixes = {f"n {letter}": _address(letter, lettered) for letter in (first, other)}
    return Part(
        name,
        found.title,
        [*found.notes, found.rule],
        found.forests,
        [_placed(one, name, {}) for one in (found.unlike, found.claims) if one.rows],
        [_placed(one, name, prefixes) for one in found.tables],
    )


def _told(unlike: TableText) -> str:
    """Return the settings that differ, in a line."""
    _, a, b = unlike.header
    return ", ".join(f"{key} ({a} {here}, {b} {there})" for key, here, there in unlike.rows)


def _lined_up_part(
    found: LinedUp, leaders: Mapping[str, Analysis], lettered: Mapping[str, Analysis]
) -> Part:
    names = [f"{letter} ({analysis.study.name})" for letter, analysis in leaders.items()]
    prefixes = {f"{letter} [95 %]": _address(letter, lettered) for letter in leaders}
    shared = listed([short(key) for key in found.factors])
    return Part(
        "lined-up",
        f"{shared[0].upper()}{shared[1:]} in {listed(names)}",
        found.notes,
        found.forests,
        [],
        [_placed(found.table, "all", prefixes)],
    )


def _primary(table: TableText) -> list[list[str]]:
    """Return the rows on the first response, with their head."""
    first = table.rows[0][1]
    return [table.header, *[row for row in table.rows if row[1] == first]]


def _study_part(letter: str, analysis: Analysis, lettered: Mapping[str, Analysis]) -> Part:
    study, tables = analysis.study, analysis.tables
    found = [claims_table(study, tables), _effects(analysis), shares_table(tables)]
    prefixes = {"n": _address(letter, lettered)}
    return Part(
        letter,
        f"{letter}: {study.name}",
        [study.question] if study.question else [],
        [],
        [],
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
            _elsewhere(text, prefixes.get(head, ""))
            for head, text in zip(table.header, row, strict=True)
        ]
        for row in table.rows
    ]
    return dataclasses.replace(table, name=f"{part}-{table.name}", rows=rows, file="")


def _elsewhere(text: str, page: str) -> str:
    return Linked(text, page + text.href) if isinstance(text, Linked) else text


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
