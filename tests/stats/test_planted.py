"""From edited run files to verdicts: what is planted is what comes out."""

import json
from pathlib import Path

import numpy as np
import pytest

from bnexp.stats.tables import Tables
from bnexp.store.folder import Store
from bnexp.store.json_files import write_json
from bnexp.study.design import Run
from tests.fabricate import STARTED, planted, redeclared

SWEEP = ["norm=none,batch", "model.pool=avg,max", "seed=range(10)"]
NORM = {"factor": "norm", "level_a": "batch", "level_b": "none"}
COMMON = {"source": "s", "response": "test_accuracy"}
# Each claim with the verdict that a true effect of +2.00 points deserves.
CLAIMS = {
    "supported": [
        {"kind": "difference", "factor": "norm", "higher": "batch", "lower": "none"},
        {"kind": "threshold", **NORM, "above": 0.015},
        {"kind": "equivalence", **NORM, "margin": 0.03},
        {"kind": "dominance", "larger": "norm", "smaller": "model.pool"},
    ],
    "refuted": [
        {"kind": "difference", "factor": "norm", "higher": "none", "lower": "batch"},
        {"kind": "threshold", **NORM, "above": 0.025},
        {"kind": "equivalence", **NORM, "margin": 0.01},
    ],
}


def two_points(run: Run) -> dict[str, float | None]:
    """Return accuracies to which BN adds 2 points, with the noise of a seed and of a run."""
    labels = run.cell.labels
    of_seed = np.random.default_rng(run.seed).normal(0, 0.02)
    rng = np.random.default_rng(
        [run.seed, labels["norm"] == "batch", labels["model.pool"] == "max"]
    )
    accuracy = 0.8 + of_seed + rng.normal(0, 0.002) + 0.02 * (labels["norm"] == "batch")
    return {"test_accuracy": accuracy, "train_loss": 1 - accuracy}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return planted(SWEEP, tmp_path, two_points)[1]


def analysed(store: Store) -> Tables:
    study = store.read_study()
    return Tables(study, store.load(study.run_ids))


def test_two_points_come_out_as_two_points(store: Store) -> None:
    """The estimate is +2.00 points; its interval holds it, as narrow as pairing makes it."""
    row = analysed(store).contrasts.iloc[0]
    assert row["factor"] == "norm"
    # Pairs differ by .002 a run: 10 seeds of two pools leave an error of .0006.
    assert row["estimate"] == pytest.approx(0.02, abs=0.0018)
    assert row["ci_low"] < 0.02 < row["ci_high"] < row["ci_low"] + 0.004
    assert row["p"] == 2 / 2**10
    assert row["improvement"] == 1.0


def test_verdicts_follow_the_planted_effect(store: Store) -> None:
    """Claims of every kind about +2.00 points get the verdict that they deserve."""
    expected = [verdict for verdict, claims in CLAIMS.items() for _ in claims]
    claims = [
        {"claim": str(claim), **COMMON, **claim} for of in CLAIMS.values() for claim in of
    ]
    redeclared(store, claims=claims)
    assert analysed(store).claims["verdict"].tolist() == expected


def test_without_an_effect_nothing_is_found(tmp_path: Path) -> None:
    """The same noise with BN adding nothing leaves the claim open."""

    def nothing(run: Run) -> dict[str, float | None]:
        found = two_points(run)
        added = 0.02 * (run.cell.labels["norm"] == "batch")
        return {"test_accuracy": found["test_accuracy"] - added, "train_loss": 1.0}

    tables = analysed(planted(SWEEP, tmp_path, nothing)[1])
    row = tables.contrasts.iloc[0]
    assert row["ci_low"] < 0 < row["ci_high"]
    assert row["p_adjusted"] > 0.05


def test_what_is_declared_after_the_first_run_is_exploratory(store: Store) -> None:
    """What was added to study.json later is labelled, and what has new words alone is not."""
    content = json.loads(store.study.read_text())
    earlier = {
        key: content[key] for key in ("declared", "factors", "responses", "claims", "base")
    }
    claim = {"claim": "later", **COMMON, **CLAIMS["supported"][0]}
    later = {
        "declared": STARTED.replace("2100", "2101"),
        "responses": [*content["responses"], "train_accuracy"],
        "claims": [claim],
        "earlier": [earlier],
    }
    for i, path in enumerate(store.runs.glob("*.json")):
        run = json.loads(path.read_text())
        run["metrics"]["train_accuracy"] = run["metrics"]["test_accuracy"]
        if i == 0:  # the first run counts: one more after the declaration changes nothing
            run["provenance"]["started"] = STARTED.replace("2100", "2102")
        write_json(path, run)
    redeclared(store, **later)
    tables = analysed(store)
    by_response = tables.contrasts.groupby("response")["declared"].unique().map(list)
    assert by_response["test_accuracy"] == ["planned"]
    assert by_response["train_accuracy"] == ["exploratory"]
    assert tables.claims["declared"].tolist() == ["exploratory"]
    assert "exploratory" in set(tables.caveats["code"])
    before = earlier | {"claims": [claim | {"claim": "the same in other words"}]}
    redeclared(store, earlier=[before])
    assert analysed(store).claims["declared"].tolist() == ["planned"]
    redeclared(store, declared=content["declared"])
    assert set(analysed(store).contrasts["declared"]) == {"planned"}


def test_tables_that_do_not_apply_are_not_written(store: Store) -> None:
    """Without learning rates as a factor there is no file about them; caveats always."""
    files = analysed(store).files()
    assert "caveats" in files
    assert not {"max_lr", "max_lr_ratios", "equal_footing"} & set(files)


def test_a_sweep_of_learning_rates_has_its_tables(tmp_path: Path) -> None:
    """Three learning rates give limits, ratios and both footings; a held-out split chooses."""

    def measure(run: Run) -> dict[str, float | None]:
        rate = float(run.cell.labels["optimizer.lr"])
        limit = 2.0 if run.cell.labels["norm"] == "batch" else 1.0
        names = ("test_accuracy", "val_accuracy", "train_loss")
        if rate > limit:
            return dict.fromkeys(names)
        return dict(zip(names, (0.8, 0.8 + rate / 100, 0.5), strict=True))

    arguments = ["norm=none,batch", "optimizer.lr=0.5,1.0,2.0,4.0", "seed=range(6)"]
    tables = analysed(planted(arguments, tmp_path, measure)[1])
    assert {"max_lr", "max_lr_ratios", "equal_footing"} <= set(tables.files())
    finite = tables.max_lr_ratios.set_index("definition").loc["finite"]
    assert finite["ratio"] == pytest.approx(2.0)
    best = tables.equal_footing[tables.equal_footing["rule"] == "own best"].iloc[0]
    assert (best["lr_a"], best["lr_b"], best["chosen_on"]) == ("2.0", "1.0", "val_accuracy")
    assert not best["optimistic"]
