"""Results whose every text is an attack are text to a browser, a terminal and a spreadsheet."""

import csv
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bnexp.cli import main
from bnexp.errors import UsageError
from bnexp.report.reports import csv_bytes
from bnexp.store.frames import runs_frame
from bnexp.study.design import Run
from tests.fabricate import planted
from tests.report import chromium

BROWSER, SPREADSHEET = chromium.find(), shutil.which("ssconvert")
FORMULAS = ("=1+1", "+1+1", "-1+1", "@SUM(1)", "＝1+1")  # noqa: RUF001
BEFORE = ("", "a;", "a|", "a\n", "a\t", "a\r")
OWNED = "document.title='owned'"
MARKUP = (
    f'</script></style><script>{OWNED}</script><img src=x onerror="{OWNED}"><svg '
    f'onload="{OWNED}"> ![x](http://x.invalid/y.png) [a](javascript:{OWNED}) `c` $x$ '
    "\\input{/etc/passwd} {{7*7}} ${oc.env:HOME} ]]> -->"
)


def measure(run: Run) -> dict[str, float | None]:
    """Return numbers of three seeds, and of a fourth that diverged: it has an error."""
    value = 0.7 + 0.01 * run.seed**2
    metrics = {"test_accuracy": value, "test_accuracy_population": value, "train_loss": 0.5}
    return dict.fromkeys(metrics) if run.seed == 3 else {**metrics}


def texts(content: Any) -> Iterator[str]:
    """Yield every text of a JSON value, keys too."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for part in content.items() if isinstance(content, dict) else content:
            yield from texts(list(part) if isinstance(part, tuple) else part)


def replaced(content: Any, old: str, new: str) -> Any:
    """Return a JSON value with another text wherever one stands."""
    if isinstance(content, dict):
        return {replaced(k, old, new): replaced(v, old, new) for k, v in content.items()}
    if isinstance(content, list):
        return [replaced(part, old, new) for part in content]
    return new if content == old and isinstance(content, str) else content


def attack(paths: Sequence[Path], read: Callable[[], object]) -> set[str]:
    """Replace every text of files that bnexp reads all the same; return which these were."""
    contents = [json.loads(path.read_bytes()) for path in paths]
    starts = itertools.cycle(before + text for before in BEFORE for text in FORMULAS)
    taken = set()

    def write(of: list[Any]) -> None:
        for path, content in zip(paths, of, strict=True):
            path.write_text(json.dumps(content))

    for number, text in enumerate(sorted({*texts(contents)})):
        for words in (f"{next(starts)} {number} {MARKUP}", f"{FORMULAS[0]}*{number}"):
            trial = [replaced(content, text, words) for content in contents]
            write(trial)
            try:
                read()
            except UsageError:
                continue
            contents = trial
            taken.add(text)
            break
    write(contents)
    return taken


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two folders of the same hostile study, with their reports."""
    folder = tmp_path_factory.mktemp("hostile") / "results"
    sweep = ["study=pooling_vs_bn", "model.padding=0", "optimizer.lr=1.0", "seed=range(4)"]
    _, store = planted(sweep, folder, measure)
    words = json.loads(store.study.read_bytes())
    taken = attack([store.study], store.read_study)
    assert {words["question"], words["source"], words["name"], words["command"]} <= taken
    assert {"batch", "none", "max", "avg", words["claims"][0]["claim"]} <= taken
    run_ids = store.read_study().run_ids
    error = next(record.error for record in store.load(run_ids) if record.error)
    assert error in attack(store.run_files(), lambda: store.load(run_ids))
    first, second = folder / f"<img src=x onerror={OWNED}>", folder / "=1+1 `b` [c](d)"
    store.folder.rename(first)
    shutil.copytree(first, second)
    assert main(["report", str(first), str(second)]) == 0
    return folder


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.skipif(BROWSER is None, reason="no Chromium: scripts/browser.sh installs one")
def test_a_browser_runs_and_fetches_nothing(results: Path, tmp_path: Path) -> None:
    """Of any page or figure: no script, no address but its own, no link elsewhere."""
    assert BROWSER is not None
    pages = [*results.rglob("*.html"), *results.rglob("*.svg")]
    assert len(pages) > 15
    with chromium.opened(BROWSER, tmp_path) as tab:
        for page in pages:
            tab.events.clear()
            url = page.resolve().as_uri()
            tab.open(url)
            tab.run('document.querySelectorAll("details").forEach(one => { one.open = true; })')
            tab.wait('document.querySelector(".unbuilt") === null')
            assert tab.run("document.title") != "owned", page
            asked = {
                event["params"]["request"]["url"]
                for event in tab.events
                if event["method"] == "Network.requestWillBeSent"
            }
            assert {one for one in asked if not one.startswith("data:")} == {url}
            found = tab.run(
                """[...document.querySelectorAll("*")].flatMap(one => [...one.attributes])
                   .filter(one => one.name.startsWith("on") || /^ *javascript:/.test(one.value))
                   .map(one => one.name + "=" + one.value)"""
            )
            assert found == [], page


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.skipif(SPREADSHEET is None, reason="no ssconvert: it is in Debian's gnumeric")
def test_a_spreadsheet_finds_no_formula(results: Path, tmp_path: Path) -> None:
    """Every cell of every table has a type: a number or a text. A formula has none."""
    tables = list(results.rglob("*.csv"))
    assert len(tables) > 15
    probe = tmp_path / "probe.csv"
    probe.write_text("a\n=1+1\n")
    for table in (probe, *tables):
        out = tmp_path / "out.xml"
        command = ["ssconvert", "-T", "Gnumeric_XmlIO:sax:0", str(table), str(out)]
        subprocess.run(command, check=True, capture_output=True)
        cells = re.findall(r"<gnm:Cell [^>]*>", out.read_text())
        assert cells
        assert any("ValueType" not in cell for cell in cells) == (table is probe), table


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_written_orders_nothing(results: Path) -> None:
    """No file of a report holds a letter that a terminal obeys, or a cell that is a formula."""
    for path in (path for path in results.rglob("*") if path.parent.name != "runs"):
        if path.suffix in (".csv", ".html", ".md", ".tex", ".json", ".svg"):
            odd = {
                one for one in path.read_text() if not (one.isprintable() or one in "\n\xa0")
            }
            assert odd <= {"\t"}, path
        if path.suffix == ".csv":
            assert formulas(path.read_text()) == [], path


