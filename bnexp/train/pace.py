"""How long an epoch will take, told while the first one goes on: a watchdog goes by it."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

_tell: Callable[[float], None] | None = None


@contextmanager
def telling(tell: Callable[[float], None]) -> Iterator[None]:
    """Within the block, call a function with the seconds that an epoch will take."""
    global _tell  # noqa: PLW0603 # of a process: those who train know of no listener
    _tell = tell
    try:
        yield
    finally:
        _tell = None


def paced(steps: Iterable[slice]) -> Iterator[slice]:
    """Yield the steps of an epoch; the second says how long all of them take.

    The first one is no measure: much is made ready, or compiled, when it is needed.
    """
    steps = list(steps)
    start = 0.0
    for number, step in enumerate(steps):
        if number == 1:
            start = time.perf_counter()
        elif number == 2 and _tell is not None:
            _tell((time.perf_counter() - start) * len(steps))
        yield step
