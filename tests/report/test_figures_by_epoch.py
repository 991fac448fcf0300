"""Which figures run along the training."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from bnexp.report.figures_by_epoch import by_epoch
from bnexp.stats.tables import Tables
from bnexp.store.folder import Store
from bnexp.study.design import Run
from tests.fabricate import planted

N = 3
EPOCHS = 4


def measure(run: Run) -> dict[str, float | None]:
    """Return what the last epoch of a run has."""
    return {name: value for name, value in history(run)[-1].items() if name != "epoch"}


def history(run: Run) -> list[dict[str, Any]]:
    """Return epochs in which everything grows, by another amount each, and with the seed."""
    names = ["test_accuracy", "train_loss", "input_shift", "unit_input_15", "unit_input_50"]
    names += ["unit_input_85", "gamma_mean_conv1", "gamma_max_conv1", "beta_min_conv1"]
    return [
        {"epoch": epoch} | {name: (i * epoch + run.seed) / 100 for i, name in enumerate(names)}
        for epoch in range(1, EPOCHS + 1)
    ]


def figures_of(
    folder: Path, *responses: str, only: tuple[str, ...] | None = None
) -> dict[str, Figure]:
    """Return the figures by epoch of a study with these responses.

    Args:
        only: What its runs have recorded by epoch; None: everything.
    """
    arguments = ["norm=none,batch", f"seed=range({N})"]
    design, store = planted(arguments, folder, measure)
    study = dataclasses.replace(store.read_study(), responses=responses)
    by_id = {run.run_id: run for run in design.runs}
    records = [
        dataclasses.replace(
            record,
            history=[
                {
                    name: value
                    for name, value in epoch.items()
                    if name == "epoch" or only is None or name in only
                }
                for epoch in history(by_id[record.run_id])
            ],
        )
        for record in Store(store.folder).load(study.run_ids)
    ]
    return {one.name: one.make() for one in by_epoch(study, Tables(study, records))}


ALWAYS = {"curves_test_accuracy", "curves_train_loss"}


def test_a_response_that_runs_tell_by_epoch_has_a_curve(tmp_path: Path) -> None:
    """Through the mean of the seeds at each epoch, a line for each level."""
    figure = figures_of(tmp_path, "input_shift")["curves_input_shift"]
    none, batch = figure.axes[0].lines
    expected = [(2 * epoch + 1) / 100 for epoch in range(1, EPOCHS + 1)]
    assert none.get_ydata() == pytest.approx(expected)
    assert batch.get_ydata() == pytest.approx(expected)


def test_gammas_of_a_layer_share_a_figure(tmp_path: Path) -> None:
    """Mean and extremes are lines of one, betas of another."""
    responses = ("gamma_mean_conv1", "gamma_max_conv1", "beta_min_conv1")
    drawn = figures_of(tmp_path, *responses)
    asked = {name for name in drawn.keys() - ALWAYS if name.startswith("curves_")}
    assert asked == {"curves_gamma_conv1", "curves_beta_conv1"}
    assert drawn["curves_beta_conv1"].axes[0].get_ylabel() == "beta of conv1 (smallest)"
    figure = drawn["curves_gamma_conv1"]
    assert figure.axes[0].get_ylabel() == "gamma of conv1"
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named == ["norm none", "norm batch", "mean", "largest"]


def test_what_was_not_recorded_is_not_drawn(tmp_path: Path) -> None:
    """Runs of before have losses and accuracies by epoch, whatever a study asks."""
    drawn = figures_of(tmp_path, "input_shift", only=("test_accuracy", "train_loss"))
    assert drawn.keys() == ALWAYS


def test_one_units_inputs_are_a_band_of_one_seed(tmp_path: Path) -> None:
    """From the 15th to the 85th percentile around the median, a panel for each cell."""
    figure = figures_of(tmp_path, "input_shift")["unit_inputs"]
    assert [axes.get_title() for axes in figure.axes] == ["norm none", "norm batch"]
    for axes in figure.axes:
        (median,) = axes.lines
        assert median.get_ydata() == pytest.approx([4 * epoch / 100 for epoch in range(1, 5)])
        (band,) = axes.collections
        corners = band.get_paths()[0].vertices
        at_last = corners[corners[:, 0] == EPOCHS][:, 1]
        assert (at_last.min(), at_last.max()) == pytest.approx((0.12, 0.20))
