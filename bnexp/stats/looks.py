"""What holds at one look at the results, and what at any, while seeds are added.

Whoever looks at 5 seeds, and adds one until a 95 % t interval excludes zero, finds an effect
where there is none in 12, 23 and 29 % of studies by 10, 30 and 60 seeds: each look has an error
of its own. An interval that holds at all of them together is wider. This one inverts a
martingale: the Bayes factor of t against a mean of zero, where the mean in units of the
differences' SD is normal about zero with a variance of 1/2 and nothing is assumed of the SD.
Without an effect it ever exceeds 20 in 5 % of studies at most (Ville's inequality), however
many looks there are and whatever makes one stop. So nothing has to be planned, and Holm's and
Šidák's adjustments apply to it as they do to t.

It assumes that differences are independent and normal. Simulated with up to 60 seeds, from 3
or 5 on, it excludes the truth at any of the looks in (tests/stats/test_looks.py repeats it)

    differences              a look each 1 seed   2 seeds   5 seeds   t, each 1 seed
    normal                         .02              .02       .01         .29
    heavy tails (t, 3 df)          .01              .01       .01         .26
    whole numbers from -1 to 1     .03              .03       .02         .29
    counts (Poisson, mean 1)       .05              .04       .03         .30
    skewed (chi2, 8 df)            .04              .04       .03         .32
    skewed (exponential)           .11              .09       .07         .38

so it promises too much where differences are as skewed as exponential ones. With looks at 5,
10, ..., 60 seeds it finds effects of .8 SD and more with fewer seeds than group-sequential
bounds of O'Brien and Fleming, which need to know the last look: 10 instead of 16 at 2 SD. Of
small effects it finds fewer: 79 instead of 96 % of those of .5 SD.

Source: Wang and Ramdas (2023), "Anytime-valid t-tests and confidence sequences for Gaussian
means with unknown variance", which put the normal mixture in the place of a flat one in Lai
(1976), "On confidence sequences", Annals of Statistics 4; for the Bayes factor Rouder et al.
(2009), "Bayesian t tests for accepting and rejecting the null hypothesis", Psychonomic Bulletin
& Review 16.
"""

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from bnexp.stats.estimate import t_quantile

# Of effects in SDs: the scale .707 that is usual for Bayesian t tests. A larger one settles
# large effects at 5 seeds, but with skewed differences it errs in more than 5 %.
VARIANCE = 0.5
SMALLEST = 1e-60  # of a p that has a t value, whatever the seeds


@dataclass(frozen=True)
class Looks:
    """At how many numbers of seeds results are looked at: at one, or at several.

    Attributes:
        several: Whether what is said has to hold at any of several looks.
    """

    several: bool = False

    def reach(self, error: float, n: int) -> float:
        """Return how many standard errors a two-sided interval of n >= 2 seeds reaches.

        Infinite where so few seeds cannot settle anything before others are added.
        """
        return _reach(error, n) if self.several else t_quantile(1 - error / 2, n - 1)

    def p(self, p: npt.ArrayLike, n: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return p-values of n seeds as they hold: with several looks, larger ones.

        It is exact for two-sided t-tests: a p of at most some error is one whose interval of
        that error excludes zero. Any other p counts as that of the t-test which has it; what
        that does to the joint F-tests of shares and to sign tests is simulated.
        """
        p, n = np.broadcast_arrays(np.asarray(p, np.float64), np.asarray(n, np.float64))
        if not self.several:
            return p
        held = np.full(p.shape, math.nan)
        there = ~np.isnan(p) & (n > 1)
        seeds = n[there]
        t = stats.t.isf(np.maximum(p[there], SMALLEST) / 2, seeds - 1)
        held[there] = np.minimum(np.exp(-log_evidence(t, seeds)), 1)
        return held


ONE_LOOK = Looks()


def fewest(error: float) -> int:
    """Return how many seeds can settle something at any of several looks, at least."""
    return next(n for n in itertools.count(2) if math.isfinite(_reach(error, n)))


def log_evidence(
    t: npt.NDArray[np.float64], n: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the log of the Bayes factor of a t value of n seeds against no effect."""
    wide = 1 + n * VARIANCE
    square = t**2 / (n - 1)
    ratio = np.log1p(square) - np.log1p(square / wide)
    return np.asarray((n * ratio - np.log(wide)) / 2)


@functools.cache
def _reach(error: float, n: int) -> float:
    """Return the t value at which the Bayes factor is one over an error."""
    wide = 1 + n * VARIANCE
    ratio = math.exp((math.log(wide) - 2 * math.log(error)) / n)
    return math.sqrt((n - 1) * (ratio - 1) / (1 - ratio / wide)) if ratio < wide else math.inf
