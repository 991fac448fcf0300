"""Who trains which run, where several commands train in one folder at a time.

A claim is a file beside the run's own, hidden and gone when the run is finished; only one
process can create it. It holds the name of its owner, another file, which the owner touches
again and again. A claim whose owner is gone, or has not touched its file for long, is free to
be taken. No lock of the system is needed, which disks of a network often lack, and no two
clocks are compared: times of files are those of the disk that they lie on.
"""

import hashlib
import os
import platform
import re
import secrets
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import BinaryIO, Self

from bnexp.store.folder import Store

HEARTBEAT_S, EXPIRES_S = 5.0, 75.0  # a disk of a network may show a time a minute late
OWNER, CLAIM = ".owner", ".claim"
# What is written or removed in two steps, see `bnexp.store.json_files.write_bytes`.
PARTS = re.compile(r"\.(json|claim)\.\w+$")


class Claims:
    """The runs of a folder that this process trains, and what others are at.

    Attributes:
        started_ns: When this process began, by the clock of the disk.
    """

    def __init__(self, store: Store) -> None:
        store.open_for_writing()
        self.folder = store.runs
        self.own = f".{_machine()}-{os.getpid()}-{secrets.token_hex(4)}{OWNER}"
        self.held: set[str] = set()
        self._over = Event()
        self._heart = Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._path.touch()
        self.started_ns = self._now_ns = self._path.stat().st_mtime_ns
        self._sweep()
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._heart.join(HEARTBEAT_S)  # else it may touch what is removed here
        for run_id in list(self.held):
            self.release(run_id)
        with suppress(OSError):
            self._path.unlink()

    def take(self, run_id: str) -> bool:
        """Claim a run; return whether it is this process's: nobody who lives has it."""
        claim = self._claim(run_id)
        while run_id not in self.held:
            try:
                handle = os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
                self.held.add(run_id)
                try:
                    os.write(handle, self.own.encode())
                finally:
                    os.close(handle)
            except FileExistsError:
                owner = _content(claim)
                if owner is None:
                    continue  # it has gone just now
                if self._lives(owner, claim):
                    return False
                if not self._bury(claim, owner):
                    self.held.add(run_id)
            except OSError:  # whatever the disk has, keeping the run will meet it and say so
                self.held.add(run_id)
        return True

    def release(self, run_id: str) -> None:
        """Give a claim back: its run is finished, or will not be trained here."""
        self.held.discard(run_id)
        claim = self._claim(run_id)
        if _content(claim) == self.own:  # else it has expired, and another has it
            with suppress(OSError):
                claim.unlink()

    def others(self) -> int:
        """Return how many other processes train in the folder now."""
        names = [name for name in self._hidden() if name.endswith(OWNER) and name != self.own]
        return sum(self._lives(name, self.folder / name) for name in names)

    @property
    def _path(self) -> Path:
        return self.folder / self.own

    def _claim(self, run_id: str) -> Path:
        return self.folder / f".{run_id}{CLAIM}"

    def _hidden(self) -> list[str]:
        with suppress(OSError):
            return [name for name in os.listdir(self.folder) if name.startswith(".")]
        return []

    def _beat(self) -> None:
        """Touch the own file again and again, which also tells the time of the disk."""
        while not self._over.wait(HEARTBEAT_S):
            with suppress(OSError):
                self._path.touch()
                self._now_ns = self._path.stat().st_mtime_ns

    def _lives(self, owner: str, claim: Path) -> bool:
        """Return whether an owner is there, as far as can be told from here."""
        if owner == self.own:
            return True
        machine, _, rest = owner.removeprefix(".").partition("-")
        pid = rest.partition("-")[0]
        if machine == _machine() and pid.isdecimal() and not _is_there(int(pid)):
            return False
        touched = max(_touched_ns(self.folder / owner) if owner else 0, _touched_ns(claim))
        return self._now_ns - touched < EXPIRES_S * 1e9

    def _bury(self, claim: Path, owner: str) -> bool:
        """Remove a dead owner's claim, not that of who was faster; return whether one can."""
        aside = claim.with_name(f"{claim.name}.{secrets.token_hex(4)}")
        try:
            claim.rename(aside)
            if _content(aside) != owner:
                os.link(aside, claim)
            aside.unlink()
        except FileNotFoundError:
            return True
        except OSError:  # the folder lets nobody touch what is another's
            return False
        return True

    def _sweep(self) -> None:
        """Remove what processes that ended without a word have left, halves of files too."""
        for name in self._hidden():
            path = self.folder / name
            if name.endswith(CLAIM):
                owner = _content(path)
                if owner is not None and not self._lives(owner, path):
                    self._bury(path, owner)
            elif name.endswith(OWNER):
                if not self._lives(name, path):
                    path.unlink(missing_ok=True)
            elif PARTS.search(name) and self._now_ns - _touched_ns(path) > EXPIRES_S * 1e9:
                path.unlink(missing_ok=True)


def tidy(store: Store) -> None:
    """Remove what ended processes have left in a folder in which nothing is to be trained."""
    with suppress(OSError):
        left = any(name.endswith((OWNER, CLAIM)) for name in os.listdir(store.runs))
        if left:
            with Claims(store):
                pass


def _touched_ns(path: Path) -> int:
    """Return when a file was changed last, 0 if it is gone.

    It is opened for that: a disk of a network asks its server then, and only then.
    """
    with suppress(OSError), _opened(path) as file:
        return os.fstat(file.fileno()).st_mtime_ns
    return 0


def _content(claim: Path) -> str | None:
    """Return who has a claim, None if nobody; an owner without a name is just writing it."""
    try:
        with _opened(claim) as file:
            return file.read(100).decode(errors="replace")
    except FileNotFoundError:
        return None
    except OSError:
        return ""


def _opened(path: Path) -> BinaryIO:
    """Open a file that may be anything: nothing is waited for, no link followed."""
    flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    return open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags))


def _is_there(pid: int) -> bool:
    """Return whether a process of this machine lives."""
    with suppress(OSError, IndexError):  # not Linux, or it is gone
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in ("Z", "X")  # ended, but nobody has asked how
    try:
        if os.name == "posix":  # elsewhere that would end it
            os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


@cache
def _machine() -> str:
    """Return a name that only processes with the same process numbers have."""
    parts = [platform.node()]
    with suppress(OSError):  # not Linux
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
