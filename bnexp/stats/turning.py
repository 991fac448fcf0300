"""Whether a difference changes its sign within what it is averaged over."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bnexp.stats.cells import Factors, combinations
from bnexp.stats.estimate import Values, known, standard_error
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.stats.quantities import contrast_values, pair_weights
from bnexp.stats.reversals import outermost
from bnexp.stats.testing import t_test_p


@dataclass(frozen=True)
class End:
    """A difference at levels of other factors, told from zero.

    Attributes:
        given: These levels, with those that are fixed anyway.
        low: Lower end of the interval that holds for all that were looked at together.
        n: How many seeds it is made of.
    """

    given: dict[str, str]
    estimate: float
    low: float
    high: float
    n: int
    confidence: float

    def beyond(self, margin: float) -> bool:
        """Return whether it is told from all that is as good as zero."""
        return self.low > margin or self.high < -margin


def turning(
    array: Values,
    factors: Factors,
    pair: tuple[str, str, str],
    given: Mapping[str, str],
    *,
    by_iqm: bool = False,
    looks: Looks = ONE_LOOK,
    error: float,
) -> tuple[End, End] | None:
    """Return where a difference is above zero and where below, None if it is not both.

    It is looked at given one more factor's level each, and given the levels of all factors that
    are not fixed; both ends are told from zero by t-tests adjusted for all of these
    (Bonferroni), so that a difference of one sign is said to turn in that error at most.

    Args:
        array: The response by seed and cell, shape (S, levels of each factor).
        pair: The factor and the two levels that are compared.
        given: What is fixed.
        by_iqm: Whether interquartile means are compared.
        error: How often it may be said falsely: see `averages`.

    Source: as `reversals`, which looks at a whole study.
    """
    found: list[tuple[dict[str, str], Values, int, float]] = []
    groups = []
    for conditions in _conditions(factors, {*given, pair[0]}):
        group = []
        for condition in conditions:
            levels = {**given, **condition}
            weights = pair_weights(pair, levels, factors)
            values, of_t = contrast_values(array, weights, by_iqm=by_iqm)
            values = known(values)
            p = looks.p(t_test_p(values, of_t), of_t + 1) if len(values) > 1 else math.nan
            group.append(len(found))
            found.append((levels, values, of_t, float(p)))
        groups.append(group)
    tests = sum(not np.isnan(p) for *_, p in found)
    sure = [bool(p * tests < error) for *_, p in found]
    estimates = np.array([values.mean() if len(values) else np.nan for _, values, *_ in found])
    ends = outermost(groups, estimates, sure)
    if ends is None:
        return None
    up, down = (_end(*found[at][:3], error / tests, looks) for at in ends)
    return up, down


def _end(given: dict[str, str], values: Values, of_t: int, error: float, looks: Looks) -> End:
    mean = float(values.mean())
    half = looks.reach(error, of_t + 1) * standard_error(values)
    return End(given, mean, mean - half, mean + half, len(values), 1 - error)


def _conditions(factors: Factors, fixed: set[str]) -> Iterator[list[dict[str, str]]]:
    """Yield the levels of each factor that is free, then those of all of these together."""
    free = [key for key, levels in factors.items() if len(levels) > 1 and key not in fixed]
    for keys in [*((key,) for key in free), *([tuple(free)] if len(free) > 1 else [])]:
        yield list(combinations({key: factors[key] for key in keys}))
