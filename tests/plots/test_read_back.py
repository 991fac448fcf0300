"""What is drawn is read back from the figure: both ends, colours, labels and notes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from bnexp import plots, stats
from bnexp.plots.style import look
from bnexp.plots.sweep import Limits
from tests.fabricate import frame_of

FACTORS = {"norm": ("none", "batch"), "model.pool": ("avg", "max")}
SWEPT = {"norm": ("none", "batch"), "optimizer.lr": ("0.1", "1.0")}
RESPONSES = ["test_accuracy", "train_loss"]
# No two values, means or spreads are alike: what is exchanged shows.
VALUES = {
    ("none", "0"): [0.80, 0.84, 0.815, 0.83],
    ("none", "1"): [0.81, 0.90, 0.835, 0.86],
    ("batch", "0"): [0.87, 0.875, 0.93, 0.91],
    ("batch", "1"): [0.92, 0.94, 0.955, 0.99],
}


def runs_of(factors: dict[str, tuple[str, ...]]) -> pd.DataFrame:
    """Return the runs of `VALUES` under two factors of two levels."""
    named = {
        (first, list(factors.values())[1][int(at)]): v for (first, at), v in VALUES.items()
    }
    frame = frame_of(named, list(factors)).rename(columns={"y": "test_accuracy"})
    return frame.assign(train_loss=1 - frame["test_accuracy"])


def bars(axes: Axes) -> dict[str, np.ndarray]:
    """Return the horizontal bars of a panel, (n, 3) rows of place, low and high, by colour."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for one in axes.collections:
        for colour, segment in zip(one.get_colors(), one.get_segments(), strict=False):
            (low, at), (high, _) = segment
            found.setdefault(to_hex(colour), []).append((at, low, high))
        for segment in one.get_segments()[len(one.get_colors()) :]:  # of one colour
            (low, at), (high, _) = segment
            found[to_hex(one.get_colors()[0])].append((at, low, high))
    return {colour: np.array(sorted(rows)) for colour, rows in found.items()}


def errorbars(axes: Axes) -> dict[str, np.ndarray]:
    """Return mean, low and high of each point of a panel, (n, 3), by colour."""
    found = {}
    for one in axes.containers:
        assert isinstance(one, ErrorbarContainer)
        line, _, (sticks,) = one.lines
        assert line is not None
        ends = np.array([[segment[0][1], segment[1][1]] for segment in sticks.get_segments()])
        found[to_hex(line.get_color())] = np.column_stack([line.get_ydata(), ends]).astype(
            float
        )
    return found


def words(figure: Figure) -> str:
    """Return all texts of a figure."""
    figure.draw_without_rendering()
    return " ".join(" ".join(text.get_text() for text in figure.findobj(Text)).split())


def colour_of(level: str, factors: dict[str, tuple[str, ...]], key: str = "norm") -> str:
    """Return the colour in which every figure draws a level."""
    return to_hex(look(key, level, factors).colour)


def test_every_bar_of_the_effects_has_both_ends_of_its_row() -> None:
    """In every panel, main effects are black and interactions grey, each with its interval."""
    runs = runs_of(FACTORS)
    table = stats.contrasts(runs, FACTORS, range(4), RESPONSES)
    figure = plots.effects(table, RESPONSES)
    for response, axes, scale in zip(RESPONSES, figure.axes, (100, 1), strict=True):
        here = table[(table["response"] == response) & (table["kind"] != "simple")]
        rows = np.column_stack(
            [np.arange(len(here)), here[["ci_low", "ci_high"]].to_numpy() * scale]
        )
        is_main = (here["kind"] == "main").to_numpy()
        assert is_main.any()
        assert not is_main.all()
        drawn = bars(axes)
        np.testing.assert_allclose(drawn["#000000"], rows[is_main])
        np.testing.assert_allclose(drawn["#777777"], rows[~is_main])


def test_the_side_that_is_better_is_that_of_the_response() -> None:
    """A higher accuracy is to the right, a lower loss to the left."""
    table = stats.contrasts(runs_of(FACTORS), FACTORS, range(4), RESPONSES)
    accuracy, loss = (axes.get_xlabel() for axes in plots.effects(table, RESPONSES).axes)
    assert accuracy.endswith("\nright is better")
    assert loss.endswith("\nleft is better")


