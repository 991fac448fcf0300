"""The tables of comparisons: the effects at a glance, and all that is known of each."""

import math
from collections import defaultdict
from types import SimpleNamespace
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
    pure,
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
from bnexp.stats.contrasts import COLUMNS
from bnexp.stats.one_contrast import IQM, MEAN
from bnexp.stats.tables import Tables
from bnexp.store.declared import Declared


def _explained(head: str, column: str) -> Hinted:
    """Return a column's head with what `contrasts.csv` says of its numbers."""
    words = COLUMNS[column].words.rstrip(".")
    return Hinted(head, f"{words[0].lower()}{words[1:]}")


SEED_SD = _explained("seed SD", "sd")
DETECTS = _explained("detects", "mde")
OTHER_AVERAGE = Hinted(
    "other average [95\N{NO-BREAK SPACE}%]",
    "the same of interquartile means, which runs that crash do not move, where the difference "
    "is of means, and of means where it is of those; Yuen's t interval and Student's",
)
EFFECT_SIZE = Hinted(
    "effect size [95\N{NO-BREAK SPACE}%]",
    "d_z, the difference in SDs of it over the seeds, corrected for few of them (Hedges), with "
    "the interval of the noncentral t",
)
CORRELATION = Hinted(
    "correlation [95\N{NO-BREAK SPACE}%]",
    "of the two sides over the seeds; above zero, pairing by seed took noise away",
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
    "P(A > B): in how many seeds the first level is the better one, a tie counting half, with "
    "the exact binomial interval",
)
MEANINGFUL = _explained("better in 3 of 4", "meaningful")
RANKED = Hinted(
    "ranked, % [95\N{NO-BREAK SPACE}%]",
    "the same where runs diverged, which are worse than any number",
)
P_RANKED = Hinted("p ranked", "sign test of that")
P_T = _explained("p t", "p_t")
P_FLIP = Hinted("p sign-flip", "assumes no distribution, and cannot fall below 2/2^n")
P_ADJUSTED = Hinted("p adjusted", "Holm's on it, over this table's comparisons of a response")


def effects_table(study: Declared, tables: Tables, effects: pd.DataFrame) -> TableText:
    """Return main effects and interactions, a column for each response."""
    responses = described(tables.responses)
    header = ["comparison", "kind", "missing"]
    for name, what in responses.items():
        header += [_compared(what, IQM if name in study.iqm else MEAN), SEED_SD, DETECTS]
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
    header, rows = filled([*header, "n"], rows)
    return TableText(
        "effects",
        "What each factor changes",
        "Difference of two levels within each seed, averaged over the levels of all other "
        "factors; its mean over the seeds and the 95 % Student-t interval of one effect alone. "
        "An interaction is the difference of two such differences, not halved."
        + _pairing(effects),
        header,
        rows,
        _noise(responses, effects),
    )


def shares_table(tables: Tables) -> TableText:
    """Return the share of each factor, a column for each response; one alone has them all."""
    found = tables.shares
    rows = [
        [str(factor), *map(percent, each(group)), str(group["n"].min())]
        for factor, group in found.groupby("factor", sort=False)
        if found["factor"].nunique() > 1
    ]
    labels = [f"{what.label}, %" for what in described(tables.responses).values()]
    return TableText(
        "shares",
        "Which share of the differences each factor explains",
        "The part of the sum of squares between cells that a factor accounts for, an "
        "interaction counting equally for its factors (Shapley value), without what noise adds "
        "to it. Its 95 % interval is Fieller's, for seeds whose differences are about normal.",
        ["factor", *labels, "n"],
        rows,
    )


def _compared(what: Metric, average: str) -> str:
    """Return a response, its unit and what of it is compared, if that is not the mean."""
    return column(what, True) if average == MEAN else f"{column(what, True)}, {average}s"


def _pairing(effects: pd.DataFrame) -> str:
    """Return what pairing by seed was worth over all effects and responses, as a sentence."""
    found = effects[effects["correlation"].notna()]
    if not len(found):
        return ""
    of_all = found["correlation"]
    return (
        " Pairing by seed takes noise away where the two sides of a comparison correlate over "
        f"the seeds: these do by {of_all.min():.2f} to {of_all.max():.2f}, half of them by "
        f"{of_all.median():.2f} or more."
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
                _compared(what, one.average),
                interval(what, one, difference=True),
                links.to_runs(str(one.n), only),
                _missing(one),
                ends(what, one.sim_low, one.sim_high, difference=True),
                _beside(what, one),
                ends(what, one.bca_low, one.bca_high, difference=True),
                shown(what, one.sd),
                shown(what, one.mde),
                pure(one.effect_size, one.effect_low, one.effect_high),
                chance(*better) if has_side else "",
                "" if one.meaningful == "cannot tell" else one.meaningful,
                chance(*ranked) if lost else "",
                p_value(one.p_ranked) if lost else "",
                pure(one.correlation, one.correlation_low, one.correlation_high),
                p_value(one.p_t),
                p_value(one.p),
                p_value(one.p_adjusted),
            ]
        )
    named = ["comparison", "given", "response", "difference [95 %]", "n", "missing"]
    intervals = [TOGETHER, OTHER_AVERAGE, BCA]
    sizes = [SEED_SD, DETECTS, EFFECT_SIZE, BETTER, MEANINGFUL, RANKED, P_RANKED, CORRELATION]
    header, texts = filled([*named, *intervals, *sizes, P_T, P_FLIP, P_ADJUSTED], rows)
    name, title, note = (
        ("simple", "Simple effects", "The same differences at fixed levels of other factors.")
        if simple
        else ("details", "Effects in detail", "A row for each effect on each response.")
    )
    return TableText(name, title, note + cut(rows, "contrasts"), header, texts[:MOST_ROWS])


def _beside(what: Metric, contrast: Any) -> str:
    """Return the comparison of the average that is not the one compared; nothing if none."""
    low, high = contrast.beside_low, contrast.beside_high
    ends = SimpleNamespace(estimate=contrast.beside, ci_low=low, ci_high=high)
    return "" if math.isnan(low) else interval(what, ends, difference=True)


def _missing(contrast: Any) -> str:
    """Return which seeds a comparison lacks, and why."""
    return missing(contrast.n_diverged, contrast.n_untrained, silent(contrast))
