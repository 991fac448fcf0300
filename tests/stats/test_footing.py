import math

import numpy as np
import pandas as pd
import pytest

from bnexp import stats
from bnexp.stats.estimate import t_quantile
from bnexp.stats.footing import _at_best, _best
from bnexp.stats.looks import Looks
from tests.fabricate import frame_of

FACTORS = {"norm": ("none", "batch"), "optimizer.lr": ("0.1", "1.0")}
# Without BN .1 is best, with BN 1.0; at equal rates BN adds 2 and 9, at its best 5.
VALUES = {
    ("none", "0.1"): [10.0, 11.0, 12.0, 11.0],
    ("none", "1.0"): [6.0, 7.0, 8.0, 7.0],
    ("batch", "0.1"): [12.0, 13.0, 14.0, 13.0],
    ("batch", "1.0"): [15.0, 16.0, 17.0, 16.0],
}


def footing(frame: pd.DataFrame, chosen_on: str = "y", n_seeds: int = 4) -> pd.DataFrame:
    return stats.equal_footing(frame, FACTORS, range(n_seeds), ["y"], chosen_on)


def test_both_rules_by_hand() -> None:
    """A row for each common rate, and one with each level at its own."""
    table = footing(frame_of(VALUES, list(FACTORS)))
    shown = table[["rule", "lr_a", "lr_b", "estimate"]].to_numpy().tolist()
    assert shown == [
        ["same lr", "0.1", "0.1", 2.0],
        ["same lr", "1.0", "1.0", 9.0],
        ["own best", "1.0", "0.1", 5.0],
    ]


def test_a_seed_does_not_choose_for_itself() -> None:
    """A lucky seed that chooses is not compared, and one that is compared does not choose."""
    lucky = {**VALUES, ("none", "1.0"): [99.0, 7.0, 8.0, 7.0]}
    best = footing(frame_of(lucky, list(FACTORS))).iloc[-1]
    assert (best["lr_b"], best["n"], best["estimate"]) == ("1.0", 2, 9.0)
    lucky = {**VALUES, ("none", "1.0"): [6.0, 7.0, 99.0, 7.0]}
    best = footing(frame_of(lucky, list(FACTORS))).iloc[-1]
    assert (best["lr_b"], best["n"], best["estimate"]) == ("0.1", 2, 5.0)


