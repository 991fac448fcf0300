"""From a folder of runs to tables, figures and reports: HTML, Markdown and LaTeX."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from bnexp import plots
from bnexp.errors import UsageError
from bnexp.reading import read_bytes
from bnexp.report.analysis import Analysis
from bnexp.report.comparison import Comparison, compare
from bnexp.report.current import made_from
from bnexp.report.embedded import runs_data
from bnexp.report.figure_pool import FigurePool
from bnexp.report.figures import draw
from bnexp.report.latex import to_latex
from bnexp.report.page import Page, page
from bnexp.report.render import comparison_html, markdown, to_html, to_markdown
from bnexp.report.summary import summary
from bnexp.stats.tables import Tables
from bnexp.store import summary_file
from bnexp.store.folder import Store
from bnexp.store.json_files import write_bytes

# Where a spreadsheet may read a formula: how it splits lines into cells is its user's choice.
_FORMULA = re.compile(r"(?:^|(?<=[;|\t\r\n]))(?=[=+\-@＝＋－＠])")  # noqa: RUF001


def build(store: Store, pool: FigurePool | None = None) -> str:
    """Write a study's tables, figures and reports; return a line that says where.

    Args:
        pool: Who draws; one that was started before has a helper process.

    Raises:
        UsageError: If the folder holds no study, or no finished run of it.
    """
    pool = pool or FigurePool()
    return _write(analyse(store), pool)


def build_all(
    stores: Sequence[Store], pool: FigurePool | None = None
) -> tuple[list[str], Comparison]:
    """Write the reports of several folders, and their comparison into the first.

    Args:
        pool: See `build`.

    Raises:
        UsageError: If a folder holds no study or no finished run, before any is written to.
    """
    pool = pool or FigurePool()
    analyses = [analyse(store) for store in stores]
    comparison = compare(analyses)
    lines = [_write(analysis, pool) for analysis in analyses]
    for ending, text in (
        ("md", markdown("comparison.md.j2", page=comparison)),
        ("html", comparison_html(comparison)),
    ):
        path = stores[0].folder / f"comparison.{ending}"
        write_bytes(path, text.encode())
    return [*lines, f"comparison: {path}"], comparison


def analyse(store: Store) -> Analysis:
    """Return a study with its runs; what is estimated from them is when it is asked for.

    Raises:
        UsageError: If the folder holds no study, or no finished run of it.
    """
    store.check_links()
    study = store.look(store.read_study())
    made = made_from(store)  # before the runs are read: one that is saved just now is new
    records = store.load(study.run_ids)
    if not any(record.status != "failed" for record in records):
        raise UsageError(f"{store.folder} holds no finished run yet: {study.command}")
    tables = Tables(study, records)
    if not tables.responses:
        raise UsageError(
            f"{store.folder}: no run measured {', '.join(study.responses)}, which study.json "
            f"asks for: {study.command}"
        )
    return Analysis(store, tables, made)


def page_of(analysis: Analysis) -> Page:
    """Return what a study's report says, but for its figures."""
    store, study = analysis.store, analysis.study
    n_other = len(store.done() - set(study.run_ids))
    return page(study, analysis.tables, analysis.records, n_other)


def _write(analysis: Analysis, pool: FigurePool) -> str:
    store, study, tables = analysis.store, analysis.study, analysis.tables
    asked = []
    for one in draw(study, tables):
        asked.append(one)
        pool.add(one.make)
    for name, table in tables.files().items():
        write_bytes(store.tables / f"{name}.csv", csv_bytes(table, _ten_digits))
    report = page_of(analysis)
    files = pool.files()
    figures = {one.name: (one, endings) for one, endings in zip(asked, files, strict=True)}
    for name, (_, endings) in figures.items():
        for ending in ("svg", "png"):
            write_bytes(store.figures / f"{name}.{ending}", endings[ending])
    for path in store.figures.glob("*.svg"):
        # A figure that was not drawn now shows runs that are no longer these; one that came
        # with a repository has no PNG beside it.
        other = path.with_suffix(".png")
        if path.stem not in figures and (other.exists() or plots.is_ours(read_bytes(path))):
            path.unlink()
            other.unlink(missing_ok=True)
    columns = markdown("columns.md.j2", page=report)
    write_bytes(store.tables / "README.md", columns.encode())
    write_bytes(store.folder / "report.md", to_markdown(report, figures).encode())
    write_bytes(store.folder / "report.tex", to_latex(report).encode())
    summary_file.write(store.summary, summary(analysis, report))
    runs = runs_data(study, tables)
    write_bytes(store.page, to_html(report, figures, analysis.made_from, runs).encode())
    return f"report: {store.page}"


def csv_bytes(table: pd.DataFrame, number: Callable[[Any], str] | None = None) -> bytes:
    """Return what a table's CSV file holds.

    Args:
        number: How a number that is not whole by its type is written; None: with every digit.
    """
    buffer = io.StringIO()
    table = table.rename(columns=_no_formula)
    texts = table.select_dtypes(exclude="number").columns
    table = table.assign(**{name: table[name].map(_no_formula) for name in texts})
    table.to_csv(buffer, index=False, lineterminator="\n", float_format=number)
    return buffer.getvalue().encode()


def _ten_digits(value: float) -> str:
    """Return a number without the digits that no measurement has and every checkout stores."""
    return str(float(f"{value:.10g}"))


def _no_formula(cell: object) -> object:
    """Return a cell that a spreadsheet takes for the text, or the number, that it is.

    Source: OWASP, CSV injection: a text that begins like a formula gets an apostrophe, also
    behind what some spreadsheets end a cell with, whatever stands around it.
    """
    if not isinstance(cell, str):
        return cell
    try:
        float(cell)
    except ValueError:
        return _FORMULA.sub("'", cell)
    return cell
