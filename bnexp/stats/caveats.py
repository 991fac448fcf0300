"""What a study cannot say, as rows that the report prints as warnings."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from bnexp.datasets.about import about
from bnexp.metrics import is_time
from bnexp.plural import counted
from bnexp.stats.cells import Factors
from bnexp.stats.incomplete import ASSUMES, METHOD
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.stats.testing import smallest_p
from bnexp.store.columns import Column
from bnexp.store.records import RunRecord
from bnexp.study.power import ALPHA

COLUMNS = {
    "code": Column(
        "What cannot be told: smallest_p, what no p falls below with n seeds; adjusted_p, the "
        "same after Holm's adjustment; few_seeds, too few to show skewness; rare_runs, the "
        "share of studies that hold no run of a kind that is one in ten; detectable, the "
        "smallest effect that is found; skewed, comparisons whose intervals cover too little; "
        "pairs_missing, comparisons that lack seeds; exploratory, those declared after the "
        "first run; chosen_on_test, learning rates; no_change, a factor without any effect; "
        "rounding, runs of machines or programs that round otherwise; small_last_batch, runs "
        "whose epochs end in a minibatch of less than half the size."
    ),
    "response": Column("Of which number; empty if of all."),
    "value": Column(
        "A p-value, a number of seeds or of comparisons, or an effect as the response has it."
    ),
    "text": Column("The same as a sentence."),
}
# Below that many seeds skewness cannot be told from chance.
FEW_SEEDS = 10
# How often a run is not of a kind that is one in ten.
COMMON = 0.9
# What t intervals lose grows with skewness^2 / n (Hall 1992, "The bootstrap and Edgeworth
# expansion", sec. 2.6); by the table in `estimate` they stay within .93 to .97 below this.
SKEWED, SKEWED_AT = 1.0, 30
# What of a run's provenance decides how its numbers are rounded. Programs of one machine may
# have been compiled by different compilers: there it counts within a program only.
ROUNDED_BY = ("device", "hardware", "vectors", "torch")


def caveats(
    contrasts: pd.DataFrame,
    footing: pd.DataFrame,
    runs: pd.DataFrame,
    factors: Factors,
    *,
    records: Sequence[RunRecord] = (),
    looks: Looks = ONE_LOOK,
) -> pd.DataFrame:
    """Return the warnings that follow from the tables and records; see `COLUMNS`."""
    main = contrasts[contrasts["kind"] != "simple"]
    rows = [*_without_effect(runs, factors), *_about_p(main, looks), *_about_responses(main)]
    rows += [*_about_rounding(records), *_about_last_batches(records)]
    n_later = int((contrasts["declared"] == "exploratory").sum())
    if n_later:
        text = (
            f"{n_later} of {len(contrasts)} contrasts were declared after the first run: they "
            "are exploratory: results may have suggested them, and their p-values ignore that"
        )
        rows.append(("exploratory", "", n_later, text))
    own = footing[footing["rule"] == "own best"]
    if own["optimistic"].astype(bool).any():
        text = (
            f"the best learning rates were chosen on {own['chosen_on'].iloc[0]}, the test set, "
            "which is optimistic. Hold out data.val_size images to choose on"
        )
        rows.append(("chosen_on_test", "", float("nan"), text))
    return pd.DataFrame(rows, columns=list(COLUMNS))


CaveatRow = tuple[str, str, float, str]


def _without_effect(runs: pd.DataFrame, factors: Factors) -> Iterator[CaveatRow]:
    """Yield the factors at whose levels runs agree in all that was measured, bit by bit."""
    ended = runs[runs["status"] != "failed"]
    others = (*factors, "seed", "run_id")
    measured = [one for one in runs if one not in others and not is_time(str(one))]
    for factor in factors:
        rest = ["seed", *(other for other in factors if other != factor)]
        paired = ended.groupby(rest, dropna=False)
        several = paired[factor].nunique(dropna=False) > 1
        if several.any() and (paired[measured].nunique(dropna=False) <= 1).all(axis=None):
            text = (
                f"the factor {factor} changed nothing: every run is identical to the last bit"
            )
            yield "no_change", "", float("nan"), text


def _about_rounding(records: Sequence[RunRecord]) -> Iterator[CaveatRow]:
    """Yield in what the runs' provenance differs; what a record does not tell is unknown."""
    origins = [record.provenance for record in records if record.status != "failed"]
    found = {}
    for field in (*ROUNDED_BY, "compiler"):
        told = [origin for origin in origins if field in origin]
        by_program = {(one.get("program"), one[field]) for one in told}
        groups = {program for program, _ in by_program} if field == "compiler" else {None}
        counts = Counter(str(one[field] or "none") for one in told)
        if len(by_program) > len(groups) and len(counts) > 1:
            shown = [f"{value} ({counted(n, 'run')})" for value, n in sorted(counts.items())]
            found[field] = ", ".join(shown)
    if found:
        text = (
            "not all runs were computed alike "
            f"({'; '.join(f'{field}: {values}' for field, values in found.items())}): rounding "
            "may differ between such runs, and training enlarges it, so no one machine need "
            "repeat all of them bit by bit"
        )
        yield "rounding", "", len(found), text


