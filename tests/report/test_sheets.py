"""A figure of many panels: its sheets in files, in the text and on the page."""

import json
import re
from pathlib import Path

import pytest

from bnexp.report.reports import build
from bnexp.store.folder import Store
from bnexp.study.design import Run
from tests.fabricate import planted, undrawn_figures
from tests.report import chromium

BROWSER = chromium.find()
SWEEP = [
    *("norm=none,batch", "model.pool=avg,max,stride", "model.padding=0,2"),
    *("model.activation=relu,tanh,sigmoid", "optimizer.lr=0.1,0.2", "seed=range(2)"),
]


def measure(run: Run) -> dict[str, float | None]:
    """Return a number that differs by norm and seed."""
    value = 0.3 + 0.1 * (run.cell.labels["norm"] == "batch") + 0.01 * run.seed
    return {"test_accuracy": value, "train_loss": 1 - value}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a design of 72 cells with its report."""
    store = planted(SWEEP, tmp_path_factory.mktemp("sheets"), measure)[1]
    with undrawn_figures():
        build(store)
    return store


def choices(page: str) -> dict[str, dict[str, str]]:
    """Return by name of a figure what tells each sheet from the others."""
    found = re.findall(r'data-name="(\w+)" data-choice="([^"]*)"', page)
    return {name: json.loads(text.replace("&#34;", '"')) for name, text in found}


def test_every_sheet_is_a_file_and_a_figure_of_the_page(store: Store) -> None:
    """Each says what it shows; the text has the first and says how many more there are."""
    page = store.page.read_text()
    sheets = {name: one for name, one in choices(page).items() if name.startswith("cells")}
    assert len(sheets) == 2  # each response has its own
    assert {one["response"] for one in sheets.values()} == {
        "accuracy (test)",
        "loss (train, moving weights)",
    }
    for name in sheets:
        assert (store.figures / f"{name}.svg").is_file()
        assert f"The drawing is figures/{name}.svg" in page  # where no script runs
    text = (store.folder / "report.md").read_text()
    assert "cells.svg" in text
    assert "cells_sheet_2" not in text
    assert "This sheet: accuracy (test). The page, report.html, has 1 more." in text


@pytest.mark.thorough
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: scripts/browser.sh installs one")
def test_a_reader_chooses_the_sheet(store: Store, tmp_path: Path) -> None:
    """By keyboard as well; one sheet is seen at a time, drawn, and an address leads to each."""
    assert BROWSER is not None
    name = "cells"
    with chromium.opened(BROWSER, tmp_path / "profile") as tab:
        tab.open(store.page.resolve().as_uri())
        tab.run('document.getElementById("figures").open = true')
        group = f'document.getElementById("figure-{name}").closest(".sheets")'
        seen = f'[...{group}.querySelectorAll("figure")].filter(one => one.checkVisibility())'
        tab.wait(f'{seen}.length === 1 && {seen}[0].querySelector("svg") !== null')
        assert tab.run(f"{seen}[0].dataset.name") == name
        tab.run(f'{group}.querySelector("select").focus()')
        tab.press("ArrowDown", 40)
        tab.wait(f'{seen}[0].dataset.name !== "{name}"')
        tab.wait(f'{seen}.length === 1 && {seen}[0].querySelector("svg") !== null')
        chosen = tab.run(f'{group}.querySelector("select").value')
        told = tab.run(f"JSON.parse({seen}[0].dataset.choice)")
        assert chosen in told.values()
        tab.run(f'location.hash = "#figure-{name}"')
        tab.wait(f'{seen}[0].dataset.name === "{name}"')
        handles = f'{seen}[0].querySelectorAll(".handles").length'
        assert tab.run(handles) == 1  # it was opened, left and opened again
        tab.open("about:blank")
        tab.open(f"{store.page.resolve().as_uri()}#figure-{name}_sheet_2")
        tab.wait(f'{seen}[0]?.dataset.name === "{name}_sheet_2"')
