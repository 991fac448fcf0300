"""Read the artists back and compare them with the frame; never pixels."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from bnexp import plots, stats
from tests.fabricate import frame_of

FACTORS = {"norm": ("none", "batch"), "model.pool": ("avg", "max")}
RESPONSES = ["test_accuracy", "train_loss"]
VALUES = {
    ("none", "avg"): [0.80, 0.82, 0.81],
    ("none", "max"): [0.83, 0.84, 0.83],
    ("batch", "avg"): [0.86, 0.87, 0.88],
    ("batch", "max"): [0.88, 0.88, 0.91],
}


@pytest.fixture
def runs() -> pd.DataFrame:
    frame = frame_of(VALUES, list(FACTORS)).rename(columns={"y": "test_accuracy"})
    return frame.assign(train_loss=1 - frame["test_accuracy"])


def texts(figure: Figure) -> str:
    figure.draw_without_rendering()
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_cell_means_show_every_seed_and_the_mean(runs: pd.DataFrame) -> None:
    """Each panel has a dot a run at its value and a marker at each cell's mean."""
    cells = stats.cells(runs, FACTORS, range(3), RESPONSES)
    figure = plots.cell_means(cells, runs, FACTORS, RESPONSES, {})
    drawn = [line.get_xdata() for line in figure.axes[0].lines]
    dots = sorted(np.concatenate([x for x in drawn if len(x) == 3]))
    np.testing.assert_allclose(dots, sorted(runs["test_accuracy"] * 100))
    means = sorted(float(x[0]) for x in drawn if len(x) == 1)
    expected = cells[cells["response"] == "test_accuracy"]["mean"] * 100
    np.testing.assert_allclose(means, sorted(expected))


def test_a_reported_number_is_a_diamond_in_its_row(runs: pd.DataFrame) -> None:
    """A source's number stands at its value, in the row of its cell."""
    cells = stats.cells(runs, FACTORS, range(3), RESPONSES)
    figure = plots.cell_means(cells, runs, FACTORS, RESPONSES, {("train_loss", 2): 0.25})
    diamonds = [line for line in figure.axes[1].lines if line.get_marker() == "D"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in diamonds] == [(0.25, 2)]


def test_effects_draw_the_interval_of_the_table(runs: pd.DataFrame) -> None:
    """The bar of the first row runs from ci_low to ci_high, in percentage points."""
    table = stats.contrasts(runs, FACTORS, range(3), RESPONSES)
    figure = plots.effects(table, RESPONSES)
    bars = [line.get_xdata() for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    np.testing.assert_allclose(
        bars[1], np.array([table["ci_low"][0], table["ci_high"][0]]) * 100
    )
    assert "percentage points" in texts(figure)


def test_interaction_has_a_line_for_each_level(runs: pd.DataFrame) -> None:
    """One line a level of the first factor, through its means."""
    cells = stats.cells(runs, FACTORS, range(3), RESPONSES)
    figure = plots.interaction(cells, FACTORS, RESPONSES, ("norm", "model.pool"))
    lines = [
        np.asarray(container.lines[0].get_ydata(), float)
        for container in figure.axes[0].containers
    ]
    np.testing.assert_allclose(lines[1], [87.0, 89.0])


def test_learning_curves_pass_through_the_means(runs: pd.DataFrame) -> None:
    """A panel for each level of the other factors, a curve for each level of the first."""
    epochs = pd.concat([runs.assign(epoch=1), runs.assign(epoch=2)])
    curves = stats.curves(epochs, FACTORS, ["test_accuracy"])
    figure = plots.learning_curves(curves, FACTORS, ["test_accuracy"], 3)
    assert [axes.get_title() for axes in figure.axes] == ["pool avg", "pool max"]
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), [87.0, 87.0])


