"""Several levels as one text of a table, and back.

`given` has those of other factors as `key=level, key=level`, an interaction its own as
`level:level`. What separates levels has a backslash before it where it is part of one, and so
has a backslash.
"""

import re
from collections.abc import Mapping


def as_text(levels: Mapping[str, str]) -> str:
    """Return the levels of some factors as one text."""
    return ", ".join(f"{key}={_escaped(level, ', ')}" for key, level in levels.items())


def of_text(text: str) -> dict[str, str]:
    """Return the levels that `as_text` has made one text of, in their order."""
    pairs = (pair.partition("=") for pair in _apart(text, ", ") if pair)
    return {key: level for key, _, level in pairs}


def joined(*levels: str) -> str:
    """Return the levels of an interaction as one text."""
    return ":".join(_escaped(level, ":") for level in levels)


def parted(text: str) -> list[str]:
    """Return the levels that `joined` has made one text of."""
    return _apart(text, ":")


def _escaped(level: str, mark: str) -> str:
    return level.replace("\\", r"\\").replace(mark, rf"\{mark}")


def _apart(text: str, mark: str) -> list[str]:
    whole = text.replace(r"\\", "\0")  # a control character, which no level has
    parts = re.split(rf"(?<!\\){mark}", whole)
    return [part.replace(rf"\{mark}", mark).replace("\0", "\\") for part in parts]
