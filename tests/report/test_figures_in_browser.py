"""Figures of a page in a real browser: they answer to the pointer and to the keyboard."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from bnexp.report.reports import build
from bnexp.store.folder import Store
from bnexp.study.design import Run
from tests.fabricate import planted
from tests.report import chromium
from tests.report.chromium import Tab

BROWSER = chromium.find()
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium: scripts/browser.sh installs one"),
]
FIGURE = 'document.querySelector("#figure-cells")'
SVG = f'{FIGURE}.querySelector("svg")'
TIP = f'{FIGURE}.querySelector(".point").innerText'
VIEW = f'{SVG}.getAttribute("viewBox")'
N = 'pointsOf("cells").then(all => all.length)'
LOUD = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


def measure(run: Run) -> dict[str, float | None]:
    """Return a number of its own for every run."""
    batch = run.cell.labels["norm"] == "batch"
    value = 0.5 + 0.1 * batch + 0.013 * run.seed
    return {"test_accuracy": value, "train_loss": 1 - value}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a study of 24 runs with its report."""
    sweep = ["norm=none,batch", "model.pool=avg,max", "seed=range(6)"]
    store = planted(sweep, tmp_path_factory.mktemp("figures"), measure)[1]
    build(store)
    return store


@pytest.fixture(scope="module")
def browser(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """Return a browser; after all tests nothing was asked for and nothing complained."""
    assert BROWSER is not None
    if subprocess.run([BROWSER, "--version"], capture_output=True, check=False).returncode:
        pytest.skip(f"{BROWSER} does not start")
    url = (store.folder / "report.html").resolve().as_uri()
    with chromium.opened(BROWSER, tmp_path_factory.mktemp("profile")) as tab:
        tab.resize(1280, 900)
        tab.open(url)
        yield tab
        asked = {
            event["params"]["request"]["url"]
            for event in tab.events
            if event["method"] == "Network.requestWillBeSent"
        }
        assert {one for one in asked if not one.startswith(("data:", "blob:"))} == {url}
        assert [event for event in tab.events if event["method"] in LOUD] == []


@pytest.fixture
def tab(browser: Tab) -> Tab:
    """Return the browser with the figure of all cells as it was, in the middle."""
    browser.run(
        f"""for (let one = {FIGURE}; one; one = one.parentElement)
              if (one.tagName === "DETAILS") one.open = true; 0"""
    )
    browser.wait(f"{SVG}?.tabIndex === 0")
    browser.run(
        f"""document.activeElement.blur();
            {SVG}.dispatchEvent(new MouseEvent("dblclick"));
            for (const one of {FIGURE}.querySelectorAll("[aria-pressed=false]"))
              one.dispatchEvent(new MouseEvent("click", {{bubbles: true}}));
            {SVG}.scrollIntoView({{block: "center"}}); window.showRun = undefined; 0"""
    )
    return browser


def dot(tab: Tab, said: str = "run") -> dict[str, Any]:
    """Return a point of the figure with its place on the screen: the first that says this."""
    found: dict[str, Any] = tab.run(
        f"""(async () => {{ const all = await pointsOf("cells");
            const point = all.find(one => one.says[{said!r}] != null);
            const at = new DOMPoint(point.x, point.y).matrixTransform({SVG}.getScreenCTM());
            return {{x: at.x, y: at.y, says: point.says, series: point.series}}; }})()"""
    )
    return found


def point_at(tab: Tab, x: float, y: float, kind: str = "mouseMoved", **more: Any) -> None:
    """Move, press or turn the mouse somewhere."""
    tab.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)


def click(tab: Tab, x: float, y: float) -> None:
    """Press and release the left button."""
    for kind in ("mousePressed", "mouseReleased"):
        point_at(tab, x, y, kind, button="left", clickCount=1)


def chosen(tab: Tab) -> dict[str, str]:
    """Return what the marked point carries."""
    found: dict[str, str] = tab.run(f'({{...{SVG}.querySelector(".chosen")?.dataset}})')
    return found


