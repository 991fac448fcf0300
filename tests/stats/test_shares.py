import itertools

import numpy as np
import pytest

from bnexp import stats
from tests.fabricate import frame_of

FACTORS = {"a": ("0", "1"), "b": ("0", "1"), "c": ("0", "1", "2")}
CELLS = list(itertools.product(*FACTORS.values()))


def shares(values: dict[tuple[str, ...], list[float]]) -> list[float]:
    frame = frame_of(values, list(FACTORS))
    return stats.shares(frame, FACTORS, range(3), ["y"])["estimate"].tolist()


def test_shares_sum_to_one(rng: np.random.Generator) -> None:
    """Whatever the cells are, the factors share all of the differences between them."""
    assert sum(shares({cell: list(rng.normal(size=3)) for cell in CELLS})) == pytest.approx(1)


def test_an_additive_response_is_shared_by_its_squares() -> None:
    """Effects of 3 and 1 without interaction share 9 to 1, and a factor without any has 0."""
    values = {cell: [3.0 * int(cell[0]) + int(cell[1])] * 3 for cell in CELLS}
    assert shares(values) == pytest.approx([0.9, 0.1, 0.0])


def test_a_pure_interaction_is_shared_equally() -> None:
    """What only two factors together do counts half for each."""
    values = {cell: [float((cell[0] == "1") ^ (cell[1] == "1"))] * 3 for cell in CELLS}
    assert shares(values) == pytest.approx([0.5, 0.5, 0.0])
