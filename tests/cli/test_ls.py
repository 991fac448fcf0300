"""`bnexp ls`: every study below a folder, with its state, age and answer."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from bnexp.cli import main
from bnexp.cli.ls import _age

Captured = pytest.CaptureFixture[str]


def listed(capsys: Captured, *arguments: str) -> dict[str, dict[str, object]]:
    """Return the studies that a call lists, by the names of their folders."""
    assert main(["ls", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema_version"], found["kind"]) == (1, "ls")
    return {Path(one["folder"]).name: one for one in found["studies"]}


def test_every_study_has_its_state_and_its_answer(results: Path, capsys: Captured) -> None:
    """Of reported, packed, unreported and damaged ones; other folders are none."""
    studies = listed(capsys)
    assert {name: one["state"] for name, one in studies.items()} == {
        "reported": "done", "packed": "done", "bare": "no report", "damaged": "damaged",
    }  # fmt: skip
    for name in ("reported", "packed"):
        assert (studies[name]["done"], studies[name]["planned"]) == (12, 12)
        report = json.loads((results / name / "report.json").read_text())
        assert studies[name]["answer"] == report["openings"][0]["sentence"] != ""
    assert "study.json" in str(studies["damaged"]["problem"])


def test_the_list_is_a_line_a_study_no_wider_than_the_terminal(
    results: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long answer is cut, and what a damaged file holds moves no cursor."""
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["ls", str(results)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "study", "bare", "damaged", "packed", "reported"
    ]  # fmt: skip
    assert max(map(len, lines)) <= 60
    assert not any("\x1b" in line for line in lines)


def test_what_is_missing_or_failed_is_counted(results: Path, capsys: Captured) -> None:
    """A run whose file is gone is missing, one that failed is failed; of others none is."""
    first, second = sorted((results / "bare" / "runs").iterdir())[:2]
    first.unlink()
    assert listed(capsys, str(results / "bare"))["bare"]["state"] == "1 missing"
    second.rename(second.with_suffix(".failed.json"))
    assert listed(capsys, str(results / "bare"))["bare"]["state"] == "1 failed"


def test_the_age_is_that_of_the_youngest_run(results: Path, capsys: Captured) -> None:
    """Of files that no report has seen, their time tells."""
    for path in (results / "bare" / "runs").iterdir():
        os.utime(path, (time.time() - 7200,) * 2)
    declared = (results / "bare" / "study.json").read_text()
    now = json.loads(declared)["declared"]
    (results / "bare" / "study.json").write_text(
        declared.replace(now, "2020-01-01T00:00:00+00:00")
    )
    age = listed(capsys, str(results / "bare"))["bare"]["age_s"]
    assert age == pytest.approx(7200, abs=60)
    assert (_age(7200), _age(59), _age(86400 * 3)) == ("2 h", "59 s", "3 d")


def test_where_there_is_none_the_list_says_how_to_make_one(
    results: Path, capsys: Captured
) -> None:
    """An empty folder is no error, one that is not there is."""
    assert main(["ls", str(results / "notes")]) == 0
    assert "bnexp run study=quickstart" in capsys.readouterr().out
    assert main(["ls", "nowhere"]) == 2
    assert capsys.readouterr().err == "bnexp: nowhere: no such folder\n"
    shutil.rmtree(results)
    assert main(["ls"]) == 0
