"""A forest plot of estimates of several folders, as a page draws it without a picture."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bnexp.metrics.metric import Metric
from bnexp.report.numbers import interval

ROOM = 0.04  # of the width, left free at either end


@dataclass(frozen=True)
class Estimate:
    """A difference with its 95 % interval, NaN where it has none."""

    estimate: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class Mark:
    """One folder's estimate in a row; places are in per cent of the width.

    Attributes:
        place: Which of the folders it is, from 0: its colour.
        low, high: The ends of the interval; both `at` where there is none.
    """

    letter: str
    place: int
    at: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Row:
    """What the folders say of one comparison, and in words whether they agree."""

    name: str
    marks: list[Mark]
    verdict: str
    told: str


@dataclass(frozen=True)
class Forest:
    """Comparisons of one response on a common scale, whose ends and zero it names."""

    label: str
    unit: str
    rows: list[Row]
    zero: float
    ends: tuple[str, str]


def forest(
    what: Metric,
    letters: Sequence[str],
    rows: Iterable[tuple[str, Mapping[str, Estimate], str, str]],
) -> Forest:
    """Return a forest plot of differences.

    Args:
        rows: The name of each comparison, the estimate of each folder that has one, the
            verdict and what it says in words.
    """
    kept = [
        (name, {letter: one for letter, one in of.items() if _known(one)}, verdict, told)
        for name, of, verdict, told in rows
    ]
    ends = [end for _, of, *_ in kept for one in of.values() for end in _ends(one)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = ROOM * (high - low) or 1.0
    low, high = low - room, high + room

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    drawn = []
    for name, of, verdict, told in kept:
        marks = []
        for letter, one in of.items():
            first, last = _ends(one)
            text = interval(what, one, difference=True)
            at, start, end = place(one.estimate), place(first), place(last)
            marks.append(Mark(letter, letters.index(letter), at, start, end, text))
        drawn.append(Row(name, marks, verdict, told))
    shown = (what.show(low, difference=True), what.show(high, difference=True))
    return Forest(what.label, what.unit_difference, drawn, place(0), shown)


def _known(one: Estimate) -> bool:
    return math.isfinite(one.estimate)


def _ends(one: Estimate) -> tuple[float, float]:
    """Return the ends of an interval as far as they can be drawn."""
    low = one.ci_low if math.isfinite(one.ci_low) else one.estimate
    high = one.ci_high if math.isfinite(one.ci_high) else one.estimate
    return low, high
