"""The types that all sections of the configuration share."""

from collections.abc import Mapping, Sequence
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


class OfLevels(Part):
    """What names levels of a study's factors: it fits a design that has them all."""

    @property
    def levels(self) -> Levels:
        """Return the levels that it names, with their factors."""
        raise NotImplementedError

    @property
    def apart(self) -> tuple[str, ...]:
        """Return the factors at each level of which it is told apart."""
        return ()

    @property
    def other_factors(self) -> tuple[str, ...]:
        """Return the factors that it names without a level."""
        return self.apart

    @property
    def two_level_factors(self) -> tuple[str, ...]:
        """Return the factors that must have two levels."""
        return ()

    def lacking(self, factors: Mapping[str, Sequence[str]]) -> str | None:
        """Return what it needs that a design has not, or None.

        Args:
            factors: The levels' names of each factor.
        """
        for key, level in self.levels:
            if level not in factors.get(key, ()):
                return f"a level {level!r} of the factor {key!r}"
        for key in self.other_factors:
            if key not in factors:
                return f"the factor {key!r}"
        for key in self.two_level_factors:
            if len(factors.get(key, ())) != 2:
                return f"a factor {key!r} of two levels"
        return None
