"""A difference is said to change its sign where it does, and elsewhere no more than stated."""

import numpy as np
import pytest

from bnexp.stats.turning import turning

FACTORS = {"a": ("0", "1"), "b": ("0", "1"), "c": ("0", "1", "2")}
PAIR = ("a", "1", "0")


def test_only_what_is_averaged_over_counts(rng: np.random.Generator) -> None:
    """An effect that turns with b and grows with c turns, unless b is fixed."""
    array = rng.normal(size=(8, 2, 2, 3))
    array[:, 1, 0] += 6
    array[:, 1, 1] -= 6
    ends = turning(array, FACTORS, PAIR, {}, error=0.05)
    assert ends is not None
    assert [end.given for end in ends] == [{"b": "0"}, {"b": "1"}]
    assert all(end.low < size < end.high for end, size in zip(ends, (6, -6), strict=True))
    at_c = turning(array, FACTORS, PAIR, {"c": "2"}, error=0.05)
    assert at_c is not None
    assert [end.given for end in at_c] == [{"c": "2", "b": "0"}, {"c": "2", "b": "1"}]
    assert turning(array, FACTORS, PAIR, {"b": "0"}, error=0.05) is None
    assert turning(array, FACTORS, PAIR, {"b": "0", "c": "1"}, error=0.05) is None


@pytest.mark.parametrize("studies", [20, pytest.param(400, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("given", [{}, {"c": "1"}])
def test_an_effect_of_one_sign_does_not_turn(
    studies: int, given: dict[str, str], rng: np.random.Generator
) -> None:
    """Where the effect is three or nothing it turns in 5 % of studies at most."""
    wrong = 0
    for _ in range(studies):
        array = rng.normal(size=(6, 2, 2, 3))
        array[:, 1, 0] += 3
        wrong += turning(array, FACTORS, PAIR, given, error=0.05) is not None
    assert wrong / studies <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / studies) * (studies > 100)


def test_one_seed_tells_nothing() -> None:
    """A difference of one seed has no error."""
    array = np.arange(12.0).reshape(1, 2, 2, 3)
    assert turning(array, FACTORS, PAIR, {}, error=0.05) is None
