"""The types that all sections of the configuration share."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AtLeast0 = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
# Seeds are hashed, so any integer that tables hold would do; a negative one is a typing slip.
Seed = Annotated[int, Field(ge=0, lt=2**63)]
# Values of a sweep, seeds or cells of a study.
MOST = 100_000
# YAML has lists where an immutable configuration has tuples: the one conversion allowed.
Lax = Strict(False)


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