@pytest.mark.parametrize(
    ("n", "studies"),
    [
        (10, 120),
        pytest.param(30, 120, marks=pytest.mark.thorough),
        pytest.param(30, 500, marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("step", [0.0, 0.3, 3.0])
def test_own_best_intervals_cover(
    n: int, step: float, studies: int, rng: np.random.Generator
) -> None:
    """Of rates that are alike, near or far apart, 93 % of intervals or more hold the truth."""
    rates = tuple(f"{2.0**k}" for k in range(4))
    factors = {"norm": ("none", "batch"), "optimizer.lr": rates}
    means = {
        (norm, rate): -step * abs(k - (norm == "batch"))
        for norm in factors["norm"]
        for k, rate in enumerate(rates)
    }
    held = []
    for draws in rng.normal(size=(studies, len(means), n)):
        noisy = dict(zip(means, draws + np.array([*means.values()])[:, None], strict=True))
        frame = frame_of(noisy, list(factors))
        row = stats.equal_footing(frame, factors, range(n), ["y"], "y").iloc[-1]
        truth = means["batch", row["lr_a"]] - means["none", row["lr_b"]]
        held.append(row["ci_low"] <= truth <= row["ci_high"])
    assert np.mean(held) >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / studies)


def own_bests(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each level's best rate and its response in the seeds that compare, many studies.

    Args:
        draws: Shape (seeds, studies, levels, rates); higher is better.
    """
    n_choosing = len(draws) // 2
    best = _best(draws[:n_choosing], np.zeros_like(draws[:n_choosing]))
    return best, _at_best(draws, best, n_choosing)[n_choosing:]


def t_values(differences: np.ndarray) -> np.ndarray:
    """Return t of the mean of differences, of shape (seeds, studies)."""
    error = differences.std(axis=0, ddof=1) / np.sqrt(len(differences))
    return np.abs(differences.mean(axis=0)) / error


@pytest.mark.parametrize("step", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("n", [6, 10, 30])
def test_own_bests_are_held_in_95_percent_of_many_studies(
    n: int, step: float, rng: np.random.Generator
) -> None:
    """The same of so many studies that 93.5 % would be seen."""
    rates, studies = np.arange(4), 4000
    means = -step * np.abs(rates - np.array([[0], [1]]))
    best, compared = own_bests(rng.normal(means, size=(n, studies, 2, 4)))
    truth = np.take_along_axis(means, best.T, axis=1)
    t = t_values(compared[..., 1] - compared[..., 0] - (truth[1] - truth[0]))
    held = np.mean(t <= t_quantile(0.975, len(compared) - 1))
    assert abs(held - 0.95) <= 4 * np.sqrt(0.95 * 0.05 / studies)


def test_looking_on_settles_no_own_best(rng: np.random.Generator) -> None:
    """Though seeds change sides while they are added, 5 % of studies are settled falsely."""
    draws = rng.normal(size=(60, 2000, 2, 4))
    settled = np.zeros(2000, dtype=bool)
    for n in range(10, 61, 5):
        _, compared = own_bests(draws[:n])
        reach = Looks(several=True).reach(0.05, len(compared))
        settled |= t_values(compared[..., 1] - compared[..., 0]) > reach
    assert settled.mean() < 0.05


def test_a_rate_that_diverges_is_not_the_best() -> None:
    """However good the runs that are left, the rate with fewer diverged runs is chosen."""
    frame = frame_of({**VALUES, ("none", "1.0"): [60.0, 70.0, 80.0, 70.0]}, list(FACTORS))
    lost = (frame["norm"] == "none") & (frame["optimizer.lr"] == "1.0") & (frame["seed"] == 0)
    frame.loc[lost, ["y", "status"]] = [math.nan, "diverged"]
    assert footing(frame).iloc[-1]["lr_b"] == "0.1"


def test_where_all_diverged_they_count_as_they_do_in_the_response() -> None:
    """Without one run to choose by, a level still has what a response gives to lost runs."""
    frame = frame_of(VALUES, list(FACTORS)).assign(val=lambda runs: runs["y"])
    lost = frame["norm"] == "none"
    frame.loc[lost, ["y", "val", "status"]] = [10.0, math.nan, "diverged"]
    assert footing(frame, "val").iloc[-1]["estimate"] == 6.5  # 16.5 of the seeds that compare
    frame.loc[lost, "status"] = "ok"  # no number to choose by, and no reason to choose anything
    assert math.isnan(footing(frame, "val").iloc[-1]["estimate"])


def test_the_choice_says_what_it_was_made_on() -> None:
    """Held-out accuracy decides where there is one; the test set is called optimistic."""
    frame = frame_of(VALUES, list(FACTORS))
    frame["val_accuracy"] = -frame["y"]  # prefers the other rates
    held_out = footing(frame, "val_accuracy").iloc[-1]
    assert (held_out["lr_a"], held_out["lr_b"]) == ("0.1", "1.0")
    assert (held_out["chosen_on"], held_out["optimistic"]) == ("val_accuracy", False)
    assert footing(frame).iloc[-1]["optimistic"]


def test_a_loss_is_best_where_it_is_lowest() -> None:
    """Chosen on a loss, the lowest mean wins."""
    frame = frame_of(VALUES, list(FACTORS)).rename(columns={"y": "test_loss"})
    table = stats.equal_footing(frame, FACTORS, range(4), ["test_loss"], "test_loss")
    assert (table.iloc[-1]["lr_a"], table.iloc[-1]["lr_b"]) == ("0.1", "1.0")


def test_other_factors_have_bests_of_their_own() -> None:
    """Averaged over pooling, each pooling is at its best rate."""
    factors = {**FACTORS, "pool": ("avg", "max")}
    values = {
        (norm, rate, pool): np.array(of) * (1 if pool == "avg" else -1)
        for (norm, rate), of in VALUES.items()
        for pool in factors["pool"]
    }
    frame = frame_of(values, list(factors))
    table = stats.equal_footing(frame, factors, range(4), ["y"], "y")
    norm = table[(table["factor"] == "norm") & (table["rule"] == "own best")].iloc[0]
    # avg: 15 - 10. max: -12 - -6.
    assert norm["estimate"] == pytest.approx((5 - 6) / 2)


def test_it_applies_where_the_rate_was_varied() -> None:
    """Without the factor there is no table, and one seed has no others to choose by."""
    factors = {"norm": ("none", "batch")}
    frame = frame_of({("none",): [1.0], ("batch",): [2.0]}, ["norm"])
    assert stats.equal_footing(frame, factors, (0,), ["y"], "y").empty
    single = frame_of({cell: of[:1] for cell, of in VALUES.items()}, list(FACTORS))
    assert footing(single, n_seeds=1).iloc[-1]["n"] == 0
