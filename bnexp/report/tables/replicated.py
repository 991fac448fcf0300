"""The table of what two studies claim alike: whether one has replicated the other."""

import pandas as pd

from bnexp.report.numbers import column, each, interval
from bnexp.report.tables.text import TableText, named
from bnexp.report.verdict import columns, sides, verdict
from bnexp.stats.tables import Tables
from bnexp.store.declared import Declared


def claims_of_both(
    study: Declared, tables: Tables, a: str, b: str, claims: pd.DataFrame
) -> TableText:
    """Return a row for each claim of `agreement.claims`, of folders named by two letters."""
    compares = {claim.claim: claim.is_difference for claim in study.claims}
    rows = []
    for one in each(claims):
        what, difference = named(tables, one.response), compares[one.claim]
        here, there, between = sides(one)
        rows.append(
            [
                verdict(one),
                one.claim,
                column(what, difference),
                one.verdict_first,
                one.verdict_second,
                *(interval(what, side, difference=difference) for side in (here, there)),
                interval(what, between, difference=True),
                f"{one.n_first}, {one.n_second}",
            ]
        )
    return TableText(
        "claims",
        "What the sources claimed, in both",
        "Whether the two agree is asked of the number that a claim speaks of, as of any other; "
        "what each of them says of the claim itself stands beside it.",
        ["replicated", "claim", "measured", a, b, *columns(a, b), "n"],
        rows,
    )
