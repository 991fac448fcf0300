"""What an error says, as a file, a page and a terminal can take it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnexp.errors import MOST_CHARACTERS, described, in_one_line, printable, traceback_of


class Speechless(BaseException):
    """An error that cannot be asked what it says."""

    def __str__(self) -> str:
        raise SystemExit(3)


class Misleading(SyntaxError):
    """An error whose parts are not what Python expects of its class."""

    text = property(lambda self: 1 / 0)  # type: ignore[assignment]


@given(st.text(st.characters(exclude_categories=()), max_size=300), st.integers(10, 200))
def test_any_text_becomes_one_that_can_be_written_and_shown(text: str, most: int) -> None:
    """It is bounded, of letters, spaces and line ends alone, and what was so stays."""
    shown = printable(text, most)
    assert json.loads(json.dumps(shown, ensure_ascii=False).encode()) == shown
    assert all(one.isprintable() or one in "\n\t" for one in shown)
    assert len(shown) <= 10 * most + 100
    if len(text) <= most and all(one.isprintable() for one in text):
        assert shown == text


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("plain"), "ValueError: plain"),
        (ValueError("bad \udcff name"), r"ValueError: bad \udcff name"),
        (ValueError("\x1b[2Jgone"), r"ValueError: \x1b[2Jgone"),
        (Speechless(), "Speechless: it cannot say why"),
        (ValueError(50_000_000 * "x"), "characters left out"),
        (Misleading("x", ("f", 1, 1, "t")), "Misleading"),
    ],
)
def test_every_error_can_be_told(error: BaseException, says: str) -> None:
    """Its class and its words, in one line or with the calls that led to it."""
    assert says in described(error)
    for text in (described(error), traceback_of(error), in_one_line(error)):
        assert len(text) < MOST_CHARACTERS + 100
        text.encode()
    assert type(error).__name__ in traceback_of(error)
    assert "\n" not in in_one_line(error)


def test_the_end_of_a_long_text_is_kept() -> None:
    """What an error says stands at the end of a traceback."""
    assert printable("begin" + 100 * "x" + "end", 20).startswith("begin")
    assert printable("begin" + 100 * "x" + "end", 20).endswith("end")
