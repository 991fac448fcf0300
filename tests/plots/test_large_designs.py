"""Designs of many cells: nothing of them is left out in silence."""

import itertools
import json
import math
import re

import numpy as np
import pandas as pd
import pytest

from bnexp import plots, stats
from bnexp.plots.panels import MOST_COLUMNS, MOST_PANELS, combinations, lines_and_panels, sheets
from bnexp.store.given import as_text
from tests.fabricate import frame_of

LARGE = {
    "norm": ("none", "batch"),
    "optimizer.lr": tuple(f"{2.0**i:g}" for i in range(16)),
    "model.pool": ("avg", "max"),
}


def test_every_cell_and_run_of_a_large_design_is_drawn() -> None:
    """64 cells stand in small multiples: each has its mean, and every run its dot."""
    values = {
        cell: [0.1 + i / 100, 0.11 + i / 100]
        for i, cell in enumerate(itertools.product(*LARGE.values()))
    }
    runs = frame_of(values, list(LARGE)).rename(columns={"y": "test_accuracy"})
    runs["run_id"] = [f"run{i}" for i in range(len(runs))]
    cells = stats.cells(runs, LARGE, range(2), ["test_accuracy"])
    source = {("test_accuracy", 5): 0.5}
    made = plots.made(lambda: plots.cell_means(cells, runs, LARGE, ["test_accuracy"], source))
    points = json.loads(made["json"])
    assert made["svg"].count(b"accuracy (test) (%)") == 2  # once a column: none stands below
    dots = [run for one in points for run in one["says"].get("run", [])]
    means = [cell for one in points if "n" in one["says"] for cell in one["says"]["cell"]]
    assert sorted(dots) == sorted(runs["run_id"])
    assert made["svg"].count(b"h0") == len(runs)  # each is drawn, in whichever panel
    assert len(set(means)) == len(means) == 64
    (diamond,) = (one["says"] for one in points if one["of"].startswith("reported"))
    assert diamond["value"] == [50]
    of_means = [one for one in points if "n" in one["says"]]
    places = [at for one in of_means for at in zip(one["x"], one["y"], strict=True)]
    assert len(set(places)) == 64


def test_a_panel_has_the_lines_that_make_few_panels() -> None:
    """The first factor has the lines; in a design of too many panels, that of most levels."""
    assert lines_and_panels({"norm": ("a", "b"), "pool": ("x", "y")}) == ("norm", ["pool"])
    assert lines_and_panels(LARGE) == ("optimizer.lr", ["norm", "model.pool"])
    assert lines_and_panels({}) == (None, [])


@pytest.mark.parametrize("sizes", [(), (3,), (4,), (5,), (3, 3, 3), (2, 30), (5, 5, 5, 5)])
@pytest.mark.parametrize("n_shown", [1, 3, 30])
def test_the_sheets_of_a_figure_show_every_panel_once(
    sizes: tuple[int, ...], n_shown: int
) -> None:
    """None is left out and none has too many, unless the panels of one factor are too many."""
    panels = {f"factor{i}": tuple(map(str, range(n))) for i, n in enumerate(sizes)}
    shown = [f"response {i}" for i in range(n_shown)]
    seen = []
    for some, fixed in sheets(shown, panels):
        here = [each for each in combinations(panels) if each.items() >= fixed.items()]
        assert len(here) * len(some) <= MOST_PANELS
        assert len(some) == 1 or len(here) <= MOST_COLUMNS
        seen += [(one, *each.values()) for one in some for each in here]
    assert len(seen) == len(set(seen)) == n_shown * math.prod(sizes)


def test_all_sheets_of_a_figure_have_one_scale() -> None:
    """What is fixed changes no axis: two sheets can be compared."""
    factors = {"norm": ("none", "batch"), "lr": ("1", "2")}
    values = {
        cell: [0.1 * i, 0.1 * i + 0.05]
        for i, cell in enumerate(itertools.product(*factors.values()), 1)
    }
    runs = frame_of(values, list(factors)).rename(columns={"y": "test_accuracy"})
    curves = stats.curves(
        pd.concat([runs.assign(epoch=epoch) for epoch in (1, 2)]), factors, ["test_accuracy"]
    )
    one, other = (
        plots.learning_curves(curves, {**factors, "lr": (level,)}, ["test_accuracy"], 2)
        for level in factors["lr"]
    )
    assert one.axes[0].get_ylim() == other.axes[0].get_ylim()
    assert [len(each.axes) for each in (one, other)] == [1, 1]


