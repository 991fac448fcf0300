import math

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError

from bnexp import stats
from bnexp.config.study import (
    AnyClaim,
    DifferenceClaim,
    DominanceClaim,
    EquivalenceClaim,
    InteractionClaim,
    SpreadClaim,
    ThresholdClaim,
    ValueClaim,
)
from bnexp.stats.estimate import paired_t
from tests.fabricate import frame_of

FACTORS = {"norm": ("none", "batch"), "pool": ("avg", "max")}
# norm adds 5 and pool 1, with noise that leaves either clear.
VALUES = {
    ("none", "avg"): [1.0, 1.1, 0.9],
    ("none", "max"): [2.0, 2.2, 1.9],
    ("batch", "avg"): [6.0, 6.1, 6.0],
    ("batch", "max"): [7.1, 7.0, 6.9],
}
COMMON = {"claim": "c", "source": "s", "response": "y"}


def value(reported: float, within: float) -> ValueClaim:
    cell = {"norm": "none", "pool": "avg"}
    return ValueClaim(kind="value", cell=cell, reported=reported, within=within, **COMMON)


def difference(higher: str, lower: str) -> DifferenceClaim:
    return DifferenceClaim(
        kind="difference", factor="pool", higher=higher, lower=lower, **COMMON
    )


def dominance(larger: str, smaller: str) -> DominanceClaim:
    return DominanceClaim(kind="dominance", larger=larger, smaller=smaller, **COMMON)


def equivalence(factor: str, a: str, b: str, margin: float) -> EquivalenceClaim:
    return EquivalenceClaim(
        kind="equivalence", factor=factor, level_a=a, level_b=b, margin=margin, **COMMON
    )


def interaction(at: str, than: str, by: float = 0.0) -> InteractionClaim:
    return InteractionClaim(
        kind="interaction",
        factor="norm",
        level_a="batch",
        level_b="none",
        other="pool",
        at=at,
        than=than,
        by=by,
        **COMMON,
    )


def threshold(**fields: object) -> ThresholdClaim:
    return ThresholdClaim(kind="threshold", **fields, **COMMON)


NORM = {"factor": "norm", "level_a": "batch", "level_b": "none"}
CELL = {"norm": "batch", "pool": "avg"}


def spread(**fields: float) -> SpreadClaim:
    cell = {"norm": "none", "pool": "max"}
    return SpreadClaim(kind="spread", cell=cell, **fields, **COMMON)


def judged(claim: AnyClaim) -> pd.Series:
    return stats.judge([claim], frame_of(VALUES, list(FACTORS)), FACTORS, range(3)).iloc[0]


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        # pool changes y by 1.0 to 1.05, 90 % interval .8 to 1.2.
        (equivalence("pool", "max", "avg", 1.5), "supported"),
        (equivalence("pool", "max", "avg", 1.0), "inconclusive"),
        (equivalence("pool", "max", "avg", 0.5), "refuted"),
        (equivalence("pool", "avg", "max", 1.5), "supported"),
        (interaction("max", "avg", by=1.0), "refuted"),
        (interaction("max", "avg"), "inconclusive"),
        (threshold(**NORM, above=4.5), "supported"),
        (threshold(**NORM, above=5.0), "inconclusive"),
        (threshold(**NORM, above=6.0), "refuted"),
        (threshold(**NORM, below=6.0), "supported"),
        (threshold(**NORM, given={"pool": "max"}, below=4.0), "refuted"),
        (threshold(cell=CELL, above=5.5), "supported"),
        (threshold(cell=CELL, below=5.5), "refuted"),
        (value(1.0, 0.5), "supported"),
        (value(1.0, 0.1), "inconclusive"),
        (value(5.0, 0.5), "refuted"),
        (difference("max", "avg"), "supported"),
        (difference("avg", "max"), "refuted"),
        (dominance("norm", "pool"), "supported"),
        (dominance("pool", "norm"), "refuted"),
    ],
)
def test_verdict_follows_from_the_interval(claim: AnyClaim, verdict: str) -> None:
    """Inside the claimed region supports, outside refutes, across is inconclusive."""
    table = stats.judge([claim], frame_of(VALUES, list(FACTORS)), FACTORS, range(3))
    assert table["verdict"].tolist() == [verdict]


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        (spread(above=0.2), "supported"),
        (spread(above=2.0), "inconclusive"),
        (spread(below=0.2), "refuted"),
        (spread(below=5.0), "inconclusive"),
    ],
)
def test_runs_show_what_an_sd_is_at_least_alone(
    claim: SpreadClaim, verdict: str, rng: np.random.Generator
) -> None:
    """Thirty runs of SD 1 are above .2; that they are below 5 none of them can show."""
    frame = frame_of({cell: rng.normal(size=30) for cell in VALUES}, list(FACTORS))
    row = stats.judge([claim], frame, FACTORS, range(30)).iloc[0]
    assert row["verdict"] == verdict
    assert ("at most" in row["reason"]) == (claim.below == 5.0)