def test_a_point_says_what_it_is(tab: Tab) -> None:
    """Under the pointer it tells its cell, seed, value and run; away from it nothing does."""
    at = dot(tab)
    point_at(tab, at["x"] + 1, at["y"] + 1)
    tab.run('pointsOf("cells").then(() => 0)')  # what it says has been read
    point_at(tab, at["x"] + 1, at["y"])
    told = tab.run(TIP)
    assert at["says"]["cell"] in told
    assert f"seed {at['says']['seed']}" in told
    assert at["says"]["run"] in told
    assert chosen(tab)["run"] == at["says"]["run"]
    assert float(chosen(tab)["value"]) == pytest.approx(at["says"]["value"])
    mean = dot(tab, "n")
    point_at(tab, mean["x"], mean["y"])
    assert "n 6" in tab.run(TIP)
    assert "[" in tab.run(TIP)
    point_at(tab, 3, 3)
    assert tab.run(TIP) == ""


def test_a_point_leads_to_its_run(tab: Tab) -> None:
    """A click, or Enter, opens the run of the point; a click beside all points none."""
    tab.run("window.opened = []; window.showRun = id => window.opened.push(id); 0")
    at = dot(tab)
    click(tab, at["x"], at["y"])
    assert tab.run("window.opened") == [at["says"]["run"]]
    box = tab.run(f"(box => [box.left, box.top])({SVG}.getBoundingClientRect())")
    click(tab, box[0] + 2, box[1] + 2)
    assert len(tab.run("window.opened")) == 1


def test_the_legend_hides_and_shows(tab: Tab) -> None:
    """An entry takes its series out, points and all, and brings it back; keys do, too."""
    at = dot(tab)
    entry = f"""[...{SVG}.querySelectorAll("[role=button]")]
                .find(one => one.dataset.legend === {json.dumps(at["series"])})"""
    parts = f"""[...{SVG}.querySelectorAll("[data-series]")]
                .filter(one => one.dataset.series === {json.dumps(at["series"])})"""
    x, y = tab.run(
        f"(b => [b.left + b.width / 2, b.top + b.height / 2])({entry}.getBoundingClientRect())"
    )
    click(tab, x, y)
    assert tab.run(f"{parts}.length") >= 2
    hidden = 'getComputedStyle(one).display === "none"'
    assert tab.run(f"{parts}.every(one => {hidden})")
    point_at(tab, at["x"], at["y"])
    assert at["says"]["run"] not in tab.run(TIP)
    tab.run(f"{entry}.focus()")
    tab.press("Enter", 13, "\r")
    assert not tab.run(f"{parts}.some(one => {hidden})")
    assert tab.run(f"{entry}.ariaPressed") == "true"


def test_zoom_and_back(tab: Tab) -> None:
    """Wheel, keys and buttons bring it closer, dragging moves it, a double click resets."""
    whole = tab.run(VIEW)
    at = dot(tab)
    point_at(tab, at["x"], at["y"], "mouseWheel", deltaX=0, deltaY=-100, modifiers=2)
    tab.wait(f"{VIEW} !== {whole!r}")
    closer = [float(part) for part in tab.run(VIEW).split()]
    assert closer[2] < float(whole.split()[2])
    again = dot(tab)
    assert (again["x"], again["y"]) == pytest.approx((at["x"], at["y"]), abs=2)
    point_at(tab, again["x"], again["y"], "mousePressed", button="left", clickCount=1)
    for by in (10, 40):
        point_at(tab, again["x"] - by, again["y"], button="left", buttons=1)
    point_at(tab, again["x"] - 40, again["y"], "mouseReleased", button="left", clickCount=1)
    moved = [float(part) for part in tab.run(VIEW).split()]
    assert moved[0] > closer[0]
    assert moved[2] == pytest.approx(closer[2])
    tab.run(f'{SVG}.dispatchEvent(new MouseEvent("dblclick"))')
    assert tab.run(VIEW) == whole
    down = tab.run("scrollY")
    point_at(tab, at["x"], at["y"], "mouseWheel", deltaX=0, deltaY=100)
    tab.wait(f"scrollY > {down}")  # a wheel alone is the page's
    assert tab.run(VIEW) == whole
    tab.run(f'{FIGURE}.querySelector("button[title=closer]").click()')
    assert float(tab.run(VIEW).split()[2]) < float(whole.split()[2])


