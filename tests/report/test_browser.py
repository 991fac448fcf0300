"""The report in a real browser: what a reader clicks, types, presses, shares and prints."""

import base64
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from bnexp.report.reports import build
from bnexp.store.folder import Store
from bnexp.study.design import Run
from tests.fabricate import planted, redeclared
from tests.report import chromium
from tests.report.chromium import Tab

BROWSER = chromium.find()
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium: scripts/browser.sh installs one"),
]
TAB, ENTER = ("Tab", 9), ("Enter", 13, "\r")
HOSTILE = (
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"
)


def measure(run: Run) -> dict[str, float | None]:
    """Return values of both signs, of different lengths, and a diverged run."""
    batch = run.cell.labels["norm"] == "batch"
    value = 0.5 + 0.1 * batch + 0.013 * run.seed * (1 - 2 * batch)
    found: dict[str, float | None] = {"test_accuracy": value, "train_loss": 15 - 10 * value}
    lost = run.seed == 3 and run.cell.labels == {"norm": "none", "model.pool": "avg"}
    return dict.fromkeys(found) if lost else found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a study of 48 runs with its report, whose question is an attack."""
    folder = tmp_path_factory.mktemp("a page") / "wíth % and #"
    sweep = ["norm=none,batch", "model.pool=avg,max", "seed=range(12)"]
    store = planted(sweep, folder, measure)[1]
    redeclared(store, question=HOSTILE)
    build(store)
    return store


@pytest.fixture(scope="module")
def url(store: Store) -> str:
    """Return the address of the page."""
    return (store.folder / "report.html").resolve().as_uri()


@pytest.fixture(scope="module")
def browser(store: Store, url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """Return a browser that has the page open; after all tests, look at what it did."""
    assert BROWSER is not None
    if subprocess.run([BROWSER, "--version"], capture_output=True, check=False).returncode:
        pytest.skip(f"{BROWSER} does not start")
    with chromium.opened(BROWSER, tmp_path_factory.mktemp("profile")) as tab:
        tab.resize(1280, 800)
        tab.open(url)
        yield tab
        assert requests(tab) == {url}
        assert complaints(tab) == []


def requests(tab: Tab) -> set[str]:
    """Return every address that was asked for, except for images inside the page."""
    asked = [
        event["params"]["request"]["url"].partition("#")[0]
        for event in tab.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return {one for one in asked if not one.startswith("data:")}


def complaints(tab: Tab) -> list[dict[str, Any]]:
    """Return what went to the console, and what was thrown."""
    loud = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    return [event for event in tab.events if event["method"] in loud]


@pytest.fixture
def tab(browser: Tab) -> Tab:
    """Return the browser at the top of the page, every part open, nothing filtered."""
    unfold(browser)
    browser.run(
        """for (const input of document.querySelectorAll(".tools input")) {
             input.value = ""; input.dispatchEvent(new Event("input")); }
           for (const chip of document.querySelectorAll(".tools button:first-of-type"))
             if (!chip.hidden) chip.click();
           document.querySelector("dialog[open]")?.close();
           document.activeElement.blur(); scrollTo(0, 0);"""
    )
    return browser


def unfold(tab: Tab) -> None:
    """Open every folded part, and wait until it is built."""
    tab.run('document.querySelectorAll("details").forEach(one => { one.open = true; })')
    tab.wait('document.querySelector(".unbuilt") === null')


def column(tab: Tab, table: str, number: int) -> list[str]:
    """Return the visible texts of a column, counted from 0."""
    texts: list[str] = tab.run(
        f"""[...document.querySelectorAll("#table-{table} tbody tr")]
            .filter(row => row.checkVisibility()).map(row => row.cells[{number}].textContent)"""
    )
    return texts


def header(tab: Tab, table: str) -> list[str]:
    """Return the names of a table's columns."""
    names: list[str] = tab.run(
        f'[...document.querySelectorAll("#table-{table} th")].map(head => head.textContent)'
    )
    return names


def click_header(tab: Tab, table: str, number: int) -> str:
    """Sort by a column; return its aria-sort."""
    order: str = tab.run(
        f"""(() => {{ const head = document.querySelectorAll("#table-{table} th")[{number}];
            head.querySelector("button").click(); return head.ariaSort; }})()"""
    )
    return order


