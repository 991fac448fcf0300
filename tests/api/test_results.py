"""`bnexp.load`: a folder of results as tables, words and figures."""

import json
import re
from html import escape
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

import bnexp
from tests.fabricate import planted


@pytest.fixture(scope="module")
def loaded(planted_once: Path) -> "bnexp.api.results.Results":
    """Return the results of a study of two factors, one run of which diverged."""
    return bnexp.load(planted_once / "reported")


@pytest.mark.parametrize("name", ["reported", "packed"])
def test_the_tables_are_those_of_the_report(name: str, planted_once: Path) -> None:
    """Numbers and rows as in `tables/`, with the columns that are documented."""
    results = bnexp.load(str(planted_once / name))
    tables = planted_once / name / "tables"
    for frame, file, columns in (
        (results.runs, "runs", ["norm", "model.pool", "seed", "status", "run_id"]),
        (results.epochs, "epochs", ["norm", "model.pool", "seed", "epoch"]),
        (results.claims, "claims", ["claim", "source", "verdict", "estimate", "reported"]),
        (results.cells, "cells", ["norm", "model.pool", "response", "n", "mean"]),
        (results.contrasts, "contrasts", ["factor", "level_a", "estimate", "ci_low", "given"]),
        (results.shares, "shares", ["factor", "response", "estimate"]),
    ):
        written = pd.read_csv(tables / f"{file}.csv")
        assert list(frame) == list(written)
        assert set(columns) <= set(frame)
        assert len(frame) == len(written)
        numbers = frame.select_dtypes("number").astype(float).reset_index(drop=True)
        kept = written[list(numbers)].astype(float)
        pd.testing.assert_frame_equal(numbers, kept, rtol=1e-9, atol=0)
        # Ten digits hold all that was measured; export writes every one.
        text = (tables / f"{file}.csv").read_text()
        assert max(map(len, re.findall(r"(?<=,)-?\d+\.\d+(?=,)", text)), default=0) <= 17
    assert set(results.effects["kind"]) == {"main", "interaction"}
    assert len(results.effects) == (results.contrasts["kind"] != "simple").sum()


def test_the_answer_is_that_of_the_page(loaded: "bnexp.api.results.Results") -> None:
    """A line for each question, in the words of `report.json`, which the page has too."""
    written = json.loads((loaded.folder / "report.json").read_text())
    assert loaded.answer.splitlines() == [one["sentence"] for one in written["openings"]]
    page = (loaded.folder / "report.md").read_text()
    for one in (*written["openings"], *written["answers"]):
        assert one["sentence"] in page
    for one in written["effects"]:
        assert one["text"] in page


def test_levels_that_are_numbers_can_be_compared_with_numbers(weird_path: Path) -> None:
    """A factor whose levels are all numbers is a column of numbers; `null` is a word."""
    asked = ["norm=batch", "optimizer.lr=0.1,10.0", "norm.momentum=0.1,null", "seed=range(2)"]
    _, store = planted(asked, weird_path, lambda run: {"test_accuracy": 0.5 + run.seed / 10})
    results = bnexp.load(store.folder)
    for table in (results.runs, results.epochs, results.cells):
        assert set(table["optimizer.lr"]) <= {0.1, 10.0}
        assert set(table["norm.momentum"]) <= {"0.1", "null"}
    assert len(results.runs.query("`optimizer.lr` == 10")) == 4


def test_figures_are_functions(loaded: "bnexp.api.results.Results") -> None:
    """Each figure of the page, by its name; another name says which there are."""
    written = {path.stem for path in (loaded.folder / "figures").glob("*.svg")}
    assert set(dir(loaded.plot)) == written
    figure = loaded.plot.effects()
    assert isinstance(figure, Figure)
    # Main effects of both factors and their interaction, for each response.
    assert len(figure.axes[0].get_yticklabels()) == 3
    assert figure._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(AttributeError, match=r"no figure 'efects'; there are .*cells, "):
        loaded.plot.efects()


def test_a_notebook_shows_it_as_a_table(
    results: Path, loaded: "bnexp.api.results.Results"
) -> None:
    """The answer with its numbers and the main effects; what a folder says is no markup."""
    html = loaded._repr_html_()
    assert html.count("<tr>") == 1 + 2 * 2
    for opening in loaded.summary["openings"]:
        assert escape(opening["sentence"]) in html
        assert opening["numbers"]
        for number in opening["numbers"]:
            assert number["text"] in html
    file = results / "bare" / "study.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"question": "<script>"}))
    assert "<script>" not in bnexp.load(results / "bare")._repr_html_()
    assert "&lt;script&gt;" in bnexp.load(results / "bare")._repr_html_()
