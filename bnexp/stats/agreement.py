"""Whether two sets of runs of the same design agree."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from bnexp.metrics import TIMES
from bnexp.stats.estimate import CONFIDENCE
from bnexp.store.records import RunRecord


def differences(
    first: pd.DataFrame, second: pd.DataFrame, keys: Sequence[str], mean: str = "estimate"
) -> pd.DataFrame:
    """Return the estimates that both frames have, with their difference and its interval.

    The interval is Welch's, of two independent samples, from the standard errors that the
    two Student-t intervals are made of. NaN where one of them has no interval.
    """
    columns = [mean, "ci_low", "ci_high", "n"]
    both = first[[*keys, *columns]].merge(
        second[[*keys, *columns]], on=list(keys), suffixes=("_first", "_second")
    )
    both["estimate"] = both[f"{mean}_first"] - both[f"{mean}_second"]
    squares, freedoms = [], []
    for side in ("first", "second"):
        freedom = both[f"n_{side}"].to_numpy(dtype=np.float64) - 1
        freedom[freedom < 1] = math.nan
        half = (both[f"ci_high_{side}"] - both[f"ci_low_{side}"]).to_numpy(np.float64) / 2
        squares.append((half / stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) ** 2)
        freedoms.append(freedom)
    total = squares[0] + squares[1]
    # Without any spread there is nothing to weigh: the interval is a point.
    weights = sum(
        square**2 / freedom for square, freedom in zip(squares, freedoms, strict=True)
    )
    freedom = np.divide(total**2, weights, out=np.ones_like(total), where=weights > 0)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(total)
    both["ci_low"], both["ci_high"] = both["estimate"] - half, both["estimate"] + half
    return both


def agree(row: object) -> str:
    """Return whether the interval of a difference contains zero: yes, no or unknown."""
    low, high = float(row.ci_low), float(row.ci_high)  # type: ignore[attr-defined]
    if math.isnan(low):
        return "unknown"
    return "yes" if low <= 0 <= high else "no"


def direction(row: object) -> str:
    """Return whether two effects have the same settled sign."""
    signs = [
        int(getattr(row, f"ci_low_{side}") > 0) - int(getattr(row, f"ci_high_{side}") < 0)
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
