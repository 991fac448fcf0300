"""Where nothing can be told: no spread, every network at chance, every answer right."""

import numpy as np
import numpy.typing as npt

from bnexp.metrics import ACCURACY, describe
from bnexp.stats.estimate import Values, known, vary
from bnexp.stats.incomplete import seed_values

# A network that always says the same gets a tenth of ten classes right, of MNIST's up to .1135;
# one that is not trained at all strays around that. So half as much again counts as guessing,
# but of few classes no more than that part of the way from guessing to all right: .15 of ten
# classes, .53 of two.
MORE, OF_THE_WAY = 1.5, 1 / 18


def is_accuracy(response: str) -> bool:
    """Return whether a response is a share of right answers."""
    try:
        return describe(response).quantity == ACCURACY.quantity
    except KeyError:
        return False


def guesses(array: Values, chance: Values | float) -> npt.NDArray[np.bool_]:
    """Return which runs are no better than guessing.

    Args:
        array: An accuracy by seed and cell, shape (S, ...), NaN where a run has none.
        chance: The accuracy of guessing, of each cell.
    """
    most = np.minimum(MORE * np.asarray(chance), chance + OF_THE_WAY * (1 - np.asarray(chance)))
    return np.asarray(array <= most)


def at_chance(array: Values, chance: Values | float) -> npt.NDArray[np.bool_]:
    """Return which cells are no better than guessing in most of their runs; see `guesses`."""
    return _in_most(guesses(array, chance), array)


def at_ceiling(array: Values) -> npt.NDArray[np.bool_]:
    """Return which cells get everything right in most of their runs."""
    return _in_most(array >= 1, array)


def untold(
    array: Values, weights: Values, response: str, chance: Values | float, *, compares: bool
) -> str:
    """Return why a quantity cannot be told, or nothing if it can.

    Args:
        array: The response by seed and cell, shape (S, levels of each factor).
        weights: Of the cells in it; shape (levels of each factor).
        chance: The accuracy of guessing, of each cell.
        compares: Whether it is a difference. That one cell is at chance can be told.
    """
    values = known(seed_values(array, weights))
    if len(values) < 2:
        return "one seed has no interval" if len(values) else "too many of its runs are missing"
    cells = array[:, weights != 0]
    if compares and is_accuracy(response):
        of_cells = np.broadcast_to(chance, weights.shape)[weights != 0]
        if at_chance(cells, of_cells).all():
            return "most of what is compared is no better than guessing"
        if at_ceiling(cells).all():
            return "most of what is compared gets all images right"
    if vary(values):
        return ""
    if not any(vary(known(cell)) for cell in array.reshape(len(array), -1).T):
        return "it follows from the settings, no seed changes it"
    return "it is the same in every seed" if compares else ""


def _in_most(holds: npt.NDArray[np.bool_], array: Values) -> npt.NDArray[np.bool_]:
    there = (~np.isnan(array)).sum(axis=0)
    return np.asarray(2 * holds.sum(axis=0) > there)
