"""Which differences of a study may change their sign within what they are averaged over.

A question and a claim of the same difference are told the same of it. All that a study asks or
claims before its first run is one family, what it claims later besides is another: of either,
none is said falsely to reverse in 95 % of studies (Bonferroni).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bnexp.config.asks import AnyAsk, DifferenceAsk
from bnexp.config.study import (
    AnyClaim,
    DifferenceClaim,
    EquivalenceClaim,
    InteractionClaim,
    ThresholdClaim,
)
from bnexp.stats.cells import Factors, combinations
from bnexp.study.power import ALPHA

Pair = tuple[str, str, str]  # a factor and two of its levels
# The claims that may be of a difference of two levels.
OfDifference = DifferenceClaim | EquivalenceClaim | ThresholdClaim


@dataclass(frozen=True)
class Average:
    """A difference of two levels, whichever comes first, and what of it is fixed."""

    response: str
    factor: str
    levels: frozenset[str]
    given: frozenset[tuple[str, str]]


def average(response: str, pair: Pair, given: Mapping[str, str]) -> Average:
    """Return what makes a difference of a response the same as another one."""
    factor, *levels = pair
    return Average(response, factor, frozenset(levels), frozenset(given.items()))


def turning_errors(
    factors: Factors,
    asks: Sequence[AnyAsk],
    planned: Sequence[AnyClaim],
    later: Sequence[AnyClaim] = (),
) -> dict[Average, float]:
    """Return how often each difference may be said falsely to reverse.

    None is here that is not averaged over any factor.
    """
    first = {
        average(ask.response, (ask.factor, ask.level_a, ask.level_b), given)
        for ask in asks
        if isinstance(ask, DifferenceAsk)
        for given in parts(ask, factors)
    }
    first |= {one for claim in planned for one in _claimed(claim)}
    families = first, {one for claim in later for one in _claimed(claim)} - first
    may_turn = [{one for one in family if _averages(one, factors)} for family in families]
    return {one: ALPHA / len(family) for family in may_turn for one in family}


def parts(ask: AnyAsk, factors: Factors) -> Iterator[dict[str, str]]:
    """Yield what is fixed in each part of a question."""
    given = dict(getattr(ask, "given", {}))
    for levels in combinations({key: factors[key] for key in ask.apart}):
        yield {**given, **levels}


def pair_of(claim: OfDifference | InteractionClaim) -> Pair:
    """Return the factor whose two levels a claim compares, the one of the plus sign first."""
    if isinstance(claim, DifferenceClaim):
        return claim.factor, claim.higher, claim.lower
    return str(claim.factor), str(claim.level_a), str(claim.level_b)


def _claimed(claim: AnyClaim) -> Iterator[Average]:
    """Yield the difference that a claim is of, if it is of one."""
    if isinstance(claim, OfDifference) and claim.is_difference:
        yield average(claim.response, pair_of(claim), claim.given)


def _averages(one: Average, factors: Factors) -> bool:
    fixed = {one.factor, *(key for key, _ in one.given)}
    return any(len(levels) > 1 for key, levels in factors.items() if key not in fixed)
