import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bnexp.store.frames import chance, epochs_frame, runs_frame
from bnexp.study.design import Run
from tests.fabricate import planted, redeclared


def frame(folder: Path, **metrics: float | None) -> dict[str, list[object]]:
    """Return the columns of a study whose every run measured these metrics."""

    def measured(run: Run) -> dict[str, float | None]:
        return metrics

    store = planted(["norm=none,batch", "seed=range(2)"], folder, measured)[1]
    study = store.read_study()
    return runs_frame(study, store.load(study.run_ids)).to_dict("list")


def test_a_derived_response_is_the_difference_of_its_metrics(tmp_path: Path) -> None:
    """What a run gains by population statistics, and its gap, are columns like its metrics."""
    columns = frame(
        tmp_path, test_accuracy=0.75, test_accuracy_population=0.875, train_eval_accuracy=1.0
    )
    assert columns["population_gain"] == [0.125] * 4
    assert columns["generalization_gap"] == [0.25] * 4


def test_a_diverged_run_guesses_where_that_is_asked_for(tmp_path: Path) -> None:
    """With the suffix an accuracy is chance where a run diverged; elsewhere as measured."""

    def half(run: Run) -> dict[str, float | None]:
        return {"test_accuracy": 0.75 if run.seed else None}

    store = planted(["norm=none,batch", "seed=range(2)"], tmp_path, half)[1]
    asked = ["test_accuracy_or_chance", "test_accuracy_population_or_chance"]
    study = redeclared(store, responses=asked)
    records = [
        replace(record, status="ok" if record.seed else "diverged")
        for record in store.load(study.run_ids)
    ]
    frame = runs_frame(study, records)
    assert frame["test_accuracy_or_chance"].tolist() == [37 / 360] * 2 + [0.75] * 2
    assert frame["test_accuracy"].isna().tolist() == [True, True, False, False]
    assert "test_accuracy_population_or_chance" not in frame  # nothing measured it


def test_chance_is_that_of_the_cells_own_data(tmp_path: Path) -> None:
    """A run that diverged guesses among the classes that it had, each cell by itself."""
    words = ["data=mnist,emnist", "seed=range(2)", "eval.statistics=[running]"]
    store = planted(words, tmp_path, lambda run: {"test_accuracy": None})[1]
    study = redeclared(store, responses=["test_accuracy_or_chance"])
    records = store.load(study.run_ids)
    found = runs_frame(study, records).groupby("data")["test_accuracy_or_chance"].unique()
    assert found.map(list).to_dict() == {"emnist": [1 / 47], "mnist": [0.1135]}
    assert chance(study, records).tolist() == [0.1135, 1 / 47]
    assert chance(study, []).tolist() == [37 / 360] * 2  # the study's own, as none is stored


def test_chance_is_what_the_labels_of_a_run_said(tmp_path: Path) -> None:
    """Where a run has noted a larger share of one class than is known of its data, that."""
    words = ["data=emnist", "norm=none,batch", "seed=range(2)", "data.split=byclass"]
    store = planted(words, tmp_path, lambda run: {"test_accuracy": None})[1]
    study = redeclared(store, responses=["test_accuracy_or_chance"])
    records = [
        replace(one, provenance=one.provenance | {"chance": 0.055})
        if one.cell["norm"] == "none" and one.seed
        else one
        for one in store.load(study.run_ids)
    ]
    found = runs_frame(study, records).set_index(["norm", "seed"])["test_accuracy_or_chance"]
    assert found.to_dict() == {
        ("none", 0): 1 / 62,
        ("none", 1): 0.055,
        ("batch", 0): 1 / 62,
        ("batch", 1): 1 / 62,
    }
    assert chance(study, records).tolist() == [0.055, 1 / 62]