def formulas(table: str) -> list[str]:
    """Return the cells that begin a formula, however a spreadsheet splits the lines."""
    return [
        cell
        for delimiter in ",;|\t"
        for line in csv.reader(table.splitlines(), delimiter=delimiter)
        for cell in line
        if cell.startswith(FORMULAS)
    ]


def test_no_text_begins_a_formula() -> None:
    """At the start of a cell, or where a spreadsheet may see one; numbers stay numbers."""
    starts = [before + formula for before in BEFORE for formula in FORMULAS]
    frame = pd.DataFrame({start: [start, "-0.5"] for start in starts} | {"x": [-1.5, 1]})
    written = csv_bytes(frame).decode()
    assert formulas(written) == []
    assert written.endswith(f"{30 * '-0.5,'}1.0\n")
    assert "-1.5\n" in written


def test_an_error_is_one_cell_that_orders_nothing(tmp_path: Path) -> None:
    """A stranger's record may hold any letter: a table has what can be printed of it."""
    _, store = planted(["norm=none,batch", "seed=range(4)"], tmp_path, measure)
    record = json.loads(store.run_files()[0].read_bytes())
    record["error"] = "a\r=1+1\x1b[2J\u202e"
    store.run_files()[0].write_text(json.dumps(record))
    study = store.read_study()
    frame = runs_frame(study, store.load(study.run_ids))
    assert r"a\r=1+1\x1b[2J\u202e" in set(frame["error"])
