import math

import numpy as np
import pandas as pd
import pytest

from bnexp import stats
from tests.fabricate import frame_of

FACTORS = {"norm": ("none", "batch")}


def test_a_cell_states_its_seeds() -> None:
    """n, mean, SD and range are those of the cell's seeds, the interval holds the mean."""
    frame = frame_of({("none",): [1.0, 2.0, 6.0], ("batch",): [4.0, 4.0, 4.0]}, ["norm"])
    none, batch = stats.cells(frame, FACTORS, range(3), ["y"]).to_dict("records")
    assert (none["n"], none["mean"], none["min"], none["max"]) == (3, 3.0, 1.0, 6.0)
    assert none["sd"] == pytest.approx(np.std([1, 2, 6], ddof=1))
    assert none["ci_low"] < 3.0 < none["ci_high"]
    assert (batch["mean"], batch["sd"]) == (4.0, 0.0)
    assert math.isnan(batch["ci_low"])  # equal runs do not show how far others would lie


def test_a_diverged_run_is_counted_not_averaged() -> None:
    """A run without a final loss lowers n and shows in n_diverged; it is never 0.0."""
    frame = frame_of({("none",): [1.0, 3.0], ("batch",): [5.0, 7.0]}, ["norm"])
    frame.loc[0, ["y", "status"]] = [math.nan, "diverged"]
    none = stats.cells(frame, FACTORS, range(2), ["y"]).iloc[0]
    assert (none["n"], none["n_diverged"], none["mean"]) == (1, 1, 3.0)
    assert math.isnan(none["ci_low"])


def test_every_declared_cell_has_a_row() -> None:
    """A cell without any run stands in the table with n = 0."""
    frame = frame_of({("none",): [1.0, 3.0]}, ["norm"])
    table = stats.cells(frame, FACTORS, range(2), ["y"])
    assert table["n"].tolist() == [2, 0]


def test_a_study_without_factors_is_one_cell() -> None:
    """Replicates of a single configuration are a cell of their own."""
    frame = pd.DataFrame({"seed": [0, 1], "status": "ok", "y": [1.0, 3.0]})
    table = stats.cells(frame, {}, (0, 1), ["y"])
    assert table["mean"].tolist() == [2.0]


def test_curves_span_the_seeds() -> None:
    """A band runs from the lowest to the highest seed of its epoch."""
    epochs = pd.DataFrame(
        {
            "norm": ["none"] * 4,
            "seed": [0, 0, 1, 1],
            "epoch": [1, 2, 1, 2],
            "y": [1.0, 2.0, 3.0, 8.0],
        }
    )
    curves = stats.curves(epochs, FACTORS, ["y"])
    assert curves[["mean", "min", "max"]].to_numpy().tolist() == [[2, 1, 3], [5, 2, 8]]


def test_divergence_has_a_rate_with_an_interval() -> None:
    """The rate is of the runs that ended; Wilson's interval of 0 in 3 is not zero wide."""
    frame = frame_of({("none",): [1.0, 2.0, 3.0, 4.0], ("batch",): [4.0, 4.0, 4.0]}, ["norm"])
    frame.loc[0, ["y", "status"]] = [math.nan, "diverged"]
    frame.loc[1, ["y", "status"]] = [math.nan, "failed"]
    none, batch = stats.cells(frame, FACTORS, range(4), ["y"]).to_dict("records")
    assert none["divergence_rate"] == pytest.approx(1 / 3)
    assert (none["n"], none["n_failed"], none["n_untrained"]) == (2, 1, 0)
    assert (batch["divergence_rate"], batch["divergence_low"]) == (0.0, 0.0)
    # z^2 / (n + z^2), by hand.
    assert batch["divergence_high"] == pytest.approx(1.96**2 / (3 + 1.96**2), abs=1e-4)
    assert batch["n_untrained"] == 1


def test_the_interquartile_mean_stands_beside_the_mean() -> None:
    """One wild seed in five moves the mean, not the interquartile mean."""
    frame = frame_of({("none",): [1.0, 2.0, 3.0, 4.0, 900.0]}, ["norm"])
    none = stats.cells(frame, {"norm": ("none",)}, range(5), ["y"]).iloc[0]
    assert (none["iqm"], none["mean"]) == (3.0, 182.0)