def test_each_seed_is_joined_with_itself() -> None:
    """A line goes from a seed's run in one arm to its run in the other; no pair, no line."""
    factors = {"norm": ("none", "batch"), "pool": ("avg", "max")}
    values = {
        cell: [0.5 + 0.1 * (cell[0] == "batch") * (-1) ** (seed == 0) for seed in range(3)]
        for cell in itertools.product(*factors.values())
    }
    runs = frame_of(values, list(factors)).rename(columns={"y": "test_accuracy"})
    lost = (runs["seed"] == 2) & (runs["norm"] == "none") & (runs["pool"] == "max")
    runs = runs[~lost].sample(frac=1, random_state=1)
    figure = plots.arms(runs, factors, "test_accuracy", ("norm", "none", "batch"), 12)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["pool avg\nhigher in 2 of 3", "pool max\nhigher in 1 of 2"]
    for axes, n in zip(figure.axes, (3, 2), strict=True):
        ends = np.asarray(axes.lines[0].get_ydata()).reshape(n, 3)
        assert sorted(np.round(ends[:, 1] - ends[:, 0])) == sorted([-10, 10, 10][:n])
        assert [label.get_text() for label in axes.get_xticklabels()] == ["none", "batch"]


def test_a_claim_is_seen_with_its_region_and_verdict() -> None:
    """A strip has our number, its interval, the source's number and the region, in its unit."""
    table = pd.DataFrame(
        {
            "claim": ["it is .82", "BN helps", "nobody knows"],
            "verdict": ["supported", "refuted", "inconclusive"],
            "response": ["test_accuracy", "test_accuracy", "train_loss"],
            "estimate": [0.82, -0.01, np.nan],
            "ci_low": [0.81, -0.02, np.nan],
            "ci_high": [0.83, -0.005, np.nan],
            "judged_low": [0.81, -0.02, np.nan],
            "judged_high": [0.83, -0.005, np.nan],
            "region_low": [0.8, 0.0, 0.0],
            "region_high": [0.85, np.inf, np.inf],
            "reported": [0.824, np.nan, 0.4],
            "n": [10, 10, 0],
        }
    )
    made = plots.made(lambda: plots.claims(table, [False, True, False]))
    said = json.loads(made["json"])
    ours = [one for one in said if "verdict" in one["says"]]
    assert [one["of"] for one in ours] == [
        "accuracy (test) (%)",
        "accuracy (test) (percentage points)",
    ]
    assert [one["says"]["value"] for one in ours] == [[82], [-1]]
    assert [one["series"] for one in ours] == ["supported", "refuted"]
    sources = [one["says"]["value"] for one in said if one["of"] == "reported by a source"]
    assert sources == [[82.4], [0.4]]
    svg = made["svg"].decode()
    for words in (*table["claim"], "what would support it", "inconclusive"):
        assert words in svg
    (narrowest,) = re.findall(r"min-width: (\d+)px", plots.inlined(made["svg"], "f", "claims"))
    assert int(narrowest) <= 390  # a phone of 420 pixels shows it whole


def test_two_runs_of_a_cell_tell_the_noise() -> None:
    """It is the spread of a difference of two seeds, of the cell in the middle."""
    cells = pd.DataFrame({"response": ["a"] * 3 + ["b"], "sd": [1.0, 2.0, 50.0, np.nan]})
    noise = stats.seed_noise(cells)
    assert noise == {"a": 2.0 * np.sqrt(2)}


def test_zero_is_the_middle_of_every_panel_of_a_response_with_both_signs() -> None:
    """A panel of one sign alone has the colours of the others: orange below 0, purple above."""
    factors = {"a": ("x", "y"), "b": ("u", "v"), "c": ("1", "2")}
    values = {cell: [-1.0 - i] for i, cell in enumerate(itertools.product(*factors.values()))}
    values["x", "u", "1"] = [3.0]
    runs = frame_of(values, list(factors)).rename(columns={"y": "gradient_ratio_start"})
    cells = stats.cells(runs, factors, range(1), ["gradient_ratio_start"])
    figure = plots.heat_map(cells, factors, ["gradient_ratio_start"], ("a", "b"))
    colours = [patch.get_facecolor() for axes in figure.axes for patch in axes.patches]
    assert sum(blue > red for red, _, blue, _ in colours) == 1
    assert len(colours) == 8


def test_the_names_of_an_answers_rows_leave_room_for_it() -> None:
    """A difference at levels of four factors is named in lines, whole, and on one when told."""
    given = {"depth": "32", "model.activation": "tanh", "init": "kaiming", "optimizer.lr": "1"}
    row = {
        "response": "test_accuracy",
        "factor": "norm",
        "level_a": "batch",
        "n": 3,
        "level_b": "none",
        "given": as_text(given),
        "outcome": "above",
        "estimate": 0.1,
        "ci_low": 0.05,
        "ci_high": 0.15,
    }
    made = plots.made(lambda: plots.answer(pd.DataFrame([row]), list(given)))
    whole = "norm: batch \N{MINUS SIGN} none, depth 32, activation tanh, init kaiming, lr 1"
    (said,) = json.loads(made["json"])
    assert said["says"]["difference"] == [whole]
    (wide,) = re.findall(r"max-width: (\d+)px", plots.inlined(made["svg"], "f", "answer"))
    assert int(wide) < 600  # of 420 pixels two thirds: letters stay readable
