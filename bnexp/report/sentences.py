"""The sentences that a page opens with, and the rules by which they are made."""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from bnexp.metrics.metric import Metric
from bnexp.plots import short
from bnexp.report.looks import rule_of_looks
from bnexp.report.numbers import each, listed
from bnexp.report.places import places
from bnexp.report.tables.text import described
from bnexp.stats.cells import response_array
from bnexp.stats.limits import at_ceiling, at_chance, guesses, is_accuracy
from bnexp.stats.reversals import SIDES
from bnexp.stats.tables import Tables
from bnexp.store.declared import Declared
from bnexp.store.given import of_text
from bnexp.study.power import ALPHA

# A page has room for a few; the tables have all.
MOST_PAIRS = 3

RULE_OF_SHARES = (
    "A share is corrected for noise: a factor without any effect has a share of zero. A factor "
    "“explains most” if its effects can be told from noise (a joint F test of all of them, "
    "Holm-adjusted for the factors) and its share exceeds that of every other factor (paired "
    "t-tests at 5 %, adjusted for the factors too). Both are adjusted for the responses, too "
    "(Bonferroni): in 19 of 20 studies no factor is said falsely to explain most of any. Cells "
    "may differ in their noise; the seeds have to be independent, and their differences about "
    "normal."
)
RULE_OF_REVERSALS = (
    "An effect “reverses” if it is above zero at some levels of other factors and below at "
    "others, both by t-tests adjusted for all such levels (Bonferroni) and for all pairs of "
    "levels on a response (Holm), as the intervals given for it are; its average over them "
    "says little."
)
RULE_OF_SIGNS = (
    "The direction of a difference is settled if its simultaneous 95 % interval, which is the "
    "one given here, excludes zero. It holds for all planned main effects on all responses "
    "together (Šidák's adjustment of Student-t, for differences that are about normal): in 19 "
    "of 20 studies no interval misses the true value. The table of effects has the narrower "
    "intervals of each effect alone."
)
RULE_OF_RATES = (
    "Ratios of largest learning rates are a family of their own, with intervals that are "
    "normal on a log scale."
)
RULE_OF_AVERAGES = (
    "Differences and claims of {} are of interquartile means, the mean of the middle half of "
    "a cell's runs, with Yuen's t intervals: the study declares this because some of its runs "
    "crash. Where that was declared after the first run, it is exploratory. Shares are of "
    "means; the table of effects in detail has the other average beside each difference."
)


def rule(study: Declared, tables: Tables) -> str:
    """Return the rule by which the answers' sentences follow from their numbers."""
    found = [RULE_OF_SIGNS] if len(study.varied) == 1 else [RULE_OF_SHARES, RULE_OF_SIGNS]
    if len(tables.reversals):
        found.append(RULE_OF_REVERSALS)
    if len(tables.max_lr_ratios):
        found.append(RULE_OF_RATES)
    if study.iqm:
        labels = [f"“{what.label}”" for what in described(study.iqm).values()]
        found.append(RULE_OF_AVERAGES.format(listed(labels)))
    if tables.looks.several:
        found.append(rule_of_looks(study))
    return " ".join(found)


def leader(shares: Sequence[Any], some_settled: bool) -> tuple[str, bool]:
    """Return which factor explains most, and whether the tests settle it.

    Args:
        shares: Rows of a response, the largest share first.
        some_settled: Whether an effect is settled, though no factor be told as a whole.
    """
    first, *others = shares
    if first.n == 0:
        return "No share: too many runs are missing.", False
    if first.n == 1:
        return "Not settled: one seed has no interval.", False
    if all(math.isnan(share.p) for share in shares):
        return "Cannot tell: the differences are the same for every seed.", False
    told = [share for share in shares if share.p_adjusted < ALPHA]
    if not told:
        which = "Which factor explains most is not settled."
        return which if some_settled else "Nothing here can be told from noise.", False
    rivals = [one for one in others if not one.p_behind < ALPHA]
    if first in told and not rivals:
        return f"{short(first.factor)} explains most.", True
    possible = [short(one.factor) for one in shares if one in [first, *told, *rivals]]
    return f"Not settled: {listed(possible, 'or')}.", False


def directions(settled: int, n: int) -> str:
    """Return how many of n differences have a settled direction."""
    if n == 1:
        return "The direction is settled." if settled else "The direction is not settled."
    return f"The direction of {settled} of {n} differences is settled."


