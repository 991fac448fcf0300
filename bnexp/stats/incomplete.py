"""What is told of cells that some seeds lack: least squares with the seeds as blocks.

A run is its cell's mean, and what its seed adds to all of its cells, and noise. A difference
between cells is then a sum of runs whose weights are zero in sum over each seed, and the
contrast's own over each cell. So one thing has to hold that it be right on average: that runs
are missing for reasons which have nothing to do with their results. How far it strays is told
by leaving out each seed in turn, so that noise may differ between cells.

Source: Yates (1936), "Incomplete randomized blocks", Annals of Eugenics 7; Miller (1974), "The
jackknife: a review", Biometrika 61.
"""

import numpy as np

from bnexp.stats.estimate import Values
from bnexp.stats.factorial import within_seeds
from bnexp.stats.squares import ROUNDING

METHOD = "least squares with seeds as blocks, jackknife t interval and p"
ASSUMES = (
    "estimated from the runs that are there, by least squares with the seeds as blocks and a "
    "jackknife over the seeds: right if runs are missing for reasons that have nothing to do "
    "with their results. A run that diverged, or ended without the number, is missing because "
    "of its result: these are differences between runs that have one"
)
# An eigenvalue of the normal equations below it is zero: cells that no seed compares.
CONNECTED = 1e-9
# Student's t counts all seeds that take part. Where a cell has few runs, few seeds make most
# of the error, which is then itself not known: they have to be worth this share of all.
WORTH = 0.5
FEWEST_RUNS = 3  # in each cell


def seed_values(array: Values, weights: Values) -> Values:
    """Return a contrast as one value a seed, shape (S,); NaN of seeds that take no part.

    They are the differences within seeds, or `fitted` where seeds lack some of the cells.
    """
    values = fitted(array, weights)
    return within_seeds(array, weights) if values is None else values


def fitted(array: Values, weights: Values) -> Values | None:
    """Return what each seed contributes to a contrast if seeds lack some of its cells.

    None where the differences within seeds say as much: each seed has all of the cells, or
    none that would say anything; and where nothing can be fitted, as `contributions` says.
    So a comparison of two cells is always one within seeds.

    Args:
        array: A response by seed and cell, shape (S, levels of each factor), NaN where a run
            has none.
        weights: Of the cells, shape (levels of each factor). None too if they do not sum to
            zero: what is no difference differs with the seeds that it is made of.
    """
    involved = weights != 0
    cells, weights = array[:, involved], weights[involved]
    if not lacking(cells) or not np.isclose(weights.sum(), 0):
        return None
    found = contributions(cells, weights[:, None])
    if found is None or not np.isnan(cells[~np.isnan(found[:, 0])]).any():
        return None
    return found[:, 0]


def whole_seeds(array: Values) -> Values:
    """Return seeds that have all cells, or what each contributes to them, shape (n, ...).

    Args:
        array: As in `fitted`. Where it is fitted, what all cells share is zero.
    """
    cells = array.reshape(len(array), -1)
    if lacking(cells):
        n_cells = cells.shape[1]
        found = contributions(cells, np.eye(n_cells) - 1 / n_cells)
        cells = cells if found is None else found
    return cells[~np.isnan(cells).any(axis=1)].reshape(-1, *array.shape[1:])


def lacking(cells: Values) -> bool:
    """Return whether a seed has more than one, but not all, of the cells, shape (S, G)."""
    there = (~np.isnan(cells)).sum(axis=1)
    return bool(((there > 1) & (there < cells.shape[1])).any())


def contributions(cells: Values, weights: Values) -> Values | None:
    """Return what each seed contributes to contrasts of incomplete cells, shape (S, k).

    Their mean is the least-squares estimate, and they stray about it as the estimate does
    when a seed is left out: treated as one difference a seed they give its error. Of seeds
    that all have all cells they are these differences. NaN for a seed whose cells say nothing
    of the contrasts. None where a cell has fewer than `FEWEST_RUNS`, or a few seeds make most
    of the error (`WORTH`), or leaving out one seed leaves cells that no other compares.

    Args:
        cells: Shape (S, G), NaN where a run has no number.
        weights: Shape (G, k), each column zero in sum.
    """
    compares = (~np.isnan(cells)).sum(axis=1) > 1
    n_cells = cells.shape[1]
    there = (~np.isnan(cells[compares])).astype(np.float64)
    if there.sum(axis=0).min() < FEWEST_RUNS:
        return None
    size = there.sum(axis=1, keepdims=True)
    present = np.where(there > 0, cells[compares], 0.0)
    # What each seed adds to the normal equations of the cells, its own effect eliminated.
    sums = there * (present - present.sum(axis=1, keepdims=True) / size)
    matrices = np.eye(n_cells) * there[:, None] - there[:, :, None] * (there / size)[:, None]
    whole = matrices.sum(axis=0) + 1 / n_cells  # what all cells share is fixed at zero
    without = whole - matrices
    if np.linalg.eigvalsh(without).min() < CONNECTED:
        return None
    solved = np.linalg.solve(whole, weights)
    error = np.einsum("gk,sgh,hk->s", solved, matrices, solved)  # of each seed, equal noise
    counts = error > ROUNDING * error.max()
    n = int(counts.sum())
    if error.sum() ** 2 < WORTH * n * (error**2).sum():
        return None
    estimate = solved.T @ sums.sum(axis=0)
    left = np.linalg.solve(without, (sums.sum(axis=0) - sums)[..., None])[..., 0] @ weights
    found = np.full((len(cells), weights.shape[1]), np.nan)
    found[np.flatnonzero(compares)[counts]] = estimate + (n - 1) * (
        left[counts].mean(axis=0) - left[counts]
    )
    # Where seeds change nothing, what differs is what rounding left.
    grid = ROUNDING * np.abs(present).max() or 1.0
    return np.asarray(np.round(found / grid) * grid)
