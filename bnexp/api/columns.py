"""Rows of text in aligned columns."""

from collections.abc import Sequence


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
