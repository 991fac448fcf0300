"""Questions about the largest learning rates: which of their ratios answers one."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bnexp.config.asks import LargestRateAsk
from bnexp.stats.estimate import CONFIDENCE
from bnexp.stats.max_lr import widened
from bnexp.store.given import of_text


def ratios(ask: LargestRateAsk, table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the ratios that are asked for, at all levels of the other factors apart."""
    for one in table.to_dict("records"):
        pair = (one["level_a"], one["level_b"])
        asked = (ask.level_a, ask.level_b)
        fixed = of_text(one["given"]).items()
        if (
            (one["definition"], one["factor"]) != (ask.definition, ask.factor)
            or pair not in (asked, asked[::-1])
            or not ask.given.items() <= fixed
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


def widened_ratio(row: Mapping[str, Any], error: float) -> dict[str, Any]:
    """Return the interval of a ratio that has this error; what is only a bound stays one."""
    low, ratio, high = (row[key] for key in ("ci_low", "estimate", "ci_high"))
    if not 0 < ratio < math.inf:
        return {}
    ends = widened(ratio, low, high, error)
    return {**dict(zip(("ci_low", "ci_high"), ends, strict=True)), "confidence": 1 - error}
