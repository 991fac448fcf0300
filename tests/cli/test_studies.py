"""The lists of studies and sources, as they stand in a terminal."""

from pathlib import Path

import pytest

from bnexp.api.columns import aligned
from bnexp.cli import main
from bnexp.cli.studies import _says_it_all, _table
from bnexp.store import summary_file
from bnexp.study.sources import SOURCES, Row
from tests.fabricate import planted

STUDY = {"question": "Why?", "source": "me", "factors": {"norm": "none,batch"}, "seeds": 3}


def test_a_table_is_no_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sentences are wrapped, and a long id of a test has its name on a line of its own."""
    monkeypatch.setenv("COLUMNS", "50")
    test = "tests/conformance/test_laws.py::test_a_law_that_holds"
    source = next(iter(SOURCES))
    _table(
        [
            Row("F1", source, "one word and another " * 5, tests=(test,)),
            Row("F2", source, "short"),
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 50
    assert test.partition("::")[2] in [line.strip().removeprefix("::") for line in lines]
    assert lines.count(SOURCES[source]) == 1
    assert [line.split()[0] for line in lines if line[:1] == "F"] == ["F1", "F2"]


@pytest.mark.parametrize(
    ("defaults", "study", "all_said"),
    [
        ([], STUDY, True),
        ([{"override /preset": "d2l_bn"}], STUDY, True),
        (["max_lr"], STUDY, False),  # it builds on another study
        ([], STUDY | {"question": "Why ${norm.name}?"}, False),
        ([], {"seeds": 3}, False),
        ([], STUDY | {"seeds": "range(3)"}, False),
    ],
)
def test_a_file_that_does_not_say_it_all_is_composed(
    defaults: list[object], study: dict[str, object], all_said: bool
) -> None:
    """A section is read as it stands only where composing would give the same."""
    assert _says_it_all(defaults, study) is all_said


def test_numbers_stand_at_the_right_of_the_last_column() -> None:
    """Columns are as wide as their longest text; the last one is to the right if asked."""
    rows = [["layer", "n"], ["fc", "100"]]
    assert aligned(rows).splitlines() == ["layer  n", "fc     100"]
    assert aligned(rows, numbers_last=True).splitlines() == ["layer    n", "fc     100"]


def test_the_short_list_says_what_is_here_and_how_long_it_took(
    weird_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line each: 20 runs of 2 s each on one core; what is not here is not."""
    monkeypatch.chdir(weird_path)
    _, store = planted(
        ["study=quickstart"], weird_path / "results", lambda _: {"train_loss": 0.5}
    )
    summary_file.write(store.summary, {"schema_version": 1, "train_s": 40.0})
    assert main(["studies", "--short"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line[:1].isalpha()}
    assert rows["quickstart"] == ["20", "40", "s", "20", "of", "20", "runs"]
    assert rows["pooling_vs_bn"] == ["80", "none"]
    assert rows["study"] == ["runs", "time", "results", "here"]
