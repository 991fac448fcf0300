"""The mean of the middle half of a cell's runs, which a run that crashes does not move.

Where one run in ten crashes, few seeds show no crash in one study and two in the next, and no
sample tells which: the t interval of the mean covers too little. The interquartile mean is of
what runs do that do not crash, and its interval covers 95 to 98 %, of normal, skewed and
heavy-tailed runs too. The price is its width where none crash: 1.2 times that of the mean at
10 seeds, 1.6 times at 5. Simulated, 20,000 studies of two arms, one of which crashes in a
tenth of its runs (tests/stats/test_interquartile.py repeats it with fewer):

    interval of the difference    n = 5   n = 10   n = 30
    of means, t                    .41     .65      .91
    of interquartile means         .97     .96      .96

How often runs crash is the other half of the finding, which neither of them says.
"""

import math

import numpy as np

from bnexp.stats.estimate import Values, known
from bnexp.stats.lattice import weighted_sum


def iqm(values: Values) -> float:
    """Return the interquartile mean: the mean without the lowest and highest quarter.

    `scipy.stats.trim_mean` gives the same, but takes 50 times as long; a study has hundreds
    of cells.

    Source: Agarwal et al. (2021), "Deep RL at the edge of the statistical precipice".
    """
    values = np.sort(known(values))
    cut = len(values) // 4
    return float(values[cut : len(values) - cut].mean()) if len(values) else math.nan


def freedom(n: int) -> int:
    """Return the degrees of freedom of an interquartile mean of n seeds: those kept less 1."""
    return n - 2 * (n // 4) - 1


def iqm_values(array: Values, weights: Values) -> Values:
    """Return what each seed contributes to a contrast of interquartile means, shape (S,).

    Their mean is the weighted sum of the cells' interquartile means, and the standard error of
    that mean is Yuen's for dependent samples: in each cell, what is trimmed counts as the last
    value that is not, and what cells of a seed share cancels. Its t has `freedom(n)` degrees.

    Args:
        array: A response by seed and cell, shape (S, levels of each factor); a seed that lacks
            one of the cells involved takes no part and has NaN.
        weights: Of the cells, shape (levels of each factor).

    Source: Yuen (1974), "The two-sample trimmed t for unequal population variances", Biometrika
    61; for dependent samples Wilcox (2012), "Introduction to robust estimation and hypothesis
    testing", sec. 5.9.5.
    """
    cells, weights = array[:, weights != 0], weights[weights != 0]
    whole = ~np.isnan(cells).any(axis=1)
    found = np.full(len(cells), math.nan)
    cells, n = cells[whole], int(whole.sum())
    if n:
        cut, kept = n // 4, freedom(n) + 1
        ordered = np.sort(cells, axis=0)
        winsorized = np.clip(cells, ordered[cut], ordered[n - cut - 1])
        sums = weighted_sum(np.concatenate([winsorized, ordered[cut : n - cut]]), weights)
        contributed, average = sums[:n], sums[n:].mean()
        scale = math.sqrt(n * (n - 1) / (kept * (kept - 1))) if kept > 1 else 0.0
        found[whole] = average + (contributed - contributed.mean()) * scale
    return found
