"""The answer that a page opens with, of a study that has lost runs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from bnexp.report.answer import UNTOLD, answers
from bnexp.report.opening import openings
from bnexp.report.page import page
from bnexp.stats.tables import Tables
from bnexp.store.folder import Store
from bnexp.study.design import Run
from tests.fabricate import planted, redeclared

SIXTEEN = [
    *("norm=none,batch", "model.pool=avg,max", "optimizer.lr=0.1,0.2,0.4,0.8"),
    "seed=range(10)",
]
RESULTS = Path(__file__).resolve().parents[2] / "results"


def test_lost_runs_leave_an_answer(tmp_path: Path, rng: np.random.Generator) -> None:
    """Of 160 runs 34 diverged and 12 are not there: the page still says what BN changes."""
    diverge = iter(rng.permutation(80) < 34)

    def measure(run: Run) -> dict[str, float | None]:
        batch = run.cell.labels["norm"] == "batch"
        accuracy = None if not batch and next(diverge) else rng.normal(0.7 + 0.04 * batch, 0.01)
        return {"test_accuracy": accuracy, "train_loss": accuracy and 1 - accuracy}

    _, store = planted(SIXTEEN, tmp_path, measure)
    for path in rng.choice(sorted(store.runs.iterdir()), 12, replace=False):
        path.unlink()
    study = store.read_study()
    tables = Tables(study, store.load(study.run_ids))
    assert (tables.runs["status"] == "ok").sum() < 160 - 34
    assert not tables.runs.groupby("seed").size().eq(16).all()
    for answer in answers(study, tables):
        assert answer.sentence == "norm explains most."
        assert not any(UNTOLD in line.effect for line in answer.lines)
    norm = tables.contrasts.iloc[0]
    assert (norm["n"], norm["sim_low"] < 0.04 < norm["sim_high"]) == (10, True)
    warnings = page(study, tables, tables.records, 0).warnings
    assert any("with norm none than batch" in text for text in warnings)  # they diverge more
    assert any("nothing to do with their results" in text for text in warnings)


RESPONSES = [
    *("test_accuracy", "test_accuracy_population", "test_accuracy_batch", "val_accuracy"),
    *("test_loss", "test_loss_population", "test_loss_batch", "val_loss"),
    *("train_accuracy", "train_loss"),
]


@pytest.mark.parametrize(
    ("pools", "pages"),
    [
        ("avg", 10),
        *(pytest.param(pools, 60, marks=pytest.mark.thorough) for pools in ("avg", "avg,max")),
    ],
)
def test_pages_of_noise_announce_nothing(
    pools: str, pages: int, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Of ten responses of noise, 5 % of pages say anything of a leader or a direction at most.

    Each response by itself, two pages of five did.
    """
    arguments = ["norm=none,batch,layer", f"model.pool={pools}", "seed=range(6)"]
    _, store = planted(arguments, tmp_path, lambda _: dict.fromkeys(RESPONSES, 0.5))
    study = redeclared(store, responses=RESPONSES)
    tables = Tables(study, store.load(study.run_ids))
    of_nothing = {
        "Nothing here can be told from noise.",
        "The direction of 0 of 3 differences is settled.",
    }
    announced = 0
    for _ in range(pages):
        drawn = Tables(study, tables.records)
        noise = rng.normal(0.5, 0.01, size=(len(tables.runs), len(RESPONSES)))
        vars(drawn)["runs"] = tables.runs.assign(**dict(zip(RESPONSES, noise.T, strict=True)))
        announced += any(one.sentence not in of_nothing for one in answers(study, drawn))
    assert announced / pages <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / pages)


@pytest.mark.thorough
@pytest.mark.parametrize("study", ["pooling_vs_bn", "epsilon"])
def test_of_a_published_study_whose_numbers_are_noise_nothing_is_told(
    study: str, rng: np.random.Generator
) -> None:
    """A published design with noise for its responses names no leader and answers nothing."""
    tables = published(study, lambda runs: rng.normal(0.5, 0.01, size=len(runs)))
    for answer in answers(tables.study, tables):
        assert not answer.settled
    assert {one.outcome for one in openings(tables.study, tables)} <= {"cannot_tell", "found"}


