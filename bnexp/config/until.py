"""The key `study.until`: when a study has seeds enough, so that it adds them by itself."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bnexp.config.keys import Setting
from bnexp.config.part import Count, Part, Positive
from bnexp.errors import UsageError

UNTIL = "study.until"


class Until(Part):
    """A rule that ends the adding of seeds, looked at after each `step` of them.

    `settled`: the direction of each effect is; `half_width`: each interval reaches at most
    `within` from its estimate; `equivalence`: each lies inside of plus or minus `within`, or
    outside. The intervals are those of the page, which hold at each of the looks. `factor` is
    one that is varied or, with a colon, an interaction of two; without it the rule is on the
    main effects of all. Without `response` it is on the first of the study's.
    """

    kind: Literal["settled", "half_width", "equivalence"] = "settled"
    within: Positive | None = None
    response: Annotated[str, Field(min_length=1)] | None = None
    factor: Annotated[str, Field(min_length=1)] | None = None
    most: Count
    step: Count = 5

    @model_validator(mode="after")
    def _within_what(self) -> Self:
        if (self.kind == "settled") != (self.within is None):
            says = "has no use for" if self.kind == "settled" else "needs"
            raise ValueError(
                f"{UNTIL}.kind={self.kind} {says} {UNTIL}.within, which says how far from the "
                "estimate (half_width) or from zero (equivalence)"
            )
        return self


def is_until(key: str) -> bool:
    """Return whether a key is the rule or a part of it."""
    return key == UNTIL or key.startswith(f"{UNTIL}.")


def with_settings(declared: object, settings: Sequence[Setting]) -> object:
    """Return a rule as a file states it, with what the command line says in its place.

    Raises:
        UsageError: If what is said is no rule.
    """
    rule: Any = declared
    for one in settings:
        _, _, part = one.key.removeprefix(UNTIL).partition(".")
        rule = {**(rule or {}), part: one.value} if part else one.value
        if rule is not None and not isinstance(rule, Mapping):
            raise UsageError(f"{one.text}: name its parts, for example {UNTIL}.most=60")
    return rule
