"""Whether one level loses more runs to divergence than another: a finding of its own."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bnexp.stats.cells import Factors, diverged_array
from bnexp.stats.factorial import all_contrasts
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.stats.proportion import sign_test_p
from bnexp.stats.testing import holm
from bnexp.store.columns import Column

COLUMNS = {
    "factor": Column("The factor whose levels are compared."),
    "level_a": Column("One of its levels."),
    "level_b": Column("The other."),
    "diverged_a": Column("How many runs of level a diverged.", "runs"),
    "ended_a": Column("Of how many that ended, with a number or without.", "runs"),
    "diverged_b": Column("How many runs of level b diverged.", "runs"),
    "ended_b": Column("Of how many that ended.", "runs"),
    "n": Column("In how many seeds runs of both ended at the same other levels.", "seeds"),
    "p": Column(
        "Two-sided p-value that neither level loses more runs.",
        method="Exact sign test over the seeds (McNemar 1947): runs of a seed may diverge "
        "together, so seeds are counted and not runs.",
    ),
    "p_adjusted": Column("The same, adjusted for all pairs of levels.", method="Holm (1979)."),
}


def divergence(
    runs: pd.DataFrame, factors: Factors, seeds: Sequence[int], *, looks: Looks = ONE_LOOK
) -> pd.DataFrame:
    """Return how often runs diverge at two levels of a factor; empty where none does.

    p is of the exact sign test over the n seeds: in how many does one level lose more runs
    than the other, of the conditions at which both ended. Runs of a seed may diverge together,
    so seeds are counted and not runs; nothing is assumed of the rates. `p_adjusted` is Holm's
    over all pairs of levels, and holds at each of several looks.

    Source: McNemar (1947), "Note on the sampling error of the difference between correlated
    proportions", Psychometrika 12; exact, and of seeds with several runs each.
    """
    lost = diverged_array(runs, factors, seeds)
    if not (lost == 1).any():
        return pd.DataFrame(columns=list(COLUMNS))
    rows = []
    for one in all_contrasts(factors):
        if one.kind != "main":
            continue
        a, b = (lost[:, side] for side in (one.weights > 0, one.weights < 0))
        counts = _counted(a), _counted(b)
        paired = ~np.isnan(a - b)  # one condition a column
        signs = np.sign(np.nansum(a - b, axis=1))[paired.any(axis=1)]
        n = len(signs)
        named = (one.factor, one.level_a, one.level_b)
        rows.append([*named, *counts[0], *counts[1], n, sign_test_p(signs)])
    table = pd.DataFrame(rows, columns=list(COLUMNS)[:-1])
    return table.assign(p_adjusted=holm(looks.p(table["p"].to_numpy(), table["n"].to_numpy())))


def _counted(lost: np.ndarray) -> tuple[int, int]:
    """Return how many runs diverged, and how many ended either way."""
    return int(np.nansum(lost)), int(np.count_nonzero(~np.isnan(lost)))
