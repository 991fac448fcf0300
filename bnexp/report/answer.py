"""What a reader came for: what each factor changes, and which explains most."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bnexp.metrics.metric import Metric
from bnexp.plots import short
from bnexp.report import links
from bnexp.report.numbers import each, interval, percent
from bnexp.report.tables.learning_rates import TRAINS, rate
from bnexp.report.tables.text import described
from bnexp.stats.tables import Tables
from bnexp.store.study_file import Declared

# A compact block shows no more rows; the table of effects has all.
MOST_ROWS = 6

RULE_OF_SHARES = (
    "A factor “explains most” if the 95 % interval of its share lies wholly above that of "
    "every other factor. Shares of one seed are paired, so the interval of their difference "
    "is never wider than both together: where the two do not overlap, it excludes zero."
)
RULE_OF_SIGNS = "The direction of a difference is settled if its 95 % interval excludes zero."


@dataclass(frozen=True)
class Line:
    """One factor, or one pair of its levels: what it changes and what it explains."""

    factor: str
    comparison: str
    effect: str
    settled: bool
    share: str
    width: float


@dataclass(frozen=True)
class Answer:
    """The answer for one response: a sentence, and the numbers that it rests on."""

    response: str
    unit: str
    sentence: str
    settled: bool
    lines: list[Line]


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
            lines = [_line(study, what, main, None, _levels(main)) for main in mains]
            settled = sum(line.settled for line in lines)
            sentence = _signs(settled, len(lines))
            done = settled == len(lines)
        else:
            of_response = tables.shares[tables.shares["response"] == name]
            shares = list(each(of_response[of_response["factor"].isin(varied)]))
            shares.sort(key=lambda share: -math.inf if _none(share) else -share.estimate)
            lines = [_factor_line(study, what, mains, share) for share in shares]
            sentence, done = _most(shares)
        unit = what.unit_difference
        found.append(Answer(what.label, unit, sentence, done, lines[:MOST_ROWS]))
    # Beside a response that can be shared out, one that cannot says nothing more.
    shared = [answer for answer in found if any(line.share for line in answer.lines)]
    return _largest_rates(tables, varied) + (shared or found)


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
            comparison=f"{row.level_a} by {row.level_b}" + _beside(row.given, varied),
            effect=rate(row.ratio, row.ratio_low, row.ratio_high, row.bound),
            settled=row.ratio_low > 1 or row.ratio_high < 1,
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
    larger, smaller = (same["ratio_low"] > 1).all(), (same["ratio_high"] < 1).all()
    sentence = f"Not settled between {pair.level_a} and {pair.level_b}."
    if larger or smaller:
        a, b = (pair.level_a, pair.level_b)[:: 1 if larger else -1]
        sentence = f"Larger with {short(pair.factor)} {a} than with {b}."
    label = "largest learning rate with 90 % of the best accuracy"
    return [Answer(label, "times", sentence, bool(larger or smaller), lines[:MOST_ROWS])]


def _beside(given: str, varied: Sequence[str]) -> str:
    """Return the levels of the other factors, less those that have only one."""
    levels = (pair.partition("=") for pair in given.split(", ") if pair)
    told = [f"{short(key)} {level}" for key, _, level in levels if key in varied]
    return f" ({', '.join(told)})" if told else ""


def rule(study: Declared) -> str:
    """Return the rule by which the answers' sentences follow from their numbers."""
    return RULE_OF_SIGNS if len(study.varied) == 1 else RULE_OF_SHARES


def _factor_line(study: Declared, what: Metric, mains: Sequence[Any], share: Any) -> Line:
    """Return a factor's share beside its main effect, the largest if there are several."""
    own = [main for main in mains if main.factor == share.factor]
    largest = max(own, key=lambda main: -1 if _none(main) else abs(main.estimate))
    comparison = _levels(largest)
    if len(own) > 1:
        comparison += f" (largest of {len(own)})"
    return _line(study, what, largest, share, comparison)


def _line(study: Declared, what: Metric, main: Any, share: Any, comparison: str) -> Line:
    only = links.of_contrast(study.factors, main.factor, main.level_a, main.level_b, "")
    known = share is not None and not _none(share)  # if one is not, none is
    return Line(
        factor=short(main.factor),
        comparison=comparison,
        effect=links.to_runs(interval(what, main, difference=True), only),
        settled=main.ci_low > 0 or main.ci_high < 0,
        share=percent(share) if known else "",
        width=round(100 * share.estimate, 1) if known else 0,
    )


def _levels(main: Any) -> str:
    return f"{main.level_a} \N{MINUS SIGN} {main.level_b}"


def _most(shares: Sequence[Any]) -> tuple[str, bool]:
    """Return which factor explains most, and whether the intervals settle it."""
    first, *others = shares
    if _none(first):
        return "No share: a cell lacks a number in every seed.", False
    if math.isnan(first.ci_low):
        return "Not settled: one seed has no interval.", False
    rivals = [short(other.factor) for other in others if other.ci_high >= first.ci_low]
    if not rivals:
        return f"{short(first.factor)} explains most.", True
    names = ", ".join([short(first.factor), *rivals[:-1]])
    return f"Not settled: {names} or {rivals[-1]}.", False


def _signs(settled: int, n: int) -> str:
    if n == 1:
        return "The direction is settled." if settled else "The direction is not settled."
    return f"The direction of {settled} of {n} differences is settled."


def _none(row: Any) -> bool:
    return math.isnan(row.estimate)
