"""Levels on an equal footing: at the same learning rate, and each at its own best."""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from bnexp.config.asks import OwnBestAsk
from bnexp.stats.cells import Factors, diverged_array, response_array
from bnexp.stats.estimate import Values, paired_t
from bnexp.stats.factorial import difference_weights, within_seeds
from bnexp.stats.max_lr import LR
from bnexp.stats.proportion import sign_for_better
from bnexp.stats.testing import sign_flip
from bnexp.store.columns import RESPONSE, Column

COLUMNS = {
    "factor": Column("The factor whose levels are compared."),
    "level_a": Column("The level whose response comes first in the difference."),
    "level_b": Column("The level whose response is subtracted."),
    "response": Column("The number that is compared, a column of runs.csv."),
    "rule": Column(
        "same lr: both at one learning rate. own best: each at its best one.",
        method="The best is the one with the fewest diverged runs and, among these, the best "
        "mean of chosen_on, by the first half of the seeds; the others compare (Cox 1975).",
    ),
    "lr_a": Column("The learning rates of level a, the most frequent first."),
    "lr_b": Column("Those of level b."),
    "estimate": Column(
        "Level a minus level b.", RESPONSE, "Within seeds, averaged over other factors' levels."
    ),
    "ci_low": Column(
        "Lower end of the 95 % interval of this comparison alone.",
        RESPONSE,
        "Student's t over the seeds, for differences that are about normal.",
    ),
    "ci_high": Column("Upper end of it.", RESPONSE),
    "n": Column("How many seeds are compared.", "seeds"),
    "p": Column(
        "Two-sided p-value of no difference.", method="Sign flips over the seeds (Fisher 1935)."
    ),
    "chosen_on": Column("The number that the best learning rate was chosen by."),
    "optimistic": Column(
        "Whether that was of the test set: a level with more good learning rates then looks "
        "better than it is."
    ),
}


def equal_footing(
    runs: pd.DataFrame,
    factors: Factors,
    seeds: Sequence[int],
    responses: Sequence[str],
    chosen_on: str,
) -> pd.DataFrame:
    """Return each pair of levels compared by two rules; empty if lr is not a factor.

    `same lr`: level a minus level b at one learning rate, a row for each. `own best`: each
    level at its best learning rate, chosen by the first half of the seeds and compared in the
    others: the one with the fewest diverged runs, and among these with the best mean of
    `chosen_on`. So the interval is that of the rates chosen, whatever luck chose them, and
    holds it in 95 % (Cox 1975, "A note on data-splitting for the evaluation of significance
    levels", Biometrika 62). Seeds that choose for each other do not: choices that are made by
    nearly the same seeds go together, and of rates that are alike in truth the interval covers
    64 to 88 %. Both average over the remaining factors, whose combinations have a best of
    their own.
    """
    if LR not in factors or len(factors) < 2:
        return pd.DataFrame(columns=list(COLUMNS))
    rates = list(factors[LR])
    judged = np.moveaxis(
        response_array(runs, factors, seeds, chosen_on), 1 + list(factors).index(LR), -1
    )
    lost = np.moveaxis(diverged_array(runs, factors, seeds), 1 + list(factors).index(LR), -1)
    n_choosing = len(seeds) // 2
    best = _best(judged[:n_choosing] * sign_for_better(chosen_on), lost[:n_choosing])
    others = {key: levels for key, levels in factors.items() if key != LR}
    rows = []
    for response in responses:
        array = np.moveaxis(
            response_array(runs, factors, seeds, response), 1 + list(factors).index(LR), -1
        )
        at_best = _at_best(array, best, n_choosing)
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
                        "lr_a": _chosen(best.take(a, axis - 1), rates),
                        "lr_b": _chosen(best.take(b, axis - 1), rates),
                        "chosen_on": chosen_on,
                        "optimistic": not chosen_on.startswith("val_"),
                    }
                )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def own_best(
    runs: pd.DataFrame,
    factors: Factors,
    seeds: Sequence[int],
    ask: OwnBestAsk,
    given: Mapping[str, str],
    *,
    chosen_on: str,
) -> Values:
    """Return the response of two levels, each at its best, chosen as `equal_footing` does.

    Factors that are neither fixed nor chosen have a best at each of their levels, over which
    the response is averaged.

    Args:
        given: What is fixed beside the level.

    Returns:
        Shape (S, 2), NaN of the seeds that choose.
    """
    responses = (
        response_array(runs, factors, seeds, chosen_on) * sign_for_better(chosen_on),
        diverged_array(runs, factors, seeds),
        response_array(runs, factors, seeds, ask.response),
    )
    n_choosing = len(seeds) // 2
    found = []
    for level in (ask.level_a, ask.level_b):
        fixed = {**given, ask.factor: level}
        at = tuple(
            list(levels).index(fixed[key]) if key in fixed else slice(None)
            for key, levels in factors.items()
        )
        free = [key for key in factors if key not in fixed]
        axes = [1 + free.index(key) for key in ask.best_over]
        judged, lost, array = (
            _with_choices_last(one[(slice(None), *at)], axes) for one in responses
        )
        best = _best(judged[:n_choosing], lost[:n_choosing])
        found.append(_at_best(array, best, n_choosing).reshape(len(seeds), -1).mean(axis=1))
    return np.stack(found, axis=1)


def _with_choices_last(array: Values, axes: Sequence[int]) -> Values:
    """Return an array whose axes of what is chosen are one, the last."""
    moved = np.moveaxis(array, axes, range(-len(axes), 0))
    return moved.reshape(*moved.shape[: -len(axes)], -1)


def _at_best(array: Values, best: np.ndarray, n_choosing: int) -> Values:
    """Return what the last axis holds where it is best, of the seeds that did not choose.

    Args:
        array: Shape (S, ..., choices).
        best: The index that was chosen, shape (...); -1 where there was nothing to choose.
    """
    chosen = np.broadcast_to(np.maximum(best, 0)[..., None], (len(array), *best.shape, 1))
    found = np.where(best < 0, math.nan, np.take_along_axis(array, chosen, -1)[..., 0])
    found[:n_choosing] = math.nan
    return found


def _best(judged: Values, lost: Values) -> np.ndarray:
    """Return the index of the best learning rate for each combination of other factors.

    Args:
        judged: Higher is better, shape (S, ..., learning rates).
        lost: 1 where a run diverged, in the same shape.

    Returns:
        Shape (...); -1 where there is no run to choose from. Where all diverged one is as good
        as another: a response that counts them as guesses has a number for each.
    """
    n = (~np.isnan(judged)).sum(axis=0)
    means = np.where(n > 0, np.nansum(judged, axis=0) / np.maximum(n, 1), -math.inf)
    losses = np.where(n > 0, np.nansum(lost, axis=0), math.inf)
    fewest = losses == losses.min(axis=-1, keepdims=True)
    chosen = np.where(fewest, means, -math.inf).argmax(axis=-1)
    all_lost = len(lost) > 0 and (lost == 1).all(axis=(0, -1))
    return np.where((n.max(axis=-1) > 0) | all_lost, chosen, -1)


def _compared(array: Values, axis: int, a: int, b: int) -> dict[str, float]:
    """Return level a minus level b, averaged over all axes but the seeds'."""
    weights = difference_weights(array.shape[1:], axis - 1, a, b, {})
    values = within_seeds(array, weights)
    return {**asdict(paired_t(values)), "p": sign_flip(values).p}


def _chosen(best: np.ndarray, rates: Sequence[str]) -> str:
    counted = Counter(rates[i] for i in best.ravel() if i >= 0)
    return "/".join(rate for rate, _ in counted.most_common())
