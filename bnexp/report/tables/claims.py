"""The table of claims: what would have supported each, and what came out."""

import math
from typing import Any

from bnexp.metrics.metric import Metric
from bnexp.plural import counted
from bnexp.report import links
from bnexp.report.numbers import Marked, bracketed, column, each, interval, shown
from bnexp.report.tables.text import TableText, filled, named
from bnexp.stats import REGIONS, RULE
from bnexp.stats.estimate import CONFIDENCE
from bnexp.stats.looks import Looks
from bnexp.stats.tables import Tables
from bnexp.store.declared import Declared

AT_ANY_LOOK = (
    "Here it is that of an anytime-valid t-test, in the place of Student-t: seeds were added "
    "after looking."
)
ENDLESS = 1e20  # a claim that something is below it says that it is finite
VERDICTS = ("supported", "refuted", "inconclusive")


def verdict(found: Any) -> str:
    """Return a claim's verdict; one that was declared after the first run says so."""
    if found.declared == "exploratory":
        return f"{found.verdict} (exploratory)"
    return Marked(found.verdict, found.verdict)


def claimed(found: Any) -> str:
    """Return what is claimed, and why it cannot be told where that is so."""
    known = isinstance(found.reason, str) and found.reason  # a file has NaN for an empty text
    return f"{found.claim} (cannot tell: {found.reason})" if known else str(found.claim)


def claims_table(study: Declared, tables: Tables) -> TableText:
    """Return the verdicts with our numbers beside the sources'."""
    rows = []
    for claim, found in zip(study.claims, each(tables.claims), strict=True):
        what = named(tables, claim.response)
        rows.append(
            [
                verdict(found),
                claimed(found),
                found.source,
                column(what, claim.is_difference),
                shown(what, found.reported, difference=claim.is_difference),
                found.verdict_run,
                _region(
                    what, found.region_low, found.region_high, difference=claim.is_difference
                ),
                _judged(what, found, tables.looks, difference=claim.is_difference),
                links.to_runs(str(found.n), links.of_claim(claim)),
            ]
        )
    columns = ("verdict", "claim", "source", "measured", "reported", "as one run")
    header, rows = filled([*columns, "would support it", "ours [95 %]", "n"], rows)
    regions = "; ".join(REGIONS[kind] for kind in dict.fromkeys(tables.claims["kind"]))
    rule = f"{RULE} {AT_ANY_LOOK}" if tables.looks.several else RULE
    return TableText(
        "claims",
        "What the sources claimed",
        f"{rule} {regions[:1].upper()}{regions[1:]}.",
        header,
        rows,
    )


def tally(tables: Tables) -> str:
    """Return how many claims got which verdict, as one sentence."""
    counts = tables.claims["verdict"].value_counts()
    parts = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts]
    n = len(tables.claims)
    return f"Of {counted(n, 'claim')} of the sources: {', '.join(parts)}."


def _region(what: Metric, low: float, high: float, *, difference: bool) -> str:
    """Return the range that the deciding interval must lie in to support a claim."""
    if math.isinf(low) and ENDLESS <= high < math.inf:
        return "finite"
    if math.isinf(high):
        return f"above {_end(what, low, difference=difference)}"
    if math.isinf(low):
        return f"below {_end(what, high, difference=difference)}"
    return " to ".join(_end(what, end, difference=difference) for end in (low, high))


def _end(what: Metric, value: float, *, difference: bool) -> str:
    return "0" if value == 0 else what.show(value, difference=difference)


def _judged(what: Metric, found: Any, looks: Looks, *, difference: bool) -> str:
    """Return our estimate with its 95 % interval, and the one that decides if another."""
    text = interval(what, found, difference=difference)
    alone = found.confidence == CONFIDENCE and not looks.several
    if alone or math.isnan(found.judged_low) or found.judged_low == -math.inf:
        return text
    judged = bracketed(what, found.judged_low, found.judged_high, difference)
    level = f"{100 * found.confidence:.4g}\N{NO-BREAK SPACE}%"
    return f"{text}; {level}{' at any look' * looks.several} {judged}"
