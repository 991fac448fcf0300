"""Read the artists back and compare them with the frame; never pixels."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from bnexp import metrics, plots, stats
from bnexp.plots.panels import panel_rows
from bnexp.stats.factorial import all_contrasts
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
    drawn = {
        is_dots: np.concatenate(
            [
                np.column_stack(line.get_data())
                for line in figure.axes[0].lines
                if (line.get_marker() == "o" and line.get_markersize() < 5) == is_dots
            ]
        )
        for is_dots in (True, False)
    }
    found = cells[cells["response"] == "test_accuracy"].reset_index()
    of_cell = {(row["norm"], row["model.pool"]): at for at, row in found.iterrows()}
    dots = [
        (row["test_accuracy"] * 100, of_cell[row["norm"], row["model.pool"]] + 0.22)
        for _, row in runs.iterrows()
    ]
    np.testing.assert_allclose(sorted(drawn[True].tolist()), sorted(dots))
    means = [(mean * 100, at) for at, mean in found["mean"].items()]
    np.testing.assert_allclose(sorted(drawn[False].tolist()), sorted(means))


def test_panels_of_one_thing_in_one_unit_share_a_scale(runs: pd.DataFrame) -> None:
    """Accuracies can be compared by eye; a loss's distances are not squashed by theirs."""
    names = {"test_accuracy": 1.0, "val_accuracy": 0.5, "test_accuracy_deviation": 0.1}
    columns = {name: runs["test_accuracy"] * by for name, by in names.items()}
    runs = runs.assign(**columns, train_loss_deviation=runs["train_loss"] / 100)
    responses = [*names, "train_loss_deviation"]
    cells = stats.cells(runs, FACTORS, range(3), responses)
    limits = [
        axes.get_xlim()
        for axes in plots.cell_means(cells, runs, FACTORS, responses, {}).axes[: len(responses)]
    ]
    assert limits[0] == limits[1]
    assert len(set(limits)) == 3