def test_numbers_are_sorted_by_value(tab: Tab) -> None:
    """Signs, intervals and digits count as numbers; rows without one stay last both ways."""
    number = header(tab, "runs").index("loss (train, moving weights)")
    assert click_header(tab, "runs", number) == "ascending"
    up = column(tab, "runs", number)
    assert up[-1] == ""
    assert [float(text) for text in up[:-1]] == sorted(float(text) for text in up[:-1])
    assert len(up[0]) < len(up[-2])  # 8.57 comes before 10.43: not as text
    assert click_header(tab, "runs", number) == "descending"
    assert column(tab, "runs", number) == [*up[:-1][::-1], ""]
    effect = header(tab, "effects").index("accuracy (test), percentage points")
    click_header(tab, "effects", effect)
    shown = [
        float(text.split()[0].replace("\N{MINUS SIGN}", "-"))
        for text in column(tab, "effects", effect)
    ]
    assert shown == sorted(shown)
    assert shown[0] < 0 < shown[-1]


def test_a_cell_without_a_number_comes_last(tab: Tab) -> None:
    """In either direction, whatever word stands there instead of a number."""
    tab.run(
        """document.body.append(buildTable("x", {title: "t", note: "", file: "", hints: {},
             header: ["a"], rows: [[["none", "absent", ""]], ["2"], ["10"]]}).section)"""
    )
    for direction, numbers in (("ascending", ["2", "10"]), ("descending", ["10", "2"])):
        assert click_header(tab, "x", 0) == direction
        assert column(tab, "x", 0) == [*numbers, "none"]
    tab.run('document.getElementById("table-x").remove()')


def test_words_are_sorted_as_words(tab: Tab) -> None:
    """A column of levels goes by the alphabet, and only one column claims to be sorted."""
    assert click_header(tab, "cells", 0) == "ascending"
    assert column(tab, "cells", 0) == ["batch", "batch", "none", "none"]
    click_header(tab, "cells", 0)  # a level that is called none is not a missing number
    assert column(tab, "cells", 0) == ["none", "none", "batch", "batch"]
    assert click_header(tab, "cells", 1) == "ascending"
    assert tab.run('document.querySelectorAll("#cells [aria-sort]").length') == 1


def test_a_filter_keeps_the_rows_with_all_its_words(tab: Tab) -> None:
    """What is typed narrows the table, is counted aloud, and can be shared as an address."""
    tab.run('document.querySelector("#runs .tools input").focus()')
    tab.send("Input.insertText", text="NONE avg diverged")
    assert column(tab, "runs", 0) == ["none"]
    output = 'document.querySelector("#runs output")'
    assert tab.run(f"{output}.textContent") == "1 of 48 rows"
    assert tab.run(f"{output}.ariaLive") == "polite"
    assert tab.run("location.hash") == "#runs?q=NONE+avg+diverged"
    assert len(column(tab, "cells", 0)) == 4


def test_a_number_leads_to_its_runs(tab: Tab, store: Store) -> None:
    """The n of a cell opens the table of runs with exactly the runs of that cell."""
    runs = pd.read_csv(store.tables / "runs.csv")
    tab.run(
        """[...document.querySelectorAll("#cells tbody tr")].find(
             row => row.cells[0].textContent === "batch" && row.cells[1].textContent === "max"
           ).querySelector("a").click()"""
    )
    tab.wait('document.querySelector("#runs output").textContent === "12 of 48 rows"')
    wanted = runs[(runs["norm"] == "batch") & (runs["model.pool"] == "max")]["run_id"]
    assert set(column(tab, "runs", len(header(tab, "runs")) - 1)) == set(wanted)
    assert tab.run("location.hash") == "#runs?norm=batch&model.pool=max"
    assert tab.run("document.activeElement.id") == "table-runs-title"
    assert tab.run("document.activeElement.getBoundingClientRect().top") < 400
    tab.run('document.querySelector("#runs .tools button").click()')
    assert len(column(tab, "runs", 0)) == 48


def test_a_shared_address_opens_with_its_runs(tab: Tab, url: str) -> None:
    """Both levels of a key are asked for by naming it twice; the address outlives a reload."""
    tab.open(f"{url}#runs?norm=batch&seed=3&seed=4")
    tab.wait('document.querySelector("#runs output")?.textContent === "4 of 48 rows"')
    assert sorted(column(tab, "runs", 2)) == ["3", "3", "4", "4"]
    tab.send("Page.reload")
    tab.wait('document.querySelector("#runs output")?.textContent === "4 of 48 rows"')


