"""Which differences may reverse, and that asked or claimed they are told the same."""

import numpy as np
import pandas as pd
import pytest

from bnexp import stats
from bnexp.config.asks import DifferenceAsk
from bnexp.config.study import DifferenceClaim, EquivalenceClaim, ThresholdClaim
from bnexp.stats.averages import average, turning_errors
from bnexp.stats.claimed import turned
from bnexp.stats.looks import ONE_LOOK
from tests.fabricate import frame_of

FACTORS = {"norm": ("none", "batch"), "pool": ("avg", "max"), "data": ("digits",)}
NORM = ("norm", "batch", "none")
POOL = ("pool", "max", "avg")


def asked(pair: tuple[str, str, str], **fields: object) -> DifferenceAsk:
    words = {"above": "more", "below": "less", "cannot_tell": "open", "response": "y"}
    named = dict(zip(("factor", "level_a", "level_b"), pair, strict=True))
    return DifferenceAsk.model_validate({"kind": "difference", **words, **named, **fields})


def claimed(pair: tuple[str, str, str], **fields: object) -> DifferenceClaim:
    named = dict(zip(("factor", "higher", "lower"), pair, strict=True))
    words = {"claim": "c", "source": "s", "response": "y"}
    return DifferenceClaim.model_validate({"kind": "difference", **words, **named, **fields})


def test_one_difference_counts_once_and_later_ones_apart() -> None:
    """Backwards, within a margin or above a number it is the same; cells cannot reverse."""
    fields = {"claim": "c", "source": "s", "response": "y"}
    pools = dict(zip(("factor", "level_a", "level_b"), POOL, strict=True))
    cell = ThresholdClaim(kind="threshold", cell={"norm": "none"}, above=1, **fields)
    planned = [
        claimed(NORM[:1] + NORM[:0:-1]),
        EquivalenceClaim(kind="equivalence", margin=1, **pools, **fields),
        ThresholdClaim(kind="threshold", above=1, **pools, **fields),
        claimed(NORM, given={"pool": "avg"}),
        cell,
    ]
    later = [claimed(NORM), *(claimed(NORM, response=name) for name in "zuvw"), cell]
    found = turning_errors(FACTORS, [asked(NORM), asked(NORM, by=["pool"])], planned, later)
    assert found == {
        average("y", NORM, {}): 0.05 / 2,
        average("y", POOL, {}): 0.05 / 2,
        **{average(name, NORM, {}): 0.05 / 4 for name in "zuvw"},
    }


def test_a_question_and_its_claim_reverse_together(rng: np.random.Generator) -> None:
    """Whatever the effects, with other questions and claims beside them."""
    noise = rng.normal(size=(2, 2, 8))
    asks, claims = [asked(NORM), asked(POOL)], [claimed(NORM), claimed(NORM, response="z")]
    told = []
    for size in np.linspace(0.5, 1.5, 26):
        values = {
            (norm, pool, "digits"): noise[i, j] + size * (norm == "batch") * (-1) ** j
            for i, norm in enumerate(FACTORS["norm"])
            for j, pool in enumerate(FACTORS["pool"])
        }
        frame = frame_of(values, list(FACTORS)).assign(z=0.0)
        answers = stats.answer(
            *(asks, frame, FACTORS, range(8)), claims=claims, max_lr_ratios=pd.DataFrame
        )
        reason = stats.judge(claims, frame, FACTORS, range(8), asks=asks)["reason"][0]
        reverses = answers.loc[answers["ask"] == 0, "outcome"].iloc[0] == "reversal"
        assert reverses == reason.startswith("the difference is above zero")
        told.append(reverses)
    assert 0 < sum(told) < len(told)


@pytest.mark.parametrize("studies", [40, pytest.param(400, marks=pytest.mark.thorough)])
def test_of_many_claims_none_reverses_by_chance(studies: int, rng: np.random.Generator) -> None:
    """Twenty differences that are large at one level and none at the other: 5 % at most.

    Each claim by itself, 22 % of studies said so of one.
    """
    factors = {"a": ("0", "1"), "b": tuple(map(str, range(40)))}
    claims = [claimed(("b", str(i), str(i + 1))) for i in range(0, 40, 2)]
    errors = turning_errors(factors, [], claims)
    means = np.zeros((2, 40))
    means[1, ::2] = 10
    wrong = sum(
        any(turned(one, array, factors, errors, by_iqm=False, looks=ONE_LOOK) for one in claims)
        for array in rng.normal(means, size=(studies, 6, 2, 40))
    )
    assert wrong / studies <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)
