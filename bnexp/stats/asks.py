"""What answers the study's question: each quantity with its interval and its outcome."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from bnexp.config.asks import (
    AnyAsk,
    CellAsk,
    DifferenceAsk,
    DominanceAsk,
    LargestRateAsk,
    OwnBestAsk,
    SpreadAsk,
)
from bnexp.config.study import AnyClaim
from bnexp.stats.asked_rates import ratios, widened_ratio
from bnexp.stats.averages import Average, average, parts, turning_errors
from bnexp.stats.cells import Factors, response_array
from bnexp.stats.estimate import CONFIDENCE, Values, known, paired_t, spread, standard_error
from bnexp.stats.footing import own_best
from bnexp.stats.incomplete import seed_values
from bnexp.stats.limits import untold
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.stats.quantities import (
    cell_weights,
    contrast_values,
    pair_weights,
    size_weights,
)
from bnexp.stats.testing import error_of_each, t_test_p
from bnexp.stats.turning import End, turning
from bnexp.store.columns import RESPONSE, Column
from bnexp.store.given import as_text

# Of a quantity with a sign: above zero, below it, as good as zero, or none of these; then the
# whole that is above at some levels and below at others. `found` is a number without a sign.
OUTCOMES = ("above", "below", "same", "cannot_tell", "reversal", "found")
COLUMNS = {
    "ask": Column("Which question of the study it answers, counted from 0."),
    "kind": Column("What is looked up: a difference, a ratio, or the number of a cell."),
    "response": Column("The number that is asked for, a column of runs.csv."),
    "factor": Column(
        "The factor whose levels are compared, or whose effect is the larger one."
    ),
    "level_a": Column("The level whose response comes first."),
    "level_b": Column("The level that it is compared with; of two effects the other factor."),
    "given": Column("Levels of other factors that are fixed or told apart."),
    "estimate": Column("Level a minus level b, their ratio, or the number.", RESPONSE),
    "ci_low": Column(
        "Lower end of its interval.",
        RESPONSE,
        "Student's t with the error that all signed rows leave to each (Sidak 1967), so that "
        "the intervals hold together; of ratios a normal interval on a log scale; where seeds "
        "were added after looking, an anytime-valid t-test (Wang and Ramdas 2023).",
    ),
    "ci_high": Column("Upper end of it; infinite where nothing bounds it.", RESPONSE),
    "n": Column("How many seeds it is made of.", "seeds"),
    "outcome": Column(
        "above or below zero (of a ratio: one), same (inside the margin), or cannot_tell; "
        "reversal, where it is settled both ways at levels of other factors, which rows of "
        "their own name; found, for the number of a cell."
    ),
    "reason": Column("Why nothing can be told, whatever the numbers are."),
    "p": Column("Two-sided p-value of this row alone.", method="Student's t."),
    "confidence": Column("Of the interval.", "share of 1"),
    "lowest": Column("The lowest of a cell's single runs.", RESPONSE),
    "highest": Column("The highest of them.", RESPONSE),
}


def answer(
    asks: Sequence[AnyAsk],
    runs: pd.DataFrame,
    factors: Factors,
    seeds: Sequence[int],
    *,
    max_lr_ratios: Callable[[], pd.DataFrame],
    claims: Sequence[AnyClaim] = (),
    chosen_on: str = "",
    iqm: Collection[str] = (),
    looks: Looks = ONE_LOOK,
    chance: Values | float = 0.0,
) -> pd.DataFrame:
    """Return the quantities that are asked for, one a row, `ask` counting from zero.

    Those with a sign are one family: their intervals hold together in 95 % of studies
    (Šidák's level of Student-t, for about normal differences; those of ratios are widened as
    normal ones on a log scale), and an outcome follows from such an interval. A difference
    that is averaged over levels at which it is settled in both directions (`turning`, adjusted
    for all that is asked and claimed) has the outcome `reversal`, and both of its ends as rows.

    Args:
        claims: What was claimed before the first run, of which none is said to reverse either.
        chosen_on: The number that decides what is best, where each is asked for at its best.
        iqm: The responses whose interquartile means are compared.
        max_lr_ratios: Returns that table; called only where a largest rate is asked for.
        looks: Whether results are looked at while seeds are added. Then the intervals hold at
            any of the looks, and of ratios, whose intervals do not, nothing is told.
        chance: The accuracy of guessing, of each cell; 0 where nobody can guess.
    """
    rows: list[dict[str, Any]] = []
    errors = turning_errors(factors, asks, claims)
    for number, ask in enumerate(asks):
        if isinstance(ask, LargestRateAsk):
            found = ratios(ask, max_lr_ratios())
        elif isinstance(ask, OwnBestAsk):
            found = (
                _compared(
                    (ask.factor, ask.level_a, ask.level_b),
                    given,
                    own_best(runs, factors, seeds, ask, given, chosen_on=chosen_on),
                    np.array([1.0, -1.0]),
                    of=ask.response,
                    chance=float(np.max(chance)),
                )
                for given in parts(ask, factors)
            )
        else:
            array = response_array(runs, factors, seeds, ask.response)
            found = _rows(
                *(ask, array, factors, errors),
                by_iqm=ask.response in iqm,
                looks=looks,
                chance=chance,
            )
        shared = {"ask": number, "kind": ask.kind, "response": ask.response, "reason": ""}
        rows += (shared | row for row in found)
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
    every = (one for row in rows for one in _with_ends(row, asks[row["ask"]]))
    return pd.DataFrame(every, columns=list(COLUMNS))


def _rows(
    ask: AnyAsk,
    array: Values,
    factors: Factors,
    errors: Mapping[Average, float],
    *,
    by_iqm: bool,
    looks: Looks,
    chance: Values | float,
) -> Iterator[dict[str, Any]]:
    """Yield what is known of each part; the outcome of one with a sign is open.

    Args:
        array: The response by seed and cell, shape (S, levels of each factor).
        errors: How often each average may be said falsely to reverse.
    """
    if isinstance(ask, CellAsk):
        weights = cell_weights(ask.cell, factors)
        values = seed_values(array, weights)
        cells = known(array[:, weights != 0].ravel())
        of_sd = isinstance(ask, SpreadAsk)
        yield {
            **asdict(spread(values) if of_sd else paired_t(values)),
            "given": as_text(ask.cell),
            "outcome": "found",
            "confidence": CONFIDENCE,
            "lowest": cells.min(initial=math.inf) if len(cells) else math.nan,
            "highest": cells.max(initial=-math.inf) if len(cells) else math.nan,
        }
        return
    for given in parts(ask, factors):
        if isinstance(ask, DominanceAsk):
            larger, smaller = (
                size_weights(name, given, array, factors) for name in (ask.larger, ask.smaller)
            )
            weights, pair = larger - smaller, (ask.larger, "", ask.smaller)
        else:
            pair = (ask.factor, ask.level_a, ask.level_b)
            weights = pair_weights(pair, given, factors)
        row = _compared(
            pair, given, array, weights, of=ask.response, chance=chance, by_iqm=by_iqm
        )
        error = errors.get(average(ask.response, pair, given))
        if isinstance(ask, DifferenceAsk) and error is not None and not row["reason"]:
            row["ends"] = turning(
                *(array, factors, pair, given), by_iqm=by_iqm, looks=looks, error=error
            )
        yield row


def _compared(
    pair: tuple[str, str, str],
    given: Mapping[str, str],
    array: Values,
    weights: Values,
    *,
    of: str,
    chance: Values | float,
    by_iqm: bool = False,
) -> dict[str, Any]:
    """Return what is known of a quantity with a sign, whose outcome is open.

    Args:
        array: The response `of` by seed and cell, shape (S, ...).
        weights: Of the cells, shape (...).
    """
    values, of_t = contrast_values(array, weights, by_iqm=by_iqm)
    reason = untold(array, weights, of, chance, compares=True)
    return {
        **dict(zip(("factor", "level_a", "level_b"), pair, strict=True)),
        "given": as_text(given),
        **asdict(paired_t(values, freedom=of_t)),
        "values": values,
        "freedom": of_t,
        "p": t_test_p(values, of_t),
        "reason": reason,
        "outcome": "cannot_tell" if reason else "",
        "confidence": CONFIDENCE,
    }


def _interval(row: Mapping[str, Any], error: float, looks: Looks) -> dict[str, Any]:
    """Return the interval of a part that has this error."""
    if row["kind"] != "largest_rate":
        found = known(row["values"])
        half = looks.reach(error, row["freedom"] + 1) * standard_error(found)
        mean = row["estimate"]
        return {"ci_low": mean - half, "ci_high": mean + half, "confidence": 1 - error}
    return widened_ratio(row, error)


def _outcome(row: Mapping[str, Any], margin: float | None) -> str:
    zero = 1 if row["kind"] == "largest_rate" else 0
    if margin is not None and -margin < row["ci_low"] and row["ci_high"] < margin:
        return "same"
    if row["ci_low"] > zero:
        return "above"
    return "below" if row["ci_high"] < zero else "cannot_tell"


def _with_ends(row: dict[str, Any], ask: AnyAsk) -> Iterator[dict[str, Any]]:
    """Yield a part; one whose average hides a reversal is followed by its two ends."""
    ends: tuple[End, End] | None = row.get("ends")
    small = float(getattr(ask, "margin", None) or 0) if row["outcome"] == "same" else 0.0
    if not ends or not any(end.beyond(small) for end in ends):
        yield row
        return
    yield row | {"outcome": "reversal"}
    for end in ends:
        yield row | {
            "given": as_text(end.given),
            "estimate": end.estimate,
            "ci_low": end.low,
            "ci_high": end.high,
            "n": end.n,
            "p": math.nan,
            "outcome": "above" if end.estimate > 0 else "below",
            "confidence": end.confidence,
        }
