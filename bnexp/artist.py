"""Who draws figures: this process and, if one was started in time, another beside it."""

import gc
import signal
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from bnexp.processes import FRESH

if TYPE_CHECKING:
    from bnexp.plots import Drawing

Make = Callable[[], "Drawing"]
Files = dict[str, bytes]  # by ending


class Artist:
    """Draws a report's figures; another process takes a part of them from `start` on.

    A process takes a second to get ready: it pays where something else goes on meanwhile.
    Nothing is lost with it: what it does not bring is drawn here.
    """

    def __init__(self) -> None:
        self.makes: list[Make] = []
        self.found: dict[int, Files] = {}
        self.waiting: deque[int | None] = deque()
        self.n_waiting = threading.Semaphore(0)
        self.sender: threading.Thread | None = None

    def start(self) -> None:
        """Start the other process, which imports what draws and waits for figures."""
        pipe, theirs = FRESH.Pipe()
        FRESH.Process(target=_draw, args=(theirs,), daemon=True).start()
        theirs.close()  # else its end stays open here and a death is never noticed
        self.sender = threading.Thread(target=self._send, args=(pipe,), daemon=True)
        self.sender.start()

    def add(self, make: Make) -> None:
        """Say that a figure will be wanted; the other process begins if it is idle."""
        self.makes.append(make)
        self._wait(len(self.makes) - 1)

    def files(self) -> list[Files]:
        """Return the files of each figure in turn, as `bnexp.plots.files` does."""
        from bnexp.plots import made  # imports matplotlib

        # From the other end: the last figure, of every run, takes longest.
        while self.n_waiting.acquire(blocking=False):
            number = self.waiting.pop()
            assert number is not None
            self.found[number] = made(self.makes[number])
        if self.sender:
            self._wait(None)
            self.sender.join()
        return [self.found.get(i) or made(make) for i, make in enumerate(self.makes)]

    def _wait(self, number: int | None) -> None:
        self.waiting.append(number)
        self.n_waiting.release()

    def _send(self, pipe: Connection) -> None:
        """Have the other process draw, one figure after the other while some are left."""
        with pipe, suppress(EOFError, OSError):  # it died: `files` draws what is missing
            while self.n_waiting.acquire() and (number := self.waiting.popleft()) is not None:
                pipe.send(self.makes[number])
                self.found[number] = pipe.recv()


def _draw(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    from bnexp.plots import made  # imports matplotlib

    gc.freeze()  # all of it stays: looking through it is a tenth of the time to draw
    with suppress(EOFError, BrokenPipeError):  # there is no parent any more
        while True:
            pipe.send(made(pipe.recv()))
