"""Which ratio of largest learning rates answers a question, and how far it reaches."""

import math

import pandas as pd
import pytest

from bnexp.config.asks import LargestRateAsk
from bnexp.stats.asked_rates import ratios, widened_ratio

TABLE = pd.DataFrame(
    [
        ("near_best", "norm", "batch", "none", "pool=max", 4.0, 2.0, 8.0),
        ("near_best", "norm", "batch", "none", "pool=avg", math.nan, 2.0, math.inf),
        ("finite", "norm", "batch", "none", "pool=max", 9.0, 8.0, 10.0),
        ("near_best", "pool", "max", "avg", "norm=none", 1.0, 0.5, 2.0),
    ],
    columns=[
        *("definition", "factor", "level_a", "level_b", "given"),
        *("ratio", "ratio_low", "ratio_high"),
    ],
)


def found(level_a: str, level_b: str, **given: str) -> list[tuple[float, float, float]]:
    words = {"above": "more", "below": "less", "cannot_tell": "open", "response": "y"}
    ask = LargestRateAsk(
        kind="largest_rate",
        factor="norm",
        level_a=level_a,
        level_b=level_b,
        given=given,
        **words,
    )
    return [(row["ci_low"], row["estimate"], row["ci_high"]) for row in ratios(ask, TABLE)]


def test_a_ratio_asked_backwards_is_the_inverse() -> None:
    """Of the same definition, at the levels that are fixed, with its ends exchanged."""
    assert found("batch", "none", pool="max") == [(2.0, 4.0, 8.0)]
    assert found("none", "batch", pool="max") == [(1 / 8, 1 / 4, 1 / 2)]
    ((low, at, high),) = found("none", "batch", pool="avg")
    assert (low, high) == (0.0, 1 / 2)
    assert math.isnan(at)
    assert len(found("batch", "none")) == 2


def test_a_ratio_reaches_farther_in_a_family_and_a_bound_stays() -> None:
    """On a log scale its interval widens on both sides alike; of a bound nothing is known."""
    row = {"ci_low": 2.0, "estimate": 4.0, "ci_high": 8.0}
    assert widened_ratio(row, 0.05)["ci_low"] == pytest.approx(2)
    wide = widened_ratio(row, 0.01)
    assert wide["ci_low"] < 2
    assert wide["ci_low"] * wide["ci_high"] == pytest.approx(16)
    assert wide["confidence"] == 0.99
    assert widened_ratio({**row, "estimate": math.nan}, 0.01) == {}
