"""Output that says what it says: a stranger's text gives the terminal no orders."""

from typing import Any, TextIO

from bnexp.reading import visible


class Visible:
    """A stream whose control characters are written out, as is what it cannot encode."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text; its newlines and tabs stay."""
        encoding = self.stream.encoding or "utf-8"
        shown = visible(text).encode(encoding, "backslashreplace").decode(encoding)
        return self.stream.write(shown)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