@pytest.mark.parametrize("lost", [0, 1])
def test_up_to_n_is_the_largest_number_of_seeds(lost: int) -> None:
    """Where one cell lost a seed the note still says how many the others have."""
    runs = runs_of(FACTORS)
    runs = runs.iloc[lost:]
    cells = stats.cells(runs, FACTORS, range(4), RESPONSES)
    table = stats.contrasts(runs_of(FACTORS), FACTORS, range(4), RESPONSES)
    table.loc[table.index[:lost], "n"] = 3
    assert "each of up to 4 seeds" in words(
        plots.cell_means(cells, runs, FACTORS, RESPONSES, {})
    )
    assert "mean of up to 4 paired" in words(plots.effects(table, RESPONSES))
    interaction = plots.interaction(cells, FACTORS, RESPONSES, ("norm", "model.pool"))
    assert "mean of up to 4 seeds" in words(interaction)


def test_every_cell_has_both_ends_of_its_interval_in_its_level_s_colour() -> None:
    """Bars of cells are those of the table, by the first factor's level."""
    runs = runs_of(FACTORS)
    cells = stats.cells(runs, FACTORS, range(4), RESPONSES)
    figure = plots.cell_means(cells, runs, FACTORS, RESPONSES, {})
    for response, axes, scale in zip(RESPONSES, figure.axes, (100, 1), strict=True):
        here = cells[cells["response"] == response].reset_index(drop=True)
        drawn = bars(axes)
        for level in FACTORS["norm"]:
            of_level = here[here["norm"] == level]
            rows = np.column_stack(
                [of_level.index, of_level[["ci_low", "ci_high"]].to_numpy() * scale]
            )
            np.testing.assert_allclose(drawn[colour_of(level, FACTORS)], rows)


def test_an_interaction_s_lines_have_their_levels_colours_and_both_ends() -> None:
    """Mean and interval of each point are those of its cell."""
    cells = stats.cells(runs_of(FACTORS), FACTORS, range(4), RESPONSES)
    figure = plots.interaction(cells, FACTORS, RESPONSES, ("norm", "model.pool"))
    for response, axes, scale in zip(RESPONSES, figure.axes, (100, 1), strict=True):
        drawn = errorbars(axes)
        for level in FACTORS["norm"]:
            here = cells[(cells["response"] == response) & (cells["norm"] == level)]
            expected = here[["mean", "ci_low", "ci_high"]].to_numpy() * scale
            np.testing.assert_allclose(drawn[colour_of(level, FACTORS)], expected)


def test_a_sweep_s_lines_have_their_levels_colours_and_both_ends() -> None:
    """Means, intervals and seeds are those of the level whose colour they have."""
    runs = runs_of(SWEPT)
    cells = stats.cells(runs, SWEPT, range(4), RESPONSES)
    figure = plots.sweep(cells, runs, SWEPT, RESPONSES, axis="optimizer.lr")
    for response, axes, scale in zip(RESPONSES, figure.axes, (100, 1), strict=True):
        drawn = errorbars(axes)
        left, right = (np.asarray(one.lines[0].get_xdata()) for one in axes.containers)
        assert (left < right).all()  # in the order of the levels, around their number
        np.testing.assert_allclose(np.sqrt(left * right), [0.1, 1.0])
        for level in SWEPT["norm"]:
            colour = colour_of(level, SWEPT)
            here = cells[(cells["response"] == response) & (cells["norm"] == level)]
            expected = here[["mean", "ci_low", "ci_high"]].to_numpy() * scale
            np.testing.assert_allclose(drawn[colour], expected)
            (dots,) = (
                line
                for line in axes.lines
                if line.get_alpha() is not None and to_hex(line.get_color()) == colour
            )
            seeds = runs.loc[runs["norm"] == level, response] * scale
            np.testing.assert_allclose(sorted(dots.get_ydata()), sorted(seeds))


