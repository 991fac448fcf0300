"""Numbers at the edges of each format."""

import math
from types import SimpleNamespace

import pytest

from bnexp.metrics import describe
from bnexp.report.numbers import chance, interval, p_value, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0000"),
        (0.05, ".0500"),
        (0.0010, ".0010"),
        (0.0009, ".0009"),
        (0.0001, ".0001"),
        (0.00009999, "< .0001"),
        (0.0, "< .0001"),
        (math.nan, ""),
    ],
)
def test_a_p_value_has_four_digits(value: float, text: str) -> None:
    """Below .0001, and nowhere else, it is said to be below .0001."""
    assert p_value(value) == text


def test_what_nothing_bounds_from_above_is_at_least_something() -> None:
    """An SD has a lower end alone, and no page prints an end at infinity."""
    accuracy = describe("test_accuracy")
    found = SimpleNamespace(estimate=0.02, ci_low=0.01, ci_high=math.inf)
    assert interval(accuracy, found) == "2.00 (at least 1.00)"


@pytest.mark.parametrize(
    ("value", "difference", "text"),
    [
        (0.99999, False, "1.000"),
        (99.9994, False, "99.999"),
        (100.0, False, "100.0"),
        (999.94, False, "999.9"),
        (1000.0, False, "1000"),
        (9_999_999.0, False, "9999999"),
        (10_000_000.0, False, "1e+07"),
        (0.25, True, "+0.250"),
        (-0.25, True, "-0.250"),
    ],
)
def test_a_loss_has_the_digits_that_its_size_leaves(
    value: float, difference: bool, text: str
) -> None:
    """Three digits below 100, one below 1,000, none below ten million."""
    assert shown(describe("train_loss"), value, difference=difference) == text


def test_a_chance_is_in_whole_per_cent() -> None:
    """A share with its interval, without a sign; nothing where it could never happen."""
    assert chance(0.995, 0.004, 1.0) == "100 [0, 100]"
    assert chance(0.125, 0.0, 0.5) == "12 [0, 50]"
    assert chance(math.nan, 0.0, 1.0) == ""