@pytest.mark.parametrize("sweep", [["norm=none,batch"], []])
def test_a_deviation_is_from_the_median_of_the_cell(sweep: list[str], tmp_path: Path) -> None:
    """With the suffix a metric is how far it lies from the median of its own cell's seeds."""

    def accuracy(run: Run) -> dict[str, float | None]:
        higher = 0.5 if run.cell.labels.get("norm") == "batch" else 0.0
        return {"test_accuracy": None if run.seed == 3 else higher + (0.1, 0.2, 0.4)[run.seed]}

    store = planted([*sweep, "seed=range(4)"], tmp_path, accuracy)[1]
    study = redeclared(store, responses=["test_accuracy_deviation", "train_loss_deviation"])
    frame = runs_frame(study, store.load(study.run_ids))
    keys = list(study.factors)
    for cell in [cell for _, cell in frame.groupby(keys)] if keys else [frame]:
        found = cell.sort_values("seed")["test_accuracy_deviation"]
        np.testing.assert_allclose(found, [0.1, 0.0, 0.2, math.nan], atol=1e-12)
    assert "train_loss_deviation" not in frame  # nothing measured it


def test_a_logarithm_makes_a_ratio_of_a_difference(tmp_path: Path) -> None:
    """With the suffix a number is its decimal logarithm, where it is above zero."""

    def loss(run: Run) -> dict[str, float | None]:
        return {"train_loss": (0.01, 10.0, 0.0, None)[run.seed]}

    store = planted(["seed=range(4)"], tmp_path, loss)[1]
    study = redeclared(store, responses=["train_loss_log10", "test_loss_log10"])
    frame = runs_frame(study, store.load(study.run_ids)).sort_values("seed")
    np.testing.assert_allclose(frame["train_loss_log10"], [-2.0, 1.0, math.nan, math.nan])
    assert "test_loss_log10" not in frame  # nothing measured it


def test_the_time_to_an_accuracy_is_that_of_its_epochs(tmp_path: Path) -> None:
    """Of epochs of one length each; a run that has not reached it has none."""

    def reached(run: Run) -> dict[str, float | None]:
        return {"epochs_to_75": (1.0, 2.0, None)[run.seed]}

    store = planted(["seed=range(3)", "eval.thresholds=[0.75]"], tmp_path, reached)[1]
    study = redeclared(store, responses=["seconds_to_75", "seconds_to_75_log10"])
    records = store.load(study.run_ids)
    assert {(one.metrics["wall_s"], len(one.history)) for one in records} == {(1.0, 2)}
    frame = runs_frame(study, records).sort_values("seed")
    expected = [0.5, 1.0, math.nan]
    np.testing.assert_allclose(frame["seconds_to_75"], expected)
    np.testing.assert_allclose(frame["seconds_to_75_log10"], np.log10(expected))


def test_a_failed_run_does_not_guess(tmp_path: Path) -> None:
    """An error is no outcome: it has no accuracy, whatever is asked for."""
    store = planted(
        ["norm=none,batch", "seed=range(2)"], tmp_path, lambda run: {"test_accuracy": None}
    )[1]
    study = redeclared(store, responses=["test_accuracy_or_chance"])
    records = [replace(record, status="failed") for record in store.load(study.run_ids)]
    assert runs_frame(study, records)["test_accuracy_or_chance"].isna().all()


def test_a_difference_needs_both_its_metrics(tmp_path: Path) -> None:
    """A study that measured one of the two has no such column."""
    columns = frame(tmp_path, test_accuracy=0.75, train_eval_accuracy=1.0)
    assert "population_gain" not in columns
    assert columns["generalization_gap"] == pytest.approx([0.25] * 4)


def test_an_epoch_is_of_its_run(tmp_path: Path) -> None:
    """Each row has the levels and the seed of the run whose history it is from."""

    def measured(run: Run) -> dict[str, float | None]:
        return {"test_accuracy": 0.5}

    design, store = planted(["norm=none,batch", "seed=3,5"], tmp_path, measured)
    study = store.read_study()
    losses = {run.run_id: float(number) for number, run in enumerate(design.runs)}
    records = [
        replace(record, history=[{"epoch": at, "loss": losses[record.run_id]} for at in (1, 2)])
        for record in store.load(study.run_ids)
    ]
    rows = epochs_frame(study, records).to_dict("records")
    expected = [
        {
            "norm": run.cell.labels["norm"],
            "seed": run.seed,
            "epoch": at,
            "loss": losses[run.run_id],
        }
        for run in design.runs
        for at in (1, 2)
    ]
    assert rows == expected
