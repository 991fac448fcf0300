"""What a shell may complete an override to: keys, and the values that a key can have."""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bnexp.config.schema import Config


def complete(prefix: str, **_options: object) -> list[str]:
    """Return the overrides that begin with what was typed; called by argcomplete."""
    key, equals, _ = prefix.partition("=")
    if not equals:
        found = [f"{name}=" for name in [*_groups(), *(key for key, _ in _fields(Config, ""))]]
    elif key in _groups():
        found = [f"{key}={file.stem}" for file in _conf().glob(f"{key}/*.yaml")]
    else:
        kinds = [kind for name, kind in _fields(Config, "") if name == key]
        found = [f"{key}={value}" for kind in kinds for value in _values(kind)]
    return sorted({text for text in found if text.startswith(prefix)})


def _conf() -> Path:
    # Not `compose.conf_dir`: Hydra takes longer to import than a completion may take.
    package = Path(__file__).resolve().parents[1]
    return next(f for f in (package / "conf", package.parent / "conf") if f.is_dir())


def _groups() -> list[str]:
    return [folder.name for folder in _conf().iterdir() if folder.is_dir()]


def _fields(annotation: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield dotted leaf keys with their types."""
    for option in _options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            for name, field in option.model_fields.items():
                yield from _fields(field.annotation, f"{prefix}.{name}" if prefix else name)
        else:
            yield prefix, option


def _options(annotation: Any) -> tuple[Any, ...]:
    union = (
        isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union
    )
    return typing.get_args(annotation) if union else (annotation,)


def _values(kind: Any) -> Iterator[str]:
    """Yield the values of a type that has few."""
    if kind is bool:
        yield from ("true", "false")
    elif kind is type(None):
        yield "null"
    elif typing.get_origin(kind) is typing.Literal:
        yield from map(str, typing.get_args(kind))