def test_the_keyboard_reaches_everything(tab: Tab, url: str) -> None:
    """Tab goes to the skip link, the theme, the links and controls; Enter operates them."""
    tab.open(url)
    tab.run("document.activeElement.blur(); getSelection().collapse(document.body, 0)")
    reached = []
    for _ in range(200):
        tab.press(*TAB)
        reached.append(tab.run("document.activeElement.textContent.trim().slice(0, 30)"))
        if reached[-1].startswith("What each factor changes"):
            tab.press(*ENTER)
            tab.wait('document.querySelector("#effects .unbuilt") === null')
        if reached[-1] == "comparison":
            break
    assert reached[0] == "Skip to the content"
    assert {"Dark theme", "percentage points", "comparison"} <= set(reached)
    tab.press(*ENTER)
    order = 'document.activeElement.closest("th").ariaSort'
    assert tab.run(order) == "ascending"
    tab.press(*ENTER)
    assert tab.run(order) == "descending"
    hidden = 'getComputedStyle(document.activeElement).outlineStyle === "none"'
    assert not tab.run(hidden)


def test_the_theme_follows_the_system_until_it_is_chosen(tab: Tab) -> None:
    """The page starts as the system is; the button turns it over, for later visits too."""
    paper = "getComputedStyle(document.body).backgroundColor"
    button = 'document.querySelector(".theme")'
    tab.media(prefers_color_scheme="light")
    light = tab.run(paper)
    tab.media(prefers_color_scheme="dark")
    dark = tab.run(paper)
    assert dark != light
    tab.wait(f"{button}.ariaPressed === 'true'")
    tab.run(f"{button}.click()")
    assert tab.run(paper) == light
    tab.send("Page.reload")
    tab.wait(f"document.readyState === 'complete' && {button} !== null")
    assert tab.run(paper) == light
    tab.run(f"{button}.click()")
    assert tab.run(paper) == dark
    tab.run("localStorage.clear()")
    tab.run("delete document.documentElement.dataset.theme")
    tab.media()


@pytest.mark.parametrize("width", [360, 1280, 1600])
def test_the_page_never_scrolls_sideways(tab: Tab, width: int) -> None:
    """Wide tables and figures scroll inside their frame, on a phone and on a wide screen."""
    tab.resize(width, 800)
    assert tab.run("document.documentElement.scrollWidth") <= width
    outside = tab.run(
        f"""[...document.querySelectorAll("main *, header *")].filter(one =>
              !one.closest(".scroll, .drawing, .hidden")
              && one.getBoundingClientRect().right > {width} + 1
            ).map(one => one.outerHTML.slice(0, 80))"""
    )
    tab.resize(1280, 800)
    assert outside == []


def test_the_answer_stands_above_the_fold(tab: Tab) -> None:
    """On an ordinary screen every answer is seen without scrolling."""
    bottoms = tab.run(
        """[...document.querySelectorAll(".opening, .numbers")]
             .map(one => one.getBoundingClientRect().bottom)"""
    )
    assert len(bottoms) == 2
    assert max(bottoms) < 800


