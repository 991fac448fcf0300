"""Every row of the sources has an answer, and every answer is there."""

import ast
import json
import re
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bnexp.cli import main
from bnexp.config.compose import Composer
from bnexp.config.keys import conf_dir
from bnexp.errors import UsageError
from bnexp.study import sources
from bnexp.study.declare import declare
from bnexp.study.sources import Row
from tests.fabricate import n_runs

ROOT = Path(__file__).resolve().parents[2]
ROWS = sources.read_rows()
STUDIES = sources.read_studies([conf_dir()])
FEW = [
    Row("F1", "d2l_forum", "One?", tests=("tests/test_x.py::test_y",)),
    Row("F2", "d2l_forum", "Two."),
    Row(
        "B1", "blog", "Three | four", reported=".5", grade="part", missing="A half.", note="So."
    ),
]


def defined(path: str) -> set[str]:
    """Return the names of a test file's tests, read without running anything."""
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


# What is shipped.


def test_every_row_is_there_once() -> None:
    """The five sources have 17, 27, 20, 23 and 12 rows, numbered through."""
    numbers = {"F": 17, "B": 27, "K": 20, "D": 23, "L": 12}
    expected = [f"{letter}{i}" for letter, n in numbers.items() for i in range(1, n + 1)]
    assert [row.id for row in ROWS] == expected
    assert {(row.id[0], row.source) for row in ROWS} == set(
        zip("FBKDL", sources.SOURCES, strict=True)
    )


def test_rows_say_something_in_text() -> None:
    """What a row says is a short sentence, and numbers keep the digits of their source."""
    entries = yaml.safe_load((ROOT / "bnexp" / "study" / "sources.yaml").read_text())
    for entry in entries:
        for key, value in entry.items():
            assert isinstance(value, list if key in {"asks", "tests"} else str), entry["id"]
        assert 10 < len(entry["says"]) < 160, entry["id"]
        assert entry["says"][-1] in ".?", entry["id"]


def test_every_row_is_answered_or_says_what_is_missing() -> None:
    """In full means by a study or a test; what is not answered in full says why."""
    for row in sources.covered():
        assert row.grade in sources.GRADES, row.id
        assert (row.grade == "full") == (not row.missing), row.id
        assert row.grade == "not" or row.studies or row.tests, row.id


def test_in_full_is_all_that_a_row_asks() -> None:
    """Its studies together have each factor, response or claim that the row asks for."""
    for row in sources.covered():
        assert bool(row.asks) >= bool(row.studies), row.id
        found = {one for study in row.studies for one in sources.met(row, STUDIES[study])}
        assert row.grade != "full" or not row.studies or found == set(row.asks), row.id


def published(study: str) -> dict[str, Any] | None:
    """Return a study as it was published, in the form of a study file; None if it was not."""
    path = ROOT / "results" / study / "study.json"
    if not path.is_file():
        return None
    stored = json.loads(path.read_text())
    factors = {
        key: {label: " ".join(overrides) for label, overrides in levels.items()}
        for key, levels in stored["factors"].items()
    }
    base = [
        {section: part["name"]} for section, part in stored["base"].items() if "name" in part
    ]
    return {"study": {**stored, "factors": factors}, "defaults": base}


def test_in_full_is_what_is_published() -> None:
    """What answers a row in full, unless tests do, lies in results/ and is not only planned."""
    for row in sources.covered():
        if row.grade != "full" or not row.studies:
            continue
        files = [file for study in row.studies if (file := published(study))]
        found = {one for file in files for one in sources.met(row, file)}
        assert found == set(row.asks) or row.tests, (row.id, row.studies)


def test_studies_answer_rows_that_exist() -> None:
    """Every id in `study.answers` is a row's, and stands there once."""
    known = {row.id for row in ROWS}
    for study, ids in sources.read_answers(STUDIES).items():
        assert set(ids) <= known, study
        assert len(set(ids)) == len(ids), study


