"""The table of claims: what would have supported each, and what came out."""

from bnexp.config.study import AnyClaim, ValueClaim
from bnexp.frames import Declared
from bnexp.records import Response
from bnexp.report import links
from bnexp.report.rows import TableText, described
from bnexp.report.show import each, interval, shown
from bnexp.report.tables import Tables

VERDICTS = ("supported", "refuted", "inconclusive")


def claims_table(study: Declared, tables: Tables) -> TableText:
    """Return the verdicts with our numbers beside the sources'."""
    rows = []
    for claim, found in zip(study.claims, each(tables.claims), strict=True):
        what = described([claim.response])[claim.response]
        difference = claim.kind != "value"
        rows.append(
            [
                found.verdict,
                found.claim,
                found.source,
                shown(what, found.reported, difference=difference),
                _claimed(what, claim),
                interval(what, found, difference=difference),
                links.to_runs(str(found.n), links.of_claim(claim)),
            ]
        )
    return TableText(
        "claims",
        "What the sources claimed",
        "A claim is supported if our 95 % interval lies wholly inside what it claims (column "
        "“supported inside”), refuted if it lies wholly outside, and inconclusive otherwise. A "
        "claimed value counts as reproduced within the tolerance that the study file states; a "
        "claimed difference claims its sign; “changes more than” compares the sizes of two "
        "main effects, and its number is the first size minus the second. The sources' numbers "
        "are single runs.",
        ["verdict", "claim", "source", "reported", "supported inside", "ours [95 %]", "n"],
        rows,
    )


def tally(tables: Tables) -> str:
    """Return how many claims got which verdict, as one sentence."""
    counts = tables.claims["verdict"].value_counts()
    parts = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts]
    n = len(tables.claims)
    return f"Of {n} claim{'s' * (n != 1)} of the sources: {', '.join(parts)}."


def _claimed(what: Response, claim: AnyClaim) -> str:
    """Return the range that our interval must lie in to support a claim."""
    if isinstance(claim, ValueClaim):
        ends = (claim.reported - claim.within, claim.reported + claim.within)
        return " to ".join(what.show(end) for end in ends)
    return "above 0"
