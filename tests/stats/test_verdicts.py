"""A family of verdicts holds together, and each follows from its interval."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnexp.stats.estimate import paired_t, spread
from bnexp.stats.testing import ALPHA, holm, tost
from bnexp.stats.verdicts import Asked, decided

STUDIES = 600
FOUR_ERRORS = 4 * math.sqrt(ALPHA * (1 - ALPHA) / STUDIES)


@pytest.mark.parametrize("n", [3, 10])
@pytest.mark.parametrize("n_claims", [1, 12])
def test_a_family_holds_no_false_verdict_in_95_percent(
    n: int, n_claims: int, rng: np.random.Generator
) -> None:
    """Where the truth is the end of what is claimed, any verdict is one too many."""
    false = 0
    for study in rng.normal(size=(STUDIES, n_claims, n)):
        family = [Asked(values, 0.0, math.inf) for values in study]
        false += any(one.verdict != "inconclusive" for one in decided(family))
    assert false / STUDIES == pytest.approx(ALPHA, abs=FOUR_ERRORS)


@pytest.mark.parametrize("n", [5, 20])
def test_equivalence_errs_as_often_as_any_other_claim(n: int, rng: np.random.Generator) -> None:
    """At the margin itself 5 % are called equivalent and 5 % refuted."""
    found = [
        decided([Asked(values, -1.0, 1.0, sides=1)])[0].verdict
        for values in rng.normal(1.0, 0.2, size=(STUDIES, n))
    ]
    for verdict in ("supported", "refuted"):
        assert found.count(verdict) / STUDIES == pytest.approx(ALPHA, abs=FOUR_ERRORS)


def test_clear_claims_are_decided_before_others_are_open(rng: np.random.Generator) -> None:
    """Nine clear claims leave the tenth all of the error, and ten open ones a tenth each."""
    clear = [Asked(100 + rng.normal(size=5), 0.0, math.inf) for _ in range(9)]
    alone = Asked(np.array([0.4, 1.0, 1.6, 0.9, 0.7]), 0.0, math.inf)
    of_ten = decided([alone, *clear])
    assert of_ten[0].error == ALPHA
    assert of_ten[0].verdict == "supported"
    assert {one.verdict for one in of_ten} == {"supported"}
    weak = Asked(np.array([-1.0, 1.0, 0.5, -0.4, 0.0]), 0.0, math.inf)
    assert {one.error for one in decided([weak] * 10)} == {ALPHA / 10}


@given(
    st.lists(st.floats(-3, 3).map(lambda x: round(x, 2)), min_size=3, max_size=8),
    st.floats(-2, 2),
    st.floats(0.1, 3),
    st.booleans(),
    st.sampled_from([1, 2]),
)
def test_p_is_where_the_interval_decides(
    values: list[float], low: float, width: float, of_sd: bool, sides: int
) -> None:
    """With more error than p there is a verdict, with less there is none."""
    high = low + width if width < 2.5 else math.inf
    if of_sd:
        low, high = (width, math.inf) if low > 0 else (-math.inf, width)
    asked = Asked(np.array(values), low, high, of_sd=of_sd, sides=sides)
    if np.ptp(values) == 0 or not 1e-6 < asked.p < 0.9:
        return

    def verdict(error: float) -> bool:
        ends = asked.interval(error)
        supported = low < ends[0] and (ends[1] < high or high == math.inf)
        return supported or ends[1] < low or ends[0] > high

    assert verdict(asked.p * 1.001)
    assert not verdict(asked.p * 0.999)


def test_the_intervals_of_one_claim_are_those_of_the_page(rng: np.random.Generator) -> None:
    """Alone in its family a claim is judged by its 95 % interval, equivalence by 90 %."""
    values = rng.normal(size=7)
    for found, of_sd in ((paired_t(values), False), (spread(values), True)):
        (one,) = decided([Asked(values, -math.inf, 1.0, of_sd=of_sd)])
        assert (one.low, one.high) == pytest.approx((found.ci_low, found.ci_high))
    asked = Asked(values, -1.0, 1.0, sides=1)
    (one,) = decided([asked])
    reference = tost(values, 1.0)
    interval = (reference.interval.ci_low, reference.interval.ci_high)
    assert (one.low, one.high) == pytest.approx(interval)
    assert asked.p == pytest.approx(min(reference.p, 1 - reference.p), abs=0.02)


def test_verdicts_are_those_of_holm(rng: np.random.Generator) -> None:
    """A claim is decided exactly if Holm's adjusted p is 5 % or less."""
    for study in rng.normal(0.6, 1, size=(100, 6, 8)):
        family = [Asked(values, 0.0, math.inf) for values in study]
        adjusted = holm(np.array([one.p for one in family]))
        decisions = [one.verdict != "inconclusive" for one in decided(family)]
        assert decisions == (adjusted <= ALPHA).tolist()


def test_runs_that_are_all_alike_are_judged_by_their_number() -> None:
    """Six equal runs show where most runs lie, five do not."""
    for n, verdict in ((5, "inconclusive"), (6, "supported")):
        (one,) = decided([Asked(np.full(n, 0.1), -math.inf, 0.2)])
        assert one.verdict == verdict
