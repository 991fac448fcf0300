"""The quantities that answer a question: their outcome, and how often it is false."""

import itertools

import numpy as np
import pandas as pd
import pytest

from bnexp.config.asks import (
    CellAsk,
    DifferenceAsk,
    DominanceAsk,
    OwnBestAsk,
    SpreadAsk,
    ValueAsk,
)
from bnexp.stats.asks import answer
from tests.fabricate import frame_of

FACTORS = {"norm": ("none", "batch"), "pool": ("avg", "max")}
WORDS = {"above": "more", "below": "less", "cannot_tell": "open"}
SEEDS = range(10)


def difference(**changes: object) -> DifferenceAsk:
    return DifferenceAsk.model_validate(
        {
            "kind": "difference",
            "response": "y",
            "factor": "norm",
            "level_a": "batch",
            "level_b": "none",
            **WORDS,
            **changes,
        }
    )


def runs(rng: np.random.Generator, means: dict[tuple[str, str], float]) -> pd.DataFrame:
    """Return ten runs a cell that stray by 1 about its mean, seeds in common by as much."""
    seed = rng.normal(size=len(SEEDS))
    cells = [(norm, pool) for norm in FACTORS["norm"] for pool in FACTORS["pool"]]
    values = {cell: seed + means.get(cell, 0.0) + rng.normal(size=len(SEEDS)) for cell in cells}
    return frame_of(values, list(FACTORS))


def answered(
    frame: pd.DataFrame, *asks: DifferenceAsk | DominanceAsk | CellAsk
) -> pd.DataFrame:
    return answer(
        asks,
        frame,
        FACTORS,
        SEEDS,
        max_lr_ratios=pd.DataFrame,
    )


@pytest.mark.parametrize(
    ("effect", "margin", "outcome"),
    [(6, None, "above"), (-6, None, "below"), (0, None, "cannot_tell"), (0, 4, "same")],
)
def test_the_outcome_is_where_the_interval_lies(
    rng: np.random.Generator, effect: float, margin: float | None, outcome: str
) -> None:
    """Above zero, below it, within the margin, or none of these."""
    means = {("batch", pool): effect for pool in FACTORS["pool"]}
    (row,) = answered(runs(rng, means), difference(margin=margin)).itertuples()
    assert row.outcome == outcome
    assert row.ci_low < effect < row.ci_high


def test_a_question_is_answered_at_each_level_apart(rng: np.random.Generator) -> None:
    """An effect at one level of another factor is that level's, not the average."""
    table = answered(runs(rng, {("batch", "max"): 8}), difference(by=["pool"]))
    assert table["given"].tolist() == ["pool=avg", "pool=max"]
    assert table["outcome"][1] == "above"
    assert table["estimate"].to_numpy() == pytest.approx([0, 8], abs=2)


def test_an_average_over_both_directions_is_a_reversal(rng: np.random.Generator) -> None:
    """What is above at one level and below at another has both ends instead of a verdict."""
    table = answered(
        runs(rng, {("batch", "max"): 8, ("batch", "avg"): -8}),
        difference(),
        difference(by=["pool"]),
    )
    assert table.loc[table["ask"] == 0, "outcome"].tolist() == ["reversal", "above", "below"]
    assert table.loc[table["ask"] == 0, "given"].tolist() == ["", "pool=max", "pool=avg"]
    assert table.loc[table["ask"] == 1, "outcome"].tolist() == ["below", "above"]
    backwards = answered(
        runs(rng, {("batch", "max"): 8, ("batch", "avg"): -8}),
        difference(level_a="none", level_b="batch"),
    )
    ends = backwards[backwards["outcome"] != "reversal"]
    assert (ends["ci_low"] < ends["estimate"]).all()
    assert (ends["estimate"] < ends["ci_high"]).all()
    assert dict(zip(ends["given"], ends["outcome"], strict=True)) == {
        "pool=max": "below",
        "pool=avg": "above",
    }


