"""What a worker died of, and whether there is evidence that memory was short."""

import signal
from contextlib import suppress
from pathlib import Path

from bnexp.engine.queue import died
from bnexp.processes import groups_of


def oom_kills(system: Path = Path("/")) -> int:
    """Return how many processes the system has killed for want of memory, 0 if it never tells.

    Counted are those of this process's control group, where there are such groups.

    Source: the kernel's documentation, cgroup-v2.rst (memory.events) and memory.rst of
    cgroup v1 (memory.oom_control); proc(5) on /proc/vmstat.
    """
    files = [
        folder / name
        for folder in groups_of("memory", system)[:1]
        for name in ("memory.events", "memory.oom_control")
    ]
    for file in (*files, system / "proc/vmstat"):
        with suppress(OSError, ValueError):
            for line in file.read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
    return 0


class Deaths:
    """Tells deaths for want of memory from others: the system counts those."""

    def __init__(self) -> None:
        self._accounted = oom_kills()

    def why(self, code: int | None) -> str:
        """Return what to record of a run whose process always ends so.

        Args:
            code: How it ended, as `multiprocessing` says: a signal is a negative number.
        """
        if code is None or code >= 0:
            return died(f"exit code {code}")
        short = code == -signal.SIGKILL and oom_kills() > self._accounted
        self._accounted += short
        return died(f"signal {-code}", out_of_memory=short)
