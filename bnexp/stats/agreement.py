"""Whether two sets of runs of the same design agree."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bnexp.metrics import TIMES
from bnexp.stats.estimate import CONFIDENCE
from bnexp.stats.testing import error_of_each
from bnexp.store.records import RunRecord
from bnexp.study.power import ALPHA


def differences(
    first: pd.DataFrame,
    second: pd.DataFrame,
    keys: Sequence[str],
    margins: Mapping[str, float],
    mean: str = "estimate",
    *,
    identical: bool = False,
) -> pd.DataFrame:
    """Return the estimates that both frames have, with their difference and its intervals.

    The intervals are Welch's, of two independent samples, from the standard errors that the
    two Student-t intervals are made of. NaN where one of them has no interval.

    Columns: `estimate`, `ci_low`, `ci_high` (which hold together with those of all differences
    of the response, simple effects apart, in 95 %), `confidence` (of these, alone), `tost_low`,
    `tost_high` (90 %, alone: that all differences agree needs no adjustment, Berger 1982),
    `margin` and `same`, whether both sides have the very same numbers: without an interval only
    of the same runs, since whole numbers are equal by chance.

    Args:
        identical: Whether the two frames are of the same runs.
        margins: By response, within which two numbers are as good as equal. Of others it is
            the noise floor: the SD over the seeds, pooled over both.
    """
    columns = [mean, "ci_low", "ci_high", "n"]
    sides = [
        one.assign(
            freedom=one.get("freedom", one["n"] - 1),
            # Of a table without families each interval stands alone.
            sim_low=one.get("sim_low", one["ci_low"]),
            sim_high=one.get("sim_high", one["ci_high"]),
        )[[*keys, *columns, "freedom", "sim_low", "sim_high"]]
        for one in (first, second)
    ]
    both = sides[0].merge(sides[1], on=list(keys), suffixes=("_first", "_second"))
    both["estimate"] = both[f"{mean}_first"] - both[f"{mean}_second"]
    squares, freedoms, sizes = [], [], []
    for side in ("first", "second"):
        size = both[f"n_{side}"].to_numpy(dtype=np.float64)
        freedom = both[f"freedom_{side}"].to_numpy(dtype=np.float64)
        freedom = np.where(freedom > 0, freedom, math.nan)
        half = (both[f"ci_high_{side}"] - both[f"ci_low_{side}"]).to_numpy(np.float64) / 2
        squares.append((half / stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) ** 2)
        freedoms.append(freedom)
        sizes.append(size)
    total = squares[0] + squares[1]
    weights = sum(
        square**2 / freedom for square, freedom in zip(squares, freedoms, strict=True)
    )
    freedom = np.divide(total**2, weights, out=np.ones_like(total), where=weights > 0)
    families = [both["response"], *([both["kind"] == "simple"] if "kind" in both else [])]
    n_family = pd.Series(total, both.index).groupby(families).transform("count")
    error = n_family.map(error_of_each).to_numpy(dtype=np.float64)
    both["confidence"] = 1 - error
    for name, share in (("ci", 1 - error / 2), ("tost", 1 - ALPHA)):
        half = stats.t.ppf(share, freedom) * np.sqrt(total)
        both[f"{name}_low"] = both["estimate"] - half
        both[f"{name}_high"] = both["estimate"] + half
    variance = sum(
        square * size * freedom
        for square, size, freedom in zip(squares, sizes, freedoms, strict=True)
    )
    floor = pd.Series(np.sqrt(variance / (freedoms[0] + freedoms[1])), both.index)
    both["margin"] = both["response"].map(margins).astype(float).fillna(floor)
    ones, others = (
        both[[f"{name}_{side}" for name in columns]].to_numpy(dtype=np.float64)
        for side in ("first", "second")
    )
    alike = (ones == others) | (np.isnan(ones) & np.isnan(others))
    known = identical | both["ci_low_first"].notna()
    both["same"] = alike.all(axis=1) & both["estimate"].notna() & known
    return both


def claims(
    first: pd.DataFrame,
    second: pd.DataFrame,
    margins: Mapping[str, float],
    *,
    identical: bool = False,
) -> pd.DataFrame:
    """Return what both of two tables of claims have, with the difference of the estimates.

    Columns: those of `differences`, and the verdict of each side. The difference of two SDs,
    which have no upper end, has no interval.
    """
    names = ["claim", "response", "kind"]
    keys = [*names, "repeated"]
    one, two = (
        one.replace({"ci_high": {math.inf: math.nan}}).assign(
            repeated=one.groupby(names).cumcount()  # two claims may have the same words
        )
        for one in (first, second)
    )
    found = differences(one, two, keys, margins, identical=identical)
    for name, side in (("first", one), ("second", two)):
        verdicts = side[[*keys, "verdict"]].rename(columns={"verdict": f"verdict_{name}"})
        found = found.merge(verdicts, on=keys)
        found.loc[found["kind"] == "spread", f"ci_high_{name}"] = math.inf
    return found


def agree(row: Any) -> str:
    """Return `agree`, `differ` or `cannot tell`.

    Two numbers agree if their difference lies within the margin by two one-sided tests, and
    differ if its interval excludes zero: that a difference may be zero is no agreement where
    it may as well be large. The very same numbers agree.

    Source: Schuirmann (1987), see `testing.tost`; here of two samples. Berger (1982),
    "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24.
    """
    if row.same or (-row.margin < row.tost_low and row.tost_high < row.margin):
        return "agree"
    return "differ" if row.ci_low > 0 or row.ci_high < 0 else "cannot tell"


def direction(row: object) -> str:
    """Return whether two effects have the same settled sign."""
    signs = [
        int(getattr(row, f"sim_low_{side}") > 0) - int(getattr(row, f"sim_high_{side}") < 0)
        for side in ("first", "second")
    ]
    if 0 not in signs:
        return "same" if signs[0] == signs[1] else "opposite"
    return "open in both" if signs == [0, 0] else "open in one"


def shared_runs(first: Sequence[RunRecord], second: Sequence[RunRecord]) -> pd.DataFrame:
    """Return, for each metric of the runs that both have, how far they lie apart.

    Columns: metric, n (runs), n_equal, largest (absolute difference; infinite where only
    one of them has a number), run_id (where it is largest).
    """
    others = {record.run_id: record for record in second}
    pairs = [(one, others[one.run_id]) for one in first if one.run_id in others]
    names = dict.fromkeys(
        name
        for pair in pairs
        for record in pair
        for name in record.metrics
        if name not in TIMES
    )
    rows = []
    for name in names:
        apart = [_apart(one.metrics.get(name), two.metrics.get(name)) for one, two in pairs]
        worst = max(range(len(pairs)), key=lambda i: apart[i])
        rows.append(
            {
                "metric": name,
                "n": len(pairs),
                "n_equal": apart.count(0),
                "largest": apart[worst],
                "run_id": pairs[worst][0].run_id if apart[worst] else "",
            }
        )
    return pd.DataFrame(rows, columns=["metric", "n", "n_equal", "largest", "run_id"])


def _apart(one: float | None, two: float | None) -> float:
    if one is None or two is None:
        return 0 if one is two else math.inf
    return abs(one - two)