def test_a_marked_limit_is_a_line_at_its_estimate_and_a_band_between_both_ends() -> None:
    """Estimate, lower and upper end are those of the table, in the level's colour."""
    runs = runs_of(SWEPT)
    cells = stats.cells(runs, SWEPT, range(4), ["test_accuracy"])
    table = pd.DataFrame(
        {
            "norm": ["none", "batch"],
            "lr": [0.2, 0.5],
            "lr_low": [0.15, 0.3],
            "lr_high": [0.4, 0.9],
        }
    )
    figure = plots.sweep(
        *(cells, runs, SWEPT, ["test_accuracy"]),
        axis="optimizer.lr",
        limits=Limits(table, "half the runs train"),
    )
    axes = figure.axes[0]
    for _, row in table.iterrows():
        colour = colour_of(row["norm"], SWEPT)
        bands = [one for one in axes.patches if to_hex(one.get_facecolor()) == colour]
        ((low, _), (high, _)) = (
            bands[0].get_path().get_extents(bands[0].get_transform()).get_points()
        )
        ends = axes.transData.inverted().transform([(low, 0), (high, 0)])[:, 0]
        np.testing.assert_allclose(ends, [row["lr_low"], row["lr_high"]])
        (line,) = (
            one
            for one in axes.lines
            if one.get_linestyle() == ":" and to_hex(one.get_color()) == colour
        )
        assert set(line.get_xdata()) == {row["lr"]}


def test_a_band_reaches_from_the_lowest_to_the_highest_seed() -> None:
    """Each curve's band spans its own seeds, epoch by epoch, in its level's colour."""
    runs = runs_of(FACTORS)
    later = runs.assign(epoch=2, test_accuracy=runs["test_accuracy"] + 0.005 * runs["seed"])
    epochs = pd.concat([runs.assign(epoch=1), later])
    curves = stats.curves(epochs, FACTORS, ["test_accuracy"])
    figure = plots.learning_curves(curves, FACTORS, ["test_accuracy"], 4)
    for pool, axes in zip(FACTORS["model.pool"], figure.axes, strict=True):
        bands = {to_hex(one.get_facecolor()[0]): one for one in axes.collections}
        lines = {to_hex(one.get_color()): one for one in axes.lines}
        for level in FACTORS["norm"]:
            here = epochs[(epochs["norm"] == level) & (epochs["model.pool"] == pool)]
            of_seeds = here.groupby("epoch")["test_accuracy"].agg(["min", "max", "mean"]) * 100
            path = bands[colour_of(level, FACTORS)].get_paths()[0].vertices
            for epoch in (1, 2):
                drawn = path[path[:, 0] == epoch][:, 1]
                ends = of_seeds.loc[epoch, ["min", "max"]].to_numpy()
                np.testing.assert_allclose([drawn.min(), drawn.max()], ends)
            mean = lines[colour_of(level, FACTORS)].get_ydata()
            np.testing.assert_allclose(mean, of_seeds["mean"])


def test_running_statistics_stand_left_and_population_statistics_right() -> None:
    """The tick below a run's two values names the statistics that gave them."""
    runs = runs_of(FACTORS)
    runs["test_accuracy_population"] = runs["test_accuracy"] + 0.01 * (1 + runs["seed"])
    pair = ("test_accuracy", "test_accuracy_population")
    figure = plots.statistics(runs, FACTORS, pair)
    for level, axes in zip(FACTORS["norm"], figure.axes, strict=True):
        figure.draw_without_rendering()
        ticks = {
            label.get_text(): at
            for label, at in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)
        }
        for drawn in (axes.lines[:1], axes.lines[1:]):  # what joins the dots, and the dots
            at = np.concatenate([np.asarray(line.get_xdata()) for line in drawn])
            values = np.concatenate([np.asarray(line.get_ydata()) for line in drawn])
            for name, metric in zip(("running", "population"), pair, strict=True):
                expected = runs.loc[runs["norm"] == level, metric] * 100
                np.testing.assert_allclose(values[at == ticks[name]], expected)
            assert {to_hex(line.get_color()) for line in drawn} == {colour_of(level, FACTORS)}


def test_a_run_without_one_of_both_statistics_is_no_line() -> None:
    """A panel counts and draws the runs that have both numbers."""
    runs = runs_of(FACTORS)
    runs["test_accuracy_population"] = runs["test_accuracy"] + 0.01
    runs.loc[runs.index[runs["norm"] == "batch"][0], "test_accuracy_population"] = np.nan
    figure = plots.statistics(runs, FACTORS, ("test_accuracy", "test_accuracy_population"))
    for n, axes in zip((8, 7), figure.axes, strict=True):
        assert axes.get_title().endswith(f"\n{n} runs")
        assert [len(np.asarray(line.get_xdata())) for line in axes.lines] == [3 * n, n, n]


