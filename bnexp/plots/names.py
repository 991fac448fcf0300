"""What factors, levels, cells and comparisons are called in figures."""

import textwrap
from collections.abc import Mapping, Sequence

from bnexp.store.given import parted

LETTER = 0.075  # inches of a name's width

Factors = Mapping[str, Sequence[str]]


def short(key: str) -> str:
    """Return a factor's name without its section: pool for model.pool."""
    return key.rpartition(".")[2]


def cell_name(levels: Mapping[str, str]) -> str:
    """Return the levels of a cell as one reads them."""
    return ", ".join(named_levels(levels))


def named_levels(levels: Mapping[str, str]) -> list[str]:
    """Return the name of each level with its factor's."""
    return [f"{short(key)} {level}" for key, level in levels.items()]


def panel_title(levels: Mapping[str, str], inches: float) -> str:
    """Return the name of a cell, broken into lines that do not run into the next panel's."""
    return in_lines(named_levels(levels), inches / 0.067)


def in_lines(parts: Sequence[str], letters: float) -> str:
    """Return parts with commas between them, in lines that are as long at most if they can."""
    lines = [""]
    for part in parts:
        if lines[-1] and len(lines[-1]) + len(part) + 2 > letters:
            lines.append("")
        lines[-1] += f", {part}" if lines[-1] else part
    return ",\n".join(lines)


def contrast_name(factor: str, a: str, b: str) -> str:
    """Return a comparison as one reads it: pool: max - avg."""
    keys = factor.split(":")
    names = " \N{MULTIPLICATION SIGN} ".join(short(key) for key in keys)
    if len(keys) == 1:
        return f"{names}: {a} \N{MINUS SIGN} {b}"
    levels = [f"({x} \N{MINUS SIGN} {y})" for x, y in zip(parted(a), parted(b), strict=True)]
    return f"{names}: {' by '.join(levels)}"


def wrapped(words: str, details: str, unit: str) -> str:
    """Return an axis label, broken into lines that fit beside a panel where it is long.

    Args:
        words: What is measured.
        details: What tells it from others of the same words, if anything.
        unit: Its unit, if it has one.
    """
    parts = [words, *(f"({part})" for part in (details, unit) if part)]
    text = " ".join(parts)
    if len(text) <= 28:
        return text
    return "\n".join(line for part in parts for line in textwrap.wrap(part, 30))
