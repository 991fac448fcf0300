"""A figure of more panels than a picture has room for: a reader chooses among several."""

from collections.abc import Callable, Iterator, Sequence

from bnexp import plots
from bnexp.metrics import describe
from bnexp.plots import MOST_COLUMNS, Factors
from bnexp.report.figure_pool import Make, ReportFigure

SHEET = "_sheet_"  # in the name of each but the first


def in_sheets(
    name: str,
    caption: str,
    make: Callable[[Factors, Sequence[str]], Make],
    factors: Factors,
    *,
    panels: Factors,
    shown: Sequence[str] = (),
    columns: int = MOST_COLUMNS,
) -> Iterator[ReportFigure]:
    """Yield a figure, or each sheet of it with what tells that from the others.

    Args:
        make: Returns what draws some responses at some levels of the factors.
        panels: The factors whose combinations have a panel each.
        shown: The responses that have panels of their own; none: all that there are share
            every panel.
        columns: How many panels fit side by side.
    """
    every = plots.sheets(shown or [""], panels, columns)
    for number, (some, fixed) in enumerate(every):
        of = {"response": describe(some[0]).label} if len(some) < len(shown) else {}
        choice = of | {plots.short(key): level for key, level in fixed.items()}
        told = [*of.values(), plots.cell_name(fixed)]
        at = f" This sheet: {', '.join(filter(None, told))}." if choice else ""
        here = {key: (fixed[key],) if key in fixed else factors[key] for key in factors}
        own = f"{name}{SHEET}{number + 1}" if number else name
        of_what = name if choice else ""
        yield ReportFigure(own, caption + at, make(here, some), of_what, choice)
