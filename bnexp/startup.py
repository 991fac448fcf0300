"""What makes a command begin and end sooner, each with the gain that was measured.

The gains are medians of the processor's time over three to five rounds in turn, on two cores.
"""

import atexit
import gc
import importlib
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType

PR_SET_PDEATHSIG = 1  # of Linux, see prctl(2)
# What asks a command to stop: a user, a system that shuts down, a terminal that closes.
REQUESTS = [one for one in signal.Signals if one.name in ("SIGINT", "SIGTERM", "SIGHUP")]
# Requests within so many seconds are one: whoever closes a terminal or stops a service sends
# several, and what the first one has begun to tidy up is not left half done.
ONE_REQUEST_S = 1.0
_asked: list[float] = []


def hear_requests_to_stop() -> None:
    """Take each request to stop as a Ctrl-C, but for those that are ignored, as by nohup."""
    for request in REQUESTS:
        if signal.getsignal(request) is not signal.SIG_IGN:
            signal.signal(request, _stop)


def hear_no_more() -> None:
    """Ignore requests to stop: all is done."""
    for request in REQUESTS:
        signal.signal(request, signal.SIG_IGN)


def stop_is_asked() -> bool:
    """Return whether there has been a request to stop."""
    return bool(_asked)


def _stop(number: int, frame: FrameType | None) -> None:
    before = _asked[-1] if _asked else -math.inf
    _asked.append(time.monotonic())
    if _asked[-1] - before > ONE_REQUEST_S:
        raise KeyboardInterrupt


def collect_rarely() -> None:
    """Look for garbage less often than Python does: what a command makes it mostly keeps.

    Planning 100,000 runs: .68 instead of .78 s. A report: no difference beyond the noise.
    """
    gc.set_threshold(100_000)


def import_for_good(*modules: str) -> None:
    """Import what stays to the end: the garbage collector never looks through it.

    What workers are forked from: 1.50 instead of 1.73 s. A process that draws: no difference.
    """
    gc.disable()
    for name in modules:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()


def end_at_once(code: Callable[[], int]) -> None:
    """End this process with a code when all is written and closed.

    Python would take all that was imported apart, one by one, while the user waits. Planning
    100,000 runs: .68 instead of .78 s. What workers are forked from: 1.50 instead of 1.66 s.
    """

    def leave() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # its reader has left
                stream.flush()
        os._exit(code())

    atexit.register(leave)  # the first to be registered is the last to be called


def end_with_parent(parent: int | None = None) -> None:
    """End this process with the thread that started it, whatever it is doing, even if stopped.

    After a typo, whoever reads bnexp's output would wait for what the workers' parent imports.

    Args:
        parent: The process that started this one, where that is known: it may have ended.
    """
    if sys.platform == "linux":
        import ctypes  # the command itself has no use for it

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent not in (None, os.getppid()):
            os._exit(1)


def follow_command() -> None:
    """End this process with the command that it belongs to, on every system.

    It would wait for ever for what a killed command has left, or train on for nobody.
    """
    from multiprocessing import parent_process
    from threading import Thread

    if command := parent_process():

        def leave() -> None:
            command.join()
            os._exit(1)

        Thread(target=leave, daemon=True).start()


def begin_workers(overrides: Sequence[str]) -> None:
    """Import PyTorch for workers of this machine, while this process composes.

    A command of two short runs takes 42 instead of 46 s on a machine with other work. Whether
    workers are called for is a guess: a wrong one costs an import that nobody waits for.
    """
    named = [text for text in overrides if text.startswith("engine=")]
    if not named or named[-1] == "engine=local":
        from bnexp.processes import prepare  # --help has no use for processes

        prepare()
