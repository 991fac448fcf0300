"""Which study, test or note answers each row of the sources, and how well.

`sources.yaml` says what the sources claim, what a study must vary or measure to answer it,
which tests settle it, and what is missing; a study file says in `study.answers` which rows it
answers. Nothing here is said twice: the two are joined, and a study that neither varies nor
measures what a row asks cannot answer it.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bnexp.config.keys import conf_dir
from bnexp.config.yaml_files import read_yaml
from bnexp.errors import UsageError

SOURCES = {
    "d2l_forum": "d2l forum on batch normalization",
    "blog": "Blog note on batch normalization",
    "fastai": "fast.ai forum and course",
    "d2l_chapter": "d2l chapter on batch normalization",
    "lab": "Lab slides and notebooks",
}
# How well a row is answered, and the words for it.
GRADES = {"full": "in full", "part": "in part", "not": "not"}
# What may be asked for: a source, or several by one name.
GROUPS = {"d2l": ("d2l_forum", "d2l_chapter"), **{name: (name,) for name in SOURCES}}


@dataclass(frozen=True)
class Row:
    """One claim, question or number of a source, and what answers it.

    Attributes:
        says: What it claims or asks, in our words.
        reported: Its numbers, as text.
        asks: What its studies must have together to answer it in full, and each at least one
            of: a factor's key, a setting as `model=rnn`, a response, or `claim`, a claim that
            cites the row. `a|b` is either.
        grade: How well it is answered, one of `GRADES`.
        missing: What is missing where that is not in full.
        tests: Ids of the tests that settle it without a study.
        note: What is out of scope, or wrong in the source.
        studies: Names of the studies that answer it.
    """

    id: str
    source: str
    says: str
    reported: str = ""
    asks: tuple[str, ...] = ()
    grade: str = "full"
    missing: str = ""
    tests: tuple[str, ...] = ()
    note: str = ""
    studies: tuple[str, ...] = ()


def read_rows() -> list[Row]:
    """Return the rows of all sources, in the order of the sources, without their studies."""
    entries = read_yaml(Path(__file__).with_name("sources.yaml"))
    lists = ("asks", "tests")
    return [
        Row(**{**entry, **{key: tuple(entry.get(key, ())) for key in lists}})
        for entry in entries
    ]


def read_studies(folders: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return every study file's content by the study's name, sorted.

    This is the file as it stands, unchecked: to compose all studies takes seconds. A name
    that several folders have belongs to the first, as it does for Hydra.
    """
    found: dict[str, dict[str, Any]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"--config-dir {folder}: no such folder")
        for path in folder.glob("study/*.yaml"):
            file = read_yaml(path)
            found.setdefault(path.stem, file if isinstance(file, dict) else {})
    return dict(sorted(found.items()))


