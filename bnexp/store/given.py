"""Levels of other factors as a table's `given` has them, `key=level, key=level`, and back."""

from collections.abc import Mapping


def as_text(levels: Mapping[str, str]) -> str:
    """Return the levels of some factors as one text."""
    return ", ".join(f"{key}={level}" for key, level in levels.items())


def of_text(text: str) -> dict[str, str]:
    """Return the levels that a text names, in its order; one with ", " is cut there."""
    pairs = (pair.partition("=") for pair in text.split(", ") if pair)
    return {key: level for key, _, level in pairs}
