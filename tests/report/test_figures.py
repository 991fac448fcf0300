"""What figures are made of."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from bnexp.config.study import DifferenceClaim
from bnexp.report.figures import _averaged, _differences
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


@pytest.mark.parametrize(
    ("higher", "lower", "sign"), [("batch", "none", 1), ("none", "batch", -1)]
)
def test_a_source_s_difference_has_the_sign_of_its_row(
    higher: str, lower: str, sign: int
) -> None:
    """A row is level a minus level b, whichever of them the source says is higher."""
    claim = DifferenceClaim(
        claim="it is higher",
        source="me",
        kind="difference",
        response="test_accuracy",
        factor="norm",
        higher=higher,
        lower=lower,
        reported=0.03,
    )
    row = ("test_accuracy", "norm", "batch", "none")
    names = ["response", "factor", "level_a", "level_b"]
    tables: Any = SimpleNamespace(
        contrasts=pd.DataFrame([row], columns=names).assign(kind="main")
    )
    study: Any = SimpleNamespace(claims=[claim])
    assert _differences(study, tables) == {row: sign * 0.03}
