"""Which keys there are, a key with its value, and where the YAML files lie.

Without Hydra, which is slow to load.
"""

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bnexp.config.schema import Config
from bnexp.errors import UsageError

# Sections whose keys a function of the user names.
OPEN = ("model.args", "data.args", "norm.args", "optimizer.args")


@dataclass(frozen=True)
class Setting:
    """One key with one value.

    Attributes:
        text: `key=value`, as it was typed or as a sweep enumerates it.
        label: The value as it names a level: true, null, 0.9, max.
    """

    key: str
    text: str
    label: str
    value: object


def conf_dir() -> Path:
    """Return the folder of the shipped YAML files, in a wheel or in a checkout.

    Hydra's relative `config_path` does not survive a console script, hence absolute.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise UsageError(f"bnexp's conf folder is not beside {package}: install bnexp again")


def is_open(key: str) -> bool:
    """Return whether a key is a setting of a user's function, whose source says its name."""
    section, _, name = key.rpartition(".")
    return section in OPEN and name.isidentifier()


def known_keys() -> set[str]:
    """Return every key that some configuration has, sections and dotted leaves."""
    return {key for key, _ in keys(Config)}


def keys(schema: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every dotted key of a schema with each of the types that it can have.

    A section that is one of several (a model, a norm) yields the keys of all of them.
    """
    for name, field in schema.model_fields.items():
        for option in _options(field.annotation):
            yield prefix + name, option
            if is_section(option):
                yield from keys(option, f"{prefix}{name}.")


def is_section(kind: Any) -> bool:
    """Return whether a type holds keys of its own."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _options(annotation: Any) -> tuple[Any, ...]:
    union = (
        isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union
    )
    return typing.get_args(annotation) if union else (annotation,)
