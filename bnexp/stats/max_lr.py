"""What is the largest learning rate that works, by four meanings of "works"?"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import ndtri

from bnexp.datasets.about import About
from bnexp.stats.cells import Factors, combinations, diverged_array, response_array
from bnexp.stats.estimate import CONFIDENCE, Values
from bnexp.stats.logistic import Half, half_success
from bnexp.stats.testing import error_of_each
from bnexp.store.columns import FACTORS, LEVELS, Column, names
from bnexp.store.frames import where
from bnexp.store.given import as_text

LR = "optimizer.lr"
FEWEST = 3  # learning rates
CHANCE_ALPHA = 0.01
OF_THE_BEST = 0.9
OF_THE_FASTEST = 1.1

Ends = tuple[float, float, float]  # estimate, low and high end

# What a run must do for its learning rate to count as working, as the report prints it.
DEFINITIONS = {
    "finite": "the loss stays finite to the end",
    "above_chance": "the test accuracy is above chance (one in the number of classes) by a "
    "one-sided binomial test on the test images at the 1 % level",
    "near_best": "the test accuracy is at least 90 % of the best mean accuracy among the "
    "learning rates of the same levels of the other factors",
    "fastest": "the train loss of the last epoch is at most 10 % above the lowest mean train "
    "loss among the learning rates of the same levels of the other factors",
}
SUMMARY = (
    "Given is the learning rate at which half of the seeds succeed, on the upper edge: a "
    "learning rate that fails because it is too small does not count. It comes from a logistic "
    "fit on log2 of the learning rate. Where all seeds succeed at one learning rate and none "
    "at the next, it is between the two, which are its interval from 5 seeds on. “>” and “<”: "
    "beyond the learning rates tried. None is told where most seeds fail at a learning rate "
    "and most succeed at a larger one. A diverged run fails every definition."
)

COLUMNS = {
    "definition": Column("What a run must do for its learning rate to count as working."),
    FACTORS: LEVELS,
    "lr": Column(
        "The largest learning rate that works: half of the seeds succeed at it.",
        method="Logistic fit on log2 of the learning rate; one that fails because it is too "
        "small does not count, and a diverged run fails every definition.",
    ),
    "lr_low": Column(
        "Lower end of its 95 % interval.",
        method="See method. Where all seeds succeed at one learning rate and none at the next, "
        "the two are the interval from 5 seeds on; fewer have none.",
    ),
    "lr_high": Column("Upper end of it."),
    "bound": Column("> or < if it lies beyond the learning rates tried, else empty."),
    "n": Column("How many seeds it is made of.", "seeds"),
    "method": Column("How lr and its interval were computed."),
}
RATIO_COLUMNS = {
    "definition": Column("What a run must do for its learning rate to count as working."),
    "factor": Column("The factor whose levels are compared."),
    "level_a": Column("The level whose learning rate is divided."),
    "level_b": Column("The level whose learning rate divides."),
    "given": Column("The levels of all other factors."),
    "ratio": Column("How many times larger the largest learning rate of level a is."),
    "ratio_low": Column(
        "Lower end of its 95 % interval.",
        method="MOVER (Zou and Donner 2008), as if the two were independent: seeds that are "
        "alike at both make it too wide.",
    ),
    "ratio_high": Column("Upper end of it."),
    "bound": Column("> or < if one of the two lies beyond the learning rates, ? if both."),
    "sim_low": Column(
        "Lower end of the interval that holds together with those of all n_family ratios, in "
        "95 % of families.",
        method="ratio_low, moved away on a log scale by the ratio of two normal quantiles, for "
        "the error that Sidak (1967) leaves to each.",
    ),
    "sim_high": Column("Upper end of it."),
    "n_family": Column("How many ratios have a number by this definition."),
}


def max_lr(
    runs: pd.DataFrame, factors: Factors, seeds: Sequence[int], accuracy: str, about: About
) -> pd.DataFrame:
    """Return the largest working learning rate by definition and levels of other factors.

    Empty unless `optimizer.lr` is a factor of at least three numbers; see `COLUMNS`.

    Args:
        accuracy: The response that `above_chance` and `near_best` judge.
        about: The test images that it is a share of.
    """
    others = {key: levels for key, levels in factors.items() if key != LR}
    columns = names(COLUMNS, list(others))
    rates = learning_rates(factors)
    if len(rates) < FEWEST:
        return pd.DataFrame(columns=columns)
    order = np.argsort(rates)
    axis = 1 + list(factors).index(LR)

    def by_rate(array: Values) -> Values:
        return np.moveaxis(array, axis, -1)[..., order]

    diverged = by_rate(diverged_array(runs, factors, seeds))
    measured = {
        name: by_rate(response_array(runs, factors, seeds, name))
        for name in ("train_loss", accuracy)
    }
    rows = []
    for name in DEFINITIONS:
        judged = measured["train_loss" if name == "fastest" else accuracy]
        for levels, index in zip(
            combinations(others), np.ndindex(judged.shape[1:-1]), strict=True
        ):
            cell = (slice(None), *index)
            success = _success(name, judged[cell], diverged[cell], about)
            half = half_success(np.log2(np.array(rates)[order]), success)
            rows.append(
                {
                    "definition": name,
                    **levels,
                    "lr": _power(half.at),
                    "lr_low": _power(half.low),
                    "lr_high": _power(half.high),
                    "bound": half.bound,
                    "n": int((~np.isnan(success)).any(axis=1).sum()),
                    "method": half.method,
                }
            )
    return pd.DataFrame(rows, columns=columns)


def learning_rates(factors: Factors) -> list[float]:
    """Return the levels of `optimizer.lr` as numbers, or none where they are not such."""
    try:
        rates = [float(level) for level in factors.get(LR, ())]
    except ValueError:
        return []
    return rates if all(0 < rate < math.inf for rate in rates) else []


def _success(definition: str, measured: Values, diverged: Values, about: About) -> Values:
    """Return 1 where a run meets a definition, 0 where not; shape (S, learning rates).

    NaN where it is not trained or failed, or does not report what is judged.
    """
    if definition == "finite":
        return 1 - diverged
    if definition == "above_chance":
        critical = stats.binom.isf(CHANCE_ALPHA, about.n_test, about.chance) + 1
        # An accuracy is a ratio of whole numbers, up to rounding.
        met = np.round(measured * about.n_test) >= critical
    elif definition == "near_best":
        met = measured >= OF_THE_BEST * np.nanmax(_usual(measured, diverged))
    else:
        met = measured <= OF_THE_FASTEST * np.nanmin(_usual(measured, diverged))
    return np.where(diverged == 1, 0.0, np.where(np.isnan(measured), math.nan, met))


def _usual(measured: Values, diverged: Values) -> Values:
    """Return the mean of each learning rate, NaN where more than half of its runs diverge."""
    n = (~np.isnan(measured)).sum(axis=0)
    usual = (n > 0) & (n >= np.nansum(diverged, axis=0))
    means = np.nansum(measured, axis=0) / np.maximum(n, 1)
    # Nothing to compare with: then no run meets the definition.
    return np.where(usual, means, math.nan) if usual.any() else np.zeros(len(n)) + math.inf


def max_lr_ratios(table: pd.DataFrame, factors: Factors) -> pd.DataFrame:
    """Return how much larger the largest learning rate is at one level than at another.

    Where one level is known by a bound only, so is the ratio; see `RATIO_COLUMNS`.

    Source: Zou and Donner (2008), "Construction of confidence limits about effect
    measures", Statistics in Medicine 27.
    """
    others = {key: levels for key, levels in factors.items() if key != LR}
    rows = []
    for definition, of_one in table.groupby("definition", sort=False):
        for factor, levels in others.items():
            rest = {key: each for key, each in others.items() if key != factor}
            for given in combinations(rest):
                here = where(of_one, given)
                logs = {
                    str(row[factor]): _logged(row["lr"], row["lr_low"], row["lr_high"])
                    for _, row in here.iterrows()
                }
                for b, a in itertools.combinations(levels, 2):
                    ratio = _ratio(logs[a], logs[b])
                    rows.append(
                        {
                            "definition": definition,
                            "factor": factor,
                            "level_a": a,
                            "level_b": b,
                            "given": as_text(given),
                            "ratio": _power(ratio.at),
                            "ratio_low": _power(ratio.low),
                            "ratio_high": _power(ratio.high),
                            "bound": ratio.bound,
                        }
                    )
    ratios = pd.DataFrame(rows, columns=list(RATIO_COLUMNS))
    for _, family in ratios.groupby("definition", sort=False):
        told = family[family["ratio"].notna()]
        ratios.loc[family.index, "n_family"] = len(told)
        for at, row in told.iterrows():
            ends = (row["ratio"], row["ratio_low"], row["ratio_high"])
            ratios.loc[at, ["sim_low", "sim_high"]] = widened(*ends, error_of_each(len(told)))
    return ratios


def widened(ratio: float, low: float, high: float, error: float) -> tuple[float, float]:
    """Return the ends of a ratio's 95 % interval for another error, on a log scale."""
    wider = ndtri(1 - error / 2) / ndtri((1 + CONFIDENCE) / 2)
    return ratio * (low / ratio) ** wider, ratio * (high / ratio) ** wider


def _power(log2: float) -> float:
    """Return 2 to that power, inf where it is too large for a number."""
    return 2**log2 if log2 < 1024 else math.inf if log2 >= 1024 else math.nan


def _logged(*rates: float) -> Ends:
    with np.errstate(divide="ignore"):
        at, low, high = np.log2(rates)
    return float(at), float(low), float(high)


def _ratio(a: Ends, b: Ends) -> Half:
    """Return log2 of the ratio of two learning rates, each with its interval."""
    if math.isnan(a[0]) or math.isnan(b[0]):
        low, high = a[1] - b[2], a[2] - b[1]
        low, high = (
            -math.inf if math.isnan(low) else low,
            math.inf if math.isnan(high) else high,
        )
        known = (math.isfinite(low), math.isfinite(high))
        bound = {(True, False): ">", (False, True): "<"}.get(known, "?")
        return Half(math.nan, low, high, bound, "bounds")
    at = a[0] - b[0]
    low = at - math.hypot(a[0] - a[1], b[2] - b[0])
    high = at + math.hypot(a[2] - a[0], b[0] - b[1])
    return Half(at, low, high, "", "MOVER")
