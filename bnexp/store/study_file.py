"""`study.json`: one writer and one reader of what a study declares."""

import dataclasses
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bnexp.errors import UsageError
from bnexp.store.declared import Declared
from bnexp.store.json_files import parse, read_text, write_json

_TYPE = TypeAdapter(Declared)


def read(path: Path) -> Declared:
    """Return what was declared last.

    Raises:
        UsageError: If there is no such file, or it is damaged, foreign, or of another schema
            version.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise UsageError(
            f"{path.parent} holds no study.json: name the folder of a study, "
            "for example results/quickstart"
        ) from None
    parse(text, path)
    try:
        return _TYPE.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"{path} is damaged or not of bnexp ({field + ': ' if field else ''}{said}): "
            "restore it, or delete it and give the study's command again"
        ) from None


def write(path: Path, declared: Declared) -> None:
    """Write what is declared, complete or not at all, with what was declared before it.

    Raises:
        UsageError: If what is there cannot be read.
    """
    if path.exists():
        before = read(path)
        declared = declared.after(before)
        # The same by another command: what is published keeps its bytes.
        if dataclasses.replace(declared, command=before.command) == before:
            return
    _write(path, declared)


def look(path: Path, declared: Declared, seeds: int) -> Declared:
    """Return what is declared there, with a look at so many seeds kept in the file."""
    looked = declared.looked(seeds)
    if looked is not declared:
        _write(path, looked)
    return looked


def _write(path: Path, declared: Declared) -> None:
    write_json(path, _TYPE.dump_python(declared, mode="json", by_alias=True))
