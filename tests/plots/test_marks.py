"""What points say, and where: the data of a figure that answers to a pointer."""

import json
import re
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from bnexp import plots, stats
from bnexp.plots.dark import luminance, on_any_ground
from bnexp.plots.marks import mark
from bnexp.plots.style import new_figure
from bnexp.plots.svg import inlined
from tests.fabricate import frame_of

NS = "{http://www.w3.org/2000/svg}"
FACTORS = {"norm": ("none", "batch"), "model.pool": ("avg", "max")}
HOSTILE = "</style><script>alert(1)</script>"


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Return the figure of four cells of three seeds, one of which diverged."""
    values = {
        (norm, pool): [0.5 + 0.1 * i + 0.02 * j + seed / 300 for seed in range(3)]
        for i, norm in enumerate(FACTORS["norm"])
        for j, pool in enumerate(FACTORS["model.pool"])
    }
    runs = frame_of(values, list(FACTORS)).rename(columns={"y": "test_accuracy"})
    runs.loc[4, "test_accuracy"] = np.nan
    runs["run_id"] = [f"run{i}" for i in range(len(runs))]
    cells = stats.cells(runs, FACTORS, range(3), ["test_accuracy"])
    return plots.made(lambda: plots.cell_means(cells, runs, FACTORS, ["test_accuracy"], {}))


def test_every_run_is_where_its_dot_is(files: dict[str, bytes]) -> None:
    """A point for each run that has a number, in the place of its dot, with its run's name."""
    said = [one for one in json.loads(files["json"]) if "run" in one["says"]]
    assert {one["of"] for one in said} == {"accuracy (test) (%)"}
    runs = [run for one in said for run in one["says"]["run"]]
    assert sorted(runs) == sorted(f"run{i}" for i in range(12) if i != 4)
    root = ET.fromstring(files["svg"])
    for one in said:
        (group,) = [
            group
            for group in root.iterfind(f".//{NS}g[@data-series='{one['series']}']")
            if any("h0" in path.get("d", "") for path in group.iter(f"{NS}path"))
        ]
        lines = [path.attrib["d"] for path in group.iter(f"{NS}path")]
        (line,) = [text for text in lines if "h0" in text]
        places = [tuple(map(float, at)) for at in re.findall(r"M(\S+) (\S+)h0", line)]
        np.testing.assert_allclose(
            places, list(zip(one["x"], one["y"], strict=True)), atol=0.06
        )
        order = np.argsort(one["x"])
        assert (np.diff(np.array(one["says"]["value"])[order]) > -1e-9).all()


def test_a_mean_says_its_interval_and_n(files: dict[str, bytes]) -> None:
    """The mean of the cell that lacks a run is of two; none says a run."""
    means = [one for one in json.loads(files["json"]) if "low" in one["says"]]
    of_cell = {
        cell: (low, value, high, n)
        for one in means
        for cell, low, value, high, n in zip(
            *(one["says"][key] for key in ("cell", "low", "value", "high", "n")), strict=True
        )
    }
    assert sorted(n for *_, n in of_cell.values()) == [2, 3, 3, 3]
    assert all(low < value < high for low, value, high, _ in of_cell.values())
    assert not any("run" in one["says"] for one in means)


def test_each_entry_of_a_legend_has_its_series(files: dict[str, bytes]) -> None:
    """What the legend names, marks and dots and intervals belong to."""
    root = ET.fromstring(files["svg"])
    entries = {one.attrib["data-legend"] for one in root.iterfind(".//*[@data-legend]")}
    series = [one.attrib["data-series"] for one in root.iterfind(".//*[@data-series]")]
    assert entries == {"norm none", "norm batch"} == set(series)
    assert all(series.count(one) == 3 for one in entries)


def test_two_figures_of_a_page_share_no_name(files: dict[str, bytes]) -> None:
    """Ids, classes and what refers to them differ with the prefix, and nothing else does."""
    one, two = (inlined(files["svg"], prefix, "figure cells") for prefix in ("f1", "f2"))
    names = [set(re.findall(r'(?:id|class)="(\w+)"', text)) for text in (one, two)]
    assert names[0]
    assert not names[0] & names[1]
    assert one.replace("f1", "f2") == two
    referred = set(re.findall(r"#(f1\w+)", re.sub(r"<style.*?</style>", "", one, flags=re.S)))
    assert referred <= names[0]
    rules = set(re.findall(r"\.(\w+)\{", one))
    assert all(rule.startswith("f1") for rule in rules)


def test_a_figure_takes_the_inks_of_its_page(files: dict[str, bytes]) -> None:
    """No part is drawn in plain black or white: the page's own colours stand for both."""
    text = inlined(files["svg"], "f1", "figure cells")
    assert "currentColor" in text
    assert not re.search(r"(?:fill|stroke): #(?:000000|ffffff)", text)
    assert b"currentColor" not in files["svg"]  # which is seen without a page
    assert 'role="img"' in text
    assert 'aria-label="figure cells"' in text


@pytest.mark.parametrize("colour", ["#440154", "#0d0887", "#0072b2", "#009e73"])
def test_a_colour_is_seen_in_the_dark(colour: str) -> None:
    """Whatever is too dark for a dark page is lighter there, and the same on a light one."""
    found = re.fullmatch(
        r"stroke: light-dark\((#\w+), (#\w+)\)", on_any_ground(f"stroke: {colour}")
    )
    light, dark = found.groups() if found else (colour, colour)
    assert light == colour

    def seen(text: str) -> float:
        return luminance([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]) + 0.05

    assert seen(dark) / seen("#14181d") >= 3


def test_text_of_a_user_stays_text() -> None:
    """A level with the name of an attack is a label; a `$` begins no formula."""
    with plots.styled():
        figure = new_figure(3, 2)
        axes = figure.subplots()
        axes.set_title(HOSTILE)
        axes.set_xlabel("$x^2$")
        mark(
            axes.plot([0, 1], [0, 1]), series=HOSTILE, of=HOSTILE, says={"cell": [HOSTILE] * 2}
        )
        text = inlined(plots.files(figure)["svg"], "f1", HOSTILE)
    assert "<script" not in text
    assert text.count("</style>") == 1
    assert "$x^2$" in text


def test_what_no_figure_is_made_of_is_refused(files: dict[str, bytes]) -> None:
    """A page takes in no element and no attribute that could act."""
    for foreign in ("<script/>", "<image/>", '<path onload="x"/>'):
        svg = files["svg"].replace(b"</svg>", foreign.encode() + b"</svg>")
        with pytest.raises(ValueError, match="a figure holds <"):
            inlined(svg, "f1", "")


def test_points_outside_of_a_panel_say_nothing() -> None:
    """What an axis cuts off cannot be pointed at."""
    with plots.styled():
        figure = new_figure(3, 2)
        axes = figure.subplots()
        mark(axes.plot([1, 2, 3], [1, 2, 3]), of="y", says={"value": pd.Series([1, 2, 3])})
        axes.set_ylim(1.5, 3.5)
        made = plots.made(lambda: figure)
    (one,) = json.loads(made["json"])
    assert one["says"] == {"value": [2, 3]}
