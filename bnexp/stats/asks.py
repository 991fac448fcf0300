"""What answers the study's question: each quantity with its interval and its outcome."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from bnexp.config.asks import (
    AnyAsk,
    CellAsk,
    DifferenceAsk,
    DominanceAsk,
    LargestRateAsk,
    SpreadAsk,
)
from bnexp.stats.cells import Factors, response_array
from bnexp.stats.estimate import CONFIDENCE, known, paired_t, spread, standard_error
from bnexp.stats.incomplete import seed_values
from bnexp.stats.limits import untold
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.stats.quantities import cell_weights, pair_weights, size_weights
from bnexp.stats.reversals import SIDES
from bnexp.stats.testing import error_of_each, t_test_p

# Of a quantity with a sign: above zero, below it, as good as zero, or none of these; then the
# whole that is above at some levels and below at others. `found` is a number without a sign.
OUTCOMES = ("above", "below", "same", "cannot_tell", "reversal", "found")
ASK_COLUMNS = [
    *("ask", "kind", "response", "factor", "level_a", "level_b", "given"),
    *("estimate", "ci_low", "ci_high", "n", "outcome", "reason", "p", "confidence"),
    *("lowest", "highest"),
]


def answer(
    asks: Sequence[AnyAsk],
    runs: pd.DataFrame,
    factors: Factors,
    seeds: Sequence[int],
    *,
    reversals: pd.DataFrame,
    max_lr_ratios: Callable[[], pd.DataFrame],
    looks: Looks = ONE_LOOK,
) -> pd.DataFrame:
    """Return the quantities that are asked for, one a row, `ask` counting from zero.

    Those with a sign are one family: their intervals hold together in 95 % of studies
    (Šidák's level of Student-t, for about normal differences; those of ratios are widened as
    normal ones on a log scale), and an outcome follows from such an interval. A difference
    that is averaged over levels at which it is settled in both directions (`reversals`) has the
    outcome `reversal`, and both of its ends as rows.

    Columns beside those of contrasts:
        given: The levels of other factors that are fixed, or told apart.
        outcome, reason: See `OUTCOMES`; why nothing can be told, whatever the numbers are.
        confidence: Of the interval.
        lowest, highest: Of the single runs of a cell.

    Args:
        max_lr_ratios: Returns that table; called only where a largest rate is asked for.
        looks: Whether results are looked at while seeds are added. Then the intervals hold at
            any of the looks, and of ratios, whose intervals do not, nothing is told.
    """
    rows: list[dict[str, Any]] = []
    for number, ask in enumerate(asks):
        rows += (
            {"ask": number, **row} for row in _rows(ask, runs, factors, seeds, max_lr_ratios)
        )
    signed = [row for row in rows if row["outcome"] == ""]
    error = error_of_each(len(signed))
    for row in signed:
        row.update(_interval(row, error, looks))
        of_one_look = looks.several and row["kind"] == "largest_rate"
        row["outcome"] = (
            "cannot_tell"
            if of_one_look
            else _outcome(row, getattr(asks[row["ask"]], "margin", None))
        )
    return pd.DataFrame(_with_reversals(rows, asks, reversals), columns=ASK_COLUMNS)


def _rows(
    ask: AnyAsk,
    runs: pd.DataFrame,
    factors: Factors,
    seeds: Sequence[int],
    max_lr_ratios: Callable[[], pd.DataFrame],
) -> Iterator[dict[str, Any]]:
    """Yield what is known of each part; the outcome of one with a sign is open."""
    row: dict[str, Any] = {"kind": ask.kind, "response": ask.response, "reason": ""}
    if isinstance(ask, LargestRateAsk):
        yield from (row | ratio for ratio in _ratios(ask, max_lr_ratios()))
        return
    array = response_array(runs, factors, seeds, ask.response)
    if isinstance(ask, CellAsk):
        weights = cell_weights(ask.cell, factors)
        values = seed_values(array, weights)
        cells = known(array[:, weights != 0].ravel())
        of_sd = isinstance(ask, SpreadAsk)
        yield row | {
            **asdict(spread(values) if of_sd else paired_t(values)),
            "given": _given(ask.cell),
            "outcome": "found",
            "confidence": CONFIDENCE,
            "lowest": cells.min(initial=math.inf) if len(cells) else math.nan,
            "highest": cells.max(initial=-math.inf) if len(cells) else math.nan,
        }
        return
    for given in _apart(ask, factors):
        if isinstance(ask, DominanceAsk):
            larger, smaller = (
                size_weights(name, given, array, factors) for name in (ask.larger, ask.smaller)
            )
            weights, pair = larger - smaller, (ask.larger, "", ask.smaller)
        else:
            pair = (ask.factor, ask.level_a, ask.level_b)
            weights = pair_weights(pair, given, factors)
        values = seed_values(array, weights)
        reason = untold(array, weights, ask.response, compares=True)
        yield row | {
            **dict(zip(("factor", "level_a", "level_b"), pair, strict=True)),
            "given": _given(given),
            **asdict(paired_t(values)),
            "values": values,
            "p": t_test_p(values),
            "reason": reason,
            "outcome": "cannot_tell" if reason else "",
            "confidence": CONFIDENCE,
        }


def _apart(ask: AnyAsk, factors: Factors) -> Iterator[dict[str, str]]:
    """Yield what is fixed in each part of a question."""
    given = dict(getattr(ask, "given", {}))
    for levels in itertools.product(*(factors[key] for key in ask.apart)):
        yield {**given, **dict(zip(ask.apart, levels, strict=True))}


def _ratios(ask: LargestRateAsk, table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the ratios that are asked for, at all levels of the other factors apart."""
    for one in table.to_dict("records"):
        pair = (one["level_a"], one["level_b"])
        asked = (ask.level_a, ask.level_b)
        fixed = set(one["given"].split(", "))
        if (
            (one["definition"], one["factor"]) != (ask.definition, ask.factor)
            or pair not in (asked, asked[::-1])
            or not {f"{key}={level}" for key, level in ask.given.items()} <= fixed
        ):
            continue
        ends = [one["ratio"], one["ratio_low"], one["ratio_high"]]
        if pair != asked:
            with np.errstate(divide="ignore"):
                ratio, high, low = (1 / np.array(ends)).tolist()
            ends = [ratio, low, high]
        yield {
            "factor": ask.factor,
            "level_a": ask.level_a,
            "level_b": ask.level_b,
            "given": one["given"],
            **dict(zip(("estimate", "ci_low", "ci_high"), ends, strict=True)),
            "outcome": "",
            "confidence": CONFIDENCE,
        }