def test_dominance_compares_sizes_whatever_their_sign() -> None:
    """A factor that lowers the response much dominates one that raises it a little."""
    flipped = {
        (norm, pool): [x - 10 * (norm == "batch") for x in of]
        for (norm, pool), of in VALUES.items()
    }
    frame = frame_of(flipped, list(FACTORS))
    row = stats.judge([dominance("norm", "pool")], frame, FACTORS, range(3)).iloc[0]
    assert row["verdict"] == "supported"
    # norm now changes y by 5 - 10, pool still by 1, give or take the noise.
    assert row["estimate"] == pytest.approx(5 - 1, abs=0.1)


def test_one_seed_decides_nothing() -> None:
    """Without an interval every claim is inconclusive."""
    single = {cell: of[:1] for cell, of in VALUES.items()}
    table = stats.judge([value(1.0, 0.5)], frame_of(single, list(FACTORS)), FACTORS, (0,))
    assert table["verdict"].tolist() == ["inconclusive"]


def test_no_claims_make_an_empty_table_with_its_columns() -> None:
    """claims.csv has its header even where a study claims nothing."""
    table = stats.judge([], frame_of(VALUES, list(FACTORS)), FACTORS, range(3))
    assert list(table)[:3] == ["claim", "source", "verdict"]
    assert len(table) == 0


def test_an_interaction_is_the_difference_of_differences() -> None:
    """At max BN adds 5.1, 4.8, 5.0, at avg 5.0, 5.0, 5.1; claimed the other way it turns."""
    there, back = judged(interaction("max", "avg")), judged(interaction("avg", "max"))
    assert there["estimate"] == pytest.approx((0.1 - 0.2 - 0.1) / 3)
    assert back["estimate"] == pytest.approx(-there["estimate"])
    assert back["ci_low"] == pytest.approx(-there["ci_high"])


def test_a_planted_interaction_is_supported() -> None:
    """Where BN adds 3 more at max, an interaction above 2 is supported and one of 4 refuted."""
    planted = {
        cell: [y + 3 * (cell == ("batch", "max")) for y in of] for cell, of in VALUES.items()
    }
    frame = frame_of(planted, list(FACTORS))
    claims = [interaction("max", "avg", by=by) for by in (2.0, 3.0, 4.0)]
    table = stats.judge(claims, frame, FACTORS, range(3))
    assert table["verdict"].tolist() == ["supported", "inconclusive", "refuted"]


def test_equivalence_is_judged_by_the_90_percent_interval() -> None:
    """Its verdict follows from the narrower interval, and `ci_low` stays the 95 % one."""
    row = judged(equivalence("pool", "max", "avg", 1.5))
    assert row["confidence"] == pytest.approx(0.90)
    assert row["ci_low"] < row["judged_low"] < row["estimate"] < row["judged_high"]
    assert row["p_tost"] < 0.05
    other = judged(difference("max", "avg"))
    assert (other["judged_low"], other["confidence"]) == (other["ci_low"], 0.95)


def test_a_source_is_compared_with_one_new_run() -> None:
    """A single run may lie outside the interval of the mean and inside that of a run."""
    row = judged(value(1.3, 0.5))
    mean = paired_t(pd.Series(VALUES["none", "avg"]).to_numpy())
    assert row["ci_high"] == pytest.approx(mean.ci_high)
    assert row["pi_low"] < row["ci_low"] < row["ci_high"] < 1.3 < row["pi_high"]
    assert row["reported_in_pi"]
    assert not judged(value(9.0, 0.5))["reported_in_pi"]
    assert math.isnan(judged(difference("max", "avg"))["pi_low"])


def test_every_kind_has_a_region_beside_the_one_rule() -> None:
    """The report says once how verdicts follow, and for each kind from which region."""
    kinds = {type_.model_fields["kind"].annotation.__args__[0] for type_ in KINDS}
    assert set(stats.REGIONS) == kinds
    assert "95 % interval" in stats.RULE
    for kind, region in stats.REGIONS.items():
        assert ("90 % interval" in region) == (kind == "equivalence")


KINDS = (
    *(ValueClaim, DifferenceClaim, DominanceClaim),
    *(EquivalenceClaim, InteractionClaim, ThresholdClaim, SpreadClaim),
)


