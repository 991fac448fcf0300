"""Every planned comparison with its interval, its p-values and what it could not see."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pandas as pd

from bnexp.stats.cells import Factors, diverged_array, response_array
from bnexp.stats.estimate import (
    BCA_FROM,
    CONFIDENCE,
    Values,
    bca,
    known,
    paired_t,
    vary,
)
from bnexp.stats.factorial import Contrast, all_contrasts, within_seeds
from bnexp.stats.incomplete import METHOD, fitted
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.stats.power import minimum_detectable_effect
from bnexp.stats.proportion import (
    Share,
    improvement,
    ranked,
    sign_for_better,
    sign_test_p,
    wilson,
)
from bnexp.stats.testing import (
    EXACT_UP_TO,
    equivalence_margin,
    error_of_each,
    holm,
    sign_flip,
    smallest_p,
    t_test_p,
)

WasDeclared = Callable[[Contrast, str], bool]

CONTRAST_COLUMNS = [
    *("factor", "level_a", "level_b", "given", "response", "estimate", "ci_low", "ci_high"),
    *("n", "method", "p", "p_adjusted", "effect_size", "kind", "declared", "p_error", "p_t"),
    *("smallest_p", "bca_low", "bca_high", "sd", "skewness", "mde", "equivalence_margin"),
    *("improvement", "improvement_low", "improvement_high"),
    *("ranked", "ranked_low", "ranked_high", "n_ranked", "p_ranked"),
    *("n_missing", "n_diverged", "n_untrained"),
    *("sim_low", "sim_high", "n_family"),
]


def contrasts(
    runs: pd.DataFrame,
    factors: Factors,
    seeds: Sequence[int],
    responses: Sequence[str],
    was_declared: WasDeclared = lambda contrast, response: True,
    *,
    looks: Looks = ONE_LOOK,
) -> pd.DataFrame:
    """Return every main effect, two-factor interaction and simple effect.

    Columns beside the estimate and its t interval:
        p, p_error: Exact sign-flip permutation p; its standard error where it was drawn.
        p_adjusted: Holm's, within the planned main effects and interactions of a response;
            apart from these within its planned simple effects, and within what is
            exploratory. It holds at any of several looks, as do `sim_low` and `sim_high`; all
            else is of one look.
        p_t: The p that belongs to the t interval; also `p` where `method` is least squares,
            of a contrast for which seeds lack runs (`incomplete`). Then `n` counts the seeds
            that contribute, `sd` and `skewness` are of what each does, and there is no
            bootstrap.
        sim_low, sim_high: Interval (`looks`) that holds together with those of its family of
            `n_family` comparisons, the one that Holm's adjustment is made in; `ci_low` and
            `ci_high` are of one comparison alone. NaN where so few seeds settle nothing.
        smallest_p: What p cannot fall below with this n.
        bca_low, bca_high: Bootstrap interval from n = 20.
        mde: The smallest effect that this n and spread detect with 80 % power.
        equivalence_margin: The smallest margin within which the levels are equivalent
            (TOST at 5 %).
        improvement: In which share of the seeds level a is the better one.
        ranked, p_ranked: The same with diverged runs as the worst, and its sign test; not
            for interactions, which have no better side.
        n_missing: Seeds without this difference, of which n_diverged have lost a run to
            divergence alone and n_untrained lack one that is not trained or failed.
        declared: `planned`, or `exploratory` where it was declared after the first run.

    Args:
        was_declared: Whether a contrast of a response was declared before the first run.
        looks: Whether results are looked at while seeds are added.
    """
    rows = []
    for response in responses:
        array = response_array(runs, factors, seeds, response)
        diverged = diverged_array(runs, factors, seeds)
        better = sign_for_better(response)
        for contrast in all_contrasts(factors):
            values = within_seeds(array, contrast.weights)
            fit = fitted(array, contrast.weights)
            planned = was_declared(contrast, response)
            rows.append(
                {
                    "factor": contrast.factor,
                    "level_a": contrast.level_a,
                    "level_b": contrast.level_b,
                    "given": contrast.given,
                    "response": response,
                    "kind": contrast.kind,
                    "declared": "planned" if planned else "exploratory",
                    **(_estimated(values) if fit is None else _estimated_by_fit(fit)),
                    **_share("improvement", improvement(values, better)),
                    **_with_diverged(values, array, diverged, contrast, better),
                }
            )
    table = pd.DataFrame(rows, columns=CONTRAST_COLUMNS)
    simple = table["kind"] == "simple"
    for _, family in table.groupby([table["response"], simple, table["declared"]], sort=False):
        n = family["n"].to_numpy()
        table.loc[family.index, "p_adjusted"] = holm(looks.p(family["p"].to_numpy(), n))
        n_family = int(family["ci_low"].notna().sum())
        wider = _times_wider(n, error_of_each(n_family), looks)
        for end in ("low", "high"):
            half = (family[f"ci_{end}"] - family["estimate"]) * wider
            table.loc[family.index, f"sim_{end}"] = family["estimate"] + half
        table.loc[family.index, "n_family"] = n_family
    return table


def family_of(factors: Factors) -> int:
    """Return how many planned main effects and interactions of a response go together."""
    return sum(one.kind != "simple" for one in all_contrasts(factors))


def _times_wider(n: npt.NDArray[np.intp], error: float, looks: Looks) -> Values:
    """Return how many times wider than a 95 % t interval another one is, NaN if infinitely."""
    ends = [
        [one.reach(of, size) if size > 1 else math.nan for size in n.tolist()]
        for one, of in ((looks, error), (ONE_LOOK, 1 - CONFIDENCE))
    ]
    wide, alone = np.array(ends)
    return np.where(np.isinf(wide), math.nan, wide / alone)


def _estimated(values: Values) -> dict[str, object]:
    """Return what follows from one difference a seed, shape (S,)."""
    estimate = paired_t(values)
    found = known(values)
    sd = float(found.std(ddof=1)) if vary(found) else 0.0 if len(found) > 1 else math.nan
    p = sign_flip(values)
    bca_low, bca_high = bca(values)
    exact = "exact" if estimate.n <= EXACT_UP_TO else "drawn"
    beside = ", BCa beside" if estimate.n >= BCA_FROM else ""
    return {
        **asdict(estimate),
        "method": f"paired t interval{beside}, {exact} sign-flip p",
        "p": p.p,
        "p_adjusted": math.nan,
        "p_error": p.error,
        "p_t": t_test_p(values),
        "smallest_p": smallest_p(estimate.n),
        "effect_size": estimate.estimate / sd if sd > 0 else math.nan,
        "bca_low": bca_low,
        "bca_high": bca_high,
        "sd": sd,
        "skewness": _skewness(found),
        "mde": minimum_detectable_effect(values),
        "equivalence_margin": equivalence_margin(values),
    }


def _estimated_by_fit(fit: Values) -> dict[str, object]:
    """Return what follows from what each seed contributes: nothing that needs whole seeds."""
    without = ("smallest_p", "effect_size", "bca_low", "bca_high")
    return {
        **_estimated(fit),
        "method": METHOD,
        "p": t_test_p(fit),
        "p_error": 0.0,
        **dict.fromkeys(without, math.nan),
    }


def _skewness(found: Values) -> float:
    """Return the third standardized moment; NaN below three values or without spread."""
    centred = found - found.mean() if len(found) > 2 else np.zeros(1)
    spread = float((centred**2).mean())
    return float((centred**3).mean() / spread**1.5) if spread > 0 else math.nan


def _with_diverged(
    values: Values, array: Values, diverged: Values, contrast: Contrast, better: int
) -> dict[str, object]:
    """Return the comparison with diverged runs as the worst, and why seeds are missing."""
    lost_a = within_seeds(diverged, np.maximum(contrast.weights, 0))
    lost_b = within_seeds(diverged, np.maximum(-contrast.weights, 0))
    missing = np.isnan(values)
    # A run that is there and has no value has diverged, or does not report the response.
    untrained = missing & np.isnan(lost_a + lost_b)
    lost = missing & (lost_a + lost_b > 0)
    signs = ranked(values, lost_a, lost_b, better)
    if contrast.kind == "interaction":
        signs = np.full_like(signs, math.nan)
    share = wilson(float(((known(signs) + 1) / 2).sum()), len(known(signs)))
    return {
        **_share("ranked", share),
        "n_ranked": share.n,
        "p_ranked": sign_test_p(signs),
        "n_missing": int(missing.sum()),
        "n_diverged": int(lost.sum()),
        "n_untrained": int(untrained.sum()),
    }


def _share(name: str, share: Share) -> dict[str, float]:
    return {name: share.share, f"{name}_low": share.low, f"{name}_high": share.high}
