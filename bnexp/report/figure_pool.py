"""Which figures there are, and who draws them: this process and, once started, a helper."""

import signal
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any

from bnexp.processes import FRESH, n_cores, uninterrupted
from bnexp.startup import follow_command

if TYPE_CHECKING:
    from bnexp.plots import Figure

Make = Callable[[], "Figure"]  # of nothing but data: another process may call it
Files = dict[str, bytes]  # by ending


@dataclass(frozen=True)
class ReportFigure:
    """A figure with its name and caption, yet to be drawn.

    Attributes:
        of: The figure of which it is one of several sheets; "" for a whole one.
        choice: What tells it from the other sheets, by name; none for a whole figure.
    """

    name: str
    caption: str
    make: Make
    of: str = ""
    choice: Mapping[str, str] = field(default_factory=dict)


class FigurePool:
    """Draws the figures of reports; a helper process draws a part of them from `start` on.

    A process takes a second to get ready: it is started while something else goes on.
    Nothing is lost with it: what it does not bring is drawn here.
    """

    def __init__(self) -> None:
        self.makes: list[Make] = []
        self.waiting: deque[int] = deque()  # numbers of figures that nobody draws yet
        self.helped: dict[int, Future[Files]] = {}  # figures that the helper draws, or drew
        self.helper: ProcessPoolExecutor | None = None
        self.busy = False  # whether the helper has something to do
        self.lock = RLock()  # what the helper brings comes in a thread

    def start(self) -> None:
        """Start the helper, which imports what draws, where there is a core for it."""
        if n_cores() > 1:
            self.busy = True
            with uninterrupted():
                self.helper = ProcessPoolExecutor(1, mp_context=FRESH)
                self.helper.submit(_get_ready).add_done_callback(self._hand_on)

    def add(self, make: Make) -> None:
        """Say that a figure will be wanted; the helper begins with it if it is idle."""
        with self.lock:
            self.waiting.append(len(self.makes))
            self.makes.append(make)
            if self.helper and not self.busy:
                self._submit(self.helper)

    def files(self) -> list[Files]:
        """Return the files of each figure in turn, as `bnexp.plots.files` does."""
        from bnexp.plots import made  # imports matplotlib

        files_of: dict[int, Files] = {}
        # From the other end: the last figure, of every run, takes longest.
        while (number := self._last()) is not None:
            files_of[number] = made(self.makes[number])
        for number, future in self.helped.items():
            failed = future.exception()  # it waits for the helper
            files_of[number] = made(self.makes[number]) if failed else future.result()
        files = [files_of[number] for number in range(len(self.makes))]
        self.makes, self.helped = [], {}
        return files

    def close(self) -> None:
        """End the helper, if there is one, before Python itself would in its last moments."""
        if self.helper:
            self.helper.shutdown()

    def _last(self) -> int | None:
        with self.lock:
            return self.waiting.pop() if self.waiting else None

    def _hand_on(self, done: Future[Any]) -> None:
        """Give the helper its next figure; one at a time: what it holds nobody else draws."""
        if done.exception():
            return  # it died, or a figure cannot be drawn: `files` draws what is missing
        with self.lock:
            self.busy = False
            if self.helper and self.waiting:
                self._submit(self.helper)

    def _submit(self, helper: ProcessPoolExecutor) -> None:
        from bnexp.plots import made

        with suppress(RuntimeError):  # it died while it was idle, or all comes to its end
            future = helper.submit(made, self.makes[self.waiting[0]])
            self.helped[self.waiting.popleft()] = future
            self.busy = True
            future.add_done_callback(self._hand_on)


def _get_ready() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where `uninterrupted` cannot: on Windows
    follow_command()
    import bnexp.plots  # noqa: F401 # matplotlib with it
