"""Pages as text: self-contained HTML, and Markdown for a repository."""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bnexp.plots import inlined
from bnexp.reading import visible
from bnexp.report.comparison import Comparison
from bnexp.report.embedded import packed, tables_data
from bnexp.report.figure_data import figure_data
from bnexp.report.figure_pool import ReportFigure
from bnexp.report.figures import CLAIMS
from bnexp.report.glossary import Glossary
from bnexp.report.links import Linked
from bnexp.report.numbers import Marked, listed, typeset
from bnexp.report.page import Page
from bnexp.report.tables.text import TableText

Figures = Mapping[str, tuple[ReportFigure, Mapping[str, bytes]]]

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)( \[.*\].*| to .*)?|< \.0001")
# What a page carries in one script and one sheet, in this order: the scripts share a scope.
SCRIPTS = ("page.js", "tables.js", "run.js", "figures.js")
STYLES = ("page.css", "figures.css", "print.css")
LINK = Markup('<a href="{address}">{shown}</a>')
# A cell with more letters is a sentence, which may not be squeezed into a narrow column.
LONG_TEXT = 30


def to_html(
    page: Page, figures: Figures, made_from: str, runs: Mapping[str, Any] | None = None
) -> str:
    """Return a page that needs no other file and no network; every string is escaped.

    Args:
        made_from: What `bnexp.report.current` recognizes it by.
        runs: Every run as `bnexp.report.embedded.runs_data` returns them.
    """
    drawn = {
        name: inlined(files["svg"], f"f{number}", f"figure {name}")
        for number, (name, (_, files)) in enumerate(figures.items())
    }
    seen = {*list(figures)[:1], CLAIMS} & figures.keys()
    shown = [
        {
            "name": name,
            "caption": figure.caption,
            "choice": figure.choice,
            "svg": Markup(drawn[name]) if name in seen else "",
        }
        for name, (figure, _) in figures.items()
    ]
    of = {name: figure.of or name for name, (figure, _) in figures.items()}
    folded_figures = [one for one in shown if one["name"] not in seen]
    points = {name: files["json"] for name, (_, files) in figures.items()}
    drawings = {name: svg for name, svg in drawn.items() if name not in seen}
    folded = [table for table in page.tables if table.name != "claims"]
    tables = tables_data([*folded, *page.columns])
    own = {name: [one for one in folded if one.name == name] for name in ("cells", "runs")}
    groups = {"effects": [one for one in folded if one.name not in own], **own}
    return html(
        "report.html.j2",
        page=page,
        figures=shown,
        more_figures=[
            list(sheets)
            for _, sheets in groupby(folded_figures, lambda one: of[str(one["name"])])
        ],
        made_from=made_from,
        folded=groups,
        words=Glossary(),
        mentioned=_texts(folded),
        data=Markup(packed({"tables": tables, "runs": runs, **figure_data(points, drawings)})),
    )


def to_markdown(page: Page, figures: Figures) -> str:
    """Return the page for a repository; its figures are links to `figures/`."""
    of = Counter(figure.of for figure, _ in figures.values())
    shown = [
        {"name": name, "caption": figure.caption, "n_more": of[name] - 1}
        for name, (figure, _) in figures.items()
        if figure.of in ("", name)
    ]
    return markdown("report.md.j2", page=page, figures=shown)


def comparison_html(comparison: Comparison) -> str:
    """Return the page of a comparison, as self-contained as that of a study."""
    tables = [table for part in comparison.parts for table in part.tables]
    return html(
        "comparison.html.j2",
        page=comparison,
        words=Glossary(),
        mentioned=_texts(tables),
        data=Markup(packed({"tables": tables_data(tables)})),
    )


def html(template: str, **values: Any) -> str:
    """Return a rendered HTML page, which runs its own script and no other."""
    environment = _environment()
    script = _joined(environment, SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    values |= {"script": script, "script_hash": f"sha256-{digest}"}
    return environment.get_template(template).render(
        style=_joined(environment, STYLES), **values
    )


def _joined(environment: Environment, names: Sequence[str]) -> Markup:
    """Return the text of several files among the templates."""
    assert environment.loader is not None
    return Markup(
        "\n".join(environment.loader.get_source(environment, name)[0] for name in names)
    )


def markdown(template: str, **values: Any) -> str:
    """Return a rendered Markdown page."""
    return _environment(finalize=_as_markdown).get_template(template).render(values)


@cache
def _environment(finalize: Callable[[object], object] | None = None) -> Environment:
    environment = Environment(
        loader=PackageLoader("bnexp.report"),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "code": _code,
        "files": _files,
        "kind": _kind,
        "linked": _linked,
        "parted": _parted,
        "typeset": typeset,
    }
    return environment


def _as_markdown(value: object) -> object:
    """Return a value as text of a Markdown page, on one line: no markup, and no link."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    line = visible(" ".join(value.split()))
    return Markup(re.sub(r"[\\|<>`$]|(?<=\])[(\[]|^~", r"\\\g<0>", line))


def _code(text: str) -> Markup:
    """Return a text as a line of a block of code, which it cannot end."""
    return Markup(visible(" ".join(text.split())).replace("```", "'''"))


def _linked(text: str) -> Markup:
    """Return a text, typeset, as a link to the runs that it comes from where it has one."""
    shown = escape(typeset(text))
    return LINK.format(address=text.href, shown=shown) if isinstance(text, Linked) else shown


def _texts(tables: Iterable[TableText]) -> Iterator[str]:
    """Yield what stands around tables, whose terms are to be explained."""
    for one in tables:
        yield from (one.title, one.note, *one.header)


def _files(tables: Sequence[TableText]) -> str:
    """Return which files of `tables/` have what some tables show."""
    return listed([f"tables/{name}.csv" for name in dict.fromkeys(one.file for one in tables)])


def _parted(text: str) -> tuple[str, str]:
    """Return the first sentence of a text, and the others."""
    first = re.split(r"(?<=[\w)][.:]) (?=[A-Z])", text, maxsplit=1)[0]
    return first, text[len(first) :].strip()


def _kind(text: str) -> Markup:
    """Return the class of a cell."""
    name = ""
    if isinstance(text, Marked):
        name = text.kind
    elif NUMBER.fullmatch(text):
        name = "number"
    elif len(text) > LONG_TEXT:
        name = "words"
    return Markup(f' class="{name}"' if name else "")
