"""Different studies that vary the same factors: their effects in the same rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bnexp.metrics.metric import Metric
from bnexp.plots import contrast_name, short
from bnexp.report import links
from bnexp.report.analysis import Analysis
from bnexp.report.forest import Estimate, Forest, forest
from bnexp.report.numbers import each, interval, listed
from bnexp.report.tables.text import TableText, described
from bnexp.report.verdict import in_words, verdict
from bnexp.stats import agreement

KEYS = ["factor", "level_a", "level_b", "response"]
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class LinedUp:
    """Main effects of factors that several studies vary, side by side.

    Attributes:
        factors: Those that at least two of the studies vary.
    """

    factors: list[str]
    notes: list[str]
    forests: list[Forest]
    table: TableText


def line_up(lettered: Mapping[str, Analysis]) -> LinedUp | None:
    """Return what different studies say of the factors that they share, None if of none.

    Two studies are also judged: whether they agree within the noise floor.
    """
    varied = [one.study.varied for one in lettered.values()]
    factors = [
        key
        for key in dict.fromkeys(key for keys in varied for key in keys)
        if sum(key in keys for keys in varied) > 1
    ]
    mains = {letter: _mains(one, factors) for letter, one in lettered.items()}
    mains = _turned(mains)
    found: dict[Key, dict[str, Any]] = {}
    for factor in factors:  # a factor's rows stand together, whoever has them
        for letter, table in mains.items():
            for one in each(table[table["factor"] == factor]):
                key = (one.factor, one.level_a, one.level_b, one.response)
                found.setdefault(key, {})[letter] = one
    if not found:
        return None
    responses: dict[str, Metric] = {}
    for analysis in lettered.values():
        responses |= described(analysis.tables.responses)
    judged = _judged(mains, responses)
    letters = list(lettered)
    forests = [
        forest(what, letters, rows)
        for name, what in responses.items()
        if (rows := list(_rows(found, name, judged))) and len(_letters(rows)) > 1
    ]
    return LinedUp(
        factors, _notes(lettered, factors), forests, _table(lettered, found, responses, judged)
    )


def _mains(analysis: Analysis, factors: Sequence[str]) -> pd.DataFrame:
    contrasts = analysis.tables.contrasts
    return contrasts[(contrasts["kind"] == "main") & contrasts["factor"].isin(factors)]


def _turned(mains: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the effects, those turned round that an earlier study has the other way."""
    seen: set[Key] = set()
    found = {}
    for letter, table in mains.items():
        keys = list(table[KEYS].itertuples(index=False, name=None))
        around = [(f, b, a, response) in seen for f, a, b, response in keys]
        turned = table.copy()
        turned.loc[around, ["level_a", "level_b"]] = table.loc[
            around, ["level_b", "level_a"]
        ].to_numpy()
        for key, source in (
            ("estimate", "estimate"), ("ci_low", "ci_high"), ("ci_high", "ci_low"),
            ("sim_low", "sim_high"), ("sim_high", "sim_low"),
        ):  # fmt: skip
            turned.loc[around, key] = -table.loc[around, source]
        found[letter] = turned
        seen |= set(turned[KEYS].itertuples(index=False, name=None))
    return found


def _judged(
    mains: Mapping[str, pd.DataFrame], responses: Mapping[str, Metric]
) -> dict[Key, tuple[str, str]]:
    """Return verdicts and their words, of two studies; of more there are none."""
    if len(mains) != 2:
        return {}
    (a, first), (b, second) = mains.items()
    both = agreement.differences(first, second, KEYS, {})
    return {
        (one.factor, one.level_a, one.level_b, one.response): (
            verdict(one),
            in_words(responses[one.response], one, a, b),
        )
        for one in each(both)
    }


def _rows(
    found: Mapping[Key, Mapping[str, Any]],
    response: str,
    judged: Mapping[Key, tuple[str, str]],
) -> Iterator[tuple[str, dict[str, Estimate], str, str]]:
    for key, of in found.items():
        if key[3] == response:
            estimates = {
                letter: Estimate(one.estimate, one.ci_low, one.ci_high)
                for letter, one in of.items()
            }
            yield contrast_name(*key[:3]), estimates, *judged.get(key, ("", ""))


def _letters(rows: Sequence[tuple[str, Mapping[str, Estimate], str, str]]) -> set[str]:
    """Return which studies measured something: what one alone did, the table has."""
    return {letter for _, of, *_ in rows for letter in of}


def _table(
    lettered: Mapping[str, Analysis],
    found: Mapping[Key, Mapping[str, Any]],
    responses: Mapping[str, Metric],
    judged: Mapping[Key, tuple[str, str]],
) -> TableText:
    rows = []
    for key, of in found.items():
        what = responses[key[3]]
        texts = [
            links.to_runs(
                interval(what, of[letter], difference=True),
                links.of_contrast(analysis.study.factors, *key[:3], ""),
            )
            if letter in of
            else ""
            for letter, analysis in lettered.items()
        ]
        says, _ = judged.get(key, ("", ""))
        rows.append([contrast_name(*key[:3]), what.label, what.unit_difference, *texts, says])
    header = ["comparison", "response", "unit", *(f"{letter} [95 %]" for letter in lettered)]
    if len(lettered) == 2:
        header.append("verdict")
    return TableText(
        "lined-up",
        "The same comparisons in each study",
        "Means over the seeds with the 95 % Student-t interval of one effect alone; nothing "
        "stands where a study does not have these levels or did not measure that."
        + " Verdicts hold together for all effects here on a response."
        * bool(judged),
        header,
        [row[: len(header)] for row in rows],
    )


def _notes(lettered: Mapping[str, Analysis], factors: Sequence[str]) -> list[str]:
    """Return over what each study averages, which is why their effects may differ."""
    found = []
    for letter, analysis in lettered.items():
        for factor in factors:
            others = [short(key) for key in analysis.study.varied if key != factor]
            if factor in analysis.study.varied and others:
                found.append(f"{letter} has {short(factor)} averaged over {listed(others)}")
    why = "An effect that depends on these, or on a setting that differs, differs for it."
    return [f"{'; '.join(found)}. {why}"] if found else [why]
