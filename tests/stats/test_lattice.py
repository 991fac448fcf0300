"""What is equal on paper is equal in the tables."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnexp import stats
from bnexp.stats.factorial import within_seeds
from bnexp.stats.lattice import MOST_STEPS, snapped, steps, weighted_sum
from bnexp.stats.testing import sign_flip
from tests.fabricate import frame_of

IMAGES = st.sampled_from([7, 360, 1437, 10_000, 60_000])


@given(st.data(), IMAGES)
def test_equal_differences_of_counts_are_equal(data: st.DataObject, images: int) -> None:
    """Differences of accuracies are equal exactly where those of the right answers are."""
    counts = data.draw(
        st.lists(st.lists(st.integers(0, images), min_size=6, max_size=6), min_size=2)
    )
    weights = np.array([1, 1, 1, -1, -1, -1]) / 3
    found = weighted_sum(np.array(counts) / images, weights)
    exact = [Fraction(sum(row[:3]) - sum(row[3:]), 3 * images) for row in counts]
    assert found.tolist() == [float(one) for one in exact]


@given(st.lists(st.integers(0, 50), min_size=4, max_size=10))
def test_sign_flips_of_accuracies_count_every_tie(counts: list[int]) -> None:
    """The p-value of accuracies is that of their counts of right answers."""
    counts_a, counts_b = np.array(counts) + 7000, np.array(counts[::-1]) + 6990
    cells = np.column_stack([counts_a, counts_b]) / 10_000
    p = sign_flip(weighted_sum(cells, np.array([1.0, -1.0]))).p
    expected = sign_flip((counts_a - counts_b).astype(float)).p
    assert p == expected or np.isnan([p, expected]).all()


def test_ties_are_counted_among_sets_of_several_sizes(rng: np.random.Generator) -> None:
    """Gaps between a test set and training sets of two sizes tie where counts of them do."""
    sizes = np.array([5120, 60_000])
    right = rng.integers(3000, 3100, size=(8, 2, 2))
    gaps = right / sizes - rng.integers(7000, 9000, size=(8, 2, 2)) / 10_000
    gaps[:4, 1, 1] = gaps[:4, 0, 1] + [3 / 60_000, -3 / 60_000, 5 / 60_000, -5 / 60_000]
    gaps[4:, 1, 1] = gaps[4:, 0, 1] + [8 / 60_000, 2 / 60_000, 1 / 60_000, 9 / 60_000]
    weights = np.array([[0.0, -1], [0, 1]])
    differences = within_seeds(snapped(gaps), weights)
    counts = np.array([3, -3, 5, -5, 8, 2, 1, 9.0])
    assert (differences * 60_000).tolist() == pytest.approx(counts.tolist(), abs=1e-9)
    assert sign_flip(differences).p == sign_flip(counts).p


def test_a_tie_of_accuracies_is_no_win() -> None:
    """Where two levels get as many right in sum, neither is the better one."""
    values = {("a", "x"): [0.8, 0.3], ("a", "y"): [0.1, 0.6]}
    values |= {("b", "x"): [0.7, 0.2], ("b", "y"): [0.2, 0.7]}
    factors = {"f": ("a", "b"), "g": ("x", "y")}
    table = stats.contrasts(frame_of(values, list(factors)), factors, range(2), ["y"])
    row = table.iloc[0]
    assert (row["estimate"], row["improvement"], row["sd"]) == (0, 0.5, 0)


def test_numbers_are_printed_as_they_were_measured() -> None:
    """No accuracy gains digits, and none is lost from a response that is not counted."""
    accuracies = np.array([0.7985, 0.1, 1.0, np.nan, 0.8501])
    assert snapped(accuracies).tolist()[:3] == [0.7985, 0.1, 1.0]
    losses = np.array([math.pi, 1e10 / 3, 1e-10 / 3])
    np.testing.assert_allclose(snapped(losses), losses, rtol=2e-12, atol=0)


@given(st.lists(st.integers(-(10**5), 10**5), min_size=1), IMAGES)
def test_the_number_of_images_is_found(counts: list[int], images: int) -> None:
    """Counts over a number of images are multiples of one over it, or of a part of it."""
    found = steps(np.array(counts) / images)
    assert images % found == 0


def test_real_numbers_are_no_counts(rng: np.random.Generator) -> None:
    """What was not counted has no common number, and neither have too many together."""
    assert steps(rng.normal(size=100)) == 0
    assert steps(np.array([1 / 999_983, 1 / 999_979])) == 0
    assert steps(np.array([np.nan])) == 1
    assert MOST_STEPS >= 517_320  # accuracies of digits, 1,437 and 360 images, and their gap


@pytest.mark.parametrize("shift", [1e-16, 3e-16])
def test_last_digits_are_no_difference(shift: float) -> None:
    """What differs by the order of its additions is the same number."""
    cells = np.array([[0.1 + 0.2, 0.3], [0.3 + shift, 0.3], [math.e, math.e * (1 + shift)]])
    assert not weighted_sum(cells, np.array([1.0, -1.0])).any()
