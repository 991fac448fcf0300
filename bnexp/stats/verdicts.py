"""From numbers and a region to a verdict: supported, refuted or neither, in a family."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bnexp.stats.estimate import (
    Values,
    at_least,
    known,
    log_sd_error,
    standard_error,
    vary,
)
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.stats.testing import smallest_p
from bnexp.study.power import ALPHA

# Each side of an interval errs half as often as the interval.
SIDES = 2


@dataclass(frozen=True)
class Asked:
    """One value a seed, and the open region that it, or its SD, is claimed to lie in.

    Attributes:
        values: Shape (S,), NaN where a seed has none.
        of_sd: Whether the claim is of the SD over the seeds instead of the mean: that it is
            above `low`, or below `high`, either above zero.
        freedom: Degrees of freedom, those of the values unless it says otherwise.
        sides: 1 for two one-sided tests of equivalence, whose interval has twice the error.
        looks: Whether the verdict has to hold at any of several looks.
    """

    values: Values
    low: float
    high: float
    of_sd: bool = False
    sides: int = SIDES
    looks: Looks = ONE_LOOK
    freedom: int | None = None

    @property
    def _freedom(self) -> int:
        return len(known(self.values)) - 1 if self.freedom is None else self.freedom

    @property
    def p(self) -> float:
        """Return the smallest error with which a verdict is reached.

        Where all runs are alike it is that of the sign test: most runs lie where these do.
        """
        found = known(self.values)
        if not vary(found):
            return float(self.looks.p(smallest_p(len(found)), len(found)))
        if self.of_sd:  # bounded from below alone: one end decides, for the claim or against
            end = self.low if math.isinf(self.high) else self.high
            return self._both(self._above(found, end))
        above_low, above_high = (self._above(found, end) for end in (self.low, self.high))
        supported = max(above_low, 1 - above_high)
        refuted = min(1 - above_low, above_high)
        return self._both(min(supported, refuted))

    def interval(self, error: float) -> tuple[float, float]:
        """Return the interval that decides where this error is allowed; NaN without one."""
        found = known(self.values)
        if not vary(found):
            alike = float(found[0]) if self.p <= error else math.nan
            return alike, alike
        reach = self.looks.reach(SIDES / self.sides * error, self._freedom + 1)
        if self.of_sd:
            return at_least(found, reach), math.inf
        half = reach * standard_error(found)
        return float(found.mean()) - half, float(found.mean()) + half

    def _both(self, one_sided: float) -> float:
        """Return the p of all sides from that of one."""
        if one_sided > 1 / SIDES:
            return min(self.sides * one_sided, 1.0)
        both = float(self.looks.p(SIDES * one_sided, self._freedom + 1))
        return self.sides / SIDES * both

    def _above(self, found: Values, end: float) -> float:
        """Return the one-sided p of the claim that the quantity lies above an end."""
        if self.of_sd:
            ratio = float(found.std(ddof=1)) / end
            return float(stats.t.sf(math.log(ratio) / log_sd_error(found), self._freedom))
        return float(stats.t.sf((found.mean() - end) / standard_error(found), self._freedom))


@dataclass(frozen=True)
class Decided:
    """A verdict, the error that it was allowed, and the interval that decided."""

    verdict: str
    error: float
    low: float
    high: float


def decided(family: Sequence[Asked]) -> list[Decided]:
    """Return the verdict on each of a family.

    The one that is clearest is allowed the error of the family over its size, the next the
    same over one less, and so on until one is not decided: no error is left for the others
    (Holm). So 95 % of families hold no false verdict, of means that are about normal.

    Args:
        family: Each with two or more values.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".
    """
    p = np.array([one.p for one in family])
    order = np.argsort(p, kind="stable")
    found: dict[int, Decided] = {}
    error, going = ALPHA, True
    for rank, at in enumerate(order.tolist()):
        if going:
            error = ALPHA / (len(family) - rank)
        interval = family[at].interval(error)
        found[at] = Decided(_verdict(interval, family[at]), error, *interval)
        going = going and found[at].verdict != "inconclusive"
    return [found[at] for at in range(len(family))]


def _verdict(interval: tuple[float, float], asked: Asked) -> str:
    low, high = interval
    if asked.low < low and (high < asked.high or math.isinf(asked.high)):
        return "supported"
    if high < asked.low or low > asked.high:
        return "refuted"
    return "inconclusive"  # no interval either
