import itertools

import numpy as np
import pandas as pd
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


@pytest.mark.parametrize("scale", [0.001, 1.0, 100.0])
def test_a_share_and_its_interval_stay_between_0_and_1(
    scale: float, rng: np.random.Generator
) -> None:
    """However noisy the seeds, no end of an interval leaves what a share can be."""
    noisy = {cell: list(rng.normal(5 * int(cell[0]), scale, size=3)) for cell in CELLS}
    table = stats.shares(frame_of(noisy, list(FACTORS)), FACTORS, range(3), ["y"])
    for row in table.itertuples():
        assert 0 <= row.ci_low <= row.estimate <= row.ci_high <= 1


def test_intervals_of_shares_cover(rng: np.random.Generator) -> None:
    """95 % of the intervals from five seeds hold the mean share of many seeds."""
    factors = {"a": ("0", "1"), "b": ("0", "1")}
    cells = list(itertools.product("01", "01"))
    means = [1.5 * int(a) + int(b) for a, b in cells]

    def table(n: int) -> pd.DataFrame:
        draws = rng.normal(means, 0.5, size=(n, 4)).T
        frame = frame_of(dict(zip(cells, draws, strict=True)), list(factors))
        return stats.shares(frame, factors, range(n), ["y"])

    truth = table(3000)["estimate"][0]
    intervals = [table(5).iloc[0] for _ in range(300)]
    covered = np.mean([one["ci_low"] <= truth <= one["ci_high"] for one in intervals])
    assert covered == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 300))
