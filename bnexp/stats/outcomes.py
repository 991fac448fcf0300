"""What holds on other test images, and the images on which two levels differ.

Of runs that kept which images they get right (`eval.outcomes`). A comparison is made within
each seed and each image, of runs that were tested on the same images.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from bnexp.stats.crossed import crossed
from bnexp.stats.estimate import Values
from bnexp.stats.factorial import Contrast, all_contrasts
from bnexp.stats.lattice import steps
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.stats.proportion import sign_test_p
from bnexp.stats.testing import error_of_each
from bnexp.store.columns import RESPONSE, Column
from bnexp.store.declared import Declared
from bnexp.store.image_outcomes import Bits
from bnexp.store.records import RunRecord
from bnexp.study.power import ALPHA

PAIR = ("factor", "level_a", "level_b")
OUTCOME_COLUMNS = {
    "factor": Column("The factor whose levels are compared, or of an interaction the two."),
    "level_a": Column("The level whose accuracy comes first in the difference."),
    "level_b": Column("The level whose accuracy is subtracted."),
    "given": Column("Levels of other factors that are fixed; the rest is averaged over."),
    "response": Column("The accuracy that is compared, a column of runs.csv."),
    "kind": Column("main, interaction or simple."),
    "estimate": Column("Level a minus level b.", RESPONSE),
    "n": Column("Seeds that have all runs of it.", "seeds"),
    "n_images": Column("Test images.", "images"),
    "seeds_low": Column(
        "Lower end of its 95 % interval over other seeds, on these images.",
        RESPONSE,
        "Student's t, for differences that are about normal.",
    ),
    "seeds_high": Column("Upper end of it.", RESPONSE),
    "ci_low": Column(
        "Lower end of its 95 % interval over other seeds and other images of their kind.",
        RESPONSE,
        "Seeds and images drawn at random and crossed: variance components, Student's t with "
        "Satterthwaite's degrees of freedom.",
    ),
    "ci_high": Column("Upper end of it.", RESPONSE),
    "sim_low": Column(
        "Lower end of the same that holds together with those of its family.",
        RESPONSE,
        "Sidak (1967); where seeds were added after looking, as many times wider as an "
        "anytime-valid interval over the seeds is than Student's.",
    ),
    "sim_high": Column("Upper end of it.", RESPONSE),
    "n_family": Column("How many comparisons the family has, as in contrasts.csv."),
    "freedom": Column("Degrees of freedom of ci_low and ci_high."),
    "image_share": Column(
        "Share of the variance of the estimate due to the images.", "share of 1"
    ),
    "sd_seeds": Column("How far the difference varies with the seed (SD).", RESPONSE),
    "sd_images": Column("How far it varies with the image (SD).", RESPONSE),
    "sd_rest": Column("How far it varies with both together (SD).", RESPONSE),
    "n_mcnemar_a": Column(
        "In how many seeds the two networks differ for level a.",
        "seeds",
        "McNemar's exact test at 5 % of each seed alone: of two networks, for images that are "
        "drawn independently, not of training (Dietterich 1998).",
    ),
    "n_mcnemar_b": Column("In how many for level b.", "seeds"),
    "p_mcnemar": Column(
        "p-value that no two of these networks differ on images of this kind.",
        method="Of all seeds' tests, whatever they have in common (Rueger 1978).",
    ),
}
IMAGE_COLUMNS = {
    "factor": Column("The factor whose levels are compared."),
    "level_a": Column("One of its levels."),
    "level_b": Column("The other."),
    "response": Column("The accuracy of which the image is a part, a column of runs.csv."),
    "image": Column("The number of the image in the test set, from 0."),
    "right_a": Column("Share of the runs of level a that get it right.", "share of 1"),
    "right_b": Column("The same of level b.", "share of 1"),
    "n": Column("How many seeds there are.", "seeds", "Picked for lying far apart."),
}
# They are to be looked up one by one.
MOST_IMAGES = 20


@dataclass(frozen=True)
class ByImage:
    """Which images the runs of a study get right, under one of the statistics.

    Attributes:
        bits: By place of the seed and of the cell, each of shape (N,).
        images: What tells their test set from others, by the same.
    """

    bits: dict[tuple[int, int], Bits]
    images: dict[tuple[int, int], str]

    @classmethod
    def of(cls, study: Declared, records: Sequence[RunRecord], response: str) -> Self:
        """Return the answers that an accuracy is the mean of, where runs kept them."""
        by_id = {record.run_id: record.outcomes for record in records}
        shape = tuple(len(levels) for levels in study.factors.values())
        bits, images = {}, {}
        for levels, run_ids in study.cells:
            index = [names.index(levels[key]) for key, names in study.factors.items()]
            cell = int(np.ravel_multi_index(index, shape)) if shape else 0
            for seed, run_id in enumerate(run_ids.values()):
                outcomes = by_id.get(run_id)
                if outcomes is not None and response in outcomes.right:
                    bits[seed, cell] = outcomes.of(response)
                    images[seed, cell] = outcomes.images
        return cls(bits, images)

    def seeds(self, n: int, weights: Values) -> list[int]:
        """Return the places of the seeds of n that have all cells of non-zero weight.

        None where some runs were tested on other images than others.
        """
        cells = np.flatnonzero(weights).tolist()
        whole = [seed for seed in range(n) if all((seed, cell) in self.bits for cell in cells)]
        sets = {self.images[seed, cell] for seed in whole for cell in cells}
        return whole if len(sets) == 1 else []

    def summed(self, seeds: Sequence[int], weights: Values) -> Values:
        """Return a weighted sum over cells by seed and image, shape (S, N)."""
        parts, flat = steps(weights), weights.ravel()  # sums of whole numbers are exact
        whole = {cell: round(flat[cell] * parts) for cell in np.flatnonzero(flat).tolist()}
        sums = [
            sum(times * self.bits[seed, cell].astype(np.int64) for cell, times in whole.items())
            for seed in seeds
        ]
        return np.asarray(np.array(sums) / parts)


def outcomes(
    study: Declared,
    records: Sequence[RunRecord],
    contrasts: pd.DataFrame,
    *,
    looks: Looks = ONE_LOOK,
) -> pd.DataFrame:
    """Return each comparison of an accuracy with its interval over seeds and test images.

    Args:
        contrasts: As `stats.contrasts` returns them.
        looks: Whether results are looked at while seeds are added.

    Source: McNemar (1947), Psychometrika 12; Dietterich (1998), "Approximate statistical tests
    for comparing supervised classification learning algorithms", Neural Computation 10, for
    what it says of classifiers and what it leaves out.
    """
    rows = []
    for row, contrast, by_image in _compared(study, records, contrasts):
        if seeds := by_image.seeds(len(study.seeds), contrast.weights):
            differences = by_image.summed(seeds, contrast.weights)
            known = {key: getattr(row, key) for key in OUTCOME_COLUMNS if hasattr(row, key)}
            rows.append(
                {
                    **known,
                    **_over_both(differences, row.n_family, looks),
                    **_mcnemar(differences, contrast),
                }
            )
    return pd.DataFrame(rows, columns=list(OUTCOME_COLUMNS))


def _compared(
    study: Declared, records: Sequence[RunRecord], contrasts: pd.DataFrame
) -> Iterator[tuple[Any, Contrast, ByImage]]:
    """Yield the comparisons of accuracies of which images are known."""
    for response, table in contrasts.groupby("response", sort=False):
        by_image = ByImage.of(study, records, str(response))
        if by_image.bits:
            rows = table.itertuples(index=False)
            for row, contrast in zip(rows, all_contrasts(study.factors), strict=True):
                yield row, contrast, by_image


def _over_both(differences: Values, n_family: int, looks: Looks) -> dict[str, float]:
    """Return the mean of a difference with its intervals and the parts of its variance."""
    found, error = crossed(differences), error_of_each(n_family)
    ends = {
        "seeds": found.over_seeds(),
        "ci": found.over_both(),
        "sim": found.over_both(error, looks),
    }
    return {
        **dataclasses.asdict(found),
        "image_share": found.image_share,
        **{f"{name}_low": low for name, (low, _) in ends.items()},
        **{f"{name}_high": high for name, (_, high) in ends.items()},
    }


def _mcnemar(differences: Values, contrast: Contrast) -> dict[str, float]:
    """Return what McNemar's test says in each seed, where a comparison is of two cells."""
    if contrast.kind == "interaction" or np.count_nonzero(contrast.weights) != 2:
        return {}
    p = np.array([sign_test_p(row) for row in differences])  # images are its pairs
    told = differences.mean(axis=1)[p < ALPHA]
    return {
        "n_mcnemar_a": int((told > 0).sum()),
        "n_mcnemar_b": int((told < 0).sum()),
        "p_mcnemar": pooled_p(p),
    }


