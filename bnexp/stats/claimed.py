"""What a claim speaks of: a weighted sum of cells, and the region that it says this lies in."""

import math
from collections.abc import Mapping

from bnexp.config.study import (
    AnyClaim,
    CellClaim,
    DominanceClaim,
    EquivalenceClaim,
    InteractionClaim,
    SpreadClaim,
    ThresholdClaim,
    ValueClaim,
)
from bnexp.stats.averages import Average, OfDifference, average, pair_of
from bnexp.stats.cells import Factors
from bnexp.stats.estimate import Values
from bnexp.stats.looks import Looks
from bnexp.stats.quantities import cell_weights, pair_weights, size_weights
from bnexp.stats.turning import End, turning


def region(claim: AnyClaim) -> tuple[float, float]:
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


def weights_of(claim: AnyClaim, array: Values, factors: Factors) -> Values:
    """Return the weights of the cells in the claimed quantity."""
    if isinstance(claim, CellClaim | ThresholdClaim) and claim.cell is not None:
        return cell_weights(claim.cell, factors)
    if isinstance(claim, DominanceClaim):
        larger, smaller = (
            size_weights(name, claim.given, array, factors)
            for name in (claim.larger, claim.smaller)
        )
        return larger - smaller
    pair = pair_of(claim)
    weights = pair_weights(pair, claim.given, factors)
    if isinstance(claim, InteractionClaim):
        at, than = (
            pair_weights(pair, {**claim.given, claim.other: level}, factors)
            for level in (claim.at, claim.than)
        )
        return at - than
    return weights


def turned(
    claim: AnyClaim,
    array: Values,
    factors: Factors,
    errors: Mapping[Average, float],
    *,
    by_iqm: bool,
    looks: Looks,
) -> tuple[End, End] | None:
    """Return where a claimed difference is above zero and where below, if it is both.

    That a difference is as good as zero is none if it is so at both ends.

    Args:
        errors: How often each average may be said falsely to reverse.
    """
    if not isinstance(claim, OfDifference):
        return None
    pair, given = pair_of(claim), claim.given
    error = errors.get(average(claim.response, pair, given))
    if error is None:
        return None
    ends = turning(array, factors, pair, given, by_iqm=by_iqm, looks=looks, error=error)
    margin = claim.margin if isinstance(claim, EquivalenceClaim) else 0.0
    return ends if ends and any(end.beyond(margin) for end in ends) else None
