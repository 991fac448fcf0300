"""Shares of seeds: how often runs diverge, how often one level beats another."""

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import betaincinv

from bnexp.metrics import describe
from bnexp.stats.estimate import CONFIDENCE, Values, known
from bnexp.study.power import ALPHA

Z = stats.norm.ppf((1 + CONFIDENCE) / 2)
# How often a level has to be the better one for the difference to matter (Bouthillier et al.
# 2021, "Accounting for variance in machine learning benchmarks", sec. 4).
MEANINGFUL = 0.75


@dataclass(frozen=True)
class Share:
    """A share of n with its 95 % interval; NaN where n = 0."""

    share: float
    low: float
    high: float
    n: int


def wilson(count: float, n: int) -> Share:
    """Return count / n with its Wilson score interval; a tie may count one half.

    Source: Wilson (1927), "Probable inference, the law of succession, and statistical
    inference", JASA 22.
    """
    if n == 0:
        return Share(math.nan, math.nan, math.nan, 0)
    share = count / n
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return Share(share, max(0.0, float(middle - half)), min(1.0, float(middle + half)), n)


@functools.cache
def exact(count: float, n: int, error: float = ALPHA) -> Share:
    """Return count / n with its exact binomial interval; a tie may count one half.

    Args:
        error: How often the interval may miss the truth.

    It covers 95 % or more at every share and n, where Wilson's covers as little as 84 % of
    shares near 0 and 1, which are those of a level that is better in most seeds. Ties only
    make it cover more: of shares from 0 to 1, with up to 40 % of ties and 5 to 30 seeds, 95.4
    to 99.9 % (tests/stats/test_proportion.py).

    Source: Clopper and Pearson (1934), "The use of confidence or fiducial limits illustrated
    in the case of the binomial", Biometrika 26.
    """
    if n == 0:
        return Share(math.nan, math.nan, math.nan, 0)
    tail = error / 2
    low = betaincinv(count, n - count + 1, tail) if count > 0 else 0.0
    high = betaincinv(count + 1, n - count, 1 - tail) if count < n else 1.0
    return Share(count / n, float(low), float(high), n)


def meaningful(better: Share) -> str:
    """Return which level is better in more than three of four seeds, as far as that is told.

    `level a` or `level b` if the interval lies beyond .75 for it, `neither` if it lies within
    that for both, else `cannot tell`. Each is said wrongly in at most half of the interval's
    error. Bouthillier et al. call a difference meaningful as long as .75 is not ruled out.
    """
    if better.low > MEANINGFUL or better.high < 1 - MEANINGFUL:
        return "level a" if better.share > 0.5 else "level b"
    if better.low > 1 - MEANINGFUL and better.high < MEANINGFUL:
        return "neither"
    return "cannot tell" if better.n else ""


def sign_for_better(response: str) -> int:
    """Return -1 where a lower response is better (losses, times), else 1."""
    try:
        return -1 if describe(response).better == "lower" else 1
    except KeyError:
        return 1


def improvement(values: Values, better: int = 1, error: float = ALPHA) -> Share:
    """Return P(A > B): in which share of the seeds level a is better, ties counting one half.

    Args:
        values: Level a minus level b within each seed, shape (S,), NaN where one lacks.
        better: -1 where lower is better.
        error: See `exact`.

    Source: Bouthillier et al. (2021), see `MEANINGFUL`, sec. 4.1.
    """
    found = np.sign(known(values)) * better
    return exact(float(((found + 1) / 2).sum()), len(found), error)


def ranked(values: Values, lost_a: Values, lost_b: Values, better: int = 1) -> Values:
    """Return within each seed who is better, 1 (level a), 0 (tie) or -1, shape (S,).

    A diverged run is worse than any number. Where a level stands for several cells, the
    one that lost fewer of them is better, and both losing the same is a tie. NaN where a
    run is missing for any other reason.

    Args:
        values: Level a minus level b, NaN where a run diverged or is missing.
        lost_a: Share of the cells of level a that diverged; NaN where a run is missing.
        lost_b: The same of level b.
    """
    known_sign = np.sign(values) * better
    return np.where((lost_a == 0) & (lost_b == 0), known_sign, np.sign(lost_b - lost_a))


def sign_test_p(signs: Values) -> float:
    """Return the exact two-sided sign test of "neither is better", ties left out."""
    found = known(signs)
    wins, losses = int((found > 0).sum()), int((found < 0).sum())
    if len(found) < 2:
        return math.nan
    if wins + losses == 0:
        return 1.0
    return _sign_test_p(wins, wins + losses)


@functools.cache
def _sign_test_p(wins: int, n: int) -> float:
    return float(stats.binomtest(wins, n, 0.5).pvalue)
