"""Levels as one text: whatever they are called, they come back."""

from hypothesis import example, given
from hypothesis import strategies as st

from bnexp.store.given import as_text, joined, of_text, parted

LEVELS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)


@given(LEVELS, LEVELS)
@example("noise:3", "batch")
@example(":", "::")
@example("ends with \\", r"\: and \\:")
def test_levels_of_an_interaction_come_back(one: str, other: str) -> None:
    """Two levels are told apart again, colons of their own or not; without any they stand."""
    assert parted(joined(one, other)) == [one, other]
    if not {":", "\\"} & set(one + other):
        assert joined(one, other) == f"{one}:{other}"


@given(LEVELS, LEVELS)
@example("max, then avg", "a=b, c=d")
@example("ends with \\", "\\, ")
@example("ends with,", ",")
def test_given_levels_come_back(one: str, other: str) -> None:
    """Levels of other factors are one text, and the same levels again, commas or not."""
    levels = {"data.corrupt": one, "model.pool": other}
    assert of_text(as_text(levels)) == levels
    if ", " not in one + other and "\\" not in one + other:
        assert as_text(levels) == f"data.corrupt={one}, model.pool={other}"