def read_answers(studies: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return the rows that each study file says it answers."""
    found = {}
    for name, file in studies.items():
        section = file.get("study")
        answers = section.get("answers") if isinstance(section, dict) else None
        found[name] = tuple(map(str, answers)) if isinstance(answers, list) else ()
    return found


def varied_or_measured(file: Mapping[str, Any], row_id: str) -> set[str]:
    """Return what a study file has, in the words of `Row.asks`, for one row.

    Args:
        file: Its content as `read_studies` returns it.
        row_id: The row that its claims may cite.
    """
    section = file["study"]
    found = {
        f"{key.removeprefix('override ').removeprefix('/')}={value}"
        for entry in file.get("defaults") or ()
        if isinstance(entry, dict)
        for key, value in entry.items()
    }
    for key, levels in (section.get("factors") or {}).items():
        found.add(str(key))
        texts = levels.values() if isinstance(levels, dict) else ()
        for setting in re.findall(r"([\w./]+)=(\S+)", " ".join(map(str, texts))):
            found |= {setting[0], "=".join(setting)}
    parts = [*(section.get("asks") or ()), *(section.get("claims") or ())]
    found |= {*(section.get("responses") or ()), *(part.get("response", "") for part in parts)}
    if any(
        re.search(rf"\b{row_id}\b", str(one.get("source")))
        for one in section.get("claims") or ()
    ):
        found.add("claim")
    return found


def met(row: Row, file: Mapping[str, Any]) -> list[str]:
    """Return what a row asks that a study file varies, measures or claims."""
    found = varied_or_measured(file, row.id)
    return [one for one in row.asks if not found.isdisjoint(one.split("|"))]


def check_asked(rows: Iterable[Row], studies: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a study that says it answers what it does not ask.

    What a file takes from a study that it builds on is not seen, so such a file is trusted.

    Raises:
        UsageError: It names the study, the row and what the row asks.
    """
    known = {row.id: row for row in rows}
    for study, ids in read_answers(studies).items():
        for row in (known[one] for one in ids if one in known):
            trusted = "factors" not in studies[study]["study"]
            if row.asks and not trusted and not met(row, studies[study]):
                asked = ", ".join(row.asks).replace("|", " or ")
                raise UsageError(
                    f"study={study}: study.answers has {row.id}, which asks for {asked}: no "
                    "factor, response or claim of the study is that"
                )


def join(rows: Iterable[Row], answers: Mapping[str, Collection[str]]) -> list[Row]:
    """Return the rows, each with the studies that answer it.

    Raises:
        UsageError: If a study answers a row that there is not.
    """
    rows = list(rows)
    row_ids = {row.id for row in rows}
    for study, ids in answers.items():
        if unknown := [one for one in ids if one not in row_ids]:
            raise UsageError(
                f"study={study}: study.answers has {', '.join(unknown)}, which no source has; "
                "bnexp studies --source d2l (or blog, fastai, lab) shows the rows"
            )
    return [
        replace(row, studies=tuple(study for study, ids in answers.items() if row.id in ids))
        for row in rows
    ]


def answered(studies: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Return every row with all that answers it in these study files; see `read_studies`.

    Raises:
        UsageError: If a study answers a row that there is not, or that asks something else.
    """
    rows = read_rows()
    check_asked(rows, studies)
    return join(rows, read_answers(studies))


def covered(config_dir: Path | None = None) -> list[Row]:
    """Return every row with all that answers it in what is shipped, and in a user's folder."""
    return answered(read_studies([conf_dir()] + ([config_dir] if config_dir else [])))


def of_source(rows: Iterable[Row], name: str) -> list[Row]:
    """Return the rows of a source, or of a group of them.

    Raises:
        UsageError: If there is no such source.
    """
    if name not in GROUPS:
        raise UsageError(f"--source {name}: no such source; there are {', '.join(GROUPS)}")
    return [row for row in rows if row.source in GROUPS[name]]


def summary(rows: Sequence[Row]) -> str:
    """Return in one line how well the rows are answered, each counted once, and by what."""
    by_grade = [
        f"{sum(row.grade == grade for row in rows)} {words}" for grade, words in GRADES.items()
    ]
    by_study = sum(bool(row.studies) for row in rows)
    by_test = sum(bool(row.tests) and not row.studies for row in rows)
    return (
        f"of {len(rows)} rows of the sources, {', '.join(by_grade[:-1])} and {by_grade[-1]} "
        f"answered: {by_study} by a study, {by_test} by tests alone"
    )


def published(repository: Path) -> list[str]:
    """Return the studies whose results a repository keeps: .gitignore lets their folder in.

    What else lies under `results/` on this machine is nobody else's.
    """
    kept = (repository / ".gitignore").read_text(encoding="utf-8")
    folders = re.findall(r"^!/results/(.+)/$", kept, re.MULTILINE)
    return [name for name in folders if (repository / "results" / name / "report.md").is_file()]


def page(rows: Sequence[Row], published: Collection[str]) -> str:
    """Return `results/coverage.md`: a table a source.

    Args:
        rows: Rows with what answers them.
        published: Studies whose report lies beside the page.
    """
    lines = [
        "# What the sources say, and what answers it",
        "",
        f"{summary(rows).capitalize()}.",
        "In part: some of the question, or within the limits that are named.",
        "A study answers with trained networks, a test settles what needs none. Links lead to",
        "published reports; where there is none yet, the command makes one. Made by",
        "`scripts/coverage.py` of `bnexp/study/sources.yaml` and of `study.answers` in",
        "`conf/study`.",
    ]
    for name, title in SOURCES.items():
        lines += [
            "",
            f"## {title}",
            "",
            f"`bnexp studies --source {name}`",
            "",
            "| row | says | reported | answered | by | note |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for row in of_source(rows, name):
            answered = GRADES[row.grade] + (f": {row.missing}" if row.missing else "")
            by = _answer(row, published)
            cells = (row.id, row.says, row.reported, answered, by, row.note)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _answer(row: Row, published: Collection[str]) -> str:
    studies = [
        f"[{study}]({study}/report.md)" if study in published else f"`bnexp run study={study}`"
        for study in row.studies
    ]
    tests = []
    for test in row.tests:
        path, _, name = test.partition("::")
        tests.append(f"[{name}](../{path})")
    return ", ".join([*studies, *tests])
