"""How many child processes there may be, and how they start: fresh, or with PyTorch.

It imports nothing of bnexp: a command calls `prepare` before all else.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_all_start_methods

# A fresh interpreter, with threads and memory of its own.
FRESH = multiprocessing.get_context("spawn")
# A copy of a process that has imported PyTorch and computed nothing: there is no thread pool
# and no CUDA context to share. Not on Windows.
CAN_FORK = "forkserver" in get_all_start_methods()
WORKERS = multiprocessing.get_context("forkserver") if CAN_FORK else FRESH
if CAN_FORK:
    WORKERS.set_forkserver_preload(["bnexp.engine.preload"])


def n_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # absent on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def prepare() -> None:
    """Begin to import what workers need, while this process composes and checks."""
    if CAN_FORK:
        from multiprocessing import forkserver

        with uninterrupted():
            forkserver.ensure_running()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Within the block, begin processes that never hear of a Ctrl-C.

    It reaches every process of a terminal; what becomes of these is this process's affair.
    """
    if not CAN_FORK:
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # when it starts, it lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
