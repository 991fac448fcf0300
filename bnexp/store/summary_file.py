"""`report.json`: what a report found, as data. Written with it, read without computing."""

import json
from pathlib import Path
from typing import Any

from bnexp.errors import UsageError
from bnexp.store.json_files import read_text, write_json

# Raise it when a key goes or means something else; a new key alone breaks nobody's program.
VERSION = 1


def write(path: Path, summary: dict[str, Any]) -> None:
    """Write a summary, complete or not at all."""
    write_json(path, summary)


def read(path: Path) -> dict[str, Any] | None:
    """Return a summary, None if there is none of this version: a report writes it anew."""
    try:
        found = json.loads(read_text(path))
    except (FileNotFoundError, UsageError, ValueError, RecursionError):
        return None
    known = isinstance(found, dict) and found.get("schema_version") == VERSION
    return found if known else None
