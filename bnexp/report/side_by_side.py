"""Two folders of the same study, side by side, and whether they agree."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bnexp.config.study import AnyClaim, EquivalenceClaim
from bnexp.metrics.metric import Metric
from bnexp.plots import contrast_name
from bnexp.report import links
from bnexp.report.analysis import Analysis
from bnexp.report.forest import Estimate, Forest, forest
from bnexp.report.numbers import each, interval
from bnexp.report.tables.replicated import claims_of_both
from bnexp.report.tables.text import MOST_ROWS, TableText, described
from bnexp.report.unlike import unlike_table
from bnexp.report.verdict import columns, in_words, sides, verdict
from bnexp.stats import agreement

RULE = (
    "{a} \N{MINUS SIGN} {b} is the difference of the two estimates, with Welch's interval for "
    "independent samples of about normal runs, which holds together with those of all other "
    "differences on a response in its table (95 %, Šidák). They differ if that excludes zero, "
    "they agree if the difference lies within a margin by two one-sided tests at 5 % (its 90 % "
    "interval inside), and else nobody can tell. The margin is {margin}. Where nothing differs "
    "in truth, one such table in 20 says of something on a response that it does; of "
    "differences as large as the margin one in 20 would be said to agree, and all of them at "
    "once no more often. Runs that both folders share make the samples alike, so that the "
    "intervals are wider than they had to be."
)
NOISE_FLOOR = "the noise floor, the SD of the same number over the seeds of both folders"


@dataclass(frozen=True)
class Pair:
    """Two folders side by side, as text.

    Attributes:
        unlike: In which settings they differ.
        claims: What both studies claim, as each of them has it.
        forests: The main effects on each response, drawn.
        brief: The main effects on the primary response, for a terminal.
    """

    title: str
    notes: list[str]
    rule: str
    unlike: TableText
    claims: TableText
    forests: list[Forest]
    tables: list[TableText]
    brief: list[list[str]]


def pair(a: str, first: Analysis, b: str, second: Analysis) -> Pair:
    """Return two folders with the same factors and levels, named by the letters a and b."""
    keys = ["kind", "factor", "level_a", "level_b", "given", "response"]
    margins = _margins(first.study.claims)
    factors = list(first.study.factors)
    runs = agreement.shared_runs(first.records, second.records)
    identical = _are_all(runs, len(first.records), len(second.records))
    contrasts, cells = (
        agreement.differences(*sides, names, margins, mean, identical=identical)
        for sides, names, mean in (
            ((first.tables.contrasts, second.tables.contrasts), keys, "estimate"),
            ((first.tables.cells, second.tables.cells), [*factors, "response"], "mean"),
        )
    )
    # Cells are of every metric; a page for readers keeps to what the study declares.
    cells = cells[cells["response"].isin(first.tables.responses)]
    simple = contrasts["kind"] == "simple"
    claims = agreement.claims(
        first.tables.claims, second.tables.claims, margins, identical=identical
    )
    found = [
        _effects(
            first,
            a,
            b,
            contrasts[~simple],
            name="effects",
            title="Main effects and interactions",
        ),
        _cells(first, a, b, cells),
        _effects(first, a, b, contrasts[simple], name="simple", title="Simple effects"),
        _shared(a, b, runs),
    ]
    notes = [
        *([f"Claims: {_tally(claims)}."] if len(claims) else []),
        f"Main effects and interactions: {_tally(contrasts[~simple])}. Cells: "
        f"{_tally(cells)}. Simple effects: {_tally(contrasts[simple])}.",
        _identical(runs),
        *(
            f"Results of {letter} were looked at while seeds were added; the intervals here "
            "are those of a single look."
            for letter, one in ((a, first), (b, second))
            if one.tables.looks.several
        ),
    ]
    mains = contrasts[contrasts["kind"] == "main"]
    primary = mains[mains["response"] == mains["response"].iloc[0]] if len(mains) else mains
    shown = _effects(first, a, b, primary, name="main", title="Main effects")
    brief = [row[:6] for row in [shown.header, *shown.rows]]
    rule = RULE.format(a=a, b=b, margin=_margin(margins))
    names = [one.study.name for one in (first, second)]
    title = f"{a} ({names[0]}) against {b} ({names[1]})"
    return Pair(
        title,
        notes,
        rule,
        unlike_table(a, first.study.base, b, second.study.base),
        claims_of_both(first.study, first.tables, a, b, claims),
        _forests(first, a, b, mains),
        [table for table in found if table.rows],
        brief,
    )


def _forests(analysis: Analysis, a: str, b: str, mains: pd.DataFrame) -> list[Forest]:
    """Return the main effects as both folders have them, a plot for each response."""
    return [
        forest(what, [a, b], rows)
        for name, what in described(analysis.tables.responses).items()
        if (rows := [_drawn(what, one, a, b) for one in each(mains) if one.response == name])
    ]


def _drawn(what: Metric, one: Any, a: str, b: str) -> tuple[str, dict[str, Estimate], str, str]:
    here, there, _ = sides(one, "estimate")
    name = contrast_name(one.factor, one.level_a, one.level_b)
    return name, {a: here, b: there}, verdict(one), in_words(what, one, a, b)


def _effects(
    analysis: Analysis, a: str, b: str, contrasts: pd.DataFrame, *, name: str, title: str
) -> TableText:
    responses = described(analysis.tables.responses)
    rows = []
    conditional = bool((contrasts["given"] != "").any())
    for one in each(contrasts):
        what = responses[one.response]
        factors = analysis.study.factors
        only = links.of_contrast(factors, one.factor, one.level_a, one.level_b, one.given)
        given = [one.given] if conditional else []
        shown = [interval(what, side, difference=True) for side in sides(one)]
        rows.append(
            [
                contrast_name(one.factor, one.level_a, one.level_b),
                *given,
                what.label,
                *shown,
                verdict(one),
                agreement.direction(one),
                links.to_runs(str(one.n_first), only),
                links.to_runs(str(one.n_second), only),
            ]
        )
    header = ["comparison", *(["given"] if conditional else []), "response", *columns(a, b)]
    note = (
        "Accuracies in percentage points. The direction is the same if both simultaneous "
        "intervals, as each folder's own page has them, lie on the same side of zero, and open "
        "where one contains it."
    )
    header += ["verdict", "direction", f"n {a}", f"n {b}"]
    return TableText(name, title, note, header, rows[:MOST_ROWS])


def _cells(analysis: Analysis, a: str, b: str, cells: pd.DataFrame) -> TableText:
    responses = described(analysis.tables.responses)
    factors = list(analysis.study.factors)
    rows = []
    for record, one in zip(cells.to_dict("records"), each(cells), strict=True):
        levels = [str(record[key]) for key in factors]
        what = responses[record["response"]]
        here, there, difference = sides(one, "mean")
        only = {key: [level] for key, level in zip(factors, levels, strict=True)}
        rows.append(
            [
                *levels,
                what.label,
                interval(what, here),
                interval(what, there),
                interval(what, difference, difference=True),
                verdict(one),
                links.to_runs(str(record["n_first"]), only),
                links.to_runs(str(record["n_second"]), only),
            ]
        )
    header = [*factors, "response", *columns(a, b), "verdict", f"n {a}", f"n {b}"]
    return TableText("cells", "Every cell", "Accuracies in %.", header, rows[:MOST_ROWS])


def _shared(a: str, b: str, runs: pd.DataFrame) -> TableText:
    rows = [
        [
            one.metric,
            str(one.n),
            str(one.n_equal),
            "one has none" if math.isinf(one.largest) else f"{one.largest:.6g}",
            one.run_id,
        ]
        for one in each(runs)
    ]
    return TableText(
        "shared",
        "Runs that both have",
        f"The same run id means the same settings and seed: {a} and {b} trained the same "
        "network. On the same hardware and versions it gives the same numbers; on others "
        "it is rounded otherwise. Times are left out.",
        ["metric", "runs", "equal", "largest difference", "in run"],
        rows,
    )


def _margins(claims: Sequence[AnyClaim]) -> dict[str, float]:
    """Return the smallest margin by response that the study calls equivalent."""
    found: dict[str, float] = {}
    for claim in claims:
        if isinstance(claim, EquivalenceClaim):
            found[claim.response] = min(claim.margin, found.get(claim.response, math.inf))
    return found


def _margin(margins: Mapping[str, float]) -> str:
    """Return what the margin is, for each response that has its own."""
    own = []
    for name, margin in margins.items():
        what = described([name])[name]
        size = what.show(margin, difference=True).lstrip("+")
        own.append(" ".join(filter(None, [size, what.unit_difference, "of", what.label])))
    return " and ".join([*own, f"of all else {NOISE_FLOOR}" if own else NOISE_FLOOR])


def _tally(frame: pd.DataFrame) -> str:
    answers = [agreement.agree(row) for row in each(frame)]
    words = {"agree": "agree", "differ": "differ", "cannot tell": "cannot be told"}
    counts = [(answers.count(kind), told) for kind, told in words.items()]
    return ", ".join(f"{n} {told}" for n, told in counts if n) or "none"


def _are_all(runs: pd.DataFrame, n_first: int, n_second: int) -> bool:
    """Return whether two folders hold the same runs, and nothing else."""
    return bool(len(runs) and (runs["n_equal"] == max(n_first, n_second)).all())


def _identical(runs: pd.DataFrame) -> str:
    if not len(runs):
        return "They share no run."
    n = int(runs["n"].iloc[0])
    if (runs["n_equal"] == n).all():
        return f"They share {n} runs, with identical metrics."
    apart = ", ".join(runs.loc[runs["n_equal"] < n, "metric"])
    return f"They share {n} runs; these metrics differ: {apart}."