@pytest.fixture
def reworded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Return a function that calls every number of the table by one other name."""

    def reword() -> None:
        same = (replace(one, words="a number", details="of a kind") for one in metrics.TABLE)
        monkeypatch.setattr(metrics, "TABLE", tuple(same))
        metrics.entry.cache_clear()
        metrics.describe.cache_clear()

    yield reword
    monkeypatch.undo()
    metrics.entry.cache_clear()
    metrics.describe.cache_clear()


def test_no_axis_hangs_on_the_words_of_a_label(
    runs: pd.DataFrame, reworded: Callable[[], None]
) -> None:
    """Called otherwise, every number has the scale and the limits that it had."""
    responses = ["train_loss", "input_shift", "test_accuracy", "val_accuracy"]
    lost = [0.5, 0.6, 1e25] * 4
    runs = runs.assign(train_loss=lost, input_shift=np.geomspace(0.01, 900, 12))
    runs = runs.assign(val_accuracy=runs["test_accuracy"] / 2)
    epochs = pd.concat([runs.assign(epoch=1), runs.assign(epoch=2)], ignore_index=True)
    cells = stats.cells(runs, FACTORS, range(3), responses)

    def axes() -> list[tuple[object, ...]]:
        figures = [plots.cell_means(cells, runs, FACTORS, responses, {})]
        for name in responses:
            curves = stats.curves(epochs, FACTORS, [name])
            figures.append(plots.learning_curves(curves, FACTORS, [name], 3))
        return [
            (one.get_xscale(), one.get_yscale(), one.get_xlim(), one.get_ylim())
            for figure in figures
            for one in figure.axes
        ]

    before = axes()
    assert {scale for _, scale, *_ in before} == {"linear", "log"}
    reworded()
    assert metrics.describe("train_loss").label == "a number (of a kind)"
    assert axes() == before


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
    bars = figure.axes[0].collections[0].get_segments()
    ends = table[["ci_low", "ci_high"]].iloc[0] * 100
    np.testing.assert_allclose(bars[0], [(ends["ci_low"], 0), (ends["ci_high"], 0)])
    assert "percentage points" in texts(figure)


def test_a_reported_difference_is_a_hollow_diamond_in_its_row(runs: pd.DataFrame) -> None:
    """What a source reports stands at its value beside our effect, and the legend says so."""
    table = stats.contrasts(runs, FACTORS, range(3), RESPONSES)
    row = ("test_accuracy", "model.pool", "max", "avg")
    figure = plots.effects(table, RESPONSES, {row: 0.044})
    found = [[line for line in axes.lines if line.get_marker() == "D"] for axes in figure.axes]
    assert [len(lines) for lines in found] == [1, 0]
    (diamond,) = found[0]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert float(np.asarray(diamond.get_xdata())[0]) == pytest.approx(4.4)
    at = int(np.asarray(diamond.get_ydata())[0])
    assert names[at] == plots.contrast_name("model.pool", "max", "avg")
    assert diamond.get_markerfacecolor() == "none"
    assert "reported by a source" in texts(figure)
    assert "reported by a source" not in texts(plots.effects(table, RESPONSES))


def test_interaction_has_a_line_for_each_level(runs: pd.DataFrame) -> None:
    """One line a level of the first factor, through its means."""
    cells = stats.cells(runs, FACTORS, range(3), RESPONSES)
    figure = plots.interaction(cells, FACTORS, RESPONSES, ("norm", "model.pool"))
    lines = [
        np.asarray(container.lines[0].get_ydata(), float)
        for container in figure.axes[0].containers
    ]
    np.testing.assert_allclose(lines[1], [87.0, 89.0])


def test_a_response_without_two_means_to_join_has_no_panel_of_an_interaction(
    runs: pd.DataFrame,
) -> None:
    """What hardly any cell has is named below the figure; the primary response stays."""
    cells = stats.cells(runs, FACTORS, range(3), RESPONSES)
    by = ("norm", "model.pool")
    for response, n_panels in (("train_loss", 1), ("test_accuracy", 2)):
        few = cells.assign(
            mean=cells["mean"].where(
                (cells["response"] != response) | (cells["model.pool"] == "max")
            )
        )
        figure = plots.interaction(few, FACTORS, RESPONSES, by)
        assert len(figure.axes) == n_panels
        assert ("lack of" in texts(figure)) == (n_panels == 1)


def test_a_response_that_no_run_has_gets_no_panel(runs: pd.DataFrame) -> None:
    """It is named below the figure instead."""
    responses = [*RESPONSES, "epochs_to_95"]
    runs["epochs_to_95"] = np.nan
    cells = stats.cells(runs, FACTORS, range(3), responses)
    contrasts = stats.contrasts(runs, FACTORS, range(3), responses)
    for figure in (
        plots.effects(contrasts, responses),
        plots.cell_means(cells, runs, FACTORS, responses, {}),
    ):
        assert len(figure.axes) == 2
        assert "epochs to 95" in " ".join(texts(figure).split())


@pytest.mark.parametrize("n_levels", [2, 15])
def test_a_long_legend_takes_no_room_from_the_panels(n_levels: int) -> None:
    """A figure grows with its legend."""
    factors = {"layers": tuple(f"convolution_{i}" for i in range(n_levels))}
    runs = frame_of({(level,): [0.5] for level in factors["layers"]}, ["layers"])
    runs = runs.rename(columns={"y": "test_accuracy"})
    epochs = pd.concat([runs.assign(epoch=epoch) for epoch in (1, 2)])
    curves = stats.curves(epochs, factors, ["test_accuracy"])
    with plots.styled():
        figure = plots.learning_curves(curves, factors, ["test_accuracy"], 1)
        figure.draw_without_rendering()
    assert figure.axes[0].get_window_extent().height / figure.dpi > 1.5  # inches
    assert len(figure.axes[0].collections) == (n_levels if n_levels == 2 else 0)  # bands
    assert ("band" in texts(figure)) == (n_levels == 2)


def test_learning_curves_pass_through_the_means(runs: pd.DataFrame) -> None:
    """A panel for each level of the other factors, a curve for each level of the first."""
    epochs = pd.concat([runs.assign(epoch=1), runs.assign(epoch=2)])
    curves = stats.curves(epochs, FACTORS, ["test_accuracy"])
    figure = plots.learning_curves(curves, FACTORS, ["test_accuracy"], 3)
    assert [axes.get_title() for axes in figure.axes] == ["pool avg", "pool max"]
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), [87.0, 87.0])


def test_a_loss_that_explodes_does_not_flatten_the_other_curves(runs: pd.DataFrame) -> None:
    """Where losses span much the panels have one log scale, and what is cut off is said."""
    loss = runs.assign(train_loss=0.5)
    epochs = pd.concat([loss.assign(epoch=1), loss.assign(epoch=2)], ignore_index=True)
    for most, scale, cut in ((1.5, "linear", False), (60.0, "log", False), (1e25, "log", True)):
        epochs.loc[0, "train_loss"] = most
        curves = stats.curves(epochs, FACTORS, ["train_loss"])
        figure = plots.learning_curves(curves, FACTORS, ["train_loss"], 3)
        for axes in figure.axes:
            assert axes.get_yscale() == scale
            assert axes.get_ylim()[0] < 0.5
            assert cut == (axes.get_ylim()[1] < most)
        (note,) = (text.get_text() for text in figure.texts)
        assert ("values above 100 are cut off" in note) == cut
    # Where none is below 100, that is no place to cut.
    curves[["mean", "min", "max"]] *= 1000
    figure = plots.learning_curves(curves, FACTORS, ["train_loss"], 3)
    low, high = figure.axes[0].get_ylim()
    assert low < 500 < 10 * low < high < 1e28
    assert any("values above 50000 are cut off" in text.get_text() for text in figure.texts)


def test_a_shift_that_spans_much_is_shown_as_a_whole(runs: pd.DataFrame) -> None:
    """It has a log scale as a loss has, but none of it is cut off."""
    shift = runs.assign(input_shift=0.02)
    epochs = pd.concat([shift.assign(epoch=1), shift.assign(epoch=2)], ignore_index=True)
    epochs.loc[0, "input_shift"] = 900.0
    curves = stats.curves(epochs, FACTORS, ["input_shift"])
    figure = plots.learning_curves(curves, FACTORS, ["input_shift"], 3)
    low, high = figure.axes[0].get_ylim()
    assert figure.axes[0].get_yscale() == "log"
    assert low < 0.02
    assert high > 900
    assert "cut off" not in texts(figure)


def test_statistics_join_the_two_values_of_a_run(runs: pd.DataFrame) -> None:
    """A line a run, only for levels whose statistics make a difference."""
    gain = np.where(runs["norm"] == "batch", 0.05, 0.0)
    runs["test_accuracy_population"] = runs["test_accuracy"] + gain
    figure = plots.statistics(runs, FACTORS, ("test_accuracy", "test_accuracy_population"))
    (axes,) = figure.axes
    assert axes.get_title() == "norm batch\n6 runs"
    joined, running, population = axes.lines
    ends = np.asarray(joined.get_ydata()).reshape(6, 3)  # a gap after each pair
    assert np.isnan(ends[:, 2]).all()
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 5.0)
    for side, dots in enumerate((running, population)):
        np.testing.assert_allclose(np.asarray(dots.get_ydata()), ends[:, side])


def test_panels_of_statistics_stand_in_rows_without_overlap() -> None:
    """Six levels with long names: none of their titles runs into another or off the page."""
    factors = {"placement": tuple(f"after_pool_before_activation_{i}" for i in range(6))}
    values = {(level,): [0.5, 0.6] for level in factors["placement"]}
    runs = frame_of(values, list(factors)).rename(columns={"y": "test_accuracy"})
    runs["test_accuracy_population"] = runs["test_accuracy"] + 0.1
    with plots.styled():
        figure = plots.statistics(runs, factors, ("test_accuracy", "test_accuracy_population"))
        figure.draw_without_rendering()
    assert len(figure.axes) == 6
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    (note,) = (text.get_window_extent() for text in figure.texts)
    labels = [axes.xaxis.label for axes in figure.axes if axes.get_xlabel()]
    assert not any(note.overlaps(label.get_window_extent()) for label in labels)
    assert max(box.x1 for box in boxes) < figure.get_size_inches()[0] * figure.dpi
    assert len({box.y0 for box in boxes}) == 2


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


@pytest.mark.parametrize(
    ("n", "rows"),
    [
        *((4, [4]), (5, [3, 2])),
        *(pytest.param(n, [n // 2] * 2, marks=pytest.mark.thorough) for n in (6, 8)),
    ],
)
def test_many_responses_take_several_rows(runs: pd.DataFrame, n: int, rows: list[int]) -> None:
    """Up to four stand side by side; every panel has its own and no empty one is left."""
    responses = ["test_loss", "val_loss", "train_loss", "train_eval_loss"]
    responses += [f"gradient_ratio_{at}" for at in ("start", "end")] + ["curvature", "wall_s"]
    runs = runs.assign(**{name: runs["train_loss"] + i for i, name in enumerate(responses)})
    table = stats.contrasts(runs, FACTORS, range(3), responses[:n])
    cells = stats.cells(runs, FACTORS, range(3), responses[:n])
    with plots.styled():
        for figure in (
            plots.effects(table, responses[:n]),
            plots.cell_means(cells, runs, FACTORS, responses[:n], {}),
            plots.interaction(cells, FACTORS, responses[:n], ("norm", "model.pool")),
        ):
            figure.draw_without_rendering()
            tops = [round(axes.get_position().y1, 2) for axes in figure.axes]
            assert [tops.count(top) for top in sorted(set(tops), reverse=True)] == rows
            boxes = [axes.get_tightbbox() for axes in figure.axes]
            boxes = [box for box in boxes if box is not None]
            assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


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


def test_a_solvers_last_digits_change_no_file(
    runs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the layout's solver leaves another rounding error, the figure is the same file."""
    cells = stats.cells(runs, FACTORS, range(3), RESPONSES)
    lay_out = ConstrainedLayoutEngine.execute

    def drawn(error: float) -> dict[str, bytes]:
        def shaken(engine: ConstrainedLayoutEngine, figure: Figure) -> None:
            lay_out(engine, figure)
            for axes in figure.axes:
                box = axes.get_position(original=True)
                axes.set_position(Bbox(box.get_points() + error))

        monkeypatch.setattr(ConstrainedLayoutEngine, "execute", shaken)
        with plots.styled():
            return plots.files(plots.cell_means(cells, runs, FACTORS, RESPONSES, {}))

    assert drawn(1e-15) == drawn(0.0) != drawn(1e-3)