def reversed_effects(
    study: Declared, what: Metric, turning: Mapping[str, Any], largest: str | None
) -> str:
    """Return which effects have no direction of their own, one of them with its cells.

    Args:
        largest: The factor that explains most, which is named before others; None if open.
    """
    if not turning:
        return ""
    named = largest if largest and largest in turning else next(iter(turning))
    one = turning[named]
    above, below = (
        f"{what.show(end.estimate, difference=True)} with "
        f"{named_levels(end.given, study.varied)}"
        for end in ends_of(one)
    )
    whose = "Its effect" if named == largest else f"The effect of {short(named)}"
    text = f" {whose} reverses: {compared(one)} is {above} and {below}."
    others = [short(factor) for factor in turning if factor != named]
    if others:
        text += f" So {'does that' if len(others) == 1 else 'do those'} of {listed(others)}."
    return text


def ends_of(turning: Any) -> Iterator[SimpleNamespace]:
    """Yield the two ends of an effect that reverses, as rows of their own."""
    for side in SIDES:
        estimate, low, high, given = (
            getattr(turning, name + side) for name in ("", "low_", "high_", "given_")
        )
        yield SimpleNamespace(estimate=estimate, ci_low=low, ci_high=high, given=given)


def limit(study: Declared, tables: Tables, response: str) -> str:
    """Return why all cells are alike in an accuracy, or nothing."""
    if not is_accuracy(response):
        return ""
    array = response_array(tables.runs, study.factors, study.seeds, response)
    if at_chance(array, tables.chance).all():
        return "in every cell most networks are no better than guessing"
    return "in every cell most networks get all images right" if at_ceiling(array).all() else ""


def guessing(study: Declared, tables: Tables) -> str:
    """Return how many networks are at chance where it is most of a cell's, and which."""
    array = response_array(tables.runs, study.factors, study.seeds, tables.accuracy)
    cells = at_chance(array, tables.chance)
    if not cells.any() or cells.all():
        return ""
    which = guesses(array, tables.chance)
    every = [
        (axis, f"{short(key)} {level}", at)
        for axis, (key, levels) in enumerate(study.factors.items())
        if len(levels) > 1
        for at, level in enumerate(levels)
    ]
    # Of all that guess at one level alone it is said; else at which levels most do.
    only = [name for axis, name, at in every if not np.delete(which, at, axis + 1).any()]
    most = [name for axis, name, at in every if cells.take(at, axis).all()]
    place = f", all of them with {listed(only)}" if only else ""
    if most and not only:
        place = f", including most of those with {listed(most)}"
    n, n_all = int(which.sum()), int((~np.isnan(array)).sum())
    by = described([tables.accuracy])[tables.accuracy].label
    return f"{n} of {n_all} networks are no better than guessing in {by}{place}."


def all_diverged(study: Declared, tables: Tables) -> str:
    """Return where no run ended with a finite loss; nothing if there is no such cell."""
    cells = tables.cells[tables.cells["response"] == tables.cells["response"].iloc[0]]
    lost = cells[cells["divergence_rate"] == 1]
    if lost.empty or not study.varied:
        return ""
    at = lost[study.varied]
    for key in study.varied:  # a factor whose every level is among them need not be named
        others = at.drop(columns=key).drop_duplicates()
        if len(others.columns) and len(at) == len(others) * len(study.factors[key]):
            at = others
    return f" All runs with {places(at.to_dict('records'))} diverged."


def diverging(tables: Tables) -> str:
    """Return at which levels runs diverge more often, as far as that is told from chance."""
    told = tables.divergence[tables.divergence["p_adjusted"] < ALPHA]
    found = []
    for one in each(told.sort_values("p_adjusted", kind="stable")):
        a = (one.level_a, f"{one.diverged_a} of {one.ended_a}")
        b = (one.level_b, f"{one.diverged_b} of {one.ended_b}")
        more_in_a = one.diverged_a * one.ended_b > one.diverged_b * one.ended_a
        (more, its), (less, others) = (a, b) if more_in_a else (b, a)
        found.append(f"{short(one.factor)} {more} than {less} ({its} and {others})")
    if not found:
        return ""
    rest = (
        f"; {len(found) - MOST_PAIRS} more in tables/divergence.csv"
        if found[MOST_PAIRS:]
        else ""
    )
    return (
        f" Runs diverge more often with {'; with '.join(found[:MOST_PAIRS])}{rest}. Exact sign "
        "tests over the seeds at 5 %, adjusted for all pairs of levels (Holm)."
    )


def levels_of(given: str, varied: Sequence[str]) -> tuple[str, ...]:
    """Return the levels of the other factors, less those that have only one."""
    levels = of_text(given).items()
    return tuple(f"{short(key)} {level}" for key, level in levels if key in varied)


def named_levels(given: str, varied: Sequence[str]) -> str:
    """Return these levels as one text."""
    return ", ".join(levels_of(given, varied))


def compared(main: Any) -> str:
    """Return the levels of a contrast as a difference."""
    return f"{main.level_a} \N{MINUS SIGN} {main.level_b}"
