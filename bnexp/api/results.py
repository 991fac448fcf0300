"""A folder of results as tables, sentences and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnexp.store.declared import Declared
from bnexp.store.folder import Store

if TYPE_CHECKING:
    import pandas as pd

    from bnexp.plots import Figure
    from bnexp.report.analysis import Analysis

# A notebook shows no more of the main effects.
MOST_EFFECTS = 12


class Results:
    """A study's runs, what is estimated from them, and its figures.

    Each table is computed when it is first asked for, from the runs as they were at the first
    time; load the folder again for those that were trained since. Numbers are as they are
    stored: an accuracy of 85 % is 0.85. The column of a factor holds numbers if all of its
    levels are numbers, else texts.
    """

    def __init__(self, folder: Path | str) -> None:
        self._store = Store(Path(folder).expanduser())
        self._study = self._store.read_study()

    @property
    def folder(self) -> Path:
        """Return where it lies."""
        return self._store.folder

    @property
    def page(self) -> Path:
        """Return where its page is, if it was written: `bnexp report` does."""
        return self._store.page

    @property
    def study(self) -> Declared:
        """Return what was declared: question, factors, seeds, claims, command."""
        return self._study

    @property
    def runs(self) -> pd.DataFrame:
        """One row a trained network.

        A column for each factor, then `seed`, `status` (`ok`, `diverged` or `failed`), the
        metrics that the README lists, `run_id` and `error`. A metric that a run has not, as
        one that diverged, is NaN.
        """
        return self._with_numbers(self._analysis.tables.runs)

    @property
    def epochs(self) -> pd.DataFrame:
        """One row an epoch of a network: the factors, `seed`, `epoch` from 1, its metrics."""
        return self._with_numbers(self._analysis.tables.epochs)

    @property
    def cells(self) -> pd.DataFrame:
        """One row a cell and response: the factors, `response`, `n`, `mean`, its interval."""
        return self._with_numbers(self._analysis.tables.cells)

    @property
    def effects(self) -> pd.DataFrame:
        """One row a main effect or interaction and response.

        `kind`, `factor`, `level_a` minus `level_b`, `response`; `estimate` with its 95 %
        interval `ci_low` to `ci_high` of one effect alone, and `sim_low` to `sim_high` of all
        together; `n` seeds; `p` of the sign-flip test, `p_adjusted` by Holm; `sd` over the
        seeds, and `mde`, the smallest effect that is found at this noise. Simple effects, at
        fixed levels of other factors, are in `contrasts`.
        """
        contrasts = self.contrasts
        return contrasts[contrasts["kind"] != "simple"].reset_index(drop=True)

    @property
    def contrasts(self) -> pd.DataFrame:
        """The same with the simple effects, whose fixed levels are `given`."""
        return self._analysis.tables.contrasts

    @property
    def claims(self) -> pd.DataFrame:
        """One row a claim of the sources.

        `claim`, `source`, `verdict` (`supported`, `refuted`, `inconclusive`), `response`,
        `estimate` with its interval `ci_low` to `ci_high`, `n`, and `reported`, the source's
        own number.
        """
        return self._analysis.tables.claims

    @property
    def shares(self) -> pd.DataFrame:
        """One row a factor and response: which share of the differences it explains."""
        return self._analysis.tables.shares

    @cached_property
    def answer(self) -> str:
        """What was found, in words: the answer to each question that is asked, a line each."""
        lines = [one["sentence"] for one in self.summary["openings"]]
        return "\n".join([*lines, *filter(None, [self.summary["tally"]])])

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What the page says, as plain values: the keys of `report.json` in the README."""
        from bnexp.report.reports import page_of
        from bnexp.report.summary import summary

        return summary(self._analysis, page_of(self._analysis))

    @cached_property
    def plot(self) -> Plots:
        """The figures of the page, as functions: `plot.effects()` returns one."""
        return Plots(self._analysis)

    def report(self) -> Path:
        """Write tables, figures and pages anew; return where the page is."""
        from bnexp.report.reports import build

        build(self._store)
        return self.page

    @cached_property
    def _analysis(self) -> Analysis:
        from bnexp.report.reports import analyse

        return analyse(self._store)

    def _with_numbers(self, table: pd.DataFrame) -> pd.DataFrame:
        from pandas import to_numeric

        numbers = {}
        for key in self._study.factors:
            with suppress(ValueError):  # a level is a word
                numbers[key] = to_numeric(table[key])
        return table.assign(**numbers)

    def __repr__(self) -> str:
        return f"Results({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        title = escape(self.study.question or self.study.name)
        said = "".join(map(_opening, self.summary["openings"]))
        labels = self.summary["responses"]
        effects = [one for one in self.summary["effects"] if one["kind"] == "main"]
        rows = [
            (
                one["comparison"],
                "{label}, {unit}".format_map(labels[one["response"]]).removesuffix(", "),
                one["text"],
                one["n"],
            )
            for one in effects[:MOST_EFFECTS]
        ]
        head = ("comparison", "response", "difference [95 %]", "n")
        cells = _row("th", head) + "".join(_row("td", row) for row in rows)
        more = len(effects) - len(rows)
        rest = f"<p>{more} more are in <code>effects</code>.</p>" if more else ""
        tally = escape(self.summary["tally"])
        return f"<h4>{title}</h4>{said}<p>{tally}</p><table>{cells}</table>{rest}"


def _opening(opening: dict[str, Any]) -> str:
    """Return an answer with the numbers that it rests on, where its sentence has them not."""
    said = opening["sentence"]
    numbers = "".join(
        "<li>" + escape("{name}: {text} {unit}".format_map(one)) + "</li>"
        for one in opening["numbers"]
        if one["text"] not in said
    )
    return f"<p><strong>{escape(said)}</strong></p><ul>{numbers}</ul>"


def _row(tag: str, texts: Iterable[object]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(str(one))}</{tag}>' for one in texts)}</tr>"


class Plots:
    """The figures of one study. `dir()` names those that it has data for.

    Each is a function without arguments that returns a `matplotlib.figure.Figure`:
    `effects`, `interaction`, `cells`, `curves_test_accuracy` and others.
    """

    def __init__(self, analysis: Analysis) -> None:
        from bnexp.report.figures import draw

        self._figures = {one.name: one for one in draw(analysis.study, analysis.tables)}

    def __dir__(self) -> list[str]:
        return sorted(self._figures)

    def __getattr__(self, name: str) -> Callable[[], Figure]:
        if name.startswith("_") or name not in self._figures:
            names = ", ".join(dir(self)) if not name.startswith("_") else "private"
            raise AttributeError(f"no figure {name!r}; there are {names}")
        from bnexp.plots import drawn

        return lambda: drawn(self._figures[name].make)


def load(folder: Path | str) -> Results:
    """Return the results that a folder holds, for example `results/quickstart`.

    Raises:
        bnexp.errors.UsageError: If it holds no study, or what it holds is damaged.
    """
    return Results(folder)
