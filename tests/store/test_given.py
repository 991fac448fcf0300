"""Levels as one text: whatever they are called, they come back."""

from hypothesis import example, given
from hypothesis import strategies as st

from bnexp.store.given import as_text, joined, of_text, parted

LEVELS = st.text(st.characters(exclude_characters="\\"), min_size=1)


@given(LEVELS, LEVELS)
@example("noise:3", "batch")
@example(":", "::")
def test_levels_of_an_interaction_come_back(one: str, other: str) -> None:
    """Two levels are told apart again, colons of their own or not; without any they stand."""
    assert parted(joined(one, other)) == [one, other]
    if ":" not in one + other:
        assert joined(one, other) == f"{one}:{other}"


def test_given_levels_come_back() -> None:
    """Levels of other factors are one text, and the same levels again."""
    levels = {"data.corrupt": "noise:3", "model.pool": "max"}
    assert as_text(levels) == "data.corrupt=noise:3, model.pool=max"
    assert of_text(as_text(levels)) == levels
