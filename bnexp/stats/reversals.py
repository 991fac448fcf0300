"""Effects whose sign depends on another factor, so that their average says little."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bnexp.stats.cells import Factors
from bnexp.stats.estimate import Values
from bnexp.stats.factorial import all_contrasts
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.store.columns import RESPONSE, Column
from bnexp.study.power import ALPHA

SIDES = ("up", "down")
COLUMNS = {
    "factor": Column("The factor whose effect reverses."),
    "level_a": Column("The level whose response comes first in the difference."),
    "level_b": Column("The level whose response is subtracted."),
    "response": Column("The number that is compared, a column of runs.csv."),
    "n_simple": Column("At how many levels of other factors the two are compared."),
    "n_pairs": Column("How many pairs of levels could reverse in this response."),
    "p": Column(
        "p-value that it has one sign wherever it is told from zero.",
        method="t-tests of either sign, adjusted for all n_simple comparisons (Bonferroni) and "
        "for all n_pairs pairs (Holm 1979).",
    ),
    "confidence": Column(
        "Of the two intervals.",
        "share of 1",
        "What Holm's procedure leaves to the pair, shared out among its n_simple comparisons "
        "(Bonferroni): in 95 % of studies no pair of a response is said falsely to reverse.",
    ),
    "given_up": Column("The levels of other factors at which the difference is largest."),
    "up": Column("The difference there.", RESPONSE, "As the estimate in contrasts.csv."),
    "low_up": Column(
        "Lower end of its interval.",
        RESPONSE,
        "Student's t; see confidence.",
    ),
    "high_up": Column("Upper end of it.", RESPONSE),
    "n_up": Column("How many seeds it is made of.", "seeds"),
    "given_down": Column("The levels of other factors at which the difference is smallest."),
    "down": Column("The difference there.", RESPONSE),
    "low_down": Column("Lower end of its 95 % interval.", RESPONSE, "As low_up."),
    "high_down": Column("Upper end of it.", RESPONSE),
    "n_down": Column("How many seeds it is made of.", "seeds"),
}


def reversals(
    contrasts: pd.DataFrame, factors: Factors, *, looks: Looks = ONE_LOOK
) -> pd.DataFrame:
    """Return the pairs of levels whose difference is settled in both directions.

    A difference reverses if one of its simple effects is above zero and another below, both
    by t-tests adjusted for all simple effects of the pair (Bonferroni) and all pairs of the
    response (Holm). So of studies in which nothing reverses 5 % at most say of some pair that
    it does; without the second, 14 % of those with a dozen pairs did. Named are the conditions
    with the fewest factors, and among these the largest and the smallest difference that are
    told from zero.

    Args:
        contrasts: As `stats.contrasts` returns them.

    Source: Piantadosi and Gail (1993), "A comparison of the power of two tests for qualitative
    interactions", Statistics in Medicine 12: the range test.
    """
    pairs: dict[tuple[str, str, str], dict[tuple[str, ...], list[int]]]
    pairs = defaultdict(lambda: defaultdict(list))
    for position, one in enumerate(all_contrasts(factors)):
        if one.kind == "simple":
            given = tuple(key for key, _ in one.uses[2:])
            pairs[one.factor, one.level_a, one.level_b][given].append(position)
    rows = []
    for response, table in contrasts.groupby("response", sort=False):
        estimate, p_t, freedom = (
            table[name].to_numpy(dtype=np.float64) for name in ("estimate", "p_t", "freedom")
        )
        p_t = looks.p(p_t, freedom + 1)
        known = {
            pair: sum(not np.isnan(p_t[at]) for some in by_given.values() for at in some)
            for pair, by_given in pairs.items()
        }
        p = {
            pair: known[pair] * _both_signs(by_given.values(), estimate, p_t)
            for pair, by_given in pairs.items()
            if known[pair] > 1
        }
        adjusted = 0.0
        for rank, pair in enumerate(sorted(p, key=lambda pair: p[pair])):
            left = len(p) - rank
            adjusted = max(adjusted, left * p[pair])
            if adjusted >= ALPHA:
                break
            error = ALPHA / (left * known[pair])  # of each of its simple effects
            groups = [pairs[pair][given] for given in sorted(pairs[pair], key=len)]
            ends = outermost(groups, estimate, p_t < error)
            assert ends is not None
            names = [*pair, response, known[pair], len(p), adjusted, 1 - error]
            row: dict[str, object] = dict(zip(COLUMNS, names, strict=False))
            for side, end in zip(SIDES, ends, strict=True):
                row |= _side(side, table.iloc[end], error, looks)
            rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _both_signs(groups: Iterable[Sequence[int]], estimates: Values, p: Values) -> float:
    """Return the smallest p by which an effect is above zero and another below, 1 if none."""
    found = [1.0]
    for group in groups:
        known = [at for at in group if not np.isnan(p[at])]
        of_sign = [[p[at] for at in known if sign * estimates[at] > 0] for sign in (1, -1)]
        if all(of_sign):
            found.append(float(max(map(min, of_sign))))
    return min(found)


def outermost(
    groups: Iterable[Sequence[int]],
    estimates: Values,
    sure: Sequence[bool] | npt.NDArray[np.bool_],
) -> tuple[int, int] | None:
    """Return which is the largest and which the smallest of the first group that turns.

    Args:
        groups: Positions of simple effects, those with the fewest conditions first.
        sure: Whether each is told from zero.
    """
    for group in groups:
        told = sorted((at for at in group if sure[at]), key=estimates.item)
        if told and estimates[told[-1]] > 0 > estimates[told[0]]:
            return told[-1], told[0]
    return None


def _side(side: str, simple: Any, error: float, looks: Looks) -> dict[str, object]:
    """Return a simple effect with the interval that has this error."""
    wider = looks.reach(error, simple["freedom"] + 1)
    half = (simple["ci_high"] - simple["estimate"]) * wider
    half /= ONE_LOOK.reach(ALPHA, simple["freedom"] + 1)
    return {
        f"given_{side}": simple["given"],
        side: simple["estimate"],
        f"low_{side}": simple["estimate"] - half,
        f"high_{side}": simple["estimate"] + half,
        f"n_{side}": simple["n"],
    }
