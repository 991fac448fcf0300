"""What the sources claimed, judged by the intervals."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

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
from bnexp.stats.estimate import Values, paired_t, prediction, spread
from bnexp.stats.incomplete import seed_values
from bnexp.stats.limits import untold
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.stats.quantities import cell_weights, pair_weights, size_weights
from bnexp.stats.testing import tost
from bnexp.stats.verdicts import SIDES, Asked, decided

RULE = (
    "A claim is supported if the interval that decides lies inside the region that it claims, "
    "refuted if it lies outside, and inconclusive otherwise, or where nothing could be told "
    "whatever the numbers are; then the reason stands beside it. That interval is wider than "
    "the 95 % interval of a claim alone, so that all claims of a study together hold no false "
    "verdict in 95 % of studies (Holm's levels; Student-t, for about normal differences)."
)
UNBOUNDED = "no runs show what an SD is at most: a rare one that fails may not be among them"
# The region of each kind, as the report prints it after the rule.
REGIONS = {
    "value": "a value claims the reported number plus or minus the tolerance that the study "
    "file states; the number is a single run's, so where our mean lies elsewhere the claim is "
    "refuted only if no ordinary run of ours would give it either (95 % prediction interval of "
    "one more run, for runs that are about normal)",
    "difference": "a difference claims its sign, all above zero",
    "dominance": "“changes more than” claims that the size of one main effect minus the size "
    "of another, each in the direction it has on average, is above zero",
    "equivalence": "equivalence claims all between minus and plus the stated margin, by the "
    "interval of two one-sided t-tests (the 90 % interval where it is judged alone)",
    "interaction": "an interaction claims that one difference exceeds another by more than the "
    "stated amount, which is zero unless the study file says otherwise",
    "threshold": "a threshold claims all above, or all below, the stated number",
    "spread": "a spread claims that the standard deviation of runs that differ in their seed "
    "alone is above, or below, the stated number; runs show what it is at least (jackknife), "
    "so that it is below a number can be refuted, and not supported",
}

CLAIM_COLUMNS = [
    *("claim", "source", "verdict", "estimate", "ci_low", "ci_high", "n", "reported"),
    *("response", "kind", "declared", "region_low", "region_high", "confidence"),
    *("judged_low", "judged_high", "p_tost", "pi_low", "pi_high", "reported_in_pi"),
    *("reason", "verdict_mean", "verdict_run", "p", "n_family"),
]


def judge(
    claims: Sequence[AnyClaim],
    runs: pd.DataFrame,
    factors: Factors,
    seeds: Sequence[int],
    was_declared: Callable[[AnyClaim], bool] = lambda claim: True,
    *,
    looks: Looks = ONE_LOOK,
) -> pd.DataFrame:
    """Return the verdict on each claim, by `RULE` and the region of its kind in `REGIONS`.

    Columns beside those of the contract:
        region_low, region_high: The region of values that it claims.
        judged_low, judged_high, confidence: The interval that decides, at the level that the
            family leaves to it (`verdicts.decided`); `ci_low` and `ci_high` are always the
            95 % interval of this claim alone.
        p, n_family: The smallest error with which a verdict is reached, and how many claims
            are judged together with it: those that were declared before the first run, or
            after it.
        pi_low, pi_high: For a value, the 95 % prediction interval of one new run, which is
            what a source's single run is to be compared with; `reported_in_pi` says
            whether it lies inside.
        verdict_mean, verdict_run: The two verdicts on a value: whether our mean lies within
            the tolerance of the reported number, and whether that is an `ordinary` run of
            ours. The verdict is that on the mean, but a number that an ordinary run gives is
            not refuted.
        declared: `planned`, or `exploratory` where it was declared after the first run.
        reason: Why nothing can be told, whatever the numbers are; the verdict is inconclusive.
    """
    rows = [_asked(claim, runs, factors, seeds, looks) for claim in claims]
    for row, claim in zip(rows, claims, strict=True):
        row["declared"] = "planned" if was_declared(claim) else "exploratory"
    for declared in ("planned", "exploratory"):
        family = [row for row in rows if row["declared"] == declared and not row["reason"]]
        decisions = decided([row["asked"] for row in family])
        for row, decision in zip(family, decisions, strict=True):
            sides, in_pi = row["asked"].sides, row["reported_in_pi"]
            row |= {
                "verdict_mean": decision.verdict,
                # What one of our runs would give is not refuted, though our mean differs.
                "verdict": "inconclusive"
                if decision.verdict == "refuted" and in_pi
                else decision.verdict,
                "confidence": 1 - SIDES / sides * decision.error,
                "judged_low": decision.low,
                "judged_high": decision.high,
                "p": row["asked"].p,
                "n_family": len(family),
            }
            if row["asked"].of_sd and row["region_high"] < math.inf:
                row["reason"] = "" if row["verdict"] == "refuted" else UNBOUNDED
            if math.isnan(decision.low):
                row["reason"] = "too few seeds to show that all runs are alike"
    return pd.DataFrame(rows, columns=CLAIM_COLUMNS)


def _asked(
    claim: AnyClaim, runs: pd.DataFrame, factors: Factors, seeds: Sequence[int], looks: Looks
) -> dict[str, Any]:
    """Return what is known of a claim before it is judged; what it asks is under `asked`."""
    array = response_array(runs, factors, seeds, claim.response)
    weights = _claimed(claim, array, factors)
    values = seed_values(array, weights)
    of_sd = isinstance(claim, SpreadClaim)
    low, high = _region(claim)
    reported = math.nan if claim.reported is None else claim.reported
    of_one_run = isinstance(claim, ValueClaim)
    pi_low, pi_high = prediction(values) if of_one_run else (math.nan, math.nan)
    in_pi = None if math.isnan(pi_low) else pi_low <= reported <= pi_high
    sides, p_tost = SIDES, math.nan
    if isinstance(claim, EquivalenceClaim):
        sides, p_tost = 1, tost(values, claim.margin).p
    return {
        "claim": claim.claim,
        "source": claim.source,
        "verdict": "inconclusive",
        **asdict(spread(values) if of_sd else paired_t(values)),
        "reported": reported,
        "response": claim.response,
        "kind": claim.kind,
        "region_low": low,
        "region_high": high,
        "p_tost": p_tost,
        "pi_low": pi_low,
        "pi_high": pi_high,
        "reported_in_pi": in_pi,
        "reason": untold(array, weights, claim.response, compares=claim.is_difference or of_sd),
        "verdict_mean": "inconclusive",
        "verdict_run": "" if in_pi is None else "ordinary" if in_pi else "not ordinary",
        "asked": Asked(values, low, high, of_sd=of_sd, sides=sides, looks=looks),
    }


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
    """Return the weights of the cells in the claimed quantity."""
    if isinstance(claim, CellClaim | ThresholdClaim) and claim.cell is not None:
        return cell_weights(claim.cell, factors)
    if isinstance(claim, DominanceClaim):
        larger, smaller = (
            size_weights(name, claim.given, array, factors)
            for name in (claim.larger, claim.smaller)
        )
        return larger - smaller
    if isinstance(claim, DifferenceClaim):
        pair = (claim.factor, claim.higher, claim.lower)
    else:
        pair = (str(claim.factor), str(claim.level_a), str(claim.level_b))
    weights = pair_weights(pair, claim.given, factors)
    if isinstance(claim, InteractionClaim):
        at, than = (
            pair_weights(pair, {**claim.given, claim.other: level}, factors)
            for level in (claim.at, claim.than)
        )
        return at - than
    return weights
