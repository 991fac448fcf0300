"""What answers a study's question: quantities of its runs, and the words of each outcome."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bnexp.config.part import Label, Lax, Levels, OfLevels, Positive

Words = Annotated[str, Field(min_length=1)]
Factors = Annotated[tuple[str, ...], Lax]


class Ask(OfLevels):
    """A quantity of one response that is looked up to answer the question."""

    response: str


class ComparingAsk(Ask):
    """A quantity that has a sign, and what is said of each.

    The words are clauses without a full stop. Other factors are fixed by `given`, told apart
    by `by`, or averaged over.

    Attributes:
        above: Said where it is above zero; for a ratio, above one.
        below: Said where it is below.
        cannot_tell: Said where its interval holds both.
        reversal: Said where it is above at some levels of other factors and below at others.
    """

    above: Words
    below: Words
    cannot_tell: Words
    reversal: Words = "It depends"
    given: dict[str, Label] = Field(default_factory=dict)


class PairAsk(ComparingAsk):
    """Two levels of a factor are compared, a with b."""

    factor: str
    level_a: Label
    level_b: Label
    by: Factors = ()

    @property
    def levels(self) -> Levels:
        pair = ((self.factor, self.level_a), (self.factor, self.level_b))
        return (*self.given.items(), *pair)

    @property
    def apart(self) -> tuple[str, ...]:
        return self.by

    @model_validator(mode="after")
    def _each_factor_once(self) -> Self:
        named = [self.factor, *self.other_factors, *self.given]
        if twice := sorted({key for key in named if named.count(key) > 1}):
            raise ValueError(f"names {twice[0]} twice among its factors")
        if self.level_a == self.level_b:
            raise ValueError(f"compares {self.level_a} with itself")
        return self


class DifferenceAsk(PairAsk):
    """The response at level a minus that at level b.

    Attributes:
        margin: A difference that lies between minus and plus this one is none that matters.
        same: Said where that is shown.
    """

    kind: Literal["difference"]
    margin: Positive | None = None
    same: Words = "There is no difference that matters"


class OwnBestAsk(PairAsk):
    """The response at level a minus that at level b, each at the best of what can be chosen.

    The first half of the seeds chooses, the others compare.

    Attributes:
        best_over: Factors whose best levels are chosen, for each of the two on its own.
    """

    kind: Literal["own_best"]
    best_over: Annotated[Factors, Field(min_length=1)] = ("optimizer.lr",)

    @property
    def other_factors(self) -> tuple[str, ...]:
        return (*self.by, *self.best_over)


class LargestRateAsk(PairAsk):
    """How many times larger the largest learning rate is at level a than at level b.

    Attributes:
        definition: Of the largest, as `tables/max_lr.csv` names it.
    """

    kind: Literal["largest_rate"]
    definition: Literal["near_best", "fastest", "above_chance", "finite"] = "near_best"


class DominanceAsk(ComparingAsk):
    """The size of one main effect minus that of another; both factors have two levels."""

    kind: Literal["dominance"]
    larger: str
    smaller: str

    @property
    def levels(self) -> Levels:
        return tuple(self.given.items())

    @property
    def two_level_factors(self) -> tuple[str, ...]:
        return (self.larger, self.smaller)


class CellAsk(Ask):
    """A number of one cell, which is told as it is.

    Attributes:
        finds: What the number follows: "The mean of the gammas is".
        cell: The level of each factor that is fixed; others are averaged over.
    """

    finds: Words
    cell: Annotated[dict[str, Label], Field(min_length=1)]

    @property
    def levels(self) -> Levels:
        return tuple(self.cell.items())


class ValueAsk(CellAsk):
    """The mean of its runs, and how far single runs go."""

    kind: Literal["value"]


class SpreadAsk(CellAsk):
    """The standard deviation of runs that differ in their seed."""

    kind: Literal["spread"]


AnyAsk = Annotated[
    DifferenceAsk | OwnBestAsk | LargestRateAsk | DominanceAsk | ValueAsk | SpreadAsk,
    Field(discriminator="kind"),
]
