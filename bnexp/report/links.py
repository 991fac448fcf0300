"""From a number to the runs that it comes from."""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote, urlencode

from bnexp.config.study import AnyClaim, EquivalenceClaim, InteractionClaim, ThresholdClaim
from bnexp.store.given import joined

Factors = Mapping[str, Sequence[str]]
# What is asked of the table of runs: each column holds one of these levels.
Only = Mapping[str, Sequence[str]]


class Linked(str):
    """A text that leads somewhere on the HTML page; everywhere else it is just the text."""

    href: str

    def __new__(cls, text: str, href: str) -> "Linked":
        linked = super().__new__(cls, text)
        linked.href = href
        return linked


def to_runs(text: str, only: Only | None) -> str:
    """Return a text that leads to the rows of the runs that have certain levels."""
    if only is None:
        return text
    query = urlencode([(key, level) for key, levels in only.items() for level in levels])
    return Linked(text, f"#runs?{query}" if query else "#runs")


def to_run(run_id: str) -> Linked:
    """Return a run's id that leads to its view on the page."""
    return Linked(run_id, f"#run={quote(run_id)}")


def of_contrast(factors: Factors, factor: str, a: str, b: str, given: str) -> Only | None:
    """Return the levels of the runs behind a row of contrasts, None if it names others."""
    fixed = _given(factors, given)
    if fixed is None:
        return None
    if factor in factors:
        return {factor: [a, b], **fixed}
    for one in factors:
        for two in factors:
            if factor == f"{one}:{two}":
                halves = [_halves(factors[one], factors[two], text) for text in (a, b)]
                if None in halves:
                    return None
                (a1, a2), (b1, b2) = (half for half in halves if half)
                return {one: [a1, b1], two: [a2, b2], **fixed}
    return None


def of_claim(claim: AnyClaim) -> Only:
    """Return the levels of the runs that judge a claim."""
    fixed = getattr(claim, "cell", None) or getattr(claim, "given", {})
    compared = {}
    if claim.kind == "difference":
        compared = {claim.factor: [claim.higher, claim.lower]}
    elif isinstance(claim, EquivalenceClaim | InteractionClaim | ThresholdClaim):
        levels = [level for level in (claim.level_a, claim.level_b) if level]
        compared = {claim.factor: levels} if claim.factor else {}
    return {**compared, **{key: [level] for key, level in fixed.items()}}


def _given(factors: Factors, text: str) -> dict[str, list[str]] | None:
    """Read `key=level, key=level`; a level may itself hold commas and equals signs."""
    if not text:
        return {}
    for head, key, level in _assignments(factors):
        if text == head:
            return {key: [level]}
        if text.startswith(f"{head}, "):
            rest = _given(factors, text.removeprefix(f"{head}, "))
            if rest is not None:
                return {key: [level], **rest}
    return None


def _assignments(factors: Factors) -> Iterator[tuple[str, str, str]]:
    for key, levels in factors.items():
        for level in levels:
            yield f"{key}={level}", key, level


def _halves(one: Sequence[str], two: Sequence[str], text: str) -> tuple[str, str] | None:
    """Return the two levels of a text, None if the factors have no such levels."""
    return next(((x, y) for x in one for y in two if text == joined(x, y)), None)
