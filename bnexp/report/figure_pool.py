"""Who draws figures: this process and, once it is started, another beside it."""

import gc
import signal
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from bnexp.processes import FRESH, n_cores, uninterrupted

if TYPE_CHECKING:
    from bnexp.plots import Drawing

Make = Callable[[], "Drawing"]
Files = dict[str, bytes]  # by ending


class Artist:
    """Draws the figures of reports; another process takes a part of them from `start` on.

    A process takes a second to get ready: it is started while something else goes on.
    Nothing is lost with it: what it does not bring is drawn here.
    """

    def __init__(self) -> None:
        self.makes: list[Make] = []
        self.found: dict[int, Files] = {}
        self.waiting: deque[int] = deque()  # numbers of figures that nobody draws yet
        self.in_hand = False  # whether the other process draws one
        self.over = False
        self.changed = threading.Condition()
        self.sender: threading.Thread | None = None

    def start(self) -> None:
        """Start the other process, which imports what draws, where there is a core for it."""
        if n_cores() == 1:
            return
        pipe, theirs = FRESH.Pipe()
        with uninterrupted():
            FRESH.Process(target=_draw, args=(theirs,), daemon=True).start()
        theirs.close()  # else its end stays open here and a death is never noticed
        self.sender = threading.Thread(target=self._send, args=(pipe,), daemon=True)
        self.sender.start()

    def add(self, make: Make) -> None:
        """Say that a figure will be wanted; the other process begins if it is idle."""
        with self.changed:
            self.waiting.append(len(self.makes))
            self.makes.append(make)
            self.changed.notify_all()

    def files(self) -> list[Files]:
        """Return the files of each figure in turn, as `bnexp.plots.files` does."""
        from bnexp.plots import made  # imports matplotlib

        # From the other end: the last figure, of every run, takes longest.
        while (number := self._last()) is not None:
            self.found[number] = made(self.makes[number])
        with self.changed:
            self.changed.wait_for(lambda: not self.in_hand)
        files = [self.found.get(i) or made(make) for i, make in enumerate(self.makes)]
        self.makes, self.found = [], {}
        return files

    def stop(self) -> None:
        """End the other process, if there is one."""
        with self.changed:
            self.over = True
            self.changed.notify_all()
        if self.sender:
            self.sender.join()

    def _last(self) -> int | None:
        with self.changed:
            return self.waiting.pop() if self.waiting else None

    def _send(self, pipe: Connection) -> None:
        """Have the other process draw, one figure after the other."""
        with pipe, suppress(EOFError, OSError):  # it died: `files` draws what is missing
            while True:
                with self.changed:
                    self.changed.wait_for(lambda: self.waiting or self.over)
                    if self.over:
                        return
                    number, self.in_hand = self.waiting.popleft(), True
                try:
                    pipe.send(self.makes[number])
                    self.found[number] = pipe.recv()
                finally:
                    with self.changed:
                        self.in_hand = False
                        self.changed.notify_all()


def _draw(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where `uninterrupted` cannot: on Windows
    from bnexp.plots import made  # imports matplotlib

    gc.freeze()  # all of it stays: looking through it is a tenth of the time to draw
    with suppress(EOFError, BrokenPipeError):  # there is no parent any more
        while True:
            pipe.send(made(pipe.recv()))