def test_print_is_the_answer_and_no_more(tab: Tab) -> None:
    """Paper gets answer, claims, figure and caveats on few pages, and no controls."""
    tab.media("print", prefers_color_scheme="dark")
    kept = ("#answer", ".opening", ".numbers", "figure", "#caveats", "#words")
    for one in kept:
        assert tab.run(f'document.querySelector("{one}").checkVisibility()'), one
    gone = '[...document.querySelectorAll("#more details, .theme, .tools, .skip")]'
    assert not tab.run(f"{gone}.some(one => one.checkVisibility())")
    paper = tab.run("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    tab.media()
    printed = base64.b64decode(tab.send("Page.printToPDF")["data"])
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 4


def test_without_script_the_page_answers(tab: Tab, url: str) -> None:
    """Answer, figure and caveats are there, no control that does nothing, and where data is."""
    tab.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open("about:blank")
        tab.open(url)
        for one in (".opening", ".numbers dd", "#answer figure", "#caveats li", "#words dt"):
            assert tab.run(f'document.querySelector("{one}").checkVisibility()'), one
        assert tab.run('document.querySelectorAll("button, input").length') == 0
        told = tab.run('document.querySelector("#runs .unbuilt").textContent')
        assert "tables/runs.csv" in told
    finally:
        tab.send("Emulation.setScriptExecutionDisabled", value=False)
    tab.open(url)


def test_a_part_is_built_when_it_is_opened(tab: Tab, url: str) -> None:
    """Until then the page is small: nothing of a table stands in it."""
    tab.open("about:blank")
    tab.open(url)
    assert tab.run('document.querySelectorAll("#runs tr").length') == 0
    tab.run('document.getElementById("runs").open = true')
    tab.wait('document.querySelectorAll("#runs tbody tr").length === 48')


def test_a_word_is_explained_where_it_stands(tab: Tab, url: str) -> None:
    """A term says what it means when the keyboard reaches it, and to a screen reader."""
    word = '[...document.querySelectorAll(".term")].find(one => one.textContent === "accuracy")'
    tab.run(f"{word}.focus()")
    shown = tab.run(f'getComputedStyle({word}, "::after").content')
    assert "share of images" in shown
    described = f"document.getElementById({word}.getAttribute('aria-describedby')).textContent"
    assert "share of images" in tab.run(described)


def test_a_run_can_be_looked_at(tab: Tab, url: str, store: Store) -> None:
    """Its address opens it: status, numbers, partners of its seed, and the command."""
    runs = pd.read_csv(store.tables / "runs.csv")
    lost = runs[runs["status"] == "diverged"].iloc[0]
    tab.open(f"{url}#run={lost['run_id']}")
    tab.wait('document.querySelector("dialog[open] h2")?.textContent.includes("seed 3")')
    shown = tab.run('document.querySelector("dialog").innerText')
    assert "diverged" in shown
    assert f"norm={lost['norm']}" in shown
    assert "seed=3" in shown
    others = runs[(runs["seed"] == 3) & (runs["run_id"] != lost["run_id"])]
    assert set(others["run_id"]) <= set(shown.split())
    first = others.iloc[0]
    tab.run(f"showRun('{first['run_id']}')")
    tab.wait(
        f"""document.querySelector("dialog h2").textContent.includes("norm {first["norm"]}")"""
    )
    assert tab.run("location.hash") == f"#run={first['run_id']}"
    assert f"{100 * first['test_accuracy']:.2f} %" in tab.run(
        'document.querySelector("dialog").innerText'
    )
    tab.press("Escape", 27)
    tab.wait('!document.querySelector("dialog").open')
    assert tab.run("location.hash") == ""
    tab.run("showRun('nothing')")
    tab.wait('document.querySelector("dialog h2").textContent.includes("no run nothing")')
    tab.run('document.querySelector("dialog").close()')


def test_a_hostile_question_is_shown_and_not_run(tab: Tab) -> None:
    """Markup in a study's words stays words, and could not run if it did not."""
    assert tab.run('document.querySelector("h1").textContent') == HOSTILE
    assert "owned" not in tab.run("document.title")
    n_before = len(tab.events)
    tab.run(
        """document.body.append(Object.assign(document.createElement("script"),
             {textContent: "document.title = 'owned'"}))"""
    )
    assert "owned" not in tab.run("document.title")
    (blocked,) = complaints(tab)
    assert "blocked" in blocked["params"]["entry"]["text"]
    del tab.events[n_before:]  # the one complaint that was asked for


def test_nothing_is_fetched_and_nothing_fails(tab: Tab, url: str) -> None:
    """Operating the page asks for no address but its own, and raises no error.

    The same is asserted of all tests together when the browser is closed.
    """
    tab.open("about:blank")
    tab.open(url)
    unfold(tab)
    for table in ("effects", "cells", "runs"):
        click_header(tab, table, 0)
    tab.run('document.querySelector("#cells td a").click()')
    assert requests(tab) == {url}
    assert complaints(tab) == []


def test_two_runs_are_compared_image_by_image(tab: Tab) -> None:
    """How many images both, one or neither gets right is counted from their bits."""
    shown = tab.run(
        """(() => {
             const bits = text => btoa(String.fromCharCode(parseInt(text, 2)));
             const runs = {factors: ["norm"], cells: [["a"], ["b"]], cell: [0, 1], seed: [3, 3],
               outcomes: [{name: "accuracy", images: [8, 8], right: [5, 4],
                           bits: [bits("11111000"), bits("11000011")]}]};
             return outcomes(runs, 0, {shown: [1]}).map(one => one.textContent); })()"""
    )
    assert shown[0] == "accuracy: 5 of 8 test images right, 3 wrong."
    assert shown[1].endswith("norm b, seed 32321")
