"""Which comparisons a factorial holds: main effects, interactions, simple effects."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bnexp.stats.cells import Factors
from bnexp.stats.estimate import Values
from bnexp.stats.lattice import weighted_sum
from bnexp.store.given import as_text, joined

# All pairs of a factor's levels up to that many; beyond, each level against the first.
ALL_PAIRS_UP_TO = 4


@dataclass(frozen=True)
class Contrast:
    """A planned comparison: weights over cells that sum to zero.

    The estimate is level a minus level b; for an interaction `f:g` it is the difference
    f of level a, minus that same difference at the other level of g, not halved.

    Attributes:
        uses: The levels that it names, by factor; those it averages over are not in it.
    """

    kind: str
    factor: str
    level_a: str
    level_b: str
    given: str
    weights: Values
    uses: tuple[tuple[str, str], ...]


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
                    joined(factors[one][a], factors[two][c]),
                    joined(factors[one][0], factors[two][0]),
                    "",
                    at_c - at_0,
                    tuple(
                        (key, factors[key][level])
                        for key, levels in ((one, (a, 0)), (two, (c, 0)))
                        for level in levels
                    ),
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
    fixed = [(keys[i], factors[keys[i]][level]) for i, level in given.items()]
    words = as_text(dict(fixed))
    key, levels = keys[axis], factors[keys[axis]]
    weights = difference_weights(shape, axis, a, b, given)
    uses = ((key, levels[a]), (key, levels[b]), *fixed)
    return Contrast(kind, key, levels[a], levels[b], words, weights, uses)


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
    return weighted_sum(array[:, involved], weights[involved])
