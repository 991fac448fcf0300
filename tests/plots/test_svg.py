"""SVG files: text as text, and the same picture in fewer bytes."""

import io
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text

from bnexp import plots
from bnexp.plots.svg import inlined, is_ours, smaller
from tests.report import chromium
from tests.report.chromium import Tab

NS = "{http://www.w3.org/2000/svg}"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
BROWSER = chromium.find()


def figures() -> dict[str, Figure]:
    """Return figures with text of every kind: turned, of several lines, powers, legends."""
    found = {"speeds": plots.speeds(["a <b> & c", "two"], [50.0, 30.0], [10.0, 60.0])}
    factors = {"norm": ("none", "batch"), "optimizer.lr": ("0.001", "0.01", "0.1", "1.0")}
    rng = np.random.default_rng(3)
    rows = [
        (norm, lr, seed, "ok", accuracy, 10.0 ** rng.uniform(-2, 5))
        for norm in factors["norm"]
        for lr in factors["optimizer.lr"]
        for seed, accuracy in enumerate(rng.uniform(0.5, 1, 3))
    ]
    responses = ["test_accuracy", "train_loss"]
    runs = pd.DataFrame(rows, columns=[*factors, "seed", "status", *responses])
    from bnexp import stats

    cells = stats.cells(runs, factors, range(3), responses)
    effects = stats.contrasts(runs, factors, range(3), responses)
    found["sweep"] = plots.sweep(cells, runs, factors, responses, axis="optimizer.lr")
    found["effects"] = plots.effects(effects, responses)
    found["cells"] = plots.cell_means(cells, runs, factors, responses, {})
    return found


@pytest.fixture(scope="module")
def files() -> dict[str, tuple[Figure, bytes]]:
    """Return each figure with its SVG."""
    with plots.styled():
        drawn = figures()
        return {name: (figure, plots.files(figure)["svg"]) for name, figure in drawn.items()}


def test_text_is_text(files: dict[str, tuple[Figure, bytes]]) -> None:
    """Every word of a figure is found in its file, in fonts that end with any sans-serif."""
    for figure, svg in files.values():
        root = ET.fromstring(svg)
        said = {"".join(text.itertext()) for text in root.iter(f"{NS}text")}
        lines = {
            line.strip()
            for text in figure.findobj(Text)
            if text.get_visible() and "$" not in text.get_text()
            for line in text.get_text().split("\n")
        }
        labels = {line for axes in figure.axes for line in axes.get_xlabel().split("\n")}
        assert labels - {""} <= said & lines
        assert len(said) > 5
        fonts = set(re.findall(r"font-family: ([^;}]*)", svg.decode()))
        assert fonts
        assert all(font.startswith("'DejaVu Sans'") for font in fonts)
        assert all(font.endswith(", sans-serif") for font in fonts)


def test_nothing_but_the_picture_is_in_a_file(files: dict[str, tuple[Figure, bytes]]) -> None:
    """No date, no version and no metadata: the same table gives the same bytes."""
    for _, svg in files.values():
        assert is_ours(svg)
        assert not re.search(rb"metadata|rdf|Matplotlib|\d{4}-\d\d-\d\d", svg)


def drawn(svg: bytes) -> list[ET.Element]:
    """Return what is drawn, in order: all but groups, styles and metadata."""
    root = ET.fromstring(svg)
    return [
        one
        for one in root.iter()
        if one.tag.startswith(NS) and one.tag.removeprefix(NS) not in ("g", "style", "metadata")
    ]


