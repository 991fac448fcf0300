"""Rows of text in aligned columns."""

from collections.abc import Sequence


def print_columns(rows: Sequence[Sequence[str]], *, numbers_last: bool = False) -> None:
    """Print rows of equal length; the last column to the right if it holds numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        texts = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        if numbers_last:
            texts[-1] = row[-1].rjust(widths[-1])
        print("  ".join(texts))