def _about_last_batches(records: Sequence[RunRecord]) -> Iterator[CaveatRow]:
    """Yield how many runs take an epoch's last step, before evaluation, on a few images."""
    found = []
    for config in (record.config for record in records if record.status != "failed"):
        data, train = config.get("data"), config.get("train")
        if data is None or train is None or train["drop_last"]:
            continue
        n_train = data["train_size"] or about(data).n_train - data["val_size"]
        rest = n_train % train["batch_size"]
        if train["batch_size"] <= n_train and 0 < rest < train["batch_size"] / 2:
            found.append((rest, train["batch_size"]))
    if found:
        which = " or ".join(f"{rest} of {size}" for rest, size in sorted(set(found)))
        text = (
            f"in {len(found)} of {counted(len(records), 'run')} an epoch ends with a minibatch "
            f"of {which} images, whose step and statistics count as much as any other's and "
            "come last before the test; train.drop_last=true leaves it out"
        )
        yield "small_last_batch", "", len(found), text


def _about_p(main: pd.DataFrame, looks: Looks) -> Iterator[CaveatRow]:
    n = int(main["n"].max()) if len(main) else 0
    if n < 2:
        return
    floor = smallest_p(n)
    if floor >= ALPHA:
        yield "smallest_p", "", floor, f"{n} seeds cannot reach p < {_short(floor)} two-sided"
    if n < FEW_SEEDS:
        text = (
            f"{n} seeds do not show whether differences are skewed; where they are strongly "
            "skewed, 95 % t intervals cover 82 to 89 % at 5 seeds and 93 % only from 30"
        )
        yield "few_seeds", "", n, text
    if (unseen := COMMON**n) > ALPHA:
        text = (
            f"of studies with {n} seeds {unseen:.0%} hold no run of a kind that is one in ten, "
            "such as one that crashes: what is said of means is then of the other runs alone"
        ).replace("%", " %")
        yield "rare_runs", "", unseen, text
    family = int(main.groupby("response").size().max())
    adjusted = min(1.0, float(looks.p(floor, n)) * family)
    if floor < ALPHA <= adjusted:
        tried = itertools.count(n)
        needed = next(k for k in tried if looks.p(smallest_p(k), k) * family < ALPHA)
        text = (
            f"{n} seeds cannot reach an adjusted p < {_short(adjusted)} in a "
            f"family of {family} contrasts; {needed} seeds can reach {_short(ALPHA)}"
        )
        yield "adjusted_p", "", adjusted, text


def _about_responses(main: pd.DataFrame) -> Iterator[CaveatRow]:
    for response, table in main.groupby("response", sort=False):
        name = str(response)
        largest = table["mde"].max()
        if np.isfinite(largest):
            text = (
                f"the design can only detect effects on {name} larger than {_short(largest)} "
                f"(80 % power at 5 %, before Holm's adjustment; {_short(table['mde'].min())} "
                "for the comparison with the least noise)"
            )
            yield "detectable", name, float(largest), text
        limit = SKEWED * np.sqrt(np.maximum(table["n"] / SKEWED_AT, 1))
        skewed = int((table["skewness"].abs() > limit).sum())
        if skewed:
            text = (
                f"{skewed} of {len(table)} contrasts of {name} have skewed differences "
                "for this few seeds: their 95 % t intervals may cover as little as 82 to 91 %; "
                "look at the seeds themselves"
            )
            yield "skewed", name, skewed, text
        short = table[table["n_missing"] > 0]
        if len(short):
            text = (
                f"{len(short)} of {len(table)} contrasts of {name} lack seeds: at most "
                f"{short['n_diverged'].max()} by divergence and {short['n_untrained'].max()} "
                "by runs that failed or are not trained"
            )
            if n_fitted := int((short["method"] == METHOD).sum()):
                text += f"; {n_fitted} of these are {ASSUMES}"
            yield "pairs_missing", name, len(short), text


def _short(value: float) -> str:
    return f"{value:.3g}".replace("0.", ".", 1)