def test_a_case_shows_both_speeds_and_their_ratio() -> None:
    """Each row has our dot, the reference's, and how often one goes into the other."""
    figure = plots.speeds(["one", "two"], [50.0, 30.0], [10.0, 60.0])
    (axes,) = figure.axes
    points = sorted(
        (float(y), float(x))
        for line in axes.lines
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
        if line.get_marker() in ("o", "s")
    )
    assert points == [(0, 10), (0, 50), (1, 30), (1, 60)]
    assert [text.get_text() for text in axes.texts] == ["5 x", "0.5 x"]


def test_the_cost_of_a_run_starts_at_zero() -> None:
    """Costs are drawn from zero, so that flat looks flat."""
    figure = plots.cost_per_run([8, 32], [2.0, 1.0])
    (axes,) = figure.axes
    assert list(axes.lines[0].get_ydata()) == [2.0, 1.0]
    assert axes.get_ylim()[0] == 0


SWEPT = {"norm": ("none", "batch"), "optimizer.lr": ("0.1", "0.4", "0.025", "1.6")}


@pytest.fixture
def swept() -> pd.DataFrame:
    """Return runs along learning rates, of which all without a norm diverge at the largest."""
    rows = []
    for norm, lr, seed in itertools.product(*SWEPT.values(), range(4)):
        lost = lr == "1.6" and (norm == "none" or seed == 0)
        value = np.nan if lost else 0.7 + 0.1 * float(lr) + 0.01 * seed + 0.05 * len(norm)
        goal = np.nan if lost or norm == "none" else 1 + seed
        status = "diverged" if lost else "ok"
        rows.append((norm, lr, seed, status, value, 1 - value, goal))
    columns = [*SWEPT, "seed", "status", "test_accuracy", "train_loss", "epochs_to_80"]
    return pd.DataFrame(rows, columns=columns)