@pytest.mark.thorough
def test_what_is_read_fast_is_what_is_composed() -> None:
    """Answers read from the files are those that Hydra composes and the schema checks."""
    answers = sources.read_answers(STUDIES)
    with Composer() as composer:
        assert list(answers) == composer.options("study")
        for name, ids in answers.items():
            spec = composer.compose([f"study={name}"])[1]
            assert spec is not None
            assert spec.answers == ids


def test_tests_that_are_named_exist() -> None:
    """Every test id of `sources.yaml` is a function of that file."""
    ids = {test for row in ROWS for test in row.tests}
    assert len(ids) > 40
    for test in ids:
        path, _, name = test.partition("::")
        assert name.startswith("test_"), test
        assert name in defined(path), test


def test_the_page_is_that_of_the_sources() -> None:
    """results/coverage.md is what `python scripts/coverage.py` writes."""
    page = runpy.run_path(str(ROOT / "scripts" / "coverage.py"))["text"]()
    assert (ROOT / "results" / "coverage.md").read_text() == page
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert len(links) > 40
    for link in links:
        assert (ROOT / "results" / link).exists(), link


# The join, and what is made of it.


def test_rows_get_the_studies_that_answer_them() -> None:
    """A row may have several studies or none, in the order of the studies."""
    rows = sources.join(FEW, {"one": ["F2", "F1"], "none": [], "two": ["F2"]})
    assert [row.studies for row in rows] == [("one",), ("one", "two"), ()]
    assert [row.id for row in rows] == [row.id for row in FEW]


def test_an_answer_to_no_row_is_refused() -> None:
    """A study that answers an unknown row is named with the row."""
    with pytest.raises(UsageError, match=r"study=one: study\.answers has F99, which no"):
        sources.join(FEW, {"one": ["F1", "F99"]})


def test_each_row_counts_once() -> None:
    """Every row has one grade; what a study answers is not counted among the tests."""
    assert sources.summary(sources.join(FEW, {"one": ["F1", "F2"]})) == (
        "of 3 rows of the sources, 2 in full, 1 in part and 0 not answered: 2 by a study, 0 by "
        "tests alone"
    )
    assert sources.summary([replace(FEW[0], grade="not"), FEW[2]]) == (
        "of 2 rows of the sources, 0 in full, 1 in part and 1 not answered: 0 by a study, 1 by "
        "tests alone"
    )


STUDY = {
    "defaults": [{"override /model": "rnn"}, "_self_"],
    "study": {
        "factors": {
            "norm": "none,batch",
            "arm": {"a": "norm.placement=after_activation model.dropout=0.5", "b": "norm=rms"},
        },
        "responses": ["test_accuracy"],
        "claims": [{"response": "dead_units", "source": "blog (B16, K2)"}],
    },
}


@pytest.mark.parametrize(
    ("asks", "row_id", "met"),
    [
        (("norm", "norm=rms", "model=rnn"), "F1", 3),  # a factor, a level, a fixed setting
        (("norm.placement|model.pool", "model.dropout"), "F1", 2),  # in a named level
        (("test_accuracy", "dead_units", "claim"), "K2", 3),
        (("claim", "model=lenet", "train_loss", "norm=batch", "arm.a"), "B1", 0),
    ],
)
def test_what_a_study_has_is_read_from_its_file(
    asks: tuple[str, ...], row_id: str, met: int
) -> None:
    """Factors, settings of levels and groups, responses, and claims that cite the row."""
    row = Row(row_id, "blog", "One?", asks=asks)
    assert sources.met(row, STUDY) == list(asks[:met])


def test_an_answer_that_asks_something_else_is_refused() -> None:
    """A study with nothing of what a row asks is refused, unless it builds on another."""
    rows = [Row("F1", "d2l_forum", "One?", asks=("model.pool|model.padding", "claim"))]
    section = {**STUDY["study"], "answers": ["F1"]}
    with pytest.raises(
        UsageError, match=r"study=one: .* F1, which asks for model.pool or model"
    ):
        sources.check_asked(rows, {"one": {**STUDY, "study": section}})
    sources.check_asked(rows, {"one": {"study": {"answers": ["F1"]}}})
    sources.check_asked([replace(rows[0], asks=("norm", "claim"))], {"one": {"study": section}})