def test_an_average_that_reverses_has_no_verdict() -> None:
    """What is above at one level and below at another is neither true nor false on average.

    Half as much above as below: without the law, the average would refute the claim.
    """
    noise = [-0.1, 0.05, 0.1, -0.05, 0.0]
    means = {("none", "avg"): 1, ("none", "max"): 2, ("batch", "avg"): 5, ("batch", "max"): 3}
    frame = frame_of(
        {cell: [mean + 0.1 * i + e * (1 + (cell[1] == "max")) for i, e in enumerate(noise)]
         for cell, mean in means.items()},
        list(FACTORS),
    )  # fmt: skip

    def found(claim: AnyClaim) -> pd.Series:
        return stats.judge([claim], frame, FACTORS, range(5)).iloc[0]

    one = found(difference("max", "avg"))
    assert (one["verdict"], one["reason"]) == (
        "inconclusive",
        "the difference is above zero with norm=none and below with norm=batch",
    )
    assert one["ci_high"] < 0
    both = [difference("max", "avg"), value(1.4, 0.3)]
    beside = stats.judge(both, frame, FACTORS, range(5)).iloc[1]
    assert beside["n_family"] == 2  # a claim without a verdict makes no other one easier
    inside = difference("max", "avg").model_copy(update={"given": {"norm": "none"}})
    assert found(inside)["verdict"] == "supported"
    assert found(equivalence("pool", "max", "avg", 10))["verdict"] == "supported"
    assert found(equivalence("pool", "max", "avg", 0.9))["verdict"] == "inconclusive"


def test_a_claim_made_later_is_exploratory() -> None:
    """The table says which claims were declared before the first run."""
    claims = [difference("max", "avg"), value(1.0, 0.5)]
    frame = frame_of(VALUES, list(FACTORS))
    table = stats.judge(
        claims, frame, FACTORS, range(3), was_declared=lambda one: one.kind == "value"
    )
    assert table["declared"].tolist() == ["exploratory", "planned"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "threshold", "cell": CELL}, "either above or below"),
        ({"kind": "threshold", "cell": CELL, "above": 1.0, "below": 2.0}, "above or below"),
        ({"kind": "threshold", "above": 1.0}, "either cell, or factor, level_a and level_b"),
        ({"kind": "threshold", "cell": CELL, **NORM, "above": 1.0}, "either cell, or factor"),
        ({"kind": "threshold", "factor": "norm", "above": 1.0}, "either cell, or factor"),
        ({"kind": "threshold", "cell": CELL, "given": CELL, "above": 1.0}, "own levels"),
        ({"kind": "equivalence", **NORM}, "margin"),
        ({"kind": "equivalence", **NORM, "margin": 0.0}, "greater than 0"),
        (
            {"kind": "interaction", **NORM, "other": "norm", "at": "none", "than": "batch"},
            "compares norm with itself",
        ),
        ({"kind": "interaction", **NORM, "other": "pool", "at": "max"}, "than"),
        ({"kind": "difference", "factor": "pool", "higher": "max"}, "lower"),
    ],
)
def test_a_claim_that_says_too_little_or_too_much_is_refused(
    fields: dict[str, object], message: str
) -> None:
    """A claim that could be read in two ways is an error that says what it should name."""
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(AnyClaim).validate_python({**COMMON, **fields})


def of_a_single_run(
    rng: np.random.Generator, shift: float, within: float, n: int
) -> pd.DataFrame:
    """Return the verdicts on single runs that lie `shift` SDs from the mean of ours."""
    verdicts = []
    for runs in rng.normal(size=(200, n)):
        frame = frame_of({("none", "avg"): runs}, list(FACTORS))
        claim = value(float(rng.normal(shift)), within)
        verdicts.append(stats.judge([claim], frame, FACTORS, range(n)).iloc[0])
    return pd.DataFrame(verdicts)


@pytest.mark.parametrize("n", [3, 10, 30])
def test_an_ordinary_run_is_not_refuted(n: int, rng: np.random.Generator) -> None:
    """A source that ran what we ran once is refuted in 5 %, however tight the tolerance."""
    same = of_a_single_run(rng, 0, 0.01, n)
    assert (same["verdict"] == "refuted").mean() <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 200)
    assert (same["verdict_run"] == "ordinary").mean() >= 0.95 - 4 * np.sqrt(0.05 * 0.95 / 200)
    if n == 30:
        # Our mean is told from nearly each of them, which is another question.
        assert (same["verdict_mean"] == "refuted").mean() > 0.5
        other = of_a_single_run(rng, 6, 0.01, n)
        assert (other["verdict"] == "refuted").mean() > 0.95
        assert set(other["verdict_run"]) == {"not ordinary"}


def test_the_two_verdicts_on_a_value_are_told_apart() -> None:
    """A mean inside the tolerance supports a value even where single runs lie closer by."""
    frame = frame_of({("none", "avg"): [1.0, 1.01, 0.99, 1.0, 1.0]}, list(FACTORS))
    row = stats.judge([value(1.2, 0.5)], frame, FACTORS, range(5)).iloc[0]
    found = (row["verdict"], row["verdict_mean"], row["verdict_run"])
    assert found == ("supported", "supported", "not ordinary")
