"""From one file a run to one file for all, and back.

A run is never without a whole file: what replaces others is on the disk and has its name
before they are removed. So the work may be stopped at any moment, and done again.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from bnexp.errors import UsageError
from bnexp.store.folder import Store
from bnexp.store.json_files import json_bytes, parse, write_bytes
from bnexp.store.packed import content, stamp


def pack(store: Store) -> list[Path]:
    """Move the finished runs into `runs.jsonl.gz`, in which `unpack` finds their bytes.

    Returns:
        The files that stay as they are, since bnexp does not write them so. Failed runs stay
        too: the next training replaces their files.

    Raises:
        UsageError: If a run cannot be read, or the folder not be written to.
    """
    with alone(store):
        if not store.done():
            raise _holds_none(store)
        lines, files, foreign = {}, [], []
        for path in sorted(store.finished_files()):
            seen = stamp(path)
            line = _line(path)
            if line is None:
                foreign.append(path)
            else:
                lines[path.stem] = line
                files.append((path, seen))
        zipped, plain = store.packed.files
        before = store.packed.lines()
        if plain.exists() or lines.items() - before.items():
            write_bytes(zipped, content((before | lines).items()), lasting=True)
            _settle(store.folder)
        plain.unlink(missing_ok=True)
        for path, seen in files:
            if stamp(path) == seen:  # else it was trained anew meanwhile
                path.unlink()
        return foreign


def unpack(store: Store) -> None:
    """Write every packed run to a file of its own; one that is there already is kept.

    Raises:
        UsageError: If a run cannot be read, or the folder not be written to.
    """
    with alone(store):
        if not store.done():
            raise _holds_none(store)
        lines = store.packed.lines()
        store.runs.mkdir(exist_ok=True)
        for run_id, line in lines.items():
            path = store.run_file(run_id)
            if not path.exists():
                data = parse(line, f"the line of the packed run {run_id} of {store.folder}")
                write_bytes(path, json_bytes(data))
        _settle(store.runs, *map(store.run_file, lines))
        for file in store.packed.files:
            file.unlink(missing_ok=True)


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """Have no other process move the runs of the same folder."""
    store.check_links()
    if not store.folder.is_dir():
        raise _holds_none(store)
    lock = store.folder / ".packing.lock"
    try:
        with FileLock(lock):
            try:
                yield
            finally:
                with suppress(OSError):  # a system that removes no open file
                    lock.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write to {store.folder} ({error.strerror}): no run is lost, and the same "
            "command goes on from there"
        ) from None


def _holds_none(store: Store) -> UsageError:
    return UsageError(
        f"{store.folder} holds no finished run: name the folder of a study, "
        "for example results/quickstart"
    )


def _line(path: Path) -> bytes | None:
    """Return a run's file as a line, None if the file could not be had back from it."""
    whole = path.read_bytes()
    data = parse(whole, path)
    with suppress(ValueError):  # infinity, as 1e400 is read
        if data.get("run_id") == path.stem and json_bytes(data) == whole:
            text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
            return text.encode()
    return None


def _settle(folder: Path, *files: Path) -> None:
    """Have files, and the names in their folder, on the disk before this returns."""
    if len(files) > 1 and hasattr(os, "sync"):
        os.sync()  # all at once: one after the other, each would wait for the disk
    for path in (*files, folder):
        with suppress(PermissionError):  # a system on which a program cannot ask for a folder
            handle = os.open(path, os.O_RDONLY if path == folder else os.O_RDWR)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
