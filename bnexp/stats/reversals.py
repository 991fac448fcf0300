"""Effects whose sign depends on another factor, so that their average says little."""

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

from bnexp.stats.cells import Factors
from bnexp.stats.estimate import CONFIDENCE
from bnexp.stats.factorial import all_contrasts
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.stats.testing import ALPHA

SIDES = ("up", "down")
REVERSAL_COLUMNS = [
    *("factor", "level_a", "level_b", "response", "n_simple", "p"),
    *(f"{name}{side}" for side in SIDES for name in ("given_", "", "low_", "high_", "n_")),
]


def reversals(
    contrasts: pd.DataFrame, factors: Factors, *, looks: Looks = ONE_LOOK
) -> pd.DataFrame:
    """Return the pairs of levels whose difference is settled in both directions.

    A difference reverses if one of its simple effects is above zero and another below, both
    by t-tests adjusted for all simple effects of the pair (Bonferroni). Where no effect
    reverses this is said of 5 % at most. Named are the conditions with the fewest factors, and
    among these the largest and the smallest difference that are told from zero.

    Columns: `n_simple` (how many simple effects the pair has), `p` (the larger of the two
    adjusted ones), and for each side `given`, the difference with its interval, which is
    adjusted as well, and `n`.

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
        estimate, p_t, n = (
            table[name].to_numpy(dtype=np.float64) for name in ("estimate", "p_t", "n")
        )
        p_t = looks.p(p_t, n)
        for pair, by_given in pairs.items():
            family = [at for some in by_given.values() for at in some]
            n_simple = int(np.count_nonzero(~np.isnan(p_t[family])))
            sure = p_t * n_simple < ALPHA
            for given in sorted(by_given, key=len):
                told = sorted((at for at in by_given[given] if sure[at]), key=estimate.item)
                if not told or estimate[told[-1]] <= 0 or estimate[told[0]] >= 0:
                    continue
                ends = told[-1], told[0]
                row: dict[str, object]
                row = dict(zip(REVERSAL_COLUMNS, [*pair, response, n_simple], strict=False))
                row["p"] = n_simple * p_t[[*ends]].max()
                for side, end in zip(SIDES, ends, strict=True):
                    row |= _side(side, table.iloc[end], n_simple, looks)
                rows.append(row)
                break
    return pd.DataFrame(rows, columns=REVERSAL_COLUMNS)


def _side(side: str, simple: Any, n_simple: int, looks: Looks) -> dict[str, object]:
    """Return a simple effect with the interval that holds for all of its pair together."""
    wider = looks.reach((1 - CONFIDENCE) / n_simple, simple["n"])
    half = (simple["ci_high"] - simple["estimate"]) * wider
    half /= ONE_LOOK.reach(1 - CONFIDENCE, simple["n"])
    return {
        f"given_{side}": simple["given"],
        side: simple["estimate"],
        f"low_{side}": simple["estimate"] - half,
        f"high_{side}": simple["estimate"] + half,
        f"n_{side}": simple["n"],
    }
