"""Seeds that a study adds by itself: the rule in words, and which seeds come next."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

from bnexp.config.until import UNTIL, Until
from bnexp.errors import UsageError
from bnexp.metrics import describe
from bnexp.study.design import Design


def fitting(
    until: Until, responses: Sequence[str], varied: Sequence[str], n_seeds: int
) -> Until:
    """Return a rule that fits a study, its response and factor named as the tables do.

    Args:
        varied: The factors that have more than one level.
        n_seeds: With how many seeds it starts.

    Raises:
        UsageError: If it speaks of what the study does not have.
    """
    response = until.response or responses[0]
    if response not in responses:
        raise UsageError(
            f"{UNTIL}.response={response}: the study's responses are {', '.join(responses)}"
        )
    if not varied:
        raise UsageError(f"{UNTIL} compares levels, and no factor has two of them")
    pairs = {
        name: ":".join(pair)
        for pair in itertools.combinations(varied, 2)
        for name in (":".join(pair), ":".join(reversed(pair)))
    }
    factor = pairs.get(until.factor or "", until.factor)
    if factor is not None and factor not in (*varied, *pairs):
        named = [*varied, *dict.fromkeys(pairs.values())]
        raise UsageError(f"{UNTIL}.factor={factor}: the study varies {', '.join(named)}")
    if until.most < n_seeds:
        raise UsageError(
            f"{UNTIL}.most={until.most}: the study starts with {n_seeds} seeds; name more, or "
            "fewer to start with, for example seed='range(3)'"
        )
    what = describe(response)
    if until.within is not None and not what.holds(until.within, difference=True):
        raise UsageError(
            f"{UNTIL}.within={until.within:g}: {response} lies between {what.low:g} and "
            f"{what.high:g}"
        )
    return until.model_copy(update={"response": response, "factor": factor})


def in_words(until: Until) -> str:
    """Return when no more seeds are added, as the end of a sentence with "until"."""
    assert until.response is not None
    what = describe(until.response)
    factor = until.factor or ""
    of = f" of {factor}" if factor else ""
    effects = f"{'interaction' if ':' in factor else 'main effect'}{of} on {what.label}"
    if until.within is None:
        return f"the direction of each {effects} is settled"
    within = what.show(until.within, difference=True).lstrip("+")
    within += f" {what.unit_difference}" if what.unit_difference else ""
    if until.kind == "half_width":
        return f"the interval of each {effects} reaches at most {within} either way"
    return f"each {effects} is known to lie inside or outside of plus or minus {within}"


def with_more(design: Design, n_seeds: int) -> Design:
    """Return a design with the next seeds from 0 on, up to so many of them."""
    seeds = list(design.study.seeds)
    others = (seed for seed in itertools.count() if seed not in design.study.seeds)
    seeds += itertools.islice(others, max(n_seeds - len(seeds), 0))
    return replace(design, study=replace(design.study, seeds=tuple(seeds)))


def next_look(until: Until, n_first: int, n_held: int) -> int:
    """Return at how many seeds, of which a folder holds some, results are looked at next.

    That is after whole steps: a command that was stopped between two looks goes on to the
    second.
    """
    steps = -(-max(n_held - n_first, 0) // until.step)
    return max(min(n_first + steps * until.step, until.most), n_held)
