"""Comparisons by image, from planted runs: what they are of, and what they are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar

from bnexp import stats
from bnexp.stats.crossed import crossed
from bnexp.stats.looks import Looks
from bnexp.stats.outcomes import pooled_p
from bnexp.stats.tables import Tables
from bnexp.store.image_outcomes import Bits
from bnexp.study.design import Run
from tests.fabricate import ACCURACY, planted, planted_by_image

N = 50
BASE = ["eval.outcomes=true", "data=digits", "name=planted"]
TWO_WAY = ["norm=none,batch", "model.pool=avg,max", "seed=range(4)", *BASE]
ONE_WAY = ["norm=none,batch", "seed=range(4)", *BASE]


def drawn(run: Run) -> Bits:
    """Return answers that depend on the cell and on the seed."""
    rng = np.random.default_rng([run.seed, *map(ord, str(run.cell.values))])
    return rng.random(N) < 0.5 + 0.3 * (run.cell.values["norm"] == "batch")


def tables_of(arguments: list[str], folder: Path, right: Any = drawn, **options: Any) -> Tables:
    """Return the tables of a study; see `planted_by_image`."""
    store = planted_by_image(arguments, folder, right, **options)
    study = store.read_study()
    return Tables(study, store.load(study.run_ids))


def test_the_mean_and_the_interval_over_seeds_are_those_of_the_contrasts(
    tmp_path: Path,
) -> None:
    """Images add an interval of their own and change nothing else, in every comparison."""
    tables = tables_of(TWO_WAY, tmp_path)
    found, expected = tables.outcomes, tables.contrasts
    assert len(found) == len(expected) == 7
    same = ["factor", "level_a", "level_b", "given", "response", "kind", "n", "n_family"]
    pd.testing.assert_frame_equal(found[same], expected[same], check_dtype=False)
    theirs = expected[["estimate", "ci_low", "ci_high"]].to_numpy()
    np.testing.assert_allclose(found[["estimate", "seeds_low", "seeds_high"]], theirs)
    assert (found["ci_low"] <= found["seeds_low"] + 1e-12).all()
    assert (found["ci_high"] >= found["seeds_high"] - 1e-12).all()
    assert (found["sim_high"] > found["ci_high"]).all()
    assert (found["n_images"] == N).all()


def test_what_is_settled_on_other_images_is_settled_on_these_at_any_look(
    tmp_path: Path,
) -> None:
    """Where seeds are added after looking, intervals over images are not narrower either."""
    found = tables_of([*ONE_WAY[:1], "seed=range(8)", *BASE], tmp_path)
    study, looks = found.study, Looks(several=True)
    contrasts = stats.contrasts(
        found.runs, study.factors, study.seeds, found.responses, looks=looks
    )
    several = stats.outcomes(study, found.records, contrasts, looks=looks)
    assert (several["sim_low"] <= contrasts["sim_low"] + 1e-12).all()
    assert (several["sim_high"] >= contrasts["sim_high"] - 1e-12).all()
    assert (several["sim_low"] < found.outcomes["sim_low"] - 0.01).all()
    assert np.allclose(several["ci_low"], found.outcomes["ci_low"])  # of a single look


def test_a_comparison_is_made_within_images_and_seeds(tmp_path: Path) -> None:
    """Differences by seed and image are of the arms' answers, averaged over other factors."""
    tables = tables_of(TWO_WAY, tmp_path)
    runs = {
        (*record.cell.values(), record.seed): record.outcomes.of(ACCURACY).astype(float)
        for record in tables.records
        if record.outcomes is not None
    }
    differences = np.array(
        [
            np.mean(
                [runs["batch", pool, s] - runs["none", pool, s] for pool in ("avg", "max")],
                axis=0,
            )
            for s in range(4)
        ]
    )
    row = tables.outcomes.set_index(["kind", "factor"]).loc[("main", "norm")]
    expected = crossed(differences)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(expected.over_both())
    assert row["sd_images"] == pytest.approx(expected.sd_images)
    interaction = tables.outcomes.set_index("kind").loc["interaction"]
    assert interaction["n_images"] == N
    assert np.isnan(interaction["p_mcnemar"])


