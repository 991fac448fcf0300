"""At which dose do half of the trials succeed? A logistic fit that always exists."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from bnexp.stats.estimate import CONFIDENCE, Values, t_quantile
from bnexp.study.power import ALPHA

_STEPS = 200
_LARGEST_STEP = 2.0
_HALF = 0.5


@dataclass(frozen=True)
class Half:
    """Where half succeed, with its interval; `bound` is `>` or `<` where only one end is known.

    Attributes:
        at: NaN where nothing fails or nothing succeeds.
        low: -inf below the smallest dose.
        high: inf above the largest dose.
        method: How the interval came about.
    """

    at: float
    low: float
    high: float
    bound: str
    method: str


def half_success(dose: Values, success: Values) -> Half:
    """Return the dose at which half of the seeds still succeed; success falls with dose.

    Where all succeed up to one dose and none from the next, the data say no more than
    that it lies between the two: their middle, and they are the interval from 5 seeds on.
    (S seeds all succeed where half of all fail, just above it, with a chance of 2^-S: of 3
    seeds the two missed it in up to 12 %.) Otherwise it is the logistic
    regression with Firth's penalty, which is finite also where a single dose is mixed. Its
    interval is Student's t with the larger of two standard errors: that of the fit, and
    that of leaving out each seed in turn, since the runs of a seed succeed and fail
    together. Where most seeds fail at one dose, and half of them more succeed at a larger one,
    so that most do, there is no such dose: what the fit would say lies between the two.

    Args:
        dose: Shape (L,), increasing.
        success: 1, 0 or NaN by seed and dose, shape (S, L).

    Source: Firth (1993), "Bias reduction of maximum likelihood estimates", Biometrika 80;
    Heinze and Schemper (2002), "A solution to the problem of separation in logistic
    regression", Statistics in Medicine 21; Efron and Stein (1981) for the jackknife.
    """
    there = ~np.isnan(success)
    seeds, use = there.any(axis=1), there.any(axis=0)
    dose, success = dose[use], success[np.ix_(seeds, use)]
    if len(dose) == 0:
        return Half(math.nan, math.nan, math.nan, "", "no runs")
    # Too small a dose fails as well: only the upper edge is asked for.
    first = int(np.nanmean(success, axis=0).argmax())
    dose, success = dose[first:], success[:, first:]
    rates = np.nanmean(success, axis=0)
    if rates[0] == 0:
        return Half(math.nan, -math.inf, float(dose[0]), "<", "none succeeds")
    if rates.min() == 1:
        return Half(math.nan, float(dose[-1]), math.inf, ">", "none fails")
    last, zero = np.flatnonzero(rates > 0)[-1], np.flatnonzero(rates < 1)[0]
    if zero == last + 1:
        low, high = float(dose[last]), float(dose[zero])
        fewest = int((~np.isnan(success[:, [last, zero]])).sum(axis=0).min())
        ends = (low, high) if 2.0**-fewest < ALPHA else (math.nan, math.nan)
        return Half((low + high) / 2, *ends, "", "between two learning rates")
    if _rises(rates):
        return Half(math.nan, math.nan, math.nan, "", "none: success rises again")
    return _fitted(dose, success)


def _rises(rates: Values) -> bool:
    """Return whether most succeed at a larger dose than one at which most fail."""
    lowest = np.minimum.accumulate(rates)
    return bool(((lowest < _HALF) & (rates > _HALF) & (rates - lowest >= _HALF)).any())


def _fitted(dose: Values, success: Values) -> Half:
    """Return the penalized fit's half, a bound where that lies beyond the doses tried."""
    n = len(success)
    at, error = _firth(dose, success)
    # Most seeds succeed and fail where others do: leaving out any of these is the same.
    alike = [seed.tobytes() for seed in success]
    fits = {
        kind: _firth(dose, np.delete(success, i, 0))[0]
        for kind, i in {kind: i for i, kind in enumerate(alike)}.items()
    }
    without = np.array([fits[kind] for kind in alike])
    reach = math.inf
    if math.isfinite(at) and np.isfinite(without).all():
        between = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
        t = t_quantile((1 + CONFIDENCE) / 2, max(n - 1, 1))
        reach = float(t * max(error, between))
    beyond = "logistic, beyond those tried"
    if at > dose[-1]:
        return Half(math.nan, min(at - reach, float(dose[-1])), math.inf, ">", beyond)
    if at < dose[0]:
        return Half(math.nan, -math.inf, max(at + reach, float(dose[0])), "<", beyond)
    if n == 1:
        reach = math.nan
    return Half(at, at - reach, at + reach, "", "logistic")


def _firth(dose: Values, success: Values) -> tuple[float, float]:
    """Return where the penalized fit crosses one half, and its standard error.

    Infinite where the fit does not fall: above or below all doses, as most succeed or not.
    """
    n = (~np.isnan(success)).sum(axis=0)
    wins = np.nansum(success, axis=0)
    centre, scale = float(dose.mean()), float(np.ptp(dose)) or 1.0
    x = np.stack([np.ones(len(dose)), (dose - centre) / scale], axis=1)  # (L, 2)
    beta = np.zeros(2)
    for _ in range(_STEPS):
        p = expit(x @ beta)
        weight = n * p * (1 - p)
        covariance = np.linalg.pinv(x.T @ (weight[:, None] * x))
        leverage = weight * np.einsum("li,ij,lj->l", x, covariance, x)
        step = covariance @ (x.T @ (wins - n * p + leverage * (0.5 - p)))
        step *= min(1.0, _LARGEST_STEP / max(np.abs(step).max(), 1e-300))
        beta += step
        if np.abs(step).max() < 1e-8:
            break
    if beta[1] >= 0:
        return math.inf if 2 * wins.sum() >= n.sum() else -math.inf, math.inf
    at = -beta[0] / beta[1]
    gradient = np.array([1.0, at]) / beta[1]  # delta method
    error = math.sqrt(float(gradient @ covariance @ gradient))
    return float(at * scale + centre), error * scale
