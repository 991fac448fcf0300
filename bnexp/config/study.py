"""The `study:` section: factors, seeds, responses and what the sources claimed."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from bnexp.config.part import Count, Lax, Part, Positive, Seed


def label(value: object) -> str:
    """Return a level as it is written in a sweep: true, null, 0.9, max."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)


Label = Annotated[str, BeforeValidator(label)]


class Claim(Part):
    """What every kind of claim states: its words, its source and the number there."""

    claim: str
    source: str
    response: str
    reported: float | None = None


class ValueClaim(Claim):
    """The mean of one cell lies within `within` of the reported number."""

    kind: Literal["value"]
    cell: dict[str, Label]
    reported: float
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


class DominanceClaim(Claim):
    """One factor changes the response more than another: |larger| > |smaller|.

    Both are factors of two levels; their main effects are compared.
    """

    kind: Literal["dominance"]
    larger: str
    smaller: str
    given: dict[str, Label] = Field(default_factory=dict)


AnyClaim = Annotated[ValueClaim | DifferenceClaim | DominanceClaim, Field(discriminator="kind")]


def _once(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("should name each seed once")
    return seeds


class StudySpec(Part):
    """The `study:` section of a file under `conf/study/`.

    A factor's levels are either a sweep in Hydra's grammar (`avg,max`) or a mapping
    from a level's name to the overrides that make it.
    """

    question: str
    source: str
    factors: Annotated[dict[str, str | dict[str, str]], Field(min_length=1)]
    seeds: Count | Annotated[tuple[Seed, ...], Lax, Field(min_length=1), AfterValidator(_once)]
    responses: Annotated[tuple[str, ...], Lax, Field(min_length=1)]
    claims: Annotated[tuple[AnyClaim, ...], Lax] = ()
