"""Compiled code in the user's cache: whole, and nobody else's, before it is loaded."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


class Unsafe(Exception):
    """Somebody else could have written what would be loaded."""


def built(path: Path, build: Callable[[Path], None]) -> Path:
    """Return a file of the cache, built if it is not there as it was written.

    Args:
        build: Writes the file to the path that it is given.

    Raises:
        Unsafe: If others can write to the file or to a folder of its path.
        OSError: If the cache cannot be written to; and whatever `build` raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _check_private(path)
    if not _is_whole(path):
        with FileLock(path.with_suffix(".lock")):  # one worker compiles, the others wait
            if not _is_whole(path):
                with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                    beside = Path(folder) / path.name
                    build(beside)
                    beside.chmod(0o700)
                    _checksum(beside).write_text(_digest(beside))
                    _checksum(beside).replace(_checksum(path))
                    beside.replace(path)
    _check_private(path)
    return path


def _is_whole(path: Path) -> bool:
    """Return whether a file is as it was written; the power may have failed since."""
    try:
        return _checksum(path).read_text() == _digest(path)
    except (OSError, UnicodeDecodeError):
        return False


def _checksum(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_private(path: Path) -> None:
    """Check that nobody but the user and the system can replace a file, if it is there.

    Raises:
        Unsafe: With the part of its path that others can write to.
    """
    if not hasattr(os, "getuid"):
        return
    real = path.resolve()
    for part in filter(Path.exists, (real, _checksum(real), *real.parents)):
        found = part.stat()
        # In a folder such as /tmp, others cannot touch what is not theirs.
        shared = found.st_mode & stat.S_IFDIR and found.st_mode & stat.S_ISVTX
        if found.st_uid not in (0, os.getuid()):
            raise Unsafe(f"{part} belongs to another user")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not shared:
            raise Unsafe(f"others can write to {part}: chmod go-w {part}")
