"""The `optimizer:` and `schedule:` sections: how weights move, and how fast at which step."""

import itertools
import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from bnexp.config.of_function import OfFunction
from bnexp.config.part import AtLeast0, Lax, Part, Positive

Momentum = Annotated[float, Field(ge=0, lt=1)]


class Base(Part):
    """What every optimizer has.

    Without `decay_norms` the weight decay leaves out what is a vector: the parameters of
    normalizations, and biases.
    """

    lr: Positive
    weight_decay: AtLeast0
    decay_norms: bool


class Sgd(Base):
    name: Literal["sgd"]
    momentum: Momentum
    nesterov: bool

    @model_validator(mode="after")
    def _something_to_look_ahead_with(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError(
                "optimizer.nesterov=true looks ahead along the momentum, and there is none: "
                "set optimizer.momentum, for example 0.9"
            )
        return self


class Adam(Base):
    name: Literal["adam"]


class AdamW(Base):
    name: Literal["adamw"]


class RmsProp(Base):
    name: Literal["rmsprop"]
    alpha: Momentum
    momentum: Momentum


class Lamb(Base):
    name: Literal["lamb"]


class OwnOptimizer(Base, OfFunction):
    name: Literal["function"]
    section: ClassVar[str] = "optimizer"
    handed: ClassVar[tuple[str, ...]] = ("params", "lr", "weight_decay")
    by_position: ClassVar[int] = 2

    @model_validator(mode="after")
    def _takes_what_is_set(self) -> Self:
        taken = (*self.signature.by_position, *self.signature.by_name)
        if "lr" not in taken:
            raise ValueError(f"{self.address} should take lr, the learning rate, too")
        decays = self.weight_decay or not self.decay_norms
        if decays and "weight_decay" not in taken:
            raise ValueError(
                f"{self.address} takes no weight_decay: optimizer.weight_decay=0 and "
                "optimizer.decay_norms=true, or a setting of its own"
            )
        return self


AnyOptimizer = Sgd | Adam | AdamW | RmsProp | Lamb | OwnOptimizer
Optimizer = Annotated[AnyOptimizer, Field(discriminator="name")]


def _below_1(share: float) -> float:
    if not 0 <= share < 1:
        raise ValueError("is a share of all steps, from 0 to less than 1")
    return share


def _at_most_1(share: float) -> float:
    if not 0 <= share <= 1:
        raise ValueError("is a share of optimizer.lr, from 0 to 1")
    return share


def _inside(shares: tuple[float, ...]) -> tuple[float, ...]:
    rising = all(one < other for one, other in itertools.pairwise(shares))
    if not shares or not rising or not 0 < shares[0] <= shares[-1] < 1:
        raise ValueError("are rising shares of all steps, such as [0.5, 0.75]")
    return shares


OfSteps = Annotated[float, AfterValidator(_below_1)]
OfRate = Annotated[float, AfterValidator(_at_most_1)]


class WarmingUp(Part):
    """A schedule whose first share of steps climbs to the learning rate."""

    warmup: OfSteps

    def warm_steps(self, n_steps: int) -> int:
        """Return how many of a training's steps climb; any share is a step at least."""
        return math.ceil(round(self.warmup * n_steps, 6))

    def misfit(self, n_steps: int) -> str | None:
        """Return why a training of so many steps cannot have this schedule, or None."""
        if (warm := self.warm_steps(n_steps)) < n_steps:
            return None
        return (
            f"schedule.warmup={self.warmup:g} is {warm} of the {n_steps} steps, which leaves "
            "none at the learning rate: train longer or warm up for less"
        )


class Constant(WarmingUp):
    name: Literal["constant"]


class Stepwise(WarmingUp):
    name: Literal["step"]
    milestones: Annotated[tuple[float, ...], Lax, AfterValidator(_inside)]
    gamma: Positive


class Cosine(WarmingUp):
    name: Literal["cosine"]
    floor: OfRate


class OneCycle(Part):
    name: Literal["one_cycle"]
    warmup: OfSteps
    start: Annotated[float, Field(gt=0, le=1)]
    floor: OfRate

    def misfit(self, n_steps: int) -> str | None:
        """Return why a training of so many steps cannot have this schedule, or None."""
        if self.warmup * n_steps > 1:
            return None
        return (
            f"schedule=one_cycle with schedule.warmup={self.warmup:g} climbs for "
            f"{self.warmup * n_steps:g} of the {n_steps} steps, and needs more than one: "
            "train longer, warm up for more or take schedule=cosine"
        )


AnySchedule = Constant | Stepwise | Cosine | OneCycle
Schedule = Annotated[AnySchedule, Field(discriminator="name")]
