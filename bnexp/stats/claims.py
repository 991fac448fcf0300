"""What the sources claimed, judged by the intervals."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from bnexp.config.asks import AnyAsk
from bnexp.config.study import AnyClaim, EquivalenceClaim, SpreadClaim
from bnexp.stats.averages import Average, turning_errors
from bnexp.stats.cells import Factors, response_array
from bnexp.stats.claimed import region, turned, weights_of
from bnexp.stats.estimate import Values, known, paired_t, prediction, spread
from bnexp.stats.incomplete import seed_values
from bnexp.stats.interquartile import freedom, iqm_values
from bnexp.stats.limits import untold
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.stats.testing import tost
from bnexp.stats.verdicts import SIDES, Asked, decided
from bnexp.store.columns import RESPONSE, Column
from bnexp.store.given import as_text

RULE = (
    "A claim is supported if the interval that decides lies inside the region that it claims, "
    "refuted if it lies outside, and inconclusive otherwise, or where nothing could be told "
    "whatever the numbers are, or a difference changes its sign over what it is averaged over "
    "(t-tests, adjusted for all differences that are asked for or claimed, what is claimed "
    "after the first run apart: Bonferroni); then the reason stands beside it. That interval "
    "is wider than the 95 % interval of a claim alone, so that all claims of a study together "
    "hold no false verdict in 95 % of studies (Holm's levels; Student-t, for about normal "
    "differences)."
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

COLUMNS = {
    "claim": Column("What is claimed."),
    "source": Column("Where."),
    "verdict": Column(
        "supported, refuted or inconclusive.",
        method="Whether the interval that decides lies inside the region that is claimed, "
        "outside, or in neither. A number that an ordinary run gives is not refuted.",
    ),
    "estimate": Column(
        "What is claimed, as our runs have it.",
        RESPONSE,
        "A mean over the seeds, paired where it is a difference; of interquartile means where "
        "the study names the response under iqm; or an SD.",
    ),
    "ci_low": Column(
        "Lower end of the 95 % interval of this claim alone.",
        RESPONSE,
        "Student's t over the seeds, for numbers that are about normal; of an SD a jackknife.",
    ),
    "ci_high": Column("Upper end of it; of an SD there is none.", RESPONSE),
    "n": Column("How many seeds it is made of.", "seeds"),
    "reported": Column("The source's number, empty if it has none.", RESPONSE),
    "response": Column("The number that it speaks of, a column of runs.csv."),
    "kind": Column("What sort of claim it is."),
    "declared": Column("planned, or exploratory if it was declared after the first run."),
    "region_low": Column("Lower end of the region that is claimed.", RESPONSE),
    "region_high": Column("Upper end of it.", RESPONSE),
    "confidence": Column(
        "Confidence of the interval that decides.",
        "share of 1",
        "What Holm's procedure leaves to it, so that all claims of a study hold no false "
        "verdict in 95 % of studies; of equivalence, less twice the error of each test.",
    ),
    "judged_low": Column("Lower end of the interval that decides.", RESPONSE),
    "judged_high": Column("Upper end of it.", RESPONSE),
    "p_tost": Column(
        "p-value of equivalence.", method="Two one-sided t-tests (Schuirmann 1987)."
    ),
    "pi_low": Column(
        "Lower end of the 95 % interval of one more run, for a claimed value.",
        RESPONSE,
        "Student's t, for runs that are about normal.",
    ),
    "pi_high": Column("Upper end of it.", RESPONSE),
    "reported_in_pi": Column("Whether the source's number lies inside."),
    "reason": Column("Why nothing can be told, whatever the numbers are."),
    "verdict_mean": Column("The verdict on our average alone."),
    "verdict_run": Column("Whether the source's number is an ordinary run of ours."),
    "p": Column("The smallest error with which a verdict is reached."),
    "n_family": Column(
        "How many claims are judged together: those declared before the first run, or after it."
    ),
}


def judge(
    claims: Sequence[AnyClaim],
    runs: pd.DataFrame,
    factors: Factors,
    seeds: Sequence[int],
    *,
    was_declared: Callable[[AnyClaim], bool] = lambda claim: True,
    asks: Sequence[AnyAsk] = (),
    iqm: Collection[str] = (),
    looks: Looks = ONE_LOOK,
    chance: Values | float = 0.0,
) -> pd.DataFrame:
    """Return the verdict on each claim, by `RULE` and the region of its kind in `REGIONS`.

    Args:
        was_declared: Whether a claim was declared before the first run.
        asks: The questions of the study, of whose averages none is said to reverse either.
        iqm: The responses whose interquartile means are judged.
        looks: Whether results are looked at while seeds are added.
        chance: The accuracy of guessing, of each cell; 0 where nobody can guess.
    """
    planned = [claim for claim in claims if was_declared(claim)]
    later = [claim for claim in claims if claim not in planned]
    of_averages = turning_errors(factors, asks, planned, later)
    rows = [
        _asked(
            *(claim, runs, factors, seeds, of_averages),
            by_iqm=claim.response in iqm,
            looks=looks,
            chance=chance,
        )
        for claim in claims
    ]
    for row, claim in zip(rows, claims, strict=True):
        row["declared"] = "exploratory" if claim in later else "planned"
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
            if row["turns"]:  # it counts in the family: no other claim is judged more easily
                row |= {"verdict": "inconclusive", "reason": row["turns"]}
            if math.isnan(decision.low):
                row["reason"] = "too few seeds to show that all runs are alike"
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _asked(
    claim: AnyClaim,
    runs: pd.DataFrame,
    factors: Factors,
    seeds: Sequence[int],
    errors: Mapping[Average, float],
    *,
    by_iqm: bool,
    looks: Looks,
    chance: Values | float,
) -> dict[str, Any]:
    """Return what is known of a claim before it is judged; what it asks is under `asked`."""
    array = response_array(runs, factors, seeds, claim.response)
    weights = weights_of(claim, array, factors)
    values, of_t = seed_values(array, weights), None
    pi_low, pi_high = prediction(values) if claim.kind == "value" else (math.nan, math.nan)
    of_sd = isinstance(claim, SpreadClaim)
    if by_iqm and not of_sd:
        values = iqm_values(array, weights)
        of_t = freedom(len(known(values)))
    low, high = region(claim)
    reported = math.nan if claim.reported is None else claim.reported
    in_pi = None if math.isnan(pi_low) else pi_low <= reported <= pi_high
    sides, p_tost = SIDES, math.nan
    if isinstance(claim, EquivalenceClaim):
        sides, p_tost = 1, tost(values, claim.margin, of_t).p
    compares = claim.is_difference or of_sd
    reason = untold(array, weights, claim.response, chance, compares=compares)
    turns = ""
    if not reason and (
        ends := turned(claim, array, factors, errors, by_iqm=by_iqm, looks=looks)
    ):
        above, below = (as_text(end.given) for end in ends)
        turns = f"the difference is above zero with {above} and below with {below}"
    return {
        "claim": claim.claim,
        "source": claim.source,
        "verdict": "inconclusive",
        **asdict(spread(values) if of_sd else paired_t(values, freedom=of_t)),
        "reported": reported,
        "response": claim.response,
        "kind": claim.kind,
        "region_low": low,
        "region_high": high,
        "p_tost": p_tost,
        "pi_low": pi_low,
        "pi_high": pi_high,
        "reported_in_pi": in_pi,
        "reason": reason,
        "verdict_mean": "inconclusive",
        "verdict_run": "" if in_pi is None else "ordinary" if in_pi else "not ordinary",
        "turns": turns,
        "asked": Asked(values, low, high, of_sd=of_sd, sides=sides, freedom=of_t, looks=looks),
    }
