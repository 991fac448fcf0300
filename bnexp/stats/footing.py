"""Levels on an equal footing: at the same learning rate, and each at its own best."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from bnexp.stats.cells import Factors, diverged_array, response_array
from bnexp.stats.estimate import Values, paired_t
from bnexp.stats.max_lr import LR
from bnexp.stats.proportion import sign_for_better
from bnexp.stats.testing import sign_flip

FOOTING_COLUMNS = [
    *("factor", "level_a", "level_b", "response", "rule", "lr_a", "lr_b"),
    *("estimate", "ci_low", "ci_high", "n", "p", "chosen_on", "optimistic"),
]


def equal_footing(
    runs: pd.DataFrame,
    factors: Factors,
    seeds: Sequence[int],
    responses: Sequence[str],
    chosen_on: str,
) -> pd.DataFrame:
    """Return each pair of levels compared by two rules; empty if lr is not a factor.

    `same lr`: level a minus level b at one learning rate, a row for each. `own best`: each
    level at its best learning rate, chosen anew for each seed from the other seeds, so that
    no seed's luck chooses for itself: the one with the fewest diverged runs, and among
    these with the best mean of `chosen_on`. Both average over the remaining factors,
    whose combinations have a best of their own. `lr_a` and `lr_b` list the learning rates
    chosen, the most frequent first. Needs two seeds.

    `optimistic` is true where the choice was made on the test set: a level with more
    learning rates near its best then looks better than it is.
    """
    if LR not in factors or len(factors) < 2:
        return pd.DataFrame(columns=FOOTING_COLUMNS)
    rates = list(factors[LR])
    judged = np.moveaxis(
        response_array(runs, factors, seeds, chosen_on), 1 + list(factors).index(LR), -1
    )
    lost = np.moveaxis(diverged_array(runs, factors, seeds), 1 + list(factors).index(LR), -1)
    best = _best(judged * sign_for_better(chosen_on), lost)  # (S, other factors)
    others = {key: levels for key, levels in factors.items() if key != LR}
    rows = []
    for response in responses:
        array = np.moveaxis(
            response_array(runs, factors, seeds, response), 1 + list(factors).index(LR), -1
        )
        at_best = np.take_along_axis(array, np.maximum(best, 0)[..., None], -1)[..., 0]
        at_best = np.where(best < 0, math.nan, at_best)
        for axis, (factor, levels) in enumerate(others.items(), start=1):
            for b, a in itertools.combinations(range(len(levels)), 2):
                common = {
                    "factor": factor,
                    "level_a": levels[a],
                    "level_b": levels[b],
                    "response": response,
                }
                for i, rate in enumerate(rates):
                    rows.append(
                        {
                            **common,
                            **_compared(array[..., i], axis, a, b),
                            "rule": "same lr",
                            "lr_a": rate,
                            "lr_b": rate,
                            "chosen_on": "",
                            "optimistic": False,
                        }
                    )
                rows.append(
                    {
                        **common,
                        **_compared(at_best, axis, a, b),
                        "rule": "own best",
                        "lr_a": _chosen(best.take(a, axis), rates),
                        "lr_b": _chosen(best.take(b, axis), rates),
                        "chosen_on": chosen_on,
                        "optimistic": not chosen_on.startswith("val_"),
                    }
                )
    return pd.DataFrame(rows, columns=FOOTING_COLUMNS)


def _best(judged: Values, lost: Values) -> np.ndarray:
    """Return the index of the best learning rate for each seed, from the other seeds.

    Args:
        judged: Higher is better, shape (S, ..., learning rates).
        lost: 1 where a run diverged, in the same shape.

    Returns:
        Shape (S, ...); -1 where the other seeds have no run to choose from.
    """
    best = []
    for seed in range(len(judged)):
        rest, gone = np.delete(judged, seed, 0), np.delete(lost, seed, 0)
        n = (~np.isnan(rest)).sum(axis=0)
        means = np.where(n > 0, np.nansum(rest, axis=0) / np.maximum(n, 1), -math.inf)
        losses = np.where(n > 0, np.nansum(gone, axis=0), math.inf)
        fewest = losses == losses.min(axis=-1, keepdims=True)
        chosen = np.where(fewest, means, -math.inf).argmax(axis=-1)
        best.append(np.where(n.max(axis=-1) > 0, chosen, -1))
    return np.array(best)


def _compared(array: Values, axis: int, a: int, b: int) -> dict[str, float]:
    """Return level a minus level b, averaged over all axes but the seeds'."""
    difference = array.take(a, axis) - array.take(b, axis)
    values = difference.reshape(len(array), -1).mean(axis=1)
    return {**asdict(paired_t(values)), "p": sign_flip(values).p}


def _chosen(best: np.ndarray, rates: Sequence[str]) -> str:
    counted = Counter(rates[i] for i in best.ravel() if i >= 0)
    return "/".join(rate for rate, _ in counted.most_common())