def sweep_of(runs: pd.DataFrame, limits: plots.Limits | None = None) -> Figure:
    cells = stats.cells(runs, SWEPT, range(4), RESPONSES)
    return plots.sweep(cells, runs, SWEPT, RESPONSES, axis="optimizer.lr", limits=limits)


def test_a_sweep_passes_through_the_means_in_the_order_of_its_numbers(
    swept: pd.DataFrame,
) -> None:
    """However the levels are declared, a line runs from the lowest number to the highest."""
    figure = sweep_of(swept)
    cells = stats.cells(swept, SWEPT, range(4), RESPONSES).set_index([*SWEPT, "response"])
    for axes, response, scale in zip(figure.axes, RESPONSES, (100, 1), strict=False):
        assert axes.get_xscale() == "log"
        for norm, container in zip(SWEPT["norm"], axes.containers, strict=True):
            x, y = container.lines[0].get_data()
            np.testing.assert_allclose(
                np.log2(np.array(x, float) / [0.025, 0.1, 0.4, 1.6]), np.log2(x[0] / 0.025)
            )
            expected = [
                cells.loc[(norm, lr, response), "mean"] * scale
                for lr in ("0.025", "0.1", "0.4", "1.6")
            ]
            np.testing.assert_allclose(np.array(y, float), expected)
            segment = container.lines[2][0].get_segments()[0]
            of_it = cells.loc[(norm, "0.025", response)]
            ends = np.array([of_it["ci_low"], of_it["ci_high"]]) * scale
            np.testing.assert_allclose(segment[:, 1], ends)


