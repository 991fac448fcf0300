"""Paired comparisons: main effects, interactions and simple effects of a factorial."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from bnexp.stats.cells import Factors, response_array
from bnexp.stats.estimate import Values, paired_t, sign_flip_p, t_test_p

# All pairs of a factor's levels up to that many; beyond, each level against the first.
ALL_PAIRS_UP_TO = 4


@dataclass(frozen=True)
class Contrast:
    """A planned comparison: weights over cells that sum to zero.

    The estimate is level a minus level b; for an interaction `f:g` it is the difference
    f of level a, minus that same difference at the other level of g, not halved.
    """

    kind: str
    factor: str
    level_a: str
    level_b: str
    given: str
    weights: Values


def contrasts(
    runs: pd.DataFrame, factors: Factors, seeds: Sequence[int], responses: Sequence[str]
) -> pd.DataFrame:
    """Return every main effect, two-factor interaction and simple effect.

    p-values are adjusted by Holm's method within the planned family of a response (main
    effects and interactions) and, apart from it, within its simple effects.
    """
    rows = []
    for response in responses:
        array = response_array(runs, factors, seeds, response)
        for contrast in all_contrasts(factors):
            values = within_seeds(array, contrast.weights)
            found = values[~np.isnan(values)]
            sd = found.std(ddof=1) if len(found) > 1 else math.nan
            estimate = paired_t(values)
            rows.append(
                {
                    "factor": contrast.factor,
                    "level_a": contrast.level_a,
                    "level_b": contrast.level_b,
                    "given": contrast.given,
                    "response": response,
                    **asdict(estimate),
                    "method": "paired t",
                    "p": t_test_p(values),
                    "p_adjusted": math.nan,
                    "effect_size": estimate.estimate / sd if sd > 0 else math.nan,
                    "kind": contrast.kind,
                    "p_sign_flip": sign_flip_p(values),
                    "n_missing": len(values) - estimate.n,
                }
            )
    table = pd.DataFrame(rows, columns=CONTRAST_COLUMNS)
    planned = table["kind"] != "simple"
    for _, family in table.groupby([table["response"], planned], sort=False):
        known = family.index[family["p"].notna()]
        if len(known):
            table.loc[known, "p_adjusted"] = multipletests(
                table.loc[known, "p"], method="holm"
            )[1]
    return table


CONTRAST_COLUMNS = [
    *("factor", "level_a", "level_b", "given", "response", "estimate", "ci_low", "ci_high"),
    *("n", "method", "p", "p_adjusted", "effect_size", "kind", "p_sign_flip", "n_missing"),
]


def all_contrasts(factors: Factors) -> list[Contrast]:
    """Return the comparisons of a factorial design, main effects first.

    Simple effects are given one other factor's level (averaged over the rest) and, where
    there are more than two factors, given the levels of all others.
    """
    keys = list(factors)
    shape = tuple(len(levels) for levels in factors.values())
    found = []
    for axis in range(len(keys)):
        for a, b in _pairs(shape[axis]):
            found.append(_effect("main", factors, axis, (a, b), {}))
    for first, second in itertools.combinations(range(len(keys)), 2):
        for a, c in itertools.product(range(1, shape[first]), range(1, shape[second])):
            at_c = difference_weights(shape, first, a, 0, {second: c})
            at_0 = difference_weights(shape, first, a, 0, {second: 0})
            one, two = keys[first], keys[second]
            found.append(
                Contrast(
                    "interaction",
                    f"{one}:{two}",
                    f"{factors[one][a]}:{factors[two][c]}",
                    f"{factors[one][0]}:{factors[two][0]}",
                    "",
                    at_c - at_0,
                )
            )
    for axis in range(len(keys)):
        others = [i for i in range(len(keys)) if i != axis]
        subsets: list[tuple[int, ...]] = [(i,) for i in others]
        if len(others) > 1:
            subsets.append(tuple(others))
        for subset in subsets:
            for levels in itertools.product(*(range(shape[i]) for i in subset)):
                given = dict(zip(subset, levels, strict=True))
                for a, b in _pairs(shape[axis]):
                    found.append(_effect("simple", factors, axis, (a, b), given))
    return found


def _pairs(n_levels: int) -> Iterator[tuple[int, int]]:
    if n_levels <= ALL_PAIRS_UP_TO:
        yield from ((a, b) for b, a in itertools.combinations(range(n_levels), 2))
    else:
        yield from ((a, 0) for a in range(1, n_levels))


def _effect(
    kind: str, factors: Factors, axis: int, pair: tuple[int, int], given: Mapping[int, int]
) -> Contrast:
    a, b = pair
    keys = list(factors)
    shape = tuple(len(levels) for levels in factors.values())
    words = ", ".join(f"{keys[i]}={factors[keys[i]][level]}" for i, level in given.items())
    levels = factors[keys[axis]]
    weights = difference_weights(shape, axis, a, b, given)
    return Contrast(kind, keys[axis], levels[a], levels[b], words, weights)


def difference_weights(
    shape: tuple[int, ...], axis: int, a: int, b: int | None, given: Mapping[int, int]
) -> Values:
    """Return weights of level a minus level b, averaged over what is not given.

    Without b they are those of the mean of level a.
    """

    def mean_of(level: int) -> Values:
        chosen: Values = np.zeros(shape)
        where: list[slice | int] = [slice(None)] * len(shape)
        for i, fixed in {**given, axis: level}.items():
            where[i] = fixed
        chosen[tuple(where)] = 1
        chosen /= chosen.sum()
        return chosen

    return mean_of(a) if b is None else mean_of(a) - mean_of(b)


def within_seeds(array: Values, weights: Values) -> Values:
    """Return a weighted sum over cells within each seed, shape (S,).

    A seed that lacks one of the cells involved gives NaN: nothing is filled in.
    """
    involved = weights != 0
    return np.asarray(array[:, involved] @ weights[involved], dtype=np.float64)