def test_statistics_join_the_two_values_of_a_run(runs: pd.DataFrame) -> None:
    """A line a run, only for levels whose statistics make a difference."""
    gain = np.where(runs["norm"] == "batch", 0.05, 0.0)
    runs["test_accuracy_population"] = runs["test_accuracy"] + gain
    figure = plots.statistics(runs, FACTORS, ("test_accuracy", "test_accuracy_population"))
    (axes,) = figure.axes
    assert axes.get_title() == "norm batch: 6 runs"
    (joined,) = axes.collections
    assert isinstance(joined, LineCollection)
    assert len(joined.get_segments()) == 6
    assert all(one[1][1] - one[0][1] == pytest.approx(5.0) for one in joined.get_segments())
    (dots,) = axes.lines
    np.testing.assert_allclose(dots.get_ydata(), np.concatenate(joined.get_segments())[:, 1])


def test_every_figure_says_what_its_intervals_are(runs: pd.DataFrame) -> None:
    """N and the kind of interval stand in the figure itself, not only beside it."""
    cells = stats.cells(runs, FACTORS, range(3), RESPONSES)
    table = stats.contrasts(runs, FACTORS, range(3), RESPONSES)
    for figure in (
        plots.cell_means(cells, runs, FACTORS, RESPONSES, {}),
        plots.effects(table, RESPONSES),
        plots.interaction(cells, FACTORS, RESPONSES, ("norm", "model.pool")),
    ):
        assert "Student-t interval" in texts(figure)
        assert "3" in texts(figure)


def test_labels_of_neighbouring_panels_do_not_overlap(runs: pd.DataFrame) -> None:
    """No axis label runs into that of the next panel, however long its response's name."""
    runs["test_accuracy_population"] = runs["test_accuracy"]
    responses = ["test_accuracy_population", "test_accuracy", "train_loss"]
    table = stats.contrasts(runs, FACTORS, range(3), responses)
    cells = stats.cells(runs, FACTORS, range(3), responses)
    with plots.styled():
        figures = [
            plots.effects(table, responses),
            plots.cell_means(cells, runs, FACTORS, responses, {}),
            plots.interaction(cells, FACTORS, responses, ("norm", "model.pool")),
        ]
        for figure in figures:
            figure.draw_without_rendering()
            boxes = [axes.xaxis.label.get_window_extent() for axes in figure.axes]
            boxes += [axes.yaxis.label.get_window_extent() for axes in figure.axes[1:]]
            boxes = [box for box in boxes if box.width * box.height > 0]
            overlaps = [
                (a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :] if a.overlaps(b)
            ]
            assert not overlaps


def test_tick_labels_do_not_overlap(runs: pd.DataFrame) -> None:
    """Four narrow panels of losses have room for their numbers."""
    runs["train_loss"] /= 5
    responses = ["train_loss", "test_accuracy", "test_loss", "test_loss_population"]
    runs["test_loss"] = runs["test_loss_population"] = runs["train_loss"]
    table = stats.contrasts(runs, FACTORS, range(3), responses)
    cells = stats.cells(runs, FACTORS, range(3), responses)
    with plots.styled():
        for figure in (
            plots.effects(table, responses),
            plots.cell_means(cells, runs, FACTORS, responses, {}),
        ):
            figure.draw_without_rendering()
            for axes in figure.axes:
                low, high = sorted(axes.get_xlim())
                boxes = [
                    tick.label1.get_window_extent()
                    for tick in axes.xaxis.get_major_ticks()
                    if low <= tick.get_loc() <= high
                ]
                boxes.sort(key=lambda box: box.x0)
                assert len(boxes) >= 2
                assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_the_same_figure_is_the_same_file(runs: pd.DataFrame) -> None:
    """A report that is rebuilt changes no file of a repository."""
    cells = stats.cells(runs, FACTORS, range(3), RESPONSES)
    with plots.styled():
        one, two = (
            plots.files(plots.cell_means(cells, runs, FACTORS, RESPONSES, {})) for _ in "ab"
        )
    assert one == two
    assert one["png"].startswith(b"\x89PNG")
    assert b"<svg" in one["svg"]
