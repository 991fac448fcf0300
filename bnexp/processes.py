"""How child processes start: fresh ones, and workers, for which PyTorch is imported once.

It imports nothing of bnexp: a command calls `prepare` before all else.
"""

import multiprocessing
import signal
from multiprocessing import get_all_start_methods

# A fresh interpreter, with threads and memory of its own.
FRESH = multiprocessing.get_context("spawn")
# A copy of a process that has imported PyTorch and computed nothing: there is no thread pool
# and no CUDA context to share. Not on Windows.
CAN_FORK = "forkserver" in get_all_start_methods()
WORKERS = multiprocessing.get_context("forkserver") if CAN_FORK else FRESH
if CAN_FORK:
    WORKERS.set_forkserver_preload(["bnexp.preloaded"])


def prepare() -> None:
    """Begin to import what workers need, while this process composes and checks.

    Ctrl-C reaches every process of a terminal; those that begin here never hear of it: what
    becomes of them is this process's affair.
    """
    if CAN_FORK:
        from multiprocessing import forkserver, resource_tracker

        resource_tracker.ensure_running()  # when it starts, it lets Ctrl-C through again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        forkserver.ensure_running()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