def test_a_sweep_shows_every_seed_and_hollows_what_lost_some(swept: pd.DataFrame) -> None:
    """Each finished run is a dot; a mean that leaves diverged runs out has no fill."""
    axes = sweep_of(swept).axes[0]
    dots = np.concatenate(
        [np.array(one.get_ydata(), float) for one in axes.lines if one.get_alpha() == 0.3]
    )
    expected = swept["test_accuracy"].dropna() * 100
    np.testing.assert_allclose(sorted(dots[~np.isnan(dots)]), sorted(expected))
    hollow = [one for one in axes.lines if one.get_markerfacecolor() == "white"]
    drawn = [y for one in hollow for y in np.array(one.get_ydata(), float) if not np.isnan(y)]
    kept = swept[(swept["norm"] == "batch") & (swept["optimizer.lr"] == "1.6")]
    np.testing.assert_allclose(drawn, [kept["test_accuracy"].mean() * 100])


def test_the_strip_below_a_sweep_is_the_divergence_rate(swept: pd.DataFrame) -> None:
    """Share and Wilson interval are those of the cells; without a diverged run no strip."""
    *_, strip = sweep_of(swept).axes
    (rate, _, (bars,)) = strip.containers[1]
    np.testing.assert_allclose(np.array(rate.get_ydata(), float), [0, 0, 0, 25])
    cells = stats.cells(swept, SWEPT, range(4), ["test_accuracy"])
    cell = cells[(cells["norm"] == "batch") & (cells["optimizer.lr"] == "1.6")].iloc[0]
    ends = np.array([cell["divergence_low"], cell["divergence_high"]]) * 100
    np.testing.assert_allclose(bars.get_segments()[3][:, 1], ends)
    assert len(sweep_of(swept.assign(status="ok")).axes) == len(RESPONSES)


def test_the_largest_learning_rate_is_marked_where_it_is_known(swept: pd.DataFrame) -> None:
    """A dotted line stands at each estimate, none where there is but a bound."""
    table = pd.DataFrame(
        {
            "norm": ["none", "batch"],
            "lr": [0.3, np.nan],
            "lr_low": 0.2,
            "lr_high": [0.5, np.inf],
        }
    )
    axes = sweep_of(swept, plots.Limits(table, "runs work")).axes[0]
    dotted = [one for one in axes.lines if one.get_linestyle() == ":"]
    assert [one.get_xdata()[0] for one in dotted] == [0.3]
    assert dotted[0].get_color() == plots.look("norm", "none", SWEPT).colour
    assert "runs work" in texts(axes.figure)


