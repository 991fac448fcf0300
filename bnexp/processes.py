"""How many child processes there may be, and how they start: fresh, or with PyTorch.

It imports next to nothing: a command calls `prepare` before all else.
"""

import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_all_start_methods, spawn
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from threading import RLock, get_ident
from typing import Any

from bnexp.errors import UsageError

# Not on Windows.
CAN_FORK = "forkserver" in get_all_start_methods()
_STARTING = RLock()


@contextmanager
def _without_script() -> Iterator[None]:
    """Begin processes that do not run the user's script, of which they need nothing.

    Python runs it in every process, for what may be defined there: one that trains without a
    main guard would train once more.
    """
    here = get_ident()

    def told(name: str) -> dict[str, Any]:
        data = whole(name)
        if get_ident() == here:  # else another thread begins a process of the user's own
            data = {key: one for key, one in data.items() if not key.startswith("init_main")}
        return data

    with _STARTING:
        whole = spawn.get_preparation_data
        spawn.get_preparation_data = told
        try:
            yield
        finally:
            spawn.get_preparation_data = whole


class _FreshProcess(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with _without_script():
            return SpawnProcess._Popen(process_obj)


class _FreshContext(SpawnContext):
    Process = _FreshProcess


# A fresh interpreter, with threads and memory of its own.
FRESH = _FreshContext()
WORKERS: Any = FRESH
if sys.platform != "win32" and CAN_FORK:
    from multiprocessing.context import ForkServerContext, ForkServerProcess

    class _WorkerProcess(ForkServerProcess):
        @staticmethod
        def _Popen(process_obj: Any) -> Any:
            with _without_script():
                return ForkServerProcess._Popen(process_obj)

    class _WorkerContext(ForkServerContext):
        Process = _WorkerProcess

    # A copy of a process that has imported PyTorch and computed nothing: there is no thread
    # pool and no CUDA context to share.
    WORKERS = _WorkerContext()
    WORKERS.set_forkserver_preload(["bnexp.engine.preload"])


def n_cores() -> int:
    """Return the cores to use: `BNEXP_CORES`, else those that this process is granted.

    joblib and loky count alike, but take a quarter of a second to import.

    Raises:
        UsageError: If `BNEXP_CORES` is no whole number from 1.
    """
    if asked := os.environ.get("BNEXP_CORES"):
        if asked.isdecimal() and int(asked) > 0:
            return int(asked)
        raise UsageError(f"BNEXP_CORES={asked}: name a whole number from 1, or unset it")
    if hasattr(os, "sched_getaffinity"):  # absent on macOS and Windows
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min(cores, math.ceil(min(_quota(), cores)))


def _quota(system: Path = Path("/")) -> float:
    """Return how many cores' time a container or a slice of the system may take, or infinity.

    More workers than that would wait for each other.

    Source: the kernel's documentation, cgroup-v2.rst (cpu.max) and sched-bwc.rst (cgroup v1).
    """
    quota = math.inf
    # Each group is within its parents' quotas.
    for folder in groups_of("cpu", system):
        for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
            with suppress(OSError, ValueError):  # no such file; "max": no quota
                time, period = " ".join((folder / one).read_text() for one in names).split()
                if int(time) > 0:  # -1 is no quota, too
                    quota = min(quota, int(time) / int(period))
    return quota


def groups_of(controller: str, system: Path = Path("/")) -> list[Path]:
    """Return the folders of this process's control group and of those above it.

    A container's own group is the topmost that it sees.
    """
    found: list[Path] = []
    with suppress(OSError):  # not Linux
        for line in (system / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            top = system / "sys/fs/cgroup"
            if controllers:
                top = top / controller
            if not controllers or controller in controllers.split(","):
                own = top / path.lstrip("/")
                found += [own, *own.parents][: len(own.parts) - len(top.parts) + 1]
    return found


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
