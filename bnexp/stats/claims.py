"""What the sources claimed, judged by the intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from bnexp.config.study import AnyClaim, DifferenceClaim, DominanceClaim, ValueClaim
from bnexp.stats.cells import Factors, response_array
from bnexp.stats.estimate import Values, paired_t
from bnexp.stats.planned import difference_weights, within_seeds


def judge(
    claims: Sequence[AnyClaim], runs: pd.DataFrame, factors: Factors, seeds: Sequence[int]
) -> pd.DataFrame:
    """Return the verdict on each claim, by one rule.

    A claim names a region of values: `reported` plus or minus `within` for a value, all
    above zero for a difference or a dominance. It is supported if the 95 % interval lies
    inside the region, refuted if it lies outside, and inconclusive otherwise.
    """
    rows = []
    for claim in claims:
        array = response_array(runs, factors, seeds, claim.response)
        low, high = 0.0, math.inf
        if isinstance(claim, ValueClaim):
            low, high = claim.reported - claim.within, claim.reported + claim.within
        estimate = paired_t(_claimed(claim, array, factors))
        verdict = "inconclusive"
        if low < estimate.ci_low and estimate.ci_high < high:
            verdict = "supported"
        elif estimate.ci_high < low or estimate.ci_low > high:
            verdict = "refuted"
        reported = math.nan if claim.reported is None else claim.reported
        rows.append(
            {
                "claim": claim.claim,
                "source": claim.source,
                "verdict": verdict,
                **asdict(estimate),
                "reported": reported,
                "response": claim.response,
                "kind": claim.kind,
            }
        )
    columns = ["claim", "source", "verdict", "estimate", "ci_low", "ci_high", "n", "reported"]
    return pd.DataFrame(rows, columns=[*columns, "response", "kind"])


def _claimed(claim: AnyClaim, array: Values, factors: Factors) -> Values:
    """Return the claimed quantity within each seed, shape (S,)."""
    keys = list(factors)
    shape = array.shape[1:]

    def at(levels: Mapping[str, str]) -> dict[int, int]:
        return {keys.index(k): list(factors[k]).index(v) for k, v in levels.items()}

    if isinstance(claim, ValueClaim):
        given = at(claim.cell)
        axis, level = next(iter(given.items()))
        return within_seeds(array, difference_weights(shape, axis, level, None, given))
    given = at(claim.given)
    if isinstance(claim, DifferenceClaim):
        ((axis, a),) = at({claim.factor: claim.higher}).items()
        ((_, b),) = at({claim.factor: claim.lower}).items()
        return within_seeds(array, difference_weights(shape, axis, a, b, given))
    assert isinstance(claim, DominanceClaim)
    sizes = []
    for factor in (claim.larger, claim.smaller):
        effect = within_seeds(array, difference_weights(shape, keys.index(factor), 1, 0, given))
        # Its size in the direction that it has on average: |effect| of each seed would
        # make a factor without any effect look like one.
        sizes.append(effect * (-1 if np.nansum(effect) < 0 else 1))
    return sizes[0] - sizes[1]
