"""Several levels as one text of a table, and back.

`given` has those of other factors as `key=level, key=level`, an interaction its own as
`level:level`.
"""

import re
from collections.abc import Mapping


def as_text(levels: Mapping[str, str]) -> str:
    """Return the levels of some factors as one text."""
    return ", ".join(f"{key}={level}" for key, level in levels.items())


def of_text(text: str) -> dict[str, str]:
    """Return the levels that a text names, in its order; one with ", " is cut there."""
    pairs = (pair.partition("=") for pair in text.split(", ") if pair)
    return {key: level for key, _, level in pairs}


def joined(*levels: str) -> str:
    r"""Return the levels of an interaction as one text; a colon of their own is written \:."""
    return ":".join(level.replace(":", r"\:") for level in levels)


def parted(text: str) -> list[str]:
    """Return the levels that `joined` has made one text of."""
    return [level.replace(r"\:", ":") for level in re.split(r"(?<!\\):", text)]