def pooled_p(p: Values) -> float:
    """Return a p-value of all hypotheses together, whatever their n tests have in common.

    It is n/k times the k-th smallest, k half of them: about twice the median.

    Args:
        p: Shape (n,).

    Source: Rueger (1978), "Das maximale Signifikanzniveau des Tests: Lehne H0 ab, wenn k unter
    n gegebenen Tests zur Ablehnung fuehren", Metrika 25.
    """
    k = (len(p) + 1) // 2
    return min(float(np.sort(p)[k - 1]) * len(p) / k, 1.0)


def differing_images(
    study: Declared, records: Sequence[RunRecord], contrasts: pd.DataFrame
) -> pd.DataFrame:
    """Return the test images on which two levels of a factor differ most.

    They are picked for being far apart, so other runs will differ less on them.

    Args:
        contrasts: As `stats.contrasts` returns them.
    """
    rows = []
    for row, contrast, by_image in _compared(study, records, contrasts):
        seeds = by_image.seeds(len(study.seeds), contrast.weights)
        if row.kind != "main" or not seeds:
            continue
        right = [
            by_image.summed(seeds, np.maximum(weights, 0)).mean(axis=0)
            for weights in (contrast.weights, -contrast.weights)
        ]
        apart = np.abs(right[0] - right[1])
        order = np.argsort(-apart, kind="stable")[:MOST_IMAGES]
        known = [getattr(row, key) for key in (*PAIR, "response")]
        rows += [
            (*known, image, right[0][image], right[1][image], len(seeds))
            for image in order[apart[order] > 0].tolist()
        ]
    return pd.DataFrame(rows, columns=list(IMAGE_COLUMNS))