def test_a_map_prints_every_mean_in_its_place(swept: pd.DataFrame) -> None:
    """A cell holds its mean and how many runs it lacks; without a mean it is hatched."""
    cells = stats.cells(swept, SWEPT, range(4), ["test_accuracy"])
    figure = plots.heat_map(cells, SWEPT, ["test_accuracy"], ("norm", "optimizer.lr"))
    axes = figure.axes[0]
    assert [one.get_text() for one in axes.get_xticklabels()] == ["0.025", "0.1", "0.4", "1.6"]
    columns, names = ["0.025", "0.1", "0.4", "1.6"], list(SWEPT["norm"])
    found = {one.get_position(): one.get_text() for one in axes.texts}
    for _, cell in cells.iterrows():
        at = (columns.index(cell["optimizer.lr"]), names.index(cell["norm"]))
        if cell["n"]:
            assert found[at].split("\n")[0] == f"{cell['mean'] * 100:.2f}"
    assert found[3, 0] == "4/4 div."
    assert found[3, 1].endswith("\n1/4 div.")
    hatched = [one.get_xy() for one in axes.patches if one.get_hatch()]
    assert hatched == [(2.5, -0.5)]


def test_a_diverged_run_that_counts_as_chance_is_left_out_of_no_mean(
    swept: pd.DataFrame,
) -> None:
    """Such a mean is filled in a sweep; a map says how many of the runs that ended diverged."""
    swept["test_accuracy_or_chance"] = swept["test_accuracy"].fillna(0.1)
    drawn = ["test_accuracy_or_chance"]
    cells = stats.cells(swept, SWEPT, range(4), drawn)
    figure = plots.sweep(cells, swept, SWEPT, drawn, axis="optimizer.lr")
    hollow = [one for one in figure.axes[0].lines if one.get_markerfacecolor() == "white"]
    assert np.isnan([y for one in hollow for y in np.array(one.get_ydata(), float)]).all()
    assert "hollow" not in texts(figure)
    figure = plots.heat_map(cells, SWEPT, drawn, ("norm", "optimizer.lr"))
    found = {one.get_position(): one.get_text() for one in figure.axes[0].texts}
    assert found[3, 0] == "10.00\n4/4 div."
    assert found[3, 1].endswith("\n1/4 div.")
    assert "of the others" not in texts(figure)


@pytest.mark.parametrize(
    ("response", "note"),
    [
        ("test_accuracy", "lighter is better"),
        ("train_loss", "lighter is better"),
        ("gradient_ratio_start", "lighter is higher"),
    ],
)
def test_numbers_on_a_map_can_be_read(response: str, note: str) -> None:
    """Better is lighter, and text differs from its ground by the 4.5 to 1 of WCAG."""
    factors = {"a": tuple("abcde"), "b": tuple("vwxyz")}
    values = {
        cell: [0.3 + 0.02 * i] for i, cell in enumerate(itertools.product(*factors.values()))
    }
    runs = frame_of(values, list(factors)).rename(columns={"y": response})
    cells = stats.cells(runs, factors, range(1), [response])
    figure = plots.heat_map(cells, factors, [response], ("a", "b"))
    assert note in texts(figure)
    axes = figure.axes[0]
    inks = {one.get_position(): one.get_color() for one in axes.texts}
    grounds = []
    for patch in axes.patches:
        x, y = patch.get_xy()
        below = luminance(patch.get_facecolor())
        ink = luminance(to_rgb(inks[x + 0.5, y + 0.5]))
        light, dark = max(ink, below), min(ink, below)
        assert (light + 0.05) / (dark + 0.05) >= 4.5
        grounds.append(below)
    assert len(grounds) == 25
    assert grounds == sorted(grounds, reverse=response == "train_loss")


