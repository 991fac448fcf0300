"""Where learning rates were varied: the largest that works, and levels on an equal footing."""

import math
from typing import Any

from bnexp.report.numbers import column, each, interval, p_value
from bnexp.report.tables.text import TableText, described
from bnexp.stats.max_lr import DEFINITIONS, SUMMARY
from bnexp.stats.tables import Tables

# Of the definitions of a largest learning rate, the one that a user means by "it trains".
TRAINS = "near_best"

CHOICES = {
    "same lr": "same learning rate",
    "own best": "each at its own best",
}


def max_lr_table(tables: Tables) -> TableText:
    """Return the largest working learning rates, a row a definition and combination."""
    table = tables.max_lr
    factors = [str(name) for name in table.columns[1:] if name not in NUMBERS]
    rows = [
        [
            row["definition"],
            *[str(row[key]) for key in factors],
            rate(row["lr"], row["lr_low"], row["lr_high"], row["bound"]),
            str(row["n"]),
            str(row["method"]),
        ]
        for row in table.to_dict("records")
    ]
    meanings = "; ".join(f"{name}: {text}" for name, text in DEFINITIONS.items())
    return TableText(
        "max_lr",
        "The largest learning rate that works",
        f"A learning rate works for a run if ({meanings}). {SUMMARY}",
        ["definition", *factors, "learning rate [95 %]", "n", "method"],
        rows,
    )


def ratios_table(tables: Tables) -> TableText:
    """Return how many times larger it is at one level than at another."""
    rows = [
        [
            row.definition,
            f"{row.factor}: {ratio_of(row)}",
            str(row.given),
            rate(row.ratio, row.ratio_low, row.ratio_high, row.bound),
        ]
        for row in each(tables.max_lr_ratios)
    ]
    return TableText(
        "max_lr_ratios",
        "How many times larger",
        "The ratio of two largest learning rates, by the definitions above. “>” and “<”: one "
        "of the two lies beyond the learning rates tried; “?”: both do.",
        ["definition", "ratio of", "given", "ratio [95 %]"],
        rows,
    )


def footing_table(tables: Tables) -> TableText:
    """Return levels compared at the same learning rate and each at its own best."""
    responses = described(tables.responses)
    rows = []
    for row in each(tables.equal_footing):
        what = responses[row.response]
        chosen = f" (chosen on {row.chosen_on})" if row.rule == "own best" else ""
        rates = row.lr_a if row.lr_a == row.lr_b else f"{row.lr_a} and {row.lr_b}"
        rows.append(
            [
                f"{row.factor}: {row.level_a} \N{MINUS SIGN} {row.level_b}",
                column(what, True),
                f"{CHOICES[row.rule]}{chosen}",
                str(rates),
                interval(what, row, difference=True),
                str(row.n),
                p_value(row.p),
            ]
        )
    return TableText(
        "equal_footing",
        "On an equal footing",
        "The same comparison at each learning rate, and with each level at the learning rate "
        "that suits it best. The best is chosen by the first half of the seeds and compared in "
        "the others, so that no luck is counted twice; n is of these. It is chosen on the "
        "validation split where there is one; on the test set it is optimistic. Student-t "
        "intervals of one comparison alone, for differences that are about normal.",
        ["comparison", "response", "learning rates", "values", "difference [95 %]", "n", "p"],
        rows,
    )


NUMBERS = ("lr", "lr_low", "lr_high", "bound", "n", "method")


def rate(value: float, low: float, high: float, bound: object) -> str:
    """Return a learning rate or a ratio with its interval, or the bound that is known."""
    if math.isnan(value):
        end = {">": low, "<": high}.get(str(bound), math.nan)
        return f"{bound} {_plain(end)}" if 0 < end < math.inf else "unknown"
    if isinstance(bound, str) and bound:
        return f"{bound} {_plain(value)}"
    return _digits(value) + ("" if math.isnan(low) else f" [{_digits(low)}, {_digits(high)}]")


def ratio_of(row: Any) -> str:
    """Return the levels of a ratio."""
    return f"{row.level_a} \N{DIVISION SIGN} {row.level_b}"


def _plain(value: float) -> str:
    """Return a learning rate that was tried as one writes it, 4096 and not 4.1e+03."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def _digits(value: float) -> str:
    """Return an estimate to three digits, zeros at its end among them."""
    return f"{value:.0f}" if value >= 1000 else f"{value:#.3g}".rstrip(".")