def test_reversals_are_adjusted_for_all_that_may_turn(rng: np.random.Generator) -> None:
    """Each end has the error that its levels, and all averages that are asked for, leave it."""
    frame = runs(rng, {("batch", "max"): 8, ("batch", "avg"): -8})
    pools = difference(factor="pool", level_a="max", level_b="avg")
    for asked, n_averages in (
        ([difference()], 1),
        ([difference(), difference(by=["pool"])], 1),  # at each level there is no average
        ([difference(), pools], 2),
    ):
        ends = answered(frame, *asked).iloc[1:3]
        assert ends["outcome"].tolist() == ["above", "below"]
        assert ends["confidence"].to_numpy() == pytest.approx(1 - 0.05 / (2 * n_averages))


def test_a_reversal_elsewhere_is_none_here(rng: np.random.Generator) -> None:
    """A question that fixes the other factor asks about that level alone."""
    frame = runs(rng, {("batch", "max"): 8, ("batch", "avg"): -8})
    (row,) = answered(frame, difference(given={"pool": "max"})).itertuples()
    assert row.outcome == "above"


def test_a_part_that_reverses_keeps_its_levels(rng: np.random.Generator) -> None:
    """Both ends of a part lie in that part, and the other parts stay as they are."""
    factors = {**FACTORS, "act": ("relu", "tanh")}
    at_relu = {"avg": -8.0, "max": 8.0}
    values = {
        (norm, pool, act): rng.normal(size=len(SEEDS))
        + (norm == "batch") * (at_relu[pool] if act == "relu" else 20 if pool == "max" else 6)
        for norm, pool, act in itertools.product(*factors.values())
    }
    frame = frame_of(values, list(factors))
    asked = difference(by=["act"]), difference(given={"act": "tanh"})
    table = answer(asked, frame, factors, SEEDS, max_lr_ratios=pd.DataFrame)
    assert table.loc[table["ask"] == 0, ["given", "outcome"]].to_numpy().tolist() == [
        ["act=relu", "reversal"],
        ["act=relu, pool=max", "above"],
        ["act=relu, pool=avg", "below"],
        ["act=tanh", "above"],
    ]
    assert table.loc[table["ask"] == 1, "outcome"].tolist() == ["above"]
    assert table.loc[table["ask"] == 1, "estimate"].iloc[0] == pytest.approx(13, abs=2)


def test_as_good_as_zero_may_be_on_both_sides(rng: np.random.Generator) -> None:
    """Two small effects of opposite signs, both told, are the same within a margin."""
    frame = runs(rng, {("batch", "max"): 4, ("batch", "avg"): -4})
    for margin, outcome in ((20, "same"), (3, "reversal")):
        table = answered(frame, difference(margin=margin))
        assert table["outcome"][0] == outcome


def test_which_factor_changes_more_is_asked_of_their_sizes(rng: np.random.Generator) -> None:
    """A factor that lowers changes as much as one that raises."""
    ask = DominanceAsk.model_validate(
        {"kind": "dominance", "response": "y", "larger": "norm", "smaller": "pool", **WORDS}
    )
    means = {("batch", pool): -9 + 2 * (pool == "max") for pool in FACTORS["pool"]}
    (row,) = answered(runs(rng, {**means, ("none", "max"): 2.0}), ask).itertuples()
    assert row.outcome == "above"
    assert row.ci_low < 7 < row.ci_high


def test_a_number_of_a_cell_is_told_as_it_is(rng: np.random.Generator) -> None:
    """A mean has the range of its single runs, an SD its lower end."""
    frame = runs(rng, {("batch", "max"): 5})
    of_cell = {"response": "y", "cell": {"norm": "batch", "pool": "max"}, "finds": "It is"}
    mean, sd = answered(
        frame, ValueAsk(kind="value", **of_cell), SpreadAsk(kind="spread", **of_cell)
    ).itertuples()
    values = frame.loc[(frame["norm"] == "batch") & (frame["pool"] == "max"), "y"]
    assert (mean.outcome, mean.estimate) == ("found", pytest.approx(values.mean()))
    assert (mean.lowest, mean.highest) == pytest.approx((values.min(), values.max()))
    assert sd.estimate == pytest.approx(values.std())
    assert sd.ci_low < values.std() < sd.ci_high == np.inf