def test_the_picture_stays_the_same(files: dict[str, tuple[Figure, bytes]]) -> None:
    """Every element keeps its place to a hundredth of a point, its style and its text."""
    for figure, _ in files.values():
        raw = io.BytesIO()
        with plots.styled():
            FigureCanvasSVG(figure).print_svg(raw, metadata={"Date": None})
        small = smaller(raw.getvalue())
        assert len(small) < 0.6 * len(raw.getvalue())
        sheet = ET.fromstring(small).findtext(f"{NS}defs/{NS}style") or ""
        styles = dict(re.findall(r"^\.(\w+)\{(.*)\}$", sheet, re.MULTILINE))
        before, after = drawn(raw.getvalue()), drawn(small)
        assert [one.tag for one in before] == [one.tag for one in after]
        for one, two in zip(before, after, strict=True):
            looks = [one.get("style", ""), styles.get(two.get("class", ""), "")]
            here, there = (re.sub(r"font-family: [^;]*", "", look) for look in looks)
            assert here == there
            assert (one.text or "").strip() == (two.text or "").strip()
            for key in set(one.keys()) - {"style", "id"}:
                if key == "transform" and key not in two.attrib:
                    assert one.attrib[key].startswith(("rotate(0 ", "rotate(-0 "))
                    continue
                here, there = (NUMBER.findall(el.attrib[key]) for el in (one, two))
                if key in ("d", "x", "y", "width", "height", "transform"):
                    assert np.allclose(
                        np.array(here, float), np.array(there, float), rtol=0, atol=0.00501
                    ), (key, one.attrib[key], two.attrib[key])
                    letters = [re.sub(r"[^A-Za-z]", "", el.attrib[key]) for el in (one, two)]
                    assert letters[0] == letters[1]
                else:
                    assert one.attrib[key] == two.attrib[key]


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """Return a browser."""
    if BROWSER is None:
        pytest.skip("no Chromium")
    if subprocess.run([BROWSER, "--version"], capture_output=True, check=False).returncode:
        pytest.skip(f"{BROWSER} does not start")
    with chromium.opened(BROWSER, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


PLACES = """[...document.querySelectorAll("text")].map(text => {
    const box = text.getBoundingClientRect();
    return [text.textContent, box.left, box.top, box.right, box.bottom]; })"""
FRAME = "(box => [box.width, box.height])(document.documentElement.getBoundingClientRect())"


@pytest.mark.thorough
@pytest.mark.parametrize("font", ["DejaVu Sans", "DejaVu Sans Condensed", "sans-serif"])
@pytest.mark.parametrize("width", [1400, 500])
def test_no_label_runs_into_another_or_out_of_the_frame(
    font: str,
    width: int,
    tab: Tab,
    files: dict[str, tuple[Figure, bytes]],
    tmp_path: Path,
) -> None:
    """In a browser, with its own fonts, labels keep clear of each other and the edge."""
    tab.resize(width, 900)
    for name, (_, svg) in files.items():
        text = re.sub(r"font-family: [^;}]*", f"font-family: {font!r}", svg.decode())
        path = tmp_path / f"{name}.svg"
        path.write_text(text)
        tab.open(path.as_uri())
        right, bottom = tab.run(FRAME)
        places = tab.run(PLACES)
        assert len(places) > 5
        for i, (one, left, top, end, low) in enumerate(places):
            assert min(left, top) > -1, one
            assert end < right + 1, one
            assert low < bottom + 1, one
            for other, left_2, top_2, end_2, low_2 in places[:i]:
                wide = min(end, end_2) - max(left, left_2)
                high = min(low, low_2) - max(top, top_2)
                assert wide < 1 or high < 3, (one, other)  # boxes of lines touch, letters not


def test_a_hatch_keeps_its_pattern_in_a_page() -> None:
    """A pattern gets the figure's prefix, and so does what is filled with it."""
    figure = Figure()
    figure.subplots().bar([0], [1], hatch="//", facecolor="#e8e8e8")
    buffer = io.BytesIO()
    unsaid = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(buffer, metadata=unsaid)
    drawing = inlined(smaller(buffer.getvalue()), "f7", "hatched")
    (pattern,) = re.findall(r'<pattern id="(\w+)"', drawing)
    assert pattern.startswith("f7")
    assert f"fill: url(#{pattern})" in drawing
