from pathlib import Path

import pytest

from bnexp.design import Run
from bnexp.frames import declared, runs_frame
from tests.fabricate import planted


def frame(folder: Path, **metrics: float | None) -> dict[str, list[object]]:
    """Return the columns of a study whose every run measured these metrics."""

    def measured(run: Run) -> dict[str, float | None]:
        return metrics

    store = planted(["norm=none,batch", "seed=range(2)"], folder, measured)[1]
    study = declared(store.read_study())
    return runs_frame(study, store.load(study.run_ids)).to_dict("list")


def test_a_derived_response_is_the_difference_of_its_metrics(tmp_path: Path) -> None:
    """What a run gains by population statistics, and its gap, are columns like its metrics."""
    columns = frame(
        tmp_path, test_accuracy=0.75, test_accuracy_population=0.875, train_eval_accuracy=1.0
    )
    assert columns["population_gain"] == [0.125] * 4
    assert columns["generalization_gap"] == [0.25] * 4


def test_a_difference_needs_both_its_metrics(tmp_path: Path) -> None:
    """A study that measured one of the two has no such column."""
    columns = frame(tmp_path, test_accuracy=0.75, train_eval_accuracy=1.0)
    assert "population_gain" not in columns
    assert columns["generalization_gap"] == pytest.approx([0.25] * 4)
