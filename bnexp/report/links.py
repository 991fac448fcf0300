"""From a number to the runs that it comes from."""

import itertools
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from bnexp.config.study import AnyClaim, EquivalenceClaim, InteractionClaim, ThresholdClaim
from bnexp.store.given import of_text, parted

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
    named = [(key,) for key in factors] + list(itertools.permutations(factors, 2))
    keys = next((keys for keys in named if ":".join(keys) == factor), ())
    one, other = ([text] if len(keys) == 1 else parted(text) for text in (a, b))
    if not len(keys) == len(one) == len(other):
        return None
    found = {key: [x, y] for key, x, y in zip(keys, one, other, strict=True)}
    found |= {key: [level] for key, level in of_text(given).items()}
    known = all(set(levels) <= set(factors.get(key, ())) for key, levels in found.items())
    return found if known else None


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
