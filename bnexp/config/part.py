"""The types that all sections of the configuration share."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, Strict

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AtLeast0 = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
# Seeds are hashed, so any integer that tables hold would do; a negative one is a typing slip.
Seed = Annotated[int, Field(ge=0, lt=2**63)]
# Values of a sweep, seeds or cells of a study.
MOST = 100_000
# YAML has lists where an immutable configuration has tuples: the one conversion allowed.
Lax = Strict(False)
ADDRESS = r"^[\w.]+:\w+$"  # module:function


def _pairs(args: object) -> object:
    """Return the settings of a user's function in a form that can be a key of a dictionary."""
    if not isinstance(args, dict):
        return args
    return tuple(sorted((str(name), _fixed(value)) for name, value in args.items()))


def _fixed(value: object) -> object:
    if isinstance(value, dict):
        raise ValueError("a setting of a function is a value or a list, not a mapping")
    return tuple(map(_fixed, value)) if isinstance(value, list) else value


# What a user's function is told beside what bnexp hands it; a mapping in YAML.
Args = Annotated[tuple[tuple[str, Any], ...], BeforeValidator(_pairs), PlainSerializer(dict)]


def label(value: object) -> str:
    """Return a level as it is written in a sweep: true, null, 0.9, max."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)


Label = Annotated[str, BeforeValidator(label)]
# Levels with their factors.
Levels = tuple[tuple[str, str], ...]


class Part(BaseModel):
    """A section of the configuration: immutable, strict types, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
