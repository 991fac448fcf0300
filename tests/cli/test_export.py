"""`bnexp export` and `bnexp open`: a study for other programs."""

import importlib.util
import json
from pathlib import Path

import pandas as pd
import pytest

from bnexp.cli import browser, main
from bnexp.store.folder import Store

Captured = pytest.CaptureFixture[str]
NO_PYARROW = importlib.util.find_spec("pyarrow") is None


@pytest.mark.parametrize("name", ["reported", "packed", "bare"])
@pytest.mark.parametrize("to", ["csv", "json"])
def test_the_tables_are_those_of_the_runs(
    name: str, to: str, results: Path, capsys: Captured
) -> None:
    """One file for each table, with every run and every number of it."""
    assert main(["export", str(results / name), "--to", to, "--out", "out"]) == 0
    assert capsys.readouterr().out.endswith("tables to out\n")
    found = {path.stem for path in Path("out").iterdir() if path.suffix == f".{to}"}
    assert found >= {"runs", "epochs", "cells", "contrasts", "claims", "shares"}
    file = Path("out") / f"runs.{to}"
    runs = pd.read_csv(file) if to == "csv" else pd.DataFrame(json.loads(file.read_text()))
    store = Store(results / name)
    numbers = {one.run_id: one.metrics["test_accuracy"] for one in store.load(store.done())}
    assert set(runs["run_id"]) == store.done()
    for run_id, value in zip(runs["run_id"], runs["test_accuracy"], strict=True):
        assert value == numbers[run_id] or (pd.isna(value) and numbers[run_id] is None)


@pytest.mark.skipif(NO_PYARROW, reason="pyarrow is not installed")
def test_parquet_has_the_same_rows(results: Path) -> None:
    """Types and all."""
    assert main(["export", str(results / "reported"), "--to", "parquet"]) == 0
    runs = pd.read_parquet(results / "reported" / "export" / "runs.parquet")
    assert set(runs["run_id"]) == Store(results / "reported").done()


def test_what_cannot_be_exported_is_one_message(
    results: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pyarrow, without a study, and where nothing can be written."""
    (results / "file").write_text("")
    for arguments, said in (
        ([str(results / "notes")], "holds no study.json"),
        ([str(results / "bare"), "--out", str(results / "file")], "--out DIR"),
    ):
        assert main(["export", *arguments]) == 2
        assert said in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert main(["export", str(results / "bare"), "--to", "parquet"]) == 2
    assert "pip install pyarrow" in capsys.readouterr().err
    assert not (results / "bare" / "export").exists()


def test_a_page_is_opened(
    results: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of the folder, as an address; without a browser its path is said."""
    opened: list[str] = []
    monkeypatch.setattr(browser.webbrowser, "open", lambda url: opened.append(url) or True)
    assert main(["open", str(results / "reported")]) == 0
    page = results / "reported" / "report.html"
    assert opened == [page.resolve().as_uri()]
    assert capsys.readouterr().out == f"{page}\n"
    monkeypatch.setattr(browser.webbrowser, "open", lambda _: False)
    assert main(["open", str(results / "reported")]) == 2
    assert str(page) in capsys.readouterr().err


def test_a_study_without_a_page_says_what_writes_it(results: Path, capsys: Captured) -> None:
    """A command that can be pasted, whatever the folder's name."""
    (results / "bare").rename(results / "a name")
    assert main(["open", str(results / "a name")]) == 2
    assert "bnexp report 'results/a name' writes it" in capsys.readouterr().err
