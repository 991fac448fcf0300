"""Text of others stays text in Markdown and HTML."""

import pytest

from bnexp.report.numbers import Marked
from bnexp.report.render import _as_markdown, _kind, _linked


@pytest.mark.parametrize("mark", ["\\", "|", "<", ">", "`", "$"])
def test_no_mark_of_markdown_works_in_a_cell(mark: str) -> None:
    """Each character that Markdown or its mathematics would take for its own is escaped."""
    assert _as_markdown(f"a{mark}b{mark}") == f"a\\{mark}b\\{mark}"


def test_a_cell_is_one_line() -> None:
    """Line breaks and runs of spaces would end the row."""
    assert _as_markdown("a\nb\r\n  c\t d") == "a b c d"


@pytest.mark.parametrize("mark", ["<", ">", "&", '"', "'"])
def test_no_mark_of_html_works_in_a_cell(mark: str) -> None:
    """Each character that begins a tag, an entity or an attribute is escaped."""
    assert mark not in str(_linked(mark)).replace("&", "", 1)
    assert str(_linked(mark)).startswith("&")


@pytest.mark.parametrize(
    ("word", "kind"), [("none", "absent"), ("yes", "yes"), ("refuted", "refuted")]
)
def test_a_level_is_no_verdict_and_no_missing_number(word: str, kind: str) -> None:
    """A level may have any name: a cell is shown by what it is, not by its words."""
    assert str(_kind(word)) == ""
    assert str(_kind(Marked(word, kind))) == f' class="{kind}"'