@pytest.mark.thorough
def test_of_a_published_study_with_opposite_effects_the_reversal_is_told(
    rng: np.random.Generator,
) -> None:
    """Four points more with one pooling and four less with the other are no average of none."""

    def planted_points(runs: pd.DataFrame) -> npt.NDArray[np.float64]:
        sign = np.where(runs["model.pool"] == "max", 1, -1) * (runs["norm"] == "batch")
        return 0.8 + 0.04 * sign.to_numpy() + rng.normal(0, 0.005, size=len(runs))

    tables = published("pooling_vs_bn", planted_points)
    first = next(one for one in answers(tables.study, tables) if one.settled)
    assert "The effect of norm reverses: batch \N{MINUS SIGN} none is +4." in first.sentence
    assert "with pool max and -3." in first.sentence
    (asked, *_) = (one for one in openings(tables.study, tables) if one.outcome == "reversal")
    assert "pool max" in asked.sentence


def published(study: str, drawn: Callable[[pd.DataFrame], npt.NDArray[np.float64]]) -> Tables:
    """Return the tables of a published study, with other numbers for each of its responses."""
    store = Store(RESULTS / study)
    declared = store.read_study()
    tables = Tables(declared, store.load(declared.run_ids))
    names = [name for name in tables.responses if name in tables.runs]
    vars(tables)["runs"] = tables.runs.assign(**{name: drawn(tables.runs) for name in names})
    return tables


def test_a_third_of_a_published_study_less_widens_its_intervals(
    rng: np.random.Generator,
) -> None:
    """What the whole study settles is settled by two thirds of its runs, less sharply."""
    study = (store := Store(RESULTS / "pooling_vs_bn")).read_study()
    records = store.load(study.run_ids)
    kept = [one for one in records if rng.random() > 1 / 3]
    whole, left = Tables(study, records), Tables(study, kept)
    settled = [
        {one.response: one.sentence for one in answers(study, tables) if one.settled}
        for tables in (whole, left)
    ]
    assert settled[0] == settled[1]
    assert len(settled[0]) >= 2
    of_whole, of_left = (
        table.contrasts[table.contrasts["kind"] == "main"] for table in (whole, left)
    )
    assert (of_left["n"] >= 8).all()
    width = (of_left["sim_high"] - of_left["sim_low"]) / (
        of_whole["sim_high"] - of_whole["sim_low"]
    )
    assert 1.1 < width.mean() < 3
    assert (of_left["sim_low"] < of_whole["estimate"]).all()
    assert (of_left["sim_high"] > of_whole["estimate"]).all()


def test_what_a_single_seed_shows_is_not_the_largest_effect(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Of three differences the one that has no interval is not the one that is shown."""

    def measure(run: Run) -> dict[str, float | None]:
        pool = run.cell.labels["model.pool"]
        if pool == "stride" and run.seed:
            return {"test_accuracy": None, "train_loss": None}
        return {
            "test_accuracy": 0.9 if pool == "stride" else rng.normal(0.7, 0.01),
            "train_loss": 1.0,
        }

    arguments = ["norm=none,batch", "model.pool=avg,max,stride", "seed=range(4)"]
    _, store = planted(arguments, tmp_path, measure)
    study = store.read_study()
    found = answers(study, Tables(study, store.load(study.run_ids)))[0]
    (line,) = (line for line in found.lines if line.factor == "pool")
    assert line.comparison.startswith("max \N{MINUS SIGN} avg")


def test_a_cell_without_runs_is_said_in_words(tmp_path: Path) -> None:
    """Where a cell always diverges no number is made up, and none is called nothing."""

    def lost(run: Run) -> dict[str, float | None]:
        gone = run.cell.labels == {"norm": "none", "model.pool": "max"}
        return dict.fromkeys(("test_accuracy", "train_loss"), None if gone else 0.5)

    arguments = ["norm=none,batch", "model.pool=avg,max", "seed=range(5)"]
    _, store = planted(arguments, tmp_path, lost)
    study = store.read_study()
    (answer, *_) = answers(study, Tables(study, store.load(study.run_ids)))
    assert answer.sentence == "No share: too many runs are missing."
    assert [line.effect for line in answer.lines] == [UNTOLD, UNTOLD]