def luminance(colour: tuple[float, ...]) -> float:
    linear = [((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in colour[:3]]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_runs_that_never_arrive_keep_the_curve_down(swept: pd.DataFrame) -> None:
    """The curve ends at the share of all ended runs that got there, in its interval."""
    late = swept["seed"] == 3
    runs = swept.assign(status=swept["status"].mask(late & (swept["norm"] == "none"), "failed"))
    epochs = pd.concat([swept.assign(epoch=epoch) for epoch in range(1, 5)])
    shares = stats.reached(runs, epochs, SWEPT)
    end = shares[shares["epoch"] == 4].set_index([*SWEPT])
    assert end.loc[("batch", "0.1"), "share"] == 1
    assert end.loc[("batch", "1.6"), "share"] == 0.75
    assert (end.loc["none", "share"] == 0).all()
    assert (end.loc["none", "n"] == 3).all()
    figure = plots.time_to_accuracy(shares, SWEPT, plots.telling(shares))
    by_title = {axes.get_title(): axes for axes in figure.axes}
    batch = by_title["80 % accuracy\nlr 1.6"].lines[1]
    np.testing.assert_allclose(batch.get_xdata(), [0, 1, 2, 3, 4])
    np.testing.assert_allclose(batch.get_ydata(), [0, 0, 25, 50, 75])
    assert batch.get_drawstyle() == "steps-post"
    band = by_title["80 % accuracy\nlr 1.6"].collections[1].get_paths()[0].vertices
    last = band[band[:, 0] == 4][:, 1]
    for wilson in end.loc[("batch", "1.6"), ["low", "high"]]:
        assert np.isclose(last, wilson * 100).any()
    assert band[:, 0].min() == 1  # an untrained network has reached nothing, for certain


def test_a_level_looks_the_same_in_every_figure(swept: pd.DataFrame) -> None:
    """Its colour is one and the same, and no other level's, whatever a figure shows."""
    cells = stats.cells(swept, SWEPT, range(4), RESPONSES)
    epochs = pd.concat([swept.assign(epoch=epoch) for epoch in (1, 2)])
    shares = stats.reached(swept, epochs, SWEPT)
    figures = [
        sweep_of(swept),
        plots.cell_means(cells, swept, SWEPT, RESPONSES, {}),
        plots.time_to_accuracy(shares, SWEPT, plots.telling(shares)),
        plots.learning_curves(
            stats.curves(epochs, SWEPT, ["train_loss"]), SWEPT, ["train_loss"], 4
        ),
    ]
    for figure in figures:
        (legend,) = figure.legends
        shown = dict(
            zip((one.get_text() for one in legend.get_texts()), legend.get_lines(), strict=True)
        )
        for level in SWEPT["norm"]:
            assert shown[f"norm {level}"].get_color() == plots.look("norm", level, SWEPT).colour
    many = {"optimizer.lr": tuple(str(2**i) for i in range(10)), "norm": ("none", "batch")}
    looks = [plots.look(key, level, many).colour for key in many for level in many[key]]
    assert len(set(looks)) == len(looks) == 12


@pytest.mark.parametrize(("n_levels", "columns"), [(2, 4), (3, 3), (4, 4), (5, 4)])
def test_rows_of_panels_begin_at_the_same_level(n_levels: int, columns: int) -> None:
    """Combinations that do not fit side by side stand in rows of whole sets of levels."""
    factors = {"a": tuple("xyz"), "b": tuple("12345"[:n_levels])}
    rows = panel_rows(["test_accuracy"], factors)
    assert [len(each) for _, each in rows][:-1] == [columns] * (len(rows) - 1)
    assert sum(len(each) for _, each in rows) == 3 * n_levels
    if n_levels < 5:
        assert {each[0]["b"] for _, each in rows} == {"1"}


def test_a_level_with_a_colon_can_be_named() -> None:
    """An interaction is named by its levels, whether or not these hold colons."""
    factors = {"norm": ("none", "batch"), "data.corrupt": ("null", "noise:3")}
    (one,) = (each for each in all_contrasts(factors) if each.kind == "interaction")
    by, minus = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}"
    expected = f"norm {by} corrupt: (batch {minus} none) by (noise:3 {minus} null)"
    assert plots.contrast_name(one.factor, one.level_a, one.level_b) == expected
    alone = f"corrupt: noise:3 {minus} null"
    assert plots.contrast_name("data.corrupt", "noise:3", "null") == alone


def test_a_thousand_dots_are_a_path_a_series() -> None:
    """Dots take no element each in an SVG, and stay sharp at any size."""
    sizes = {}
    for n in (5, 300):
        values = {cell: [0.8 + 0.0003 * i for i in range(n)] for cell in VALUES}
        runs = frame_of(values, list(FACTORS)).rename(columns={"y": "test_accuracy"})
        cells = stats.cells(runs, FACTORS, range(n), ["test_accuracy"])
        figure = plots.cell_means(cells, runs, FACTORS, ["test_accuracy"], {})
        with plots.styled():
            svg = plots.files(figure)["svg"]
        assert svg.count(b"<image") == 0
        assert svg.count(b"h0") == n * len(VALUES)
        sizes[n] = svg.count(b"<")
    assert sizes[300] < 1.1 * sizes[5]


@pytest.mark.parametrize("n_levels", [3, pytest.param(9, marks=pytest.mark.thorough)])
def test_nothing_in_a_sweep_or_map_overlaps(n_levels: int) -> None:
    """Titles, labels, tick labels, the legend and the note keep out of each other's way."""
    lr = tuple(f"{0.0125 * 2**i:g}" for i in range(n_levels))
    norms = ("none", "by_class", "large_by_class")
    factors = {"norm": norms, "optimizer.lr": lr, "pool": ("avg", "max")}
    rows = [
        (*levels, seed, "diverged" if levels[1] == lr[-1] and seed else "ok", 0.8 + seed / 50)
        for *levels, seed in itertools.product(*factors.values(), range(3))
    ]
    runs = pd.DataFrame(rows, columns=[*factors, "seed", "status", "test_accuracy"])
    runs["train_loss"] = 1 - runs["test_accuracy"]
    cells = stats.cells(runs, factors, range(3), RESPONSES)
    with plots.styled():
        for figure in (
            plots.sweep(cells, runs, factors, RESPONSES, axis="optimizer.lr"),
            plots.heat_map(cells, factors, RESPONSES, ("norm", "optimizer.lr")),
            plots.heat_map(cells, factors, RESPONSES, ("optimizer.lr", "norm")),
        ):
            figure.draw_without_rendering()
            shown = []
            for axes in figure.axes:
                shown += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
                for one, (low, high) in (
                    (axes.xaxis, axes.get_xlim()),
                    (axes.yaxis, axes.get_ylim()),
                ):
                    shown += [
                        tick.label1
                        for tick in one.get_major_ticks()
                        if low <= tick.get_loc() <= high and tick.label1.get_visible()
                    ]
            shown += [
                *figure.texts,
                *(text for one in figure.legends for text in one.get_texts()),
            ]
            boxes = [
                (one.get_text(), one.get_window_extent()) for one in shown if one.get_text()
            ]
            width, height = figure.get_size_inches() * figure.dpi
            for name, box in boxes:
                assert -1 <= box.x0 <= box.x1 <= width + 1, name
                assert -1 <= box.y0 <= box.y1 <= height + 1, name
            for (name, a), (other, b) in itertools.combinations(boxes, 2):
                assert not a.shrunk(0.96, 0.9).overlaps(b.shrunk(0.96, 0.9)), (name, other)


def test_titles_of_neighbouring_panels_do_not_overlap() -> None:
    """Four factors with long names have room above a panel, in as many lines as they need."""
    factors = {
        "norm": ("none", "batch"),
        **{f"model.factor_{i}": ("low", "high") for i in range(4)},
    }
    values = {levels: [0.5] for levels in itertools.product(*factors.values())}
    runs = frame_of(values, list(factors)).rename(columns={"y": "train_loss"})
    epochs = pd.concat([runs.assign(epoch=epoch) for epoch in (1, 2)])
    curves = stats.curves(epochs, factors, ["train_loss"])
    with plots.styled():
        figure = plots.learning_curves(curves, factors, ["train_loss"], 1)
        figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert colours == [plots.look("norm", level, factors).colour for level in factors["norm"]]
