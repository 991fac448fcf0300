"""What a reader came for: what each factor changes, and which explains most."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from bnexp.metrics.metric import Metric
from bnexp.plots import short
from bnexp.report import links
from bnexp.report.numbers import each, interval, percent
from bnexp.report.sentences import (
    compared,
    directions,
    ends_of,
    leader,
    limit,
    named_levels,
    reversed_effects,
)
from bnexp.report.tables.learning_rates import TRAINS, rate, ratio_of
from bnexp.report.tables.text import described
from bnexp.stats.tables import Tables
from bnexp.store.declared import Declared

# A compact block shows no more rows; the table of effects has all.
MOST_ROWS = 6

UNTOLD = "cannot be told, too many runs are missing"
SIMULTANEOUS = "95\N{NO-BREAK SPACE}%, simultaneous"
AT_ALL_LOOKS = f"{SIMULTANEOUS}, at any look"


@dataclass(frozen=True)
class Line:
    """One factor, or one pair of its levels: what it changes and what it explains.

    Attributes:
        told: Whether the effect is a number, to which the unit belongs.
    """

    factor: str
    comparison: str
    effect: str
    settled: bool
    share: str
    width: float
    told: bool = True


@dataclass(frozen=True)
class Answer:
    """The answer for one response: a sentence, and the numbers that it rests on.

    Attributes:
        level: Of the intervals of its effects.
    """

    response: str
    unit: str
    sentence: str
    settled: bool
    every: list[Line]
    level: str = "95\N{NO-BREAK SPACE}%"

    @property
    def lines(self) -> list[Line]:
        """Return as many lines as a compact block has room for."""
        return self.every[:MOST_ROWS]

    @property
    def n_more(self) -> int:
        """Return how many it leaves out, which the table of effects has."""
        return len(self.every) - len(self.lines)


def answers(study: Declared, tables: Tables) -> list[Answer]:
    """Return an answer for each response; none where nothing was compared."""
    varied = study.varied
    if not varied or not len(tables.contrasts):
        return []
    found = []
    for name, what in described(tables.responses).items():
        effects = tables.contrasts[tables.contrasts["response"] == name]
        mains = list(each(effects[effects["kind"] == "main"]))
        if len(varied) == 1:
            lines = [_line(study, what, main, None, compared(main)) for main in mains]
            settled = sum(line.settled for line in lines)
            sentence = directions(settled, len(lines))
            done = settled == len(lines)
        else:
            of_response = tables.shares[tables.shares["response"] == name]
            of_factors = of_response[of_response["factor"].isin(varied)]
            shares = list(each(of_factors.sort_values("estimate", ascending=False)))
            turns = tables.reversals[tables.reversals["response"] == name]
            turning = {one.factor: one for one in each(turns.sort_values("p")[::-1])}
            lines = [
                _factor_line(study, what, mains, share, turning.get(share.factor))
                for share in shares
            ]
            sentence, done = leader(shares, any(line.settled for line in lines))
            largest = shares[0].factor if done else None
            sentence += reversed_effects(study, what, turning, largest)
        if why := limit(study, tables, name):
            sentence, done = f"Cannot tell: {why}.", False
        unit = what.unit_difference
        level = AT_ALL_LOOKS if tables.looks.several else SIMULTANEOUS
        found.append(Answer(what.label, unit, sentence, done, lines, level))
    # Beside a response that can be shared out, one that cannot says nothing more.
    shared = [answer for answer in found if any(line.share for line in answer.lines)]
    first, *others = shared or found
    return [*_largest_rates(tables, varied), first, *others]


def _largest_rates(tables: Tables, varied: Sequence[str]) -> list[Answer]:
    """Return by what factor one level bears larger learning rates than another."""
    ratios = tables.max_lr_ratios
    if not len(ratios):
        return []
    ratios = ratios[ratios["definition"] == TRAINS]
    # A sweep too coarse or too narrow to find most of them was made to ask something else.
    if 2 * ratios["ratio"].notna().sum() <= len(ratios):
        return []
    lines = [
        Line(
            factor=short(row.factor),
            comparison=ratio_of(row) + _beside(row.given, varied),
            effect=rate(row.ratio, *_ends(row), row.bound),
            settled=not tables.looks.several and _side(row) != 0,
            share="",
            width=0,
        )
        for row in each(ratios)
    ]
    of_first = ratios[ratios["factor"] == ratios["factor"].iloc[0]]
    pair = next(each(of_first))
    same = of_first[
        (of_first["level_a"] == pair.level_a) & (of_first["level_b"] == pair.level_b)
    ]
    sides = {_side(row) for row in each(same)}
    larger, smaller = sides == {1}, sides == {-1}
    if tables.looks.several:  # these intervals are of a single one
        larger = smaller = False
    sentence = f"Not settled between {pair.level_a} and {pair.level_b}."
    if larger or smaller:
        a, b = (pair.level_a, pair.level_b)[:: 1 if larger else -1]
        sentence = f"Larger with {short(pair.factor)} {a} than with {b}."
    label = "largest learning rate with 90 % of the best accuracy"
    settled = larger or smaller
    return [Answer(label, "times", sentence, settled, lines, SIMULTANEOUS)]


def _ends(ratio: Any) -> tuple[float, float]:
    """Return the ends that hold together with those of all ratios; a bound is what it is."""
    if math.isnan(ratio.ratio):
        return ratio.ratio_low, ratio.ratio_high
    return ratio.sim_low, ratio.sim_high


def _side(ratio: Any) -> int:
    """Return 1 where a ratio is told to be above one, -1 where below, else 0."""
    low, high = _ends(ratio)
    return int(low > 1) - int(high < 1)


def _beside(given: str, varied: Sequence[str]) -> str:
    """Return the levels of the other factors in brackets."""
    told = named_levels(given, varied)
    return f" ({told})" if told else ""


def _factor_line(
    study: Declared, what: Metric, mains: Sequence[Any], share: Any, turning: Any
) -> Line:
    """Return a factor's share beside its main effect, the largest if there are several.

    One that a single seed is left of has no interval, and stands behind those that have.
    Of an effect that reverses it has both directions instead of their average.
    """
    own = [main for main in mains if main.factor == share.factor]
    shown = max(own, key=_size)
    if turning is not None:
        shown = next(main for main in own if compared(main) == compared(turning))
    comparison = compared(shown)
    if len(own) > 1:
        comparison += f" ({'one' if turning else 'largest'} of {len(own)})"
    line = _line(study, what, shown, share, comparison)
    if turning is None:
        return line
    ends = (
        f"{interval(what, end, difference=True)} with {named_levels(end.given, study.varied)}"
        for end in ends_of(turning)
    )
    only = links.of_contrast(study.factors, shown.factor, shown.level_a, shown.level_b, "")
    effect = links.to_runs(f"reverses: {'; '.join(ends)}", only)
    return dataclasses.replace(line, effect=effect, settled=True)


def _size(main: Any) -> tuple[bool, float]:
    """Return what the largest effect is known by; one without an interval stands behind."""
    return not math.isnan(main.main_low), -1.0 if _none(main) else abs(main.estimate)


def _line(study: Declared, what: Metric, main: Any, share: Any, comparison: str) -> Line:
    only = links.of_contrast(study.factors, main.factor, main.level_a, main.level_b, "")
    told = not _none(main)
    known = share is not None and not _none(share)  # if one is not, none is
    ends = SimpleNamespace(estimate=main.estimate, ci_low=main.main_low, ci_high=main.main_high)
    return Line(
        factor=short(main.factor),
        comparison=comparison,
        effect=links.to_runs(interval(what, ends, difference=True), only) if told else UNTOLD,
        settled=main.main_low > 0 or main.main_high < 0,
        share=percent(share) if known else "",
        width=round(100 * share.estimate, 1) if known else 0,
        told=told,
    )


def _none(row: Any) -> bool:
    return math.isnan(row.estimate)
