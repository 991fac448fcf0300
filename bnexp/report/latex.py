r"""The report's tables for a paper: `\input{report.tex}` prints them with booktabs."""

import re

from bnexp.reading import visible
from bnexp.report.page import Page
from bnexp.report.tables.text import TableText

# What a table shows that a page of a paper can hold; longer ones go on in another.
ROWS_A_TABLE = 40
SHOWN = ("claims", "effects", "shares", "cells", "max_lr")
WIDEST = 28

_ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "\N{MINUS SIGN}": r"$-$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_NEGATIVE = re.compile(r"(?<![\w.-])-(?=[\d.])")


def to_latex(page: Page) -> str:
    """Return the tables that a paper needs as LaTeX; every string is escaped."""
    title = visible(" ".join(page.title.split()))
    parts = [
        f"% {title}: the tables of report.md. In the preamble:\n"
        "%   \\usepackage[T1]{fontenc}\n"
        "%   \\usepackage{array,booktabs}\n"
        "% and where they shall stand: \\input{report.tex}\n"
        "% XeLaTeX or LuaLaTeX prints words that need more than Latin letters.\n"
        "% Each is labelled, as in \\ref{" + _label(page.title, "effects") + "}; "
        "bnexp report writes this file anew.\n"
    ]
    for table in (one.plain for one in page.tables):
        if table.name in SHOWN:
            starts = range(0, len(table.rows), ROWS_A_TABLE)
            parts += [_table(page.title, table, start) for start in starts]
    return "\n".join(parts)


def escape(text: str) -> str:
    """Return a text as LaTeX prints it, its numbers with real minus signs."""
    text = _NEGATIVE.sub("\N{MINUS SIGN}", visible(" ".join(text.split())))
    return "".join(_ESCAPED.get(character, character) for character in text)


def _table(study: str, table: TableText, start: int) -> str:
    rows = table.rows[start : start + ROWS_A_TABLE]
    caption = f"{study}: {table.title[0].lower()}{table.title[1:]}"
    note = f". {table.note}" if start == 0 else " (continued)"
    label = f"\\label{{{_label(study, table.name)}}}" if start == 0 else ""
    lines = [
        r"\begin{table}[htbp]",
        r"\footnotesize\setlength{\tabcolsep}{3pt}",
        f"\\caption{{{escape(caption + note)}}}{label}",
        f"\\begin{{tabular}}{{@{{}}{_columns(table)}@{{}}}}",
        r"\toprule",
        _line(table.header),
        r"\midrule",
        *map(_line, rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _label(study: str, name: str) -> str:
    return f"tab:{re.sub(r'[^A-Za-z0-9_.+-]+', '-', study)}:{name}"


def _line(row: list[str]) -> str:
    # A row that begins with a bracket would be taken for an argument of the one before.
    return " & ".join(f"{{{escape(text)}}}" for text in row) + r" \\"


def _columns(table: TableText) -> str:
    """Return columns that share the width of the text as their contents need it."""
    weights = []
    for column in zip(table.header, *table.rows, strict=True):
        longest_word = max(len(word) for text in column for word in text.split() or [""])
        weights.append(max(longest_word + 3, min(WIDEST, max(map(len, column[1:])))))
    return "".join(
        f">{{\\raggedright\\arraybackslash}}p{{\\dimexpr {weight / sum(weights):.3f}"
        "\\linewidth-2\\tabcolsep}"
        for weight in weights
    )
