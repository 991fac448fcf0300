"""The two pages: one self-contained HTML file, and Markdown for a repository."""

import base64
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bnexp.report.content import Page
from bnexp.report.drawing import Drawn

Figures = Mapping[str, tuple[Drawn, Mapping[str, bytes]]]


def to_html(page: Page, figures: Figures) -> str:
    """Return a page that needs no other file and no network; every string is escaped."""
    shown = [
        {
            "name": name,
            "caption": drawn.caption,
            "data": base64.b64encode(files["svg"]).decode(),
        }
        for name, (drawn, files) in figures.items()
    ]
    return _render("report.html.j2", page, shown, autoescape=True)


def to_markdown(page: Page, figures: Figures) -> str:
    """Return the page for a repository; its figures are links to `figures/`."""
    shown = [{"name": name, "caption": drawn.caption} for name, (drawn, _) in figures.items()]
    return _render("report.md.j2", page, shown, autoescape=False)


def _render(
    template: str, page: Page, figures: list[dict[str, Any]], *, autoescape: bool
) -> str:
    environment = Environment(
        loader=PackageLoader("bnexp"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|")
    return environment.get_template(template).render(page=page, figures=figures)