def _interval(row: Mapping[str, Any], error: float, looks: Looks) -> dict[str, Any]:
    """Return the interval of a part that has this error."""
    if row["kind"] != "largest_rate":
        found = known(row["values"])
        half = looks.reach(error, len(found)) * standard_error(found)
        mean = row["estimate"]
        return {"ci_low": mean - half, "ci_high": mean + half, "confidence": 1 - error}
    low, ratio, high = (row[key] for key in ("ci_low", "estimate", "ci_high"))
    if not 0 < ratio < math.inf:  # a bound: what is known of it does not widen
        return {}
    wider = ndtri(1 - error / 2) / ndtri((1 + CONFIDENCE) / 2)
    ends = (ratio * (end / ratio) ** wider for end in (low, high))
    return {**dict(zip(("ci_low", "ci_high"), ends, strict=True)), "confidence": 1 - error}


def _outcome(row: Mapping[str, Any], margin: float | None) -> str:
    zero = 1 if row["kind"] == "largest_rate" else 0
    if margin is not None and -margin < row["ci_low"] and row["ci_high"] < margin:
        return "same"
    if row["ci_low"] > zero:
        return "above"
    return "below" if row["ci_high"] < zero else "cannot_tell"


def _with_reversals(
    rows: Sequence[dict[str, Any]], asks: Sequence[AnyAsk], reversals: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    """Yield the rows; a question whose parts hide a reversal gets its two ends instead."""
    for number, ask in enumerate(asks):
        own = [row for row in rows if row["ask"] == number]
        if (
            not isinstance(ask, DifferenceAsk)
            or {"above", "below"} <= {row["outcome"] for row in own}
            or (turning := _reversal(ask, reversals)) is None
        ):
            yield from own
            continue
        yield from (row | {"outcome": "reversal"} for row in own)
        flip = turning["level_a"] != ask.level_a
        for side in SIDES:
            ends = [turning[f"{name}{side}"] for name in ("", "low_", "high_")]
            if flip:
                ends = [-ends[0], -ends[2], -ends[1]]
            yield own[0] | {
                "given": turning[f"given_{side}"],
                **dict(zip(("estimate", "ci_low", "ci_high"), ends, strict=True)),
                "n": turning[f"n_{side}"],
                "p": math.nan,
                "reason": "",
                "outcome": "above" if ends[0] > 0 else "below",
                "confidence": 1 - (1 - CONFIDENCE) / turning["n_simple"],
            }


def _reversal(ask: DifferenceAsk, reversals: pd.DataFrame) -> dict[str, Any] | None:
    """Return how the difference reverses within what is asked, None if it does not."""
    for one in reversals.to_dict("records"):
        pair = {one["level_a"], one["level_b"]}
        ends = [dict(_levels(one[f"given_{side}"])) for side in SIDES]
        if (
            (one["response"], one["factor"]) == (ask.response, ask.factor)
            and pair == {ask.level_a, ask.level_b}
            and all(
                end.get(key, level) == level for end in ends for key, level in ask.given.items()
            )
        ):
            return {str(key): value for key, value in one.items()}
    return None


def _levels(given: str) -> Iterator[tuple[str, str]]:
    for pair in given.split(", "):
        key, _, level = pair.partition("=")
        yield key, level


def _given(levels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={level}" for key, level in levels.items())
