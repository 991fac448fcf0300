"""What a page says, its folded parts included, which a browser builds from its data."""

import base64
import gzip
import html
import json
import re
from typing import Any

MINUS = "\N{MINUS SIGN}"


def data_of(page: str) -> dict[str, Any]:
    """Return the data that a page carries."""
    found = re.search(r'<script type="application/octet-stream" id="data">(.*?)</script>', page)
    assert found is not None
    content: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return content


def said(page: str) -> str:
    """Return all texts of a page: those of its markup, and those that it is built from."""
    static = html.unescape(re.sub(r"<[^>]*>", "", page))
    tables = data_of(page)["tables"].values()
    folded = [
        text
        for one in tables
        for row in [[one["title"], one["note"]], *one["rows"]]
        for text in map(text_of, row)
    ]
    return "\n".join([static, *folded]).replace(MINUS, "-")


def rows_of(page: str, name: str) -> list[dict[str, str]]:
    """Return the rows of a folded table by column; same names get a number behind."""
    table = data_of(page)["tables"][name]
    header = table["header"]
    names = [head + str(header[:i].count(head) or "") for i, head in enumerate(header)]
    return [
        dict(zip(names, (text_of(cell).replace(MINUS, "-") for cell in row), strict=True))
        for row in table["rows"]
    ]


def text_of(cell: str | list[str]) -> str:
    """Return the text of a cell."""
    return cell if isinstance(cell, str) else cell[0]
