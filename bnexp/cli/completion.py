"""What a shell may complete: an override to keys and their values, a folder to studies."""

import typing
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from bnexp.config.keys import conf_dir, is_section, keys
from bnexp.config.schema import Config
from bnexp.config.until import UNTIL, Until


def complete(prefix: str, **_options: object) -> list[str]:
    """Return the overrides that begin with what was typed; called by argcomplete."""
    key, equals, _ = prefix.partition("=")
    groups = [folder.name for folder in conf_dir().iterdir() if folder.is_dir()]
    if not equals:
        leaves = [name for name, kind in _keys() if not is_section(kind)]
        found = [f"{name}=" for name in [*groups, *leaves]]
    elif key in groups:
        found = [f"{key}={file.stem}" for file in conf_dir().glob(f"{key}/*.yaml")]
    else:
        kinds = [kind for name, kind in _keys() if name == key]
        found = [f"{key}={value}" for kind in kinds for value in _values(kind)]
    return sorted({text for text in found if text.startswith(prefix)})


def _keys() -> Iterator[tuple[str, Any]]:
    yield from keys(Config)
    yield from keys(Until, f"{UNTIL}.")


def _values(kind: Any) -> Iterator[str]:
    """Yield the values of a type that has few."""
    if kind is bool:
        yield from ("true", "false")
    elif kind is type(None):
        yield "null"
    elif typing.get_origin(kind) is typing.Literal:
        yield from map(str, typing.get_args(kind))


def complete_folder(prefix: str, **_options: object) -> list[str]:
    """Return the folders that begin with what was typed, studies alone where there are any."""
    typed = Path(prefix)
    parent = typed if prefix.endswith("/") or not prefix else typed.parent
    if not prefix and Path("results").is_dir():
        parent = Path("results")
    with suppress(OSError):
        folders = sorted(one for one in parent.iterdir() if one.is_dir())
        found = [one for one in folders if str(one).startswith(prefix)]
        return [str(one) for one in found if (one / "study.json").is_file()] or [
            f"{one}/" for one in found
        ]
    return []