def test_mcnemars_test_is_that_of_statsmodels(tmp_path: Path) -> None:
    """Exact in each seed, of the images that one of two networks alone gets right."""

    def better_by_seed(run: Run) -> Bits:
        gain = 0.15 * run.seed * (run.cell.values["norm"] == "batch")
        return np.random.default_rng([run.seed, gain > 0]).random(N) < 0.5 + gain

    tables = tables_of(ONE_WAY, tmp_path, better_by_seed)
    (row,) = tables.outcomes.to_dict("records")
    by_run = {
        (record.cell["norm"], record.seed): record.outcomes.of(ACCURACY)
        for record in tables.records
        if record.outcomes is not None
    }
    p, better = [], []
    for seed in range(4):
        a, b = by_run["batch", seed], by_run["none", seed]
        p.append(mcnemar(pd.crosstab(a, b).to_numpy(), exact=True).pvalue)
        better.append(a.sum() > b.sum())
    assert row["n_mcnemar_a"] == sum(one < 0.05 and a for one, a in zip(p, better, strict=True))
    assert 0 < row["n_mcnemar_a"] < 4
    assert row["n_mcnemar_b"] == 0
    assert row["p_mcnemar"] == pytest.approx(min(1, 2 * sorted(p)[1]))


def test_the_median_of_mcnemars_tests_rejects_rarely_without_an_effect(
    rng: np.random.Generator,
) -> None:
    """Seeds share images, and their p-values go together: at most 5 % of studies reject."""
    shared = rng.standard_normal((4000, 1))
    own = rng.standard_normal((4000, 9))
    for weight in (0.0, 0.7, 1.0):
        z = np.sqrt(weight) * shared + np.sqrt(1 - weight) * own
        p = 2 * scipy_stats.norm.sf(np.abs(z))
        assert np.mean([pooled_p(one) <= 0.05 for one in p]) <= 0.055
    assert pooled_p(np.array([0.01, 0.2, 0.03])) == pytest.approx(0.045)
    assert pooled_p(np.array([0.03])) == 0.03


def test_a_run_that_diverged_takes_its_seed_out(tmp_path: Path) -> None:
    """The others are compared, and the row says of how many seeds it is."""

    def lost(run: Run) -> Bits | None:
        is_lost = run.seed == 1 and run.cell.values["norm"] == "batch"
        return None if is_lost else drawn(run)

    (row,) = tables_of(ONE_WAY, tmp_path, lost).outcomes.to_dict("records")
    assert row["n"] == 3


def test_other_images_are_not_compared(tmp_path: Path) -> None:
    """Levels that were tested on different sets have no row; levels of either set have."""
    tables = tables_of(TWO_WAY, tmp_path, images=lambda run: str(run.cell.values["model.pool"]))
    found = tables.outcomes
    assert set(zip(found["kind"], found["factor"], strict=True)) == {("simple", "norm")}
    assert len(found) == 2
    assert tables.images.empty


def test_without_outcomes_there_is_no_table(tmp_path: Path) -> None:
    """Neither in memory nor among the files."""
    design, store = planted(TWO_WAY, tmp_path, lambda run: {ACCURACY: 0.5 + run.seed / 100})
    tables = Tables(store.read_study(), store.load(run.run_id for run in design.runs))
    assert tables.outcomes.empty
    assert not {"outcomes", "images"} & tables.files().keys()


def test_the_images_that_part_two_levels_are_named(tmp_path: Path) -> None:
    """Those of the largest difference first, with the share of either level's runs."""

    def planted_images(run: Run) -> Bits:
        bits = np.ones(N, dtype=bool)
        if run.cell.values["norm"] == "none":
            bits[[7, 31]] = False  # right with batch alone
        elif run.seed < 2:
            bits[13] = False
        if run.seed == 0:
            bits[40] = False  # wrong in both
        return bits

    tables = tables_of(TWO_WAY, tmp_path, planted_images)
    of_norm = tables.images[tables.images["factor"] == "norm"]
    columns = ["image", "right_a", "right_b", "n"]
    rows = of_norm[columns].to_numpy().tolist()
    assert rows == [[7, 1, 0, 4], [31, 1, 0, 4], [13, 0.5, 1, 4]]
    assert tables.images[tables.images["factor"] == "model.pool"].empty
