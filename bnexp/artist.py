"""Who draws figures: this process and, if one was started in time, another beside it."""

import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from bnexp.engine.processes import FRESH

if TYPE_CHECKING:
    from bnexp.plots import Drawing

Make = Callable[[], "Drawing"]
Files = dict[str, bytes]  # by ending


class Artist:
    """Draws a report's figures, half of them in another process from `start` on.

    A process takes a second to get ready: it pays where something else goes on meanwhile.
    Nothing is lost with it: what it does not bring is drawn here.
    """

    def __init__(self) -> None:
        self.makes: Sequence[Make] = ()
        self.pipe: Connection | None = None

    def start(self) -> None:
        """Start the other process, which imports what draws, and ends with its figures."""
        self.pipe, theirs = FRESH.Pipe()
        FRESH.Process(target=_draw, args=(theirs,), daemon=True).start()
        theirs.close()  # else its end stays open here and a death is never noticed

    def ask(self, makes: Sequence[Make]) -> None:
        """Say which figures will be wanted; the other process begins with its half."""
        self.makes = makes
        if self.pipe:
            with suppress(OSError):  # it died: see `files`
                self.pipe.send(makes[1::2])

    def files(self) -> list[Files]:
        """Return the files of each figure, as `bnexp.plots.files` does."""
        from bnexp.plots import made  # imports matplotlib

        if self.pipe is None:
            return [made(make) for make in self.makes]
        found: list[Files] = [{}] * len(self.makes)
        found[::2] = [made(make) for make in self.makes[::2]]
        try:
            found[1::2] = self.pipe.recv()
        except (EOFError, OSError):
            found[1::2] = [made(make) for make in self.makes[1::2]]
        self.pipe.close()
        return found


def _draw(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    from bnexp.plots import made  # imports matplotlib

    with suppress(EOFError, BrokenPipeError):  # there is no parent any more
        pipe.send([made(make) for make in pipe.recv()])
