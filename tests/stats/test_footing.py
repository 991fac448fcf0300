import math

import numpy as np
import pandas as pd
import pytest

from bnexp import stats
from tests.fabricate import frame_of

FACTORS = {"norm": ("none", "batch"), "optimizer.lr": ("0.1", "1.0")}
# Without BN .1 is best, with BN 1.0; at equal rates BN adds 2 and 9, at its best 5.
VALUES = {
    ("none", "0.1"): [10.0, 11.0, 12.0],
    ("none", "1.0"): [6.0, 7.0, 8.0],
    ("batch", "0.1"): [12.0, 13.0, 14.0],
    ("batch", "1.0"): [15.0, 16.0, 17.0],
}


def footing(frame: pd.DataFrame, chosen_on: str = "y", n_seeds: int = 3) -> pd.DataFrame:
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
    """One lucky seed cannot have the rate that only it likes."""
    lucky = {**VALUES, ("none", "1.0"): [99.0, 7.0, 8.0]}
    frame = frame_of(lucky, list(FACTORS))
    best = footing(frame).iloc[-1]
    # Seed 0 is given 0.1 by the others (11.5 > 7.5); to them seed 0 recommends 1.0.
    assert best["estimate"] == pytest.approx(((15 - 10) + (16 - 7) + (17 - 8)) / 3)
    assert best["lr_b"] == "1.0/0.1"


def test_a_rate_that_diverges_is_not_the_best() -> None:
    """However good the runs that are left, the rate with fewer diverged runs is chosen."""
    frame = frame_of({**VALUES, ("none", "1.0"): [60.0, 70.0, 80.0]}, list(FACTORS))
    lost = (frame["norm"] == "none") & (frame["optimizer.lr"] == "1.0") & (frame["seed"] != 2)
    frame.loc[lost, ["y", "status"]] = [math.nan, "diverged"]
    assert footing(frame).iloc[-1]["lr_b"] == "0.1"


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
    table = stats.equal_footing(frame, FACTORS, range(3), ["test_loss"], "test_loss")
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
    table = stats.equal_footing(frame, factors, range(3), ["y"], "y")
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
