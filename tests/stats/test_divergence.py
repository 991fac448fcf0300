"""Divergence that depends on the level is told; what chance does is not."""

import numpy as np
import pandas as pd
import pytest

from bnexp import stats
from tests.fabricate import frame_of

FACTORS = {"norm": ("none", "batch"), "pool": ("avg", "max")}
CELLS = [(norm, pool) for norm in FACTORS["norm"] for pool in FACTORS["pool"]]


def lost(chances: dict[str, float], rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Return the table of n seeds whose runs diverge with a chance by norm.

    Runs of a seed diverge together: half of the seeds do so at each chance in full.
    """
    frame = frame_of({cell: [0.5] * n for cell in CELLS}, list(FACTORS))
    fragile = rng.random(n) < 0.5
    chance = frame["norm"].map(chances).to_numpy() * fragile[frame["seed"].to_numpy()]
    frame.loc[rng.random(len(frame)) < chance, ["y", "status"]] = [np.nan, "diverged"]
    return stats.divergence(frame, FACTORS, range(n))


def test_rates_are_counted_by_level(rng: np.random.Generator) -> None:
    """Each level has its diverged runs among those that ended, failed ones apart."""
    frame = frame_of({cell: [0.5] * 8 for cell in CELLS}, list(FACTORS))
    none = frame["norm"] == "none"
    frame.loc[none & (frame["seed"] < 7), ["y", "status"]] = [np.nan, "diverged"]
    frame.loc[none & (frame["seed"] == 7), ["y", "status"]] = [np.nan, "failed"]
    row = stats.divergence(frame, FACTORS, range(8)).iloc[0]
    assert (row["factor"], row["level_a"], row["level_b"]) == ("norm", "batch", "none")
    assert (row["diverged_a"], row["ended_a"]) == (0, 16)
    assert (row["diverged_b"], row["ended_b"]) == (14, 14)
    # Seven of seven seeds, two-sided; two pairs of levels.
    assert (row["n"], row["p"], row["p_adjusted"]) == (7, 2 / 2**7, 2 * 2 / 2**7)


@pytest.mark.parametrize("studies", [150, pytest.param(1500, marks=pytest.mark.thorough)])
def test_chance_is_not_a_finding(studies: int, rng: np.random.Generator) -> None:
    """At equal rates 5 % of studies or fewer find a difference, though seeds are unequal."""
    found = [
        (lost({"none": 0.6, "batch": 0.6}, rng, 20)["p_adjusted"] < 0.05).any()
        for _ in range(studies)
    ]
    assert np.mean(found) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / studies) * (studies > 200)
    assert (lost({"none": 0.9, "batch": 0.0}, rng, 40)["p_adjusted"] < 0.05)[0]


def test_runs_that_are_not_trained_leave_the_others_to_compare(
    rng: np.random.Generator,
) -> None:
    """With a third of the runs missing divergence is still told, and chance still is not."""
    cells = {cell: [0.5] * 20 for cell in CELLS}
    told = {0.9: 0, 0.3: 0}
    for chance in told:
        for _ in range(100):
            frame = frame_of(cells, list(FACTORS))
            chances = frame["norm"].map({"none": chance, "batch": 0.3}).to_numpy()
            gone = rng.random(len(frame)) < chances
            frame.loc[gone, ["y", "status"]] = [np.nan, "diverged"]
            frame = frame[rng.random(len(frame)) > 1 / 3]
            told[chance] += stats.divergence(frame, FACTORS, range(20))["p_adjusted"][0] < 0.05
    assert told[0.9] >= 70
    assert told[0.3] <= 5


def test_without_divergence_there_is_no_table() -> None:
    """Where all runs finished there is nothing to compare."""
    frame = frame_of({cell: [0.5] * 3 for cell in CELLS}, list(FACTORS))
    assert stats.divergence(frame, FACTORS, range(3)).empty
