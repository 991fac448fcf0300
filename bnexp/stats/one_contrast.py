"""All that is told of one contrast of a response, but for what needs its family."""

import math
from dataclasses import asdict

import numpy as np

from bnexp.stats.effect_size import effect_size, minimum_detectable_effect, pairing
from bnexp.stats.estimate import BCA_FROM, Estimate, Values, bca, known, paired_t, vary
from bnexp.stats.factorial import Contrast, within_seeds
from bnexp.stats.incomplete import METHOD, fitted
from bnexp.stats.interquartile import freedom, iqm_values
from bnexp.stats.proportion import exact, improvement, meaningful, ranked, sign_test_p
from bnexp.stats.testing import (
    EXACT_UP_TO,
    equivalence_margin,
    sign_flip,
    smallest_p,
    t_test_p,
)

Row = dict[str, object]

MEAN, IQM = "mean", "interquartile mean"
IQM_METHOD = "interquartile means, Yuen's t interval and p"
# What only whole differences within seeds have, and only of means.
OF_DIFFERENCES = (
    "smallest_p",
    "bca_low",
    "bca_high",
    "effect_size",
    "effect_low",
    "effect_high",
)


def compared(
    array: Values,
    diverged: Values,
    contrast: Contrast,
    better: int,
    *,
    by_iqm: bool,
    error: float,
) -> Row:
    """Return what is told of a contrast; see `contrasts.COLUMNS`.

    Args:
        array: A response by seed and cell, shape (S, levels of each factor).
        diverged: 1 where a run diverged, 0 where it ended, in the same shape.
        better: -1 where lower is better.
        by_iqm: Whether interquartile means are compared, with the means beside them.
        error: How often it may be told wrongly which level is better; 0 tells nothing.
    """
    values = within_seeds(array, contrast.weights)
    trimmed = iqm_values(array, contrast.weights)
    of_trimmed = freedom(len(known(trimmed)))
    fit = fitted(array, contrast.weights)
    mean = paired_t(values if fit is None else fit)
    middle = paired_t(trimmed, freedom=of_trimmed)
    if by_iqm:
        found = _without_differences(trimmed, IQM_METHOD, of_trimmed) | {"skewness": math.nan}
    elif fit is not None:
        found = _without_differences(fit, METHOD)
    else:
        found = _estimated(values)
    involved = contrast.weights != 0
    cells, weights = array[:, involved], contrast.weights[involved]
    better_a = improvement(values, better)
    return {
        **found,
        "average": IQM if by_iqm else MEAN,
        **_named("beside", mean if by_iqm else middle),
        **_named(
            "correlation", pairing(*(cells @ np.maximum(side * weights, 0) for side in (1, -1)))
        ),
        "improvement": better_a.share,
        "improvement_low": better_a.low,
        "improvement_high": better_a.high,
        "meaningful": meaningful(improvement(values, better, error)) if error else "",
        **_with_diverged(values, array, diverged, contrast, better),
    }


def _estimated(values: Values) -> Row:
    """Return what follows from one difference a seed, shape (S,)."""
    n = len(known(values))
    p = sign_flip(values)
    bca_low, bca_high = bca(values)
    size = effect_size(values)
    exactly = "exact" if n <= EXACT_UP_TO else "drawn"
    beside = ", BCa beside" if n >= BCA_FROM else ""
    return {
        **_from_values(values),
        "method": f"paired t interval{beside}, {exactly} sign-flip p",
        "p": p.p,
        "p_error": p.error,
        "smallest_p": smallest_p(n),
        "bca_low": bca_low,
        "bca_high": bca_high,
        "effect_size": size.estimate,
        "effect_low": size.ci_low,
        "effect_high": size.ci_high,
    }


def _without_differences(values: Values, method: str, of_t: int | None = None) -> Row:
    """Return what follows from what each seed contributes: nothing that needs whole seeds."""
    found = _from_values(values, of_t)
    return {
        **found,
        "method": method,
        "p": found["p_t"],
        "p_error": 0.0,
        **dict.fromkeys(OF_DIFFERENCES, math.nan),
    }


def _from_values(values: Values, of_t: int | None = None) -> Row:
    found = known(values)
    return {
        **asdict(paired_t(values, freedom=of_t)),
        "p_adjusted": math.nan,
        "p_t": t_test_p(values, of_t),
        "freedom": max(len(found) - 1 if of_t is None else of_t, 0),
        "sd": float(found.std(ddof=1)) if vary(found) else 0.0 if len(found) > 1 else math.nan,
        "skewness": _skewness(found),
        "mde": minimum_detectable_effect(values, of_t),
        "equivalence_margin": equivalence_margin(values, of_t),
    }


def _skewness(found: Values) -> float:
    """Return the third standardized moment; NaN below three values or without spread."""
    centred = found - found.mean() if len(found) > 2 else np.zeros(1)
    spread = float((centred**2).mean())
    return float((centred**3).mean() / spread**1.5) if spread > 0 else math.nan


def _with_diverged(
    values: Values, array: Values, diverged: Values, contrast: Contrast, better: int
) -> Row:
    """Return the comparison with diverged runs as the worst, and why seeds are missing."""
    lost_a = lost_b = np.zeros(len(values))
    if diverged.any():  # or not known
        lost_a = within_seeds(diverged, np.maximum(contrast.weights, 0))
        lost_b = within_seeds(diverged, np.maximum(-contrast.weights, 0))
    missing = np.isnan(values)
    # A run that is there and has no value has diverged, or does not report the response.
    untrained = missing & np.isnan(lost_a + lost_b)
    lost = missing & (lost_a + lost_b > 0)
    signs = ranked(values, lost_a, lost_b, better)
    if contrast.kind == "interaction":
        signs = np.full_like(signs, math.nan)
    share = exact(float(((known(signs) + 1) / 2).sum()), len(known(signs)))
    return {
        "ranked": share.share,
        "ranked_low": share.low,
        "ranked_high": share.high,
        "n_ranked": share.n,
        "p_ranked": sign_test_p(signs),
        "n_missing": int(missing.sum()),
        "n_diverged": int(lost.sum()),
        "n_untrained": int(untrained.sum()),
    }


def _named(name: str, one: Estimate) -> Row:
    return {name: one.estimate, f"{name}_low": one.ci_low, f"{name}_high": one.ci_high}
