"""What makes a command begin and end sooner, each with the gain that was measured.

The gains are medians of the processor's time over three to five rounds in turn, on two cores.
"""

import atexit
import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

PR_SET_PDEATHSIG = 1  # of Linux, see prctl(2)


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


def end_with_parent() -> None:
    """End this process with the one that started it, whatever it is doing.

    After a typo, whoever reads bnexp's output would wait for what the workers' parent imports.
    """
    if sys.platform == "linux":
        import ctypes  # the command itself has no use for it

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def begin_workers(overrides: Sequence[str]) -> None:
    """Import PyTorch for workers of this machine, while this process composes.

    A command of two short runs takes 42 instead of 46 s on a machine with other work. Whether
    workers are called for is a guess: a wrong one costs an import that nobody waits for.
    """
    named = [text for text in overrides if text.startswith("engine=")]
    if not named or named[-1] == "engine=local":
        from bnexp.processes import prepare  # --help has no use for processes

        prepare()
