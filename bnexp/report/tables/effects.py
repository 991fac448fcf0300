"""The tables of comparisons: the effects at a glance, and all that is known of each."""

from collections import defaultdict
from typing import Any

import pandas as pd

from bnexp.metrics.metric import Metric
from bnexp.plots import contrast_name
from bnexp.report import links
from bnexp.report.numbers import (
    chance,
    column,
    each,
    ends,
    interval,
    listed,
    p_value,
    percent,
    shown,
)
from bnexp.report.tables.text import (
    MOST_ROWS,
    Hinted,
    TableText,
    cut,
    described,
    filled,
    missing,
    silent,
)
from bnexp.stats.tables import Tables
from bnexp.store.study_file import Declared

SEED_SD = Hinted(
    "seed SD", "standard deviation of the difference over the seeds, the noise floor"
)
DETECTS = Hinted(
    "detects", "the smallest effect that is found at this noise and n, with 80 % power at 5 %"
)
TOGETHER = Hinted(
    "together [95\N{NO-BREAK SPACE}%]",
    "interval that holds together with those of all comparisons of a response in this table, "
    "planned and exploratory ones apart (Šidák); the other is of one comparison alone",
)
BCA = Hinted(
    "BCa [95\N{NO-BREAK SPACE}%]",
    "bootstrap interval (bias-corrected, accelerated), from 20 seeds on; where it disagrees "
    "with the t interval, the differences are not normal",
)
BETTER = Hinted(
    "better, % [95\N{NO-BREAK SPACE}%]",
    "in how many seeds the first level is the better one, a tie counting half, with the "
    "Wilson interval",
)
RANKED = Hinted(
    "ranked, % [95\N{NO-BREAK SPACE}%]",
    "the same where runs diverged, which are worse than any number",
)
P_RANKED = Hinted("p ranked", "sign test of that")
P_T = Hinted("p t", "of the t test, which belongs to the interval")
P_FLIP = Hinted("p sign-flip", "assumes no distribution, and cannot fall below 2/2^n")
P_ADJUSTED = Hinted("p adjusted", "Holm's on it, over this table's comparisons of a response")


def effects_table(
    study: Declared, tables: Tables, effects: pd.DataFrame, *, shares: bool = True
) -> TableText:
    """Return main effects and interactions, a column for each response.

    Args:
        shares: Whether the factors' shares follow; with one factor its share is all there is.
    """
    responses = described(tables.responses)
    header = ["comparison", "kind", "missing"]
    for what in responses.values():
        header += [column(what, True), SEED_SD, DETECTS]
    rows = []
    found: dict[tuple[str, str, str, str], dict[str, Any]] = defaultdict(dict)
    for one in each(effects):
        found[one.kind, one.factor, one.level_a, one.level_b][one.response] = one
    turns: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for one in each(tables.reversals):
        turns[one.factor, one.level_a, one.level_b].append(one.response)
    for (kind, factor, a, b), by_response in found.items():
        fewest, most = (f(by_response.values(), key=lambda one: one.n) for f in (min, max))
        n = str(most.n) if fewest.n == most.n else f"{fewest.n}\N{EN DASH}{most.n}"
        lost = _missing(fewest)
        turning = [responses[name].label for name in turns.get((factor, a, b), ())]
        told = f"{kind}, reverses: {listed(turning)}" if turning and kind == "main" else kind
        row = [contrast_name(factor, a, b), told, lost]
        for name, what in responses.items():
            one = by_response[name]
            row.append(interval(what, one, difference=True))
            row += [shown(what, one.sd), shown(what, one.mde)]
        only = links.of_contrast(study.factors, factor, a, b, "")
        rows.append([*row, links.to_runs(n, only)])
    several = shares and tables.shares["factor"].nunique() > 1
    of_factors = tables.shares.iloc[: None if several else 0]
    for share, group in of_factors.groupby("factor", sort=False):
        row = [f"{share}: share of the differences between cells", "share", ""]
        for one in each(group):
            row += [percent(one), "", ""]
        rows.append([*row, links.to_runs(str(group["n"].min()), {})])
    header, rows = filled([*header, "n"], rows)
    return TableText(
        "effects",
        "What each factor changes",
        "Difference of two levels within each seed, averaged over the levels of all other "
        "factors; its mean over the seeds and the 95 % Student-t interval of one effect alone. "
        "An interaction is the "
        "difference of two such differences, not halved. The share is the part of the sum of "
        "squares between cells that a factor accounts for, an interaction counting equally "
        "for its factors (Shapley value), without what noise adds to it; its interval is "
        "Fieller's, for seeds whose differences are about normal.",
        header,
        rows,
        _noise(responses, effects),
    )


def _noise(responses: dict[str, Metric], effects: pd.DataFrame) -> str:
    """Return the noise floor of each response over all its effects, as one sentence."""
    parts = []
    for name, what in responses.items():
        here = effects[effects["response"] == name]
        if here["sd"].notna().any():
            sd, mde = (ends(what, here[key].min(), here[key].max()) for key in ("sd", "mde"))
            parts.append(f"{what.label}: SD {sd}, detects {mde} {what.unit_difference}")
    if not parts:
        return ""
    return (
        "Noise floor, the SD of these differences over the seeds, and the smallest effect that "
        f"n seeds detect in it (80 % power at 5 %): {'; '.join(map(str.strip, parts))}."
    )


def comparisons_table(study: Declared, tables: Tables, *, simple: bool) -> TableText:
    """Return all that is known of each effect, or of each simple effect."""
    contrasts = tables.contrasts[(tables.contrasts["kind"] == "simple") == simple]
    responses = described(tables.responses)
    rows = []
    for one in each(contrasts):
        what = responses[one.response]
        only = links.of_contrast(study.factors, one.factor, one.level_a, one.level_b, one.given)
        # An interaction has no better side; without diverged runs ranks say the same again.
        has_side, lost = one.kind != "interaction", one.n_diverged > 0
        better = (one.improvement, one.improvement_low, one.improvement_high)
        ranked = (one.ranked, one.ranked_low, one.ranked_high)
        rows.append(
            [
                contrast_name(one.factor, one.level_a, one.level_b),
                one.given,
                column(what, True),
                interval(what, one, difference=True),
                links.to_runs(str(one.n), only),
                _missing(one),
                ends(what, one.sim_low, one.sim_high, difference=True),
                ends(what, one.bca_low, one.bca_high, difference=True),
                shown(what, one.sd),
                shown(what, one.mde),
                chance(*better) if has_side else "",
                chance(*ranked) if lost else "",
                p_value(one.p_ranked) if lost else "",
                p_value(one.p_t),
                p_value(one.p),
                p_value(one.p_adjusted),
            ]
        )
    header, texts = filled(
        [
            *("comparison", "given", "response", "difference [95 %]", "n", "missing"),
            *(TOGETHER, BCA),
            *(SEED_SD, DETECTS, BETTER, RANKED, P_RANKED, P_T, P_FLIP, P_ADJUSTED),
        ],
        rows,
    )
    name, title, note = (
        ("simple", "Simple effects", "The same differences at fixed levels of other factors.")
        if simple
        else ("details", "Effects in detail", "A row for each effect on each response.")
    )
    return TableText(name, title, note + cut(rows, "contrasts"), header, texts[:MOST_ROWS])


def _missing(contrast: Any) -> str:
    """Return which seeds a comparison lacks, and why."""
    return missing(contrast.n_diverged, contrast.n_untrained, silent(contrast))
