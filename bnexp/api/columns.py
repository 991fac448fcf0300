"""Rows of text in aligned columns, and texts that only say."""

import re
from collections.abc import Sequence

# What a terminal obeys, and what turns a line around.
CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def aligned(rows: Sequence[Sequence[str]], *, numbers_last: bool = False) -> str:
    """Return rows of equal length as lines; the last column to the right if it has numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        texts = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        if numbers_last:
            texts[-1] = row[-1].rjust(widths[-1])
        lines.append("  ".join(texts).rstrip())
    return "\n".join(lines)


def visible(text: str) -> str:
    r"""Return a text with its control characters written out, as in `\x1b`."""
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
