"""What the sources claimed, judged by the intervals."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from bnexp.config.study import (
    AnyClaim,
    CellClaim,
    DifferenceClaim,
    DominanceClaim,
    EquivalenceClaim,
    InteractionClaim,
    SpreadClaim,
    ThresholdClaim,
    ValueClaim,
)
from bnexp.stats.cells import Factors, response_array
from bnexp.stats.estimate import CONFIDENCE, Estimate, Values, paired_t, prediction, spread
from bnexp.stats.factorial import difference_weights, within_seeds
from bnexp.stats.testing import ALPHA, tost

RULE = (
    "A claim is supported if the 95 % interval lies inside the region that it claims, refuted "
    "if it lies outside, and inconclusive otherwise."
)
# The region of each kind, as the report prints it after the rule.
REGIONS = {
    "value": "a value claims the reported number plus or minus the tolerance that the study "
    "file states",
    "difference": "a difference claims its sign, all above zero",
    "dominance": "“changes more than” claims that the size of one main effect minus the size "
    "of another, each in the direction it has on average, is above zero",
    "equivalence": "equivalence claims all between minus and plus the stated margin, by the "
    "90 % interval (two one-sided t-tests at 5 %)",
    "interaction": "an interaction claims that one difference exceeds another by more than the "
    "stated amount, which is zero unless the study file says otherwise",
    "threshold": "a threshold claims all above, or all below, the stated number",
    "spread": "a spread claims that the standard deviation of runs that differ in their seed "
    "alone is above, or below, the stated number (chi-square, normal runs)",
}

CLAIM_COLUMNS = [
    *("claim", "source", "verdict", "estimate", "ci_low", "ci_high", "n", "reported"),
    *("response", "kind", "declared", "region_low", "region_high", "confidence"),
    *("judged_low", "judged_high", "p_tost", "pi_low", "pi_high", "reported_in_pi"),
]


def judge(
    claims: Sequence[AnyClaim],
    runs: pd.DataFrame,
    factors: Factors,
    seeds: Sequence[int],
    was_declared: Callable[[AnyClaim], bool] = lambda claim: True,
) -> pd.DataFrame:
    """Return the verdict on each claim, by `RULE` and the region of its kind in `REGIONS`.

    Columns beside those of the contract:
        region_low, region_high: The region of values that it claims.
        judged_low, judged_high, confidence: The interval that decides; `ci_low` and
            `ci_high` are always the 95 % interval.
        pi_low, pi_high: For a value, the 95 % prediction interval of one new run, which is
            what a source's single run is to be compared with; `reported_in_pi` says
            whether it lies inside.
        declared: `planned`, or `exploratory` where it was declared after the first run.
    """
    rows = []
    for claim in claims:
        values = _claimed(claim, response_array(runs, factors, seeds, claim.response), factors)
        low, high = _region(claim)
        estimate = judged = (
            spread(values) if isinstance(claim, SpreadClaim) else paired_t(values)
        )
        confidence, p_tost = CONFIDENCE, math.nan
        if isinstance(claim, EquivalenceClaim):
            equivalence = tost(values, claim.margin)
            judged, p_tost = equivalence.interval, equivalence.p
            confidence = 1 - 2 * ALPHA
        reported = math.nan if claim.reported is None else claim.reported
        of_one_run = isinstance(claim, ValueClaim)
        pi_low, pi_high = prediction(values) if of_one_run else (math.nan, math.nan)
        rows.append(
            {
                "claim": claim.claim,
                "source": claim.source,
                "verdict": _verdict(judged, low, high),
                **asdict(estimate),
                "reported": reported,
                "response": claim.response,
                "kind": claim.kind,
                "declared": "planned" if was_declared(claim) else "exploratory",
                "region_low": low,
                "region_high": high,
                "confidence": confidence,
                "judged_low": judged.ci_low,
                "judged_high": judged.ci_high,
                "p_tost": p_tost,
                "pi_low": pi_low,
                "pi_high": pi_high,
                "reported_in_pi": None if math.isnan(pi_low) else pi_low <= reported <= pi_high,
            }
        )
    return pd.DataFrame(rows, columns=CLAIM_COLUMNS)


def _verdict(interval: Estimate, low: float, high: float) -> str:
    if low < interval.ci_low and interval.ci_high < high:
        return "supported"
    if interval.ci_high < low or interval.ci_low > high:
        return "refuted"
    return "inconclusive"  # no interval either


def _region(claim: AnyClaim) -> tuple[float, float]:
    """Return the open region of values that a claim states."""
    if isinstance(claim, ValueClaim):
        return claim.reported - claim.within, claim.reported + claim.within
    if isinstance(claim, EquivalenceClaim):
        return -claim.margin, claim.margin
    if isinstance(claim, InteractionClaim):
        return claim.by, math.inf
    if isinstance(claim, ThresholdClaim | SpreadClaim):
        return (
            -math.inf if claim.above is None else claim.above,
            math.inf if claim.below is None else claim.below,
        )
    return 0.0, math.inf


def _claimed(claim: AnyClaim, array: Values, factors: Factors) -> Values:
    """Return the claimed quantity within each seed, shape (S,)."""
    if isinstance(claim, CellClaim | ThresholdClaim) and claim.cell is not None:
        return _cell(claim.cell, array, factors)
    if isinstance(claim, DominanceClaim):
        return _size(claim.larger, claim, array, factors) - _size(
            claim.smaller, claim, array, factors
        )
    if isinstance(claim, DifferenceClaim):
        pair = (claim.factor, claim.higher, claim.lower)
    else:
        pair = (str(claim.factor), str(claim.level_a), str(claim.level_b))
    weights = _difference(pair, claim.given, array, factors)
    if isinstance(claim, InteractionClaim):
        at, than = (
            _difference(pair, {**claim.given, claim.other: level}, array, factors)
            for level in (claim.at, claim.than)
        )
        weights = at - than
    return within_seeds(array, weights)


def _at(levels: Mapping[str, str], factors: Factors) -> dict[int, int]:
    """Return positions of levels by the axis of their factor."""
    keys = list(factors)
    return {keys.index(k): list(factors[k]).index(v) for k, v in levels.items()}


def _cell(levels: Mapping[str, str], array: Values, factors: Factors) -> Values:
    given = _at(levels, factors)
    axis, level = next(iter(given.items()))
    return within_seeds(array, difference_weights(array.shape[1:], axis, level, None, given))


def _difference(
    pair: tuple[str, str, str], given: Mapping[str, str], array: Values, factors: Factors
) -> Values:
    """Return the weights of a factor's one level minus another."""
    factor, one, other = pair
    ((axis, a),) = _at({factor: one}, factors).items()
    ((_, b),) = _at({factor: other}, factors).items()
    return difference_weights(array.shape[1:], axis, a, b, _at(given, factors))


def _size(factor: str, claim: DominanceClaim, array: Values, factors: Factors) -> Values:
    """Return a main effect within each seed, in the direction that it has on average.

    |effect| of each seed would make a factor without any effect look like one.
    """
    first, second = factors[factor]
    weights = _difference((factor, second, first), claim.given, array, factors)
    effect = within_seeds(array, weights)
    return effect * (-1 if np.nansum(effect) < 0 else 1)
