"""Whether two folders agree in a number, in words: with the difference and the margin."""

import math
from collections.abc import Iterator
from typing import Any

from bnexp.metrics.metric import Metric
from bnexp.report.forest import Estimate
from bnexp.report.numbers import Marked
from bnexp.stats import agreement
from bnexp.stats.estimate import CONFIDENCE

# How a verdict looks, as the page's style names it.
LOOKS = {"agree": "yes", "differ": "no", "cannot tell": "inconclusive"}


def verdict(row: object) -> Marked:
    """Return `agree`, `differ` or `cannot tell` of a row of `agreement.differences`."""
    found = agreement.agree(row)
    return Marked(found, LOOKS[found])


def sides(one: Any, mean: str = "estimate") -> Iterator[Estimate]:
    """Yield the first estimate, the second and their difference."""
    for side in ("first", "second"):
        names = (f"{mean}_{side}", f"ci_low_{side}", f"ci_high_{side}")
        yield Estimate(*(getattr(one, name) for name in names))
    yield Estimate(one.estimate, one.ci_low, one.ci_high)


def columns(a: str, b: str) -> list[str]:
    """Return the heads of the columns of `sides`."""
    return [f"{a} [95 %]", f"{b} [95 %]", f"{a} \N{MINUS SIGN} {b} [95 %, together]"]


def in_words(what: Metric, row: Any, a: str, b: str) -> str:
    """Return what a verdict rests on: the difference with its interval, and the margin."""
    if row.same:
        return f"{a} and {b} have the very same numbers"
    if math.isnan(row.ci_low):
        alone = min(row.n_first, row.n_second) < 2
        return (
            "a single seed has no interval" if alone else "seeds that change nothing have none"
        )
    found = agreement.agree(row)
    level, low, high = ("90 %: ", row.tost_low, row.tost_high)
    if found != "agree":
        level = "" if row.confidence == CONFIDENCE else f"{100 * row.confidence:.4g} %: "
        low, high = row.ci_low, row.ci_high
    unit = f" {what.unit_difference}" if what.unit_difference else ""
    estimate = what.show(row.estimate, difference=True)
    told = f"{a} \N{MINUS SIGN} {b} is {estimate}{unit} {_bracketed(what, level, low, high)}"
    margin = f"the margin of {what.show(row.margin, difference=True).lstrip('+')}"
    return {
        "agree": f"{told}, all within {margin}",
        "differ": f"{told}, and zero lies outside",
        "cannot tell": f"{told}: zero lies inside, but so does more than {margin}",
    }[found]


def _bracketed(what: Metric, level: str, low: float, high: float) -> str:
    return f"[{level}{what.show(low, difference=True)}, {what.show(high, difference=True)}]"