@pytest.mark.parametrize("n", [100, pytest.param(400, marks=pytest.mark.thorough)])
def test_of_questions_without_an_effect_one_in_twenty_families_is_answered(
    n: int, rng: np.random.Generator
) -> None:
    """All questions of a study together are answered wrongly in 5 % of studies at most."""
    asks = [
        difference(by=["pool"]),
        difference(),
        *(
            difference(factor="pool", level_a="max", level_b="avg", given={"norm": norm})
            for norm in FACTORS["norm"]
        ),
    ]
    wrong = 0
    for _ in range(n):
        table = answer(
            asks,
            runs(rng, {}),
            FACTORS,
            SEEDS,
            max_lr_ratios=pd.DataFrame,
        )
        wrong += not table["outcome"].eq("cannot_tell").all()
    assert wrong / n <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / n)


def test_networks_that_guess_answer_nothing(rng: np.random.Generator) -> None:
    """What guessing is depends on the classes of each cell that is compared."""
    cells = [(norm, pool) for norm in FACTORS["norm"] for pool in FACTORS["pool"]]
    levels = {cell: 0.2 + 0.02 * (cell[0] == "batch") for cell in cells}
    values = {cell: level + rng.normal(0, 0.001, len(SEEDS)) for cell, level in levels.items()}
    frame = frame_of(values, list(FACTORS)).rename(columns={"y": "test_accuracy"})
    five, ten = np.full((2, 2), 1 / 5), np.full((2, 2), 1 / 10)
    for chance, outcome in ((five, "cannot_tell"), (ten, "above")):
        (row,) = answer(
            [difference(response="test_accuracy")],
            frame,
            FACTORS,
            SEEDS,
            max_lr_ratios=pd.DataFrame,
            chance=chance,
        ).itertuples()
        assert row.outcome == outcome
        assert ("guessing" in row.reason) == (outcome == "cannot_tell")


def test_each_at_its_own_best(rng: np.random.Generator) -> None:
    """What is chosen for each level by half of the seeds is compared in the other half.

    Without BN the best of four combinations is (0.1, tanh), with BN (1.0, relu), 3 above it.
    """
    factors = {
        "norm": ("none", "batch"),
        "optimizer.lr": ("0.1", "1.0"),
        "act": ("tanh", "relu"),
    }
    means = {
        ("none", "0.1", "tanh"): 10,
        ("batch", "0.1", "tanh"): 9,
        ("batch", "1.0", "relu"): 13,
    }
    cells = itertools.product(*factors.values())
    seed = rng.normal(size=len(SEEDS))
    frame = frame_of(
        {c: means.get(c, 0) + seed + rng.normal(size=10) / 9 for c in cells}, list(factors)
    )

    def asked(best_over: list[str], **changes: object) -> pd.Series:
        ask = OwnBestAsk.model_validate(
            {**difference().model_dump(exclude={"margin", "same"}), "kind": "own_best"}
            | {"best_over": best_over}
            | changes
        )
        arguments = {"max_lr_ratios": pd.DataFrame}
        return answer([ask], frame, factors, SEEDS, chosen_on="y", **arguments).iloc[0]

    both = asked(["optimizer.lr", "act"])
    assert both["n"] == 5
    assert both["ci_low"] < 3 < both["ci_high"]
    assert both["outcome"] == "above"
    fixed = asked(["optimizer.lr"], given={"act": "tanh"})
    assert fixed["ci_low"] < -1 < fixed["ci_high"]
    assert fixed["outcome"] == "below"
    with pytest.raises(ValueError, match="act twice"):
        asked(["act"], given={"act": "tanh"})
