"""Which share of the differences between cells each factor accounts for."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from bnexp.stats.cells import Factors, response_array
from bnexp.stats.estimate import CONFIDENCE, Values, t_quantile
from bnexp.stats.incomplete import whole_seeds
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.stats.squares import corrected, covariance, noise_p, products
from bnexp.stats.testing import holm
from bnexp.store.columns import Column

COLUMNS = {
    "factor": Column("The factor whose share it is."),
    "response": Column("The number that differs between cells, a column of runs.csv."),
    "estimate": Column(
        "Share of the differences between cells that the factor accounts for.",
        "share of 1",
        "Of the sum of squares between cells without what noise adds to it; an interaction "
        "counts equally for its factors (Shapley value). A factor without any effect has 0.",
    ),
    "ci_low": Column(
        "Lower end of its 95 % interval.",
        "share of 1",
        "Fieller (1954), for seeds whose differences are about normal; all of 0 to 1 where not "
        "even the total is told from noise.",
    ),
    "ci_high": Column("Upper end of it.", "share of 1"),
    "n": Column("How many seeds it is made of.", "seeds"),
    "p": Column(
        "p-value that the factor changes nothing, alone or with others.",
        method="Joint F test with the freedom that the covariance of cells leaves (Box 1954).",
    ),
    "p_adjusted": Column(
        "The same, adjusted for all factors and responses.",
        method="Holm (1979) over the factors, times the responses that have a p (Bonferroni).",
    ),
    "p_behind": Column(
        "p-value that it explains as much as the factor with the largest share; none of that.",
        method="One-sided paired t-test, times the factors that could be called first, and "
        "times the responses.",
    ),
}


def shares(
    runs: pd.DataFrame,
    factors: Factors,
    seeds: Sequence[int],
    responses: Sequence[str],
    *,
    looks: Looks = ONE_LOOK,
) -> pd.DataFrame:
    """Return which share of the variation between cells each factor accounts for.

    The sum of squares between the true means of the cells, as far as it can be told from the
    noise of the seeds (`squares`), is shared out among the factors; an interaction counts
    equally for its own. A factor without any effect has a share of 0, however many levels it
    has. Where seeds lack cells, what each of them contributes to the cells takes their place
    (`incomplete`), or, if that says too little, only seeds that have every cell take part.

    A page names the first factor of each response: all of them are one family, so that in
    95 % of studies none is named falsely in any (Bonferroni: responses are of the same runs).

    Source: Fieller (1954), "Some problems in interval estimation", for the interval.
    """
    varied = [axis for axis, levels in enumerate(factors.values()) if len(levels) > 1]
    tables = []
    for response in responses:
        table = shares_of(response_array(runs, factors, seeds, response), varied, looks)
        tables.append(table.assign(factor=list(factors), response=response))
    found = pd.concat(tables, ignore_index=True)[list(COLUMNS)]
    n_judged = sum(table["p"].notna().any() for table in tables)
    for name in ("p_adjusted", "p_behind"):
        found[name] = (found[name] * n_judged).clip(upper=1)
    return found


def shares_of(array: Values, varied: Sequence[int], looks: Looks = ONE_LOOK) -> pd.DataFrame:
    """Return the columns of `shares` from `estimate` on, of a response alone; a row a factor.

    Args:
        array: A response by seed and cell, shape (S, levels of each factor).
        varied: The factors that have more than one level.
    """
    complete = whole_seeds(array)
    # A frame is made once, of whole columns: to set its cells takes longer than all the rest.
    numbers = {name: np.full(array.ndim - 1, math.nan) for name in list(COLUMNS)[2:]}
    if len(complete) > 1 and varied:
        of_factors = products(complete)
        ends = _shared_out(of_factors).T
        numbers["estimate"], numbers["ci_low"], numbers["ci_high"] = ends
        p = looks.p([noise_p(of_factors[axis]) for axis in varied], len(complete))
        numbers["p"][varied] = p
        numbers["p_adjusted"][varied] = holm(p)
        if not np.isnan(p).all():
            numbers["p_behind"][varied] = _behind(of_factors[varied], looks)
    return pd.DataFrame({**numbers, "n": len(complete)})


def _shared_out(of_factors: Values) -> Values:
    """Return each factor's share and its interval, shape (factors, 3)."""
    n, whole = of_factors.shape[-1], of_factors.sum(axis=0)
    parts, total = corrected(of_factors), float(corrected(whole))
    positive = np.maximum(parts, 0)
    share = positive / positive.sum() if positive.sum() > 0 else positive
    if math.isnan(noise_p(whole)):
        return np.column_stack([share, np.full((len(share), 2), math.nan)])
    # All R for which part - R total is not told from zero: a quadratic inequality.
    reach = t_quantile((1 + CONFIDENCE) / 2, n - 1) ** 2
    square = total**2 - reach * float(covariance(whole, whole))
    if total <= 0 or square <= 0:
        return np.column_stack([share, np.zeros_like(share), np.ones_like(share)])
    middle = (parts * total - reach * covariance(of_factors, whole)) / square
    last = (parts**2 - reach * covariance(of_factors, of_factors)) / square
    half = np.sqrt(np.maximum(middle**2 - last, 0))
    low, high = np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)
    return np.column_stack([share, np.minimum(low, share), np.maximum(high, share)])


def _behind(of_factors: Values, looks: Looks) -> Values:
    """Return the p-value of each factor that the one with the largest share exceeds it not.

    One-sided t-tests of the paired difference. "Explains most" needs all of them. Where
    several factors explain as much as each other, each of them could be called the first by
    chance, so p is multiplied by their number (Bonferroni).
    """
    n, first = of_factors.shape[-1], int(np.argmax(corrected(of_factors)))
    ahead = of_factors[first] - of_factors
    error = np.sqrt(covariance(ahead, ahead))
    p = np.full(len(ahead), math.nan)
    there = error > 0
    t = corrected(ahead)[there] / error[there]
    p[there] = np.minimum(len(ahead) * looks.p(stats.t.sf(t, n - 1), n), 1)
    p[first] = math.nan
    return p
