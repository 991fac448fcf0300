"""Effects whose sign depends on another factor, so that their average says little."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bnexp.stats.cells import Factors
from bnexp.stats.estimate import CONFIDENCE, Values
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
    "p": Column(
        "The larger of the two p-values by which it is above zero here and below there.",
        method="t-tests, adjusted for all n_simple comparisons (Bonferroni).",
    ),
    "given_up": Column("The levels of other factors at which the difference is largest."),
    "up": Column("The difference there.", RESPONSE, "As the estimate in contrasts.csv."),
    "low_up": Column(
        "Lower end of its 95 % interval.",
        RESPONSE,
        "Student's t with the error that n_simple comparisons leave to each (Bonferroni).",
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
    by t-tests adjusted for all simple effects of the pair (Bonferroni). Where no effect
    reverses this is said of 5 % at most. Named are the conditions with the fewest factors, and
    among these the largest and the smallest difference that are told from zero.

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
        for pair, by_given in pairs.items():
            family = [at for some in by_given.values() for at in some]
            n_simple = int(np.count_nonzero(~np.isnan(p_t[family])))
            groups = [by_given[given] for given in sorted(by_given, key=len)]
            ends = outermost(groups, estimate, p_t * n_simple < ALPHA)
            if ends is None:
                continue
            row: dict[str, object]
            row = dict(zip(COLUMNS, [*pair, response, n_simple], strict=False))
            row["p"] = n_simple * p_t[[*ends]].max()
            for side, end in zip(SIDES, ends, strict=True):
                row |= _side(side, table.iloc[end], n_simple, looks)
            rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


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


def _side(side: str, simple: Any, n_simple: int, looks: Looks) -> dict[str, object]:
    """Return a simple effect with the interval that holds for all of its pair together."""
    wider = looks.reach((1 - CONFIDENCE) / n_simple, simple["freedom"] + 1)
    half = (simple["ci_high"] - simple["estimate"]) * wider
    half /= ONE_LOOK.reach(1 - CONFIDENCE, simple["freedom"] + 1)
    return {
        f"given_{side}": simple["given"],
        side: simple["estimate"],
        f"low_{side}": simple["estimate"] - half,
        f"high_{side}": simple["estimate"] + half,
        f"n_{side}": simple["n"],
    }
