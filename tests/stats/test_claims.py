import pytest

from bnexp import stats
from bnexp.config.study import AnyClaim, DifferenceClaim, DominanceClaim, ValueClaim
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


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
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
