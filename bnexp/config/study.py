"""The `study:` section: factors, seeds, responses and what the sources claimed."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from bnexp.config.asks import AnyAsk
from bnexp.config.part import (
    MOST,
    AtLeast0,
    Count,
    Label,
    Lax,
    Levels,
    OfLevels,
    Part,
    Positive,
    Seed,
)
from bnexp.config.until import Until


class Claim(OfLevels):
    """What every kind of claim states: its words, its source and the number there."""

    claim: str
    source: str
    response: str
    reported: FiniteFloat | None = None

    @property
    def is_difference(self) -> bool:
        """Return whether it compares cells; otherwise it speaks of one."""
        return True

    @property
    def quantity(self) -> dict[str, Any]:
        """Return what it says, less its words."""
        return self.model_dump(exclude={"claim", "source"})

    @property
    def numbers(self) -> tuple[float, ...]:
        """Return the values of the response, or the differences, that it names."""
        return () if self.reported is None else (self.reported,)


class CellClaim(Claim):
    """A claim that speaks of the runs of one cell."""

    cell: Annotated[dict[str, Label], Field(min_length=1)]

    @property
    def is_difference(self) -> bool:
        return False

    @property
    def levels(self) -> Levels:
        return tuple(self.cell.items())


class ValueClaim(CellClaim):
    """The mean of one cell lies within `within` of the reported number."""

    kind: Literal["value"]
    reported: FiniteFloat
    within: Positive


class DifferenceClaim(Claim):
    """Level `higher` of a factor gives a larger response than level `lower`.

    `given` fixes other factors; those left out are averaged over.
    """

    kind: Literal["difference"]
    factor: str
    higher: Label
    lower: Label
    given: dict[str, Label] = Field(default_factory=dict)

    @property
    def levels(self) -> Levels:
        return _pair(self.factor, self.higher, self.lower, self.given)


class DominanceClaim(Claim):
    """One factor changes the response more than another: |larger| > |smaller|.

    Both are factors of two levels; their main effects are compared.
    """

    kind: Literal["dominance"]
    larger: str
    smaller: str
    given: dict[str, Label] = Field(default_factory=dict)

    @property
    def levels(self) -> Levels:
        return tuple(self.given.items())

    @property
    def two_level_factors(self) -> tuple[str, ...]:
        return (self.larger, self.smaller)


class EquivalenceClaim(Claim):
    """Two levels of a factor give the same response, up to `margin` either way."""

    kind: Literal["equivalence"]
    factor: str
    level_a: Label
    level_b: Label
    margin: Positive
    given: dict[str, Label] = Field(default_factory=dict)

    @property
    def levels(self) -> Levels:
        return _pair(self.factor, self.level_a, self.level_b, self.given)


class InteractionClaim(Claim):
    """What `level_a` adds to `level_b` is larger where `other` is `at` than where `than`.

    It is larger by more than `by`, which is 0 where only the direction is claimed.
    """

    kind: Literal["interaction"]
    factor: str
    level_a: Label
    level_b: Label
    other: str
    at: Label
    than: Label
    by: AtLeast0 = 0.0
    given: dict[str, Label] = Field(default_factory=dict)

    @property
    def levels(self) -> Levels:
        second = ((self.other, self.at), (self.other, self.than))
        return (*_pair(self.factor, self.level_a, self.level_b, self.given), *second)


class ThresholdClaim(Claim):
    """The mean of `cell`, or `level_a` minus `level_b`, lies above or below a number."""

    kind: Literal["threshold"]
    cell: Annotated[dict[str, Label], Field(min_length=1)] | None = None
    factor: str | None = None
    level_a: Label | None = None
    level_b: Label | None = None
    given: dict[str, Label] = Field(default_factory=dict)
    above: FiniteFloat | None = None
    below: FiniteFloat | None = None

    @property
    def is_difference(self) -> bool:
        return self.cell is None

    @property
    def numbers(self) -> tuple[float, ...]:
        bound = self.above if self.below is None else self.below
        return super().numbers if bound is None else (*super().numbers, bound)

    @property
    def levels(self) -> Levels:
        if self.cell is not None:
            return tuple(self.cell.items())
        assert self.factor is not None
        assert self.level_a is not None
        assert self.level_b is not None
        return _pair(self.factor, self.level_a, self.level_b, self.given)

    @model_validator(mode="after")
    def _one_quantity_and_one_side(self) -> Self:
        parts = [part is not None for part in (self.factor, self.level_a, self.level_b)]
        if (self.cell is not None) == any(parts) or any(parts) != all(parts):
            raise ValueError("should name either cell, or factor, level_a and level_b")
        if self.cell is not None and self.given:
            raise ValueError("given belongs to a difference; a cell names its own levels")
        if (self.above is None) == (self.below is None):
            raise ValueError("should name either above or below")
        return self


def _pair(factor: str, a: str, b: str, given: Mapping[str, str]) -> Levels:
    return (*given.items(), (factor, a), (factor, b))


class SpreadClaim(CellClaim):
    """Runs of `cell` that differ in their seed alone have an SD above or below a number."""

    kind: Literal["spread"]
    above: Positive | None = None
    below: Positive | None = None

    @property
    def numbers(self) -> tuple[float, ...]:
        return ()  # an SD is no value of the response

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("should name either above or below")
        return self


def _of_different_cells(claim: Claim) -> Claim:
    """Check that what is compared differs, and in what is not held fixed."""
    compared = [getattr(claim, key, None) for key in ("factor", "other", "larger", "smaller")]
    named = [key for key in compared if key is not None]
    if len(set(named)) < len(named):
        raise ValueError(f"the claim {claim.claim!r} compares {named[0]} with itself")
    for key, level in claim.levels:
        if claim.levels.count((key, level)) > 1:
            raise ValueError(f"the claim {claim.claim!r} names {key}={level} twice")
    for key in named:
        if key in getattr(claim, "given", {}):
            raise ValueError(f"the claim {claim.claim!r} fixes {key}, of which it speaks")
    return claim


AnyClaim = Annotated[
    ValueClaim
    | DifferenceClaim
    | DominanceClaim
    | EquivalenceClaim
    | InteractionClaim
    | ThresholdClaim
    | SpreadClaim,
    Field(discriminator="kind"),
    AfterValidator(_of_different_cells),
]


def _once(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("should name each seed once")
    return seeds


class StudySpec(Part):
    """The `study:` section of a file under `conf/study/`.

    A factor's levels are either a sweep in Hydra's grammar (`avg,max`) or a mapping
    from a level's name to the overrides that make it. The file's own settings are the
    size `cpu`; `budgets` says with which overrides it is made smaller or larger.
    """

    question: str
    source: str
    factors: Annotated[dict[str, str | dict[str, str]], Field(min_length=1)]
    seeds: (
        Annotated[Count, Field(le=MOST)]
        | Annotated[tuple[Seed, ...], Lax, Field(min_length=1), AfterValidator(_once)]
    )
    until: Until | None = None
    responses: Annotated[tuple[str, ...], Lax, Field(min_length=1)]
    # What answers the question, the first before the others.
    asks: Annotated[tuple[AnyAsk, ...], Lax] = ()
    # Responses that are compared by interquartile means, since runs are known to crash in them.
    iqm: Annotated[tuple[str, ...], Lax] = ()
    claims: Annotated[tuple[AnyClaim, ...], Lax] = ()
    # Rows of `bnexp/study/sources.yaml` that the study answers.
    answers: Annotated[tuple[str, ...], Lax] = ()
    budgets: dict[Literal["smoke", "full"], str] = Field(default_factory=dict)