def test_a_group_is_both_of_its_sources() -> None:
    """`d2l` is the forum and the chapter; every other name is one source."""
    assert {row.source for row in sources.of_source(ROWS, "d2l")} == {
        "d2l_forum",
        "d2l_chapter",
    }
    for name in sources.SOURCES:
        assert {row.source for row in sources.of_source(ROWS, name)} == {name}


def test_the_page_links_what_is_published() -> None:
    """A published study is a link, another one its command; a bar stays within its cell."""
    page = sources.page(sources.join(FEW, {"one": ["F1"], "two": ["F1"]}), ["one"])
    assert (
        "| F1 | One? |  | in full | [one](one/report.md), `bnexp run study=two`, "
        "[test_y](../tests/test_x.py) |  |"
    ) in page
    assert "| B1 | Three \\| four | .5 | in part: A half. |  | So. |" in page
    assert page.count("\n## ") == len(sources.SOURCES)


# The command.


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("name", sources.GROUPS)
def test_a_source_is_shown_with_its_answers(
    name: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--source` shows all of the source's rows, each word of them, within the terminal."""
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["studies", "--source", name]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= width
    squeezed = "".join(said.split())
    for row in sources.covered():
        shown = row.source in sources.GROUPS[name]
        assert ("".join(f"{row.id}says{row.says}".split()) in squeezed) == shown
        if shown:
            for text in (row.reported, row.missing, row.note, *row.tests, *row.studies):
                assert "".join(text.split()) in squeezed
    assert " rows of the sources, " in " ".join(said.split())


def test_an_unknown_source_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    """It names the sources that there are, with exit code 2."""
    assert main(["studies", "--source", "d3l"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "d3l" in message
    assert all(name in message for name in sources.GROUPS)


def test_the_list_counts_as_the_design_does(capsys: pytest.CaptureFixture[str]) -> None:
    """Each study's number of runs and its answers are those of its declaration."""
    assert main(["studies"]) == 0
    said = capsys.readouterr().out
    with Composer() as composer:
        for name in composer.options("study"):
            study = declare(composer, [f"study={name}"], multirun=False)
            assert f"{name}  ({n_runs(study)} runs)" in said
    unwrapped = " ".join(said.split())
    for ids in sources.read_answers(STUDIES).values():
        assert not ids or f"answers: {', '.join(ids)}" in unwrapped
    assert sources.summary(sources.covered()) in unwrapped


def test_a_users_study_is_counted_too(
    weird_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A study of one's own may answer rows, and may build on a shipped one."""
    (weird_path / "study").mkdir()
    section = "study: {seeds: 7, answers: [B1, D23]}\n"
    (weird_path / "study" / "more.yaml").write_text(
        f"# @package _global_\ndefaults: [lab_mlp, _self_]\n{section}"
    )
    assert main(["studies", "--config-dir", str(weird_path)]) == 0
    said = capsys.readouterr().out
    assert "more  (21 runs)" in said
    assert "answers: B1, D23" in said
    assert main(["studies", "--config-dir", str(weird_path), "--source", "blog"]) == 0
    assert "bnexp run study=more" in capsys.readouterr().out
    (weird_path / "study" / "more.yaml").write_text("study: {answers: [B99]}\n")
    assert main(["studies", "--config-dir", str(weird_path), "--source", "blog"]) == 2
    assert "B99" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    ["[1, 2]\n", "study: {question: Why}\n", "study: [\n", "# @package _global_\nseed: 1\n"],
)
def test_a_broken_study_is_one_message(
    text: str, weird_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be listed is said in words, with exit code 2 and no traceback."""
    (weird_path / "study").mkdir()
    (weird_path / "study" / "broken.yaml").write_text(text)
    assert main(["studies", "--config-dir", str(weird_path)]) == 2
    assert capsys.readouterr().err.startswith("bnexp: ")