def test_the_keyboard_goes_from_point_to_point(tab: Tab) -> None:
    """Arrows step through all points and round; Enter opens; Escape leaves."""
    tab.run("window.opened = []; window.showRun = id => window.opened.push(id); 0")
    tab.run(f"{SVG}.focus()")
    n = tab.run(N)
    tab.press("ArrowRight", 39)
    tab.wait(f'{SVG}.querySelector(".chosen") !== null')
    first = chosen(tab)
    tab.press("Enter", 13, "\r")
    assert tab.run("window.opened") == [first["run"]]
    tab.press("ArrowLeft", 37)
    assert chosen(tab) != first
    for _ in range(n):
        tab.press("ArrowRight", 39)
    tab.press("ArrowRight", 39)
    assert chosen(tab) == first
    tab.press("+", 187, "+")
    assert float(tab.run(VIEW).split()[2]) < tab.run("600000")
    tab.press("Escape", 27)
    assert chosen(tab) == {}


def test_a_table_beside_the_figure_has_its_numbers(tab: Tab) -> None:
    """It is made when it is opened, with a row for each point."""
    table = f'{FIGURE}.querySelector("details table")'
    assert tab.run(f"{table} === null")
    tab.run(f'{FIGURE}.querySelector("details").open = true')
    tab.wait(f"{table} !== null")
    assert tab.run(f"{table}.tBodies[0].rows.length") == tab.run(
        'pointsOf("cells").then(all => all.length)'
    )
    assert tab.run(f"{table}.tHead.textContent").startswith("of")


def test_it_can_be_taken_away(tab: Tab) -> None:
    """SVG, PNG and CSV are whole files: an image that needs no page, and its numbers."""
    tab.run(
        """window.taken = [];
           URL.createObjectURL = blob => { window.taken.push(blob); return "data:,"; };
           HTMLAnchorElement.prototype.click = function () {}; 0"""
    )
    for kind in ("SVG", "PNG", "CSV"):
        tab.run(f'{FIGURE}.querySelector("button[title*={kind}]").click()')
        tab.wait(f"window.taken.length === {('SVG', 'PNG', 'CSV').index(kind) + 1}")
    svg, csv = (tab.run(f"window.taken[{i}].text()") for i in (0, 2))
    assert not any(word in svg for word in ("var(", "light-dark", "currentColor", "tabindex"))
    assert svg.startswith("<svg")
    size = tab.run("createImageBitmap(window.taken[1]).then(one => [one.width, one.height])")
    assert size[0] > 1000
    colours = tab.run(
        """createImageBitmap(window.taken[1]).then(one => {
             const paper = new OffscreenCanvas(one.width, one.height).getContext("2d");
             paper.drawImage(one, 0, 0);
             return new Set(new Uint32Array(paper.getImageData(0, 0, one.width, one.height)
               .data.buffer)).size; })"""
    )
    assert colours > 50  # something is drawn on it
    rows = csv.splitlines()
    assert len(rows) == 1 + tab.run(N)
    assert "run" in rows[0].split(",")


def test_a_figure_can_be_read_in_a_narrow_window_and_a_dark_one(tab: Tab) -> None:
    """At 420 pixels letters stay readable, and keys bring what is aside into sight."""
    try:
        tab.resize(420, 800)
        assert tab.run("document.documentElement.scrollWidth") <= 420
        box = f"{SVG}.parentElement"
        assert tab.run(f"{box}.getBoundingClientRect().right") <= 420
        whole = 'document.querySelector("#answer .drawing svg").getBoundingClientRect().right'
        assert tab.run(whole) <= 420
        letters = f'[...{SVG}.querySelectorAll("text")].map(one => one.getBBox().height)'
        assert tab.run(f"Math.min(...{letters}) * {SVG}.getScreenCTM().a") > 8.5
        tab.run(f"{SVG}.focus(); 0")
        for _ in range(24):
            tab.press("ArrowRight", 39)
            tab.wait(f"{TIP} !== ''")
            ring = f'{SVG}.querySelector(".chosen").getBoundingClientRect()'
            tab.wait(f"{ring}.left >= 0 && {ring}.right <= 420")
        tab.media(prefers_color_scheme="dark")
        ink = tab.run(f'getComputedStyle({SVG}.querySelector("text")).fill')
        assert min(int(part) for part in ink[4:-1].split(",")) > 150
    finally:
        tab.resize(1280, 900)
        tab.media()


def test_a_link_to_a_figure_opens_what_it_lies_in(tab: Tab) -> None:
    """The address of a figure that lies in a closed part opens that part."""
    fold = f'{FIGURE}.closest("details")'
    tab.run(f'{fold}.open = false; location.hash = "#figure-cells"; 0')
    tab.wait(f"{fold}.open")