def test_a_source_s_number_stands_where_ours_would() -> None:
    """A diamond is in its row, in the unit of the axis: cells and differences in per cent."""
    runs = runs_of(FACTORS)
    cells = stats.cells(runs, FACTORS, range(4), RESPONSES)
    contrasts = stats.contrasts(runs, FACTORS, range(4), RESPONSES)
    main = contrasts[contrasts["kind"] == "main"].iloc[0]
    compared = (main["factor"], main["level_a"], main["level_b"])
    for figure, row, place in (
        (plots.cell_means(cells, runs, FACTORS, RESPONSES, {(RESPONSES[0], 2): 0.5}), 2, 50),
        (plots.effects(contrasts, RESPONSES, {(RESPONSES[0], *compared): 0.03}), 0, 3),
    ):
        (diamond,) = (
            one for one in figure.axes[0].lines if one.get_markerfacecolor() == "none"
        )
        assert np.ravel(diamond.get_xdata()) == pytest.approx([place])
        assert np.round(np.ravel(diamond.get_ydata())) == pytest.approx([row])


def test_the_band_of_a_unit_reaches_from_its_lowest_to_its_highest_percentile() -> None:
    """In each cell's panel and its level's colour, with the median as a line in it."""
    names = ("low", "median", "high")
    rows = [
        {"norm": norm, "epoch": epoch, "low": -at - epoch, "median": at, "high": at + 2 * epoch}
        for at, norm in enumerate(("none", "batch"))
        for epoch in (1, 2)
    ]
    factors = {"norm": ("none", "batch")}
    figure = plots.unit_inputs(pd.DataFrame(rows), factors, names)
    for at, (norm, axes) in enumerate(zip(factors["norm"], figure.axes, strict=True)):
        (band,), (line,) = axes.collections, axes.lines
        path = band.get_paths()[0].vertices
        for epoch in (1, 2):
            drawn = path[path[:, 0] == epoch][:, 1]
            assert (drawn.min(), drawn.max()) == (-at - epoch, at + 2 * epoch)
        assert set(line.get_ydata()) == {at}
        assert {to_hex(line.get_color()), to_hex(band.get_facecolor()[0])} == {
            colour_of(norm, factors)
        }


def test_a_threshold_that_no_run_reached_has_no_panel() -> None:
    """A figure of time to accuracies shows those that tell cells apart, easier ones first."""
    runs = runs_of(FACTORS).assign(
        epochs_to_80=[1, 2] * 8, epochs_to_90=[1, np.nan] * 8, epochs_to_99=np.nan
    )
    epochs = pd.concat([runs.assign(epoch=epoch) for epoch in (1, 2)])
    shares = stats.reached(runs, epochs, {"norm": FACTORS["norm"]})
    factors = {"norm": FACTORS["norm"]}
    said = words(plots.time_to_accuracy(shares, factors, plots.telling(shares)))
    assert "80 % accuracy" in said
    assert "90 % accuracy" in said
    assert "99 % accuracy" not in said


def test_the_band_of_a_time_to_accuracy_has_both_ends_of_its_interval() -> None:
    """By epoch and level, the band lies between the ends of the Wilson interval."""
    runs = runs_of(FACTORS).assign(epochs_to_90=[1, 2, np.nan, 2, 1, 1, 2, np.nan] * 2)
    epochs = pd.concat([runs.assign(epoch=epoch) for epoch in (1, 2)])
    shares = stats.reached(runs, epochs, FACTORS)
    figure = plots.time_to_accuracy(shares, FACTORS, plots.telling(shares))
    for pool, axes in zip(FACTORS["model.pool"], figure.axes, strict=True):
        bands = {to_hex(one.get_facecolor()[0]): one for one in axes.collections}
        for level in FACTORS["norm"]:
            here = shares[(shares["norm"] == level) & (shares["model.pool"] == pool)]
            here = here[here["epoch"] > 0]
            path = bands[colour_of(level, FACTORS)].get_paths()[0].vertices
            heights = {round(float(y), 6) for y in path[:, 1]}
            ends = here[["low", "high"]].to_numpy().ravel() * 100
            assert heights == {round(float(y), 6) for y in ends}
