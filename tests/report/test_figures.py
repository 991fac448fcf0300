"""What figures are made of."""

from pathlib import Path

import pytest

from bnexp.report.figures import _averaged
from bnexp.stats.tables import Tables
from bnexp.study.design import Run
from tests.fabricate import planted


def measure(run: Run) -> dict[str, float | None]:
    """Return accuracies that differ much by the factor that is averaged over."""
    labels = run.cell.labels
    base = {"avg": 0.3, "max": 0.9}[labels["model.pool"]]
    return {"test_accuracy": base + 0.01 * run.seed, "train_loss": 0.5}


def test_a_mean_over_fewer_cells_is_no_mean_of_a_seed(tmp_path: Path) -> None:
    """Where one cell lacks a seed, that seed is left out: unlike would be compared."""
    factors = ["norm=none,batch", "model.activation=relu,tanh", "model.pool=avg,max"]
    design, store = planted([*factors, "seed=range(3)"], tmp_path, measure)
    lost = next(
        run
        for run in design.runs
        if run.seed == 2 and list(run.cell.labels.values()) == ["none", "relu", "avg"]
    )
    (store.runs / f"{lost.run_id}.json").unlink()
    study = store.read_study()
    tables = Tables(study, store.load(study.run_ids))
    found = _averaged(study, tables, ("norm", "model.activation"))
    found = found[found["response"] == "test_accuracy"].set_index(["norm", "model.activation"])
    assert found.loc[("none", "relu"), "n"] == 2
    assert found.loc[("none", "relu"), "mean"] == pytest.approx(0.605)  # of seeds 0 and 1
    assert found.loc[("none", "tanh"), "n"] == 3
    assert found.loc[("none", "tanh"), "mean"] == pytest.approx(0.61)
