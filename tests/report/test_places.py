"""Where something holds, in as few words as name every place."""

import pytest

from bnexp.report.places import places


def at(**levels: str) -> dict[str, str]:
    return levels


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([at(pool="max")], "pool max"),
        ([at(pool="max"), at(pool="avg")], "pool max and avg"),
        ([at(lr="1", pool="max")], "pool max with lr 1"),
        (
            [at(length=length, size=size) for length in ("epochs", "steps") for size in "248"],
            "size 2, 4 and 8 with length epochs and steps",
        ),
        (
            [at(way="a", size="2"), at(way="b", size="2"), at(way="b", size="8")],
            "size 2 with way a and size 2 and 8 with way b",
        ),
        ([at(pool="max"), at(pool="avg", lr="1")], "pool max; and pool avg, lr 1"),
        ([at(size=size) for size in "123456"], "size 1, 2, 3 and 3 more"),
    ],
)  # fmt: skip
def test_places_that_differ_in_one_factor_are_told_together(
    found: list[dict[str, str]], words: str
) -> None:
    """Levels of a factor stand side by side, and what they have in common stands once."""
    assert places(found) == words
