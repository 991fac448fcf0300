"""Files that are written whole or not at all, and JSON of this schema version."""

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from bnexp.errors import UsageError
from bnexp.reading import read_bytes
from bnexp.store.records import SCHEMA_VERSION


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        FileNotFoundError: If there is none.
        UsageError: If it is no ordinary file, too large for one of bnexp, or not UTF-8.
    """
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise _unreadable(path, error) from None


def parse(text: str | bytes, path: Path | str) -> dict[str, Any]:
    """Return a JSON object of this schema version.

    Args:
        path: Where it stands, for messages.

    Raises:
        UsageError: If it is damaged, or written by a newer or older bnexp.
    """
    try:
        data: dict[str, Any] = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, error) from None
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        remedy = "install a newer bnexp" if newer else "move the folder away and run again"
        raise UsageError(
            f"{path} has schema version {version}, this bnexp reads {SCHEMA_VERSION}: {remedy}"
        )
    return data


def _no_number(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is no number of JSON")


def _unreadable(path: Path | str, error: Exception) -> UsageError:
    return UsageError(f"{path} cannot be read ({error}): delete it and run again")


def json_bytes(data: object) -> bytes:
    """Return what a JSON file of bnexp holds. NaN is refused: JSON has none."""
    return (json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def write_json(path: Path, data: object) -> None:
    """Write a JSON file, complete or not at all."""
    write_bytes(path, json_bytes(data))


def write_bytes(path: Path, content: bytes, *, lasting: bool = False) -> None:
    """Write a file beside its place and move it there, so that no reader sees half.

    Args:
        lasting: Whether its content must be on the disk before it gets its name: what it
            replaces is about to be removed, and the power may fail.

    Raises:
        UsageError: If the disk is full, or the folder cannot be written to.
    """
    beside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException as error:
        if beside:
            with suppress(OSError):
                os.unlink(beside)
        if isinstance(error, OSError):
            raise UsageError(
                f"cannot write {path} ({error.strerror}). What was finished before is kept: "
                "make room and give the same command again, or copy the folder to another "
                "place and name that with results_dir=DIR"
            ) from None
        raise
