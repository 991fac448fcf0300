"""Every planned comparison with its interval, its p-values and what it could not see."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from bnexp.stats.cells import Factors, diverged_array, response_array
from bnexp.stats.estimate import CONFIDENCE, Values
from bnexp.stats.factorial import Contrast, all_contrasts
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.stats.one_contrast import compared
from bnexp.stats.proportion import sign_for_better
from bnexp.stats.testing import error_of_each, holm
from bnexp.store.columns import RESPONSE, Column

WasDeclared = Callable[[Contrast, str], bool]

COLUMNS = {
    "factor": Column("The factor whose levels are compared, or of an interaction the two."),
    "level_a": Column(
        "The level whose response comes first in the difference; of an interaction the two "
        "that differ from level b, with \\: for a colon of their own."
    ),
    "level_b": Column("The level whose response is subtracted."),
    "given": Column("Levels of other factors that are fixed; the rest is averaged over."),
    "response": Column("The number that is compared, a column of runs.csv."),
    "estimate": Column(
        "Level a minus level b; of an interaction the difference of two such differences, not "
        "halved.",
        RESPONSE,
        "Within each seed, the mean over the seeds; or of interquartile means, see average. "
        "Where seeds lack runs, see method.",
    ),
    "ci_low": Column(
        "Lower end of the 95 % interval of this comparison alone.",
        RESPONSE,
        "Student's t over the seeds, for differences that are about normal.",
    ),
    "ci_high": Column("Upper end of it.", RESPONSE),
    "n": Column("How many seeds the estimate is made of.", "seeds"),
    "method": Column(
        "How estimate, interval and p were computed.",
        method="Where seeds lack some of the cells by least squares with the seeds as blocks: "
        "right if runs are missing for reasons that have nothing to do with their results.",
    ),
    "p": Column(
        "Two-sided p-value of no difference.",
        method="Sign-flip permutation over the seeds (Fisher 1935), exact up to 30 seeds and "
        "drawn beyond; assumes that a difference and its negative are equally likely. By least "
        "squares and of interquartile means it is p_t.",
    ),
    "p_adjusted": Column(
        "The same, adjusted for all comparisons of its family.",
        method="Holm (1979). Families are the planned main effects and interactions of a "
        "response, its planned simple effects, and what is exploratory.",
    ),
    "effect_size": Column(
        "d_z, the difference in SDs of it over the seeds: it says how many seeds find it.",
        method="Hedges' correction for few seeds. Where the correlation is above .5 it is "
        "larger than d_av, in SDs of runs. Not of interquartile means, nor where seeds lack "
        "runs.",
    ),
    "kind": Column("main, interaction, or simple: at fixed levels of other factors."),
    "declared": Column("planned, or exploratory if it was declared after the first run."),
    "p_error": Column("Standard error of p where it was drawn, else 0."),
    "p_t": Column("Two-sided p-value of the t-test, which belongs to the interval."),
    "smallest_p": Column("What p cannot fall below with this n: 2/2^n where it is exact."),
    "bca_low": Column(
        "Lower end of a 95 % bootstrap interval, from 20 seeds on; where it disagrees with the "
        "t interval, the differences are not normal.",
        RESPONSE,
        "Bias-corrected and accelerated (Efron 1987), 4,999 draws of seeds.",
    ),
    "bca_high": Column("Upper end of it.", RESPONSE),
    "sd": Column(
        "Standard deviation of the difference over the seeds: the noise floor.",
        RESPONSE,
        "By least squares and of interquartile means, of what each seed contributes.",
    ),
    "skewness": Column(
        "Third standardized moment of the differences.",
        method="Where it is large, t intervals cover less than 95 %: see caveats.csv.",
    ),
    "mde": Column(
        "The smallest effect that is found at this noise and n, with 80 % power at 5 %.",
        RESPONSE,
        "Noncentral t of a two-sided test, before Holm's adjustment (Cohen 1988).",
    ),
    "equivalence_margin": Column(
        "The smallest margin within which the two levels are as good as equal.",
        RESPONSE,
        "Two one-sided t-tests at 5 % (Schuirmann 1987).",
    ),
    "improvement": Column(
        "P(A > B): in how many seeds level a is the better one, a tie counting half; the "
        "larger one where neither is better.",
        "share of 1",
        "Within seeds (Bouthillier et al. 2021).",
    ),
    "improvement_low": Column(
        "Lower end of its 95 % interval.",
        "share of 1",
        "Exact binomial (Clopper and Pearson 1934), for independent seeds: it covers at least "
        "95 %, ties included.",
    ),
    "improvement_high": Column("Upper end of it.", "share of 1"),
    "ranked": Column(
        "The same with diverged runs, which are worse than any number; not of interactions.",
        "share of 1",
    ),
    "ranked_low": Column(
        "Lower end of its 95 % interval.", "share of 1", "As improvement_low."
    ),
    "ranked_high": Column("Upper end of it.", "share of 1"),
    "n_ranked": Column("How many seeds that is of.", "seeds"),
    "p_ranked": Column("Two-sided p-value of ranked.", method="Exact sign test, without ties."),
    "n_missing": Column("Seeds without this difference.", "seeds"),
    "n_diverged": Column("Of these, how many lost a run to divergence alone.", "seeds"),
    "n_untrained": Column("How many lack a run that failed or is not trained.", "seeds"),
    "sim_low": Column(
        "Lower end of the interval that holds together with those of all n_family comparisons, "
        "in 95 % of families.",
        RESPONSE,
        "Student's t with the error that Sidak (1967) leaves to each; families of p_adjusted.",
    ),
    "sim_high": Column("Upper end of it.", RESPONSE),
    "n_family": Column("How many comparisons its family has."),
    "main_low": Column(
        "Lower end of the interval that holds together with those of the main effects on all "
        "responses, planned and exploratory ones apart; of main effects only.",
        RESPONSE,
        "As sim_low.",
    ),
    "main_high": Column("Upper end of it.", RESPONSE),
    "effect_low": Column(
        "Lower end of the 95 % interval of the effect size in truth.",
        method="Noncentral t (Steiger and Fouladi 1997): exact for normal differences.",
    ),
    "effect_high": Column("Upper end of it."),
    "meaningful": Column(
        "Which level is better in more than three of four seeds: level a, level b, neither, or "
        "cannot tell; not of interactions, nor where results were looked at several times.",
        method="The exact interval of improvement, at the level at which those of its family "
        "(without interactions) hold together, against .75, the threshold of Bouthillier et "
        "al. (2021). One comparison alone needs 13 seeds or more, a family more than that.",
    ),
    "correlation": Column(
        "Correlation of the two sides over the seeds: above zero, pairing by seed took noise "
        "away, and a pair is worth 1 / (1 - r) pairs of independent runs.",
        method="Pearson's r, sides of about equal spread.",
    ),
    "correlation_low": Column(
        "Lower end of its 95 % interval.",
        method="Fisher (1921): for responses that are about normal.",
    ),
    "correlation_high": Column("Upper end of it."),
    "average": Column(
        "What the estimate compares: mean, or interquartile mean, the mean of the middle half "
        "of a cell's runs, which runs that crash do not move.",
        method="Interquartile means where the study names the response under iqm; if that was "
        "declared after the first run, the comparison is exploratory.",
    ),
    "beside": Column(
        "The same comparison of the other average.",
        RESPONSE,
        "Interquartile means of cells (Agarwal et al. 2021), of seeds that have all of them.",
    ),
    "beside_low": Column(
        "Lower end of its 95 % interval.",
        RESPONSE,
        "Yuen's t for dependent trimmed means (Wilcox 2012); of means, as ci_low.",
    ),
    "beside_high": Column("Upper end of it.", RESPONSE),
    "freedom": Column("Degrees of freedom of the t intervals and p_t."),
}


def contrasts(
    runs: pd.DataFrame,
    factors: Factors,
    seeds: Sequence[int],
    responses: Sequence[str],
    *,
    was_declared: WasDeclared = lambda contrast, response: True,
    iqm: Collection[str] = (),
    looks: Looks = ONE_LOOK,
) -> pd.DataFrame:
    """Return every main effect, two-factor interaction and simple effect; see `COLUMNS`.

    Args:
        was_declared: Whether a contrast of a response was declared before the first run.
        iqm: The responses whose interquartile means are compared.
        looks: Whether results are looked at while seeds are added: `p_adjusted`, `sim_low` and
            `sim_high` hold at any of the looks, all else is of one. Of interquartile means as
            many seeds count as their t has degrees of freedom, and one more.
    """
    rows = []
    for response in responses:
        array = response_array(runs, factors, seeds, response)
        diverged = diverged_array(runs, factors, seeds)
        better = sign_for_better(response)
        found = [(one, was_declared(one, response)) for one in all_contrasts(factors)]
        # An interaction has no better side.
        sides = Counter((one.kind, planned) for one, planned in found)
        for contrast, planned in found:
            error = error_of_each(sides[contrast.kind, planned])
            told = contrast.kind != "interaction" and not looks.several
            rows.append(
                {
                    "factor": contrast.factor,
                    "level_a": contrast.level_a,
                    "level_b": contrast.level_b,
                    "given": contrast.given,
                    "response": response,
                    "kind": contrast.kind,
                    "declared": "planned" if planned else "exploratory",
                    **compared(
                        array,
                        diverged,
                        contrast,
                        better,
                        by_iqm=response in iqm,
                        error=error if told else 0.0,
                    ),
                }
            )
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    simple = table["kind"] == "simple"
    for _, family in table.groupby([table["response"], simple, table["declared"]], sort=False):
        n = family["freedom"].to_numpy() + 1
        table.loc[family.index, "p_adjusted"] = holm(looks.p(family["p"].to_numpy(), n))
        table.loc[family.index, ["sim_low", "sim_high"]] = _together(family, looks)
        table.loc[family.index, "n_family"] = int(family["ci_low"].notna().sum())
    for _, family in table[table["kind"] == "main"].groupby("declared", sort=False):
        table.loc[family.index, ["main_low", "main_high"]] = _together(family, looks)
    return table


def family_of(factors: Factors) -> int:
    """Return how many planned main effects and interactions of a response go together."""
    return sum(one.kind != "simple" for one in all_contrasts(factors))


def _together(family: pd.DataFrame, looks: Looks) -> Values:
    """Return the ends of the intervals that hold together in 95 % of families, shape (n, 2)."""
    error = error_of_each(int(family["ci_low"].notna().sum()))
    wider = _times_wider(family["freedom"].to_numpy() + 1, error, looks)
    at = family["estimate"].to_numpy()[:, None]
    return np.asarray(at + (family[["ci_low", "ci_high"]].to_numpy() - at) * wider[:, None])


def _times_wider(n: npt.NDArray[np.intp], error: float, looks: Looks) -> Values:
    """Return how many times wider than a 95 % t interval another one is, NaN if infinitely."""
    ends = [
        [one.reach(of, size) if size > 1 else math.nan for size in n.tolist()]
        for one, of in ((looks, error), (ONE_LOOK, 1 - CONFIDENCE))
    ]
    wide, alone = np.array(ends)
    return np.where(np.isinf(wide), math.nan, wide / alone)
