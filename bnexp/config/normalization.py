"""The `norm:` section: every normalization with its settings."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bnexp.config.norm_base import (
    ByBatch,
    ByChannel,
    ByGroup,
    Learning,
    Measuring,
    Normalization,
    Placed,
)
from bnexp.config.of_function import OfFunction
from bnexp.config.part import AtLeast0, Count, Positive

# Levels that are wrong on purpose, as sources had them, so that it can be measured what
# each mistake costs. No default, preset or shared level may be one of them (tested).
DEFECTS = ("variance_not_sd", "mode_by_grad", "forgets_statistics")


class NoNorm(Normalization):
    name: Literal["none"]


class BatchNorm(ByBatch):
    name: Literal["batch", "scratch", "variance_not_sd", "mode_by_grad", "forgets_statistics"]
    epsilon_inside: bool
    center: bool
    scale: bool
    noise: AtLeast0

    @property
    def centers(self) -> bool:
        return self.center


class GhostBatchNorm(ByBatch):
    name: Literal["ghost"]
    virtual_batch: Count

    def together(self, n: int) -> int:
        return min(n, self.virtual_batch)

    def leaves_one(self, n: int) -> bool:
        return self.virtual_batch == 1 or n % self.virtual_batch == 1

    @property
    def parted(self) -> str:
        return f" with norm.virtual_batch={self.virtual_batch}"


class BatchRenorm(ByBatch):
    name: Literal["renorm"]
    r_max: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    d_max: AtLeast0
    warm_up: Annotated[int, Field(ge=0, lt=2**31)]
    lacks: ClassVar[Mapping[str, str]] = {
        "batch": "it corrects the statistics of a batch by the running ones, in training too"
    }

    @property
    def centers(self) -> bool:
        return False  # the running mean, by which it corrects, follows a constant slowly


class Whiten(ByBatch):
    name: Literal["whiten"]
    group_size: Literal["all"] | Count

    def divisor(self, channels: int) -> tuple[str, int]:
        return "group_size", channels if self.group_size == "all" else self.group_size


class RankNorm(ByBatch):
    name: Literal["rank"]
    quantiles: Annotated[int, Field(ge=2, le=1024)]
    lacks: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("population", "batch"), "it evaluates by quantiles, not by a mean and a variance"
    )


class SwitchableNorm(ByBatch):
    name: Literal["switchable"]

    @property
    def centers(self) -> bool:
        return False  # the mean of an image's channels, its share, is not a channel's


class LayerNorm(Measuring):
    name: Literal["layer", "rms"]

    def of_image(self, channels: int, n: int) -> int | None:
        return channels * n

    @property
    def left_of_one(self) -> str:
        return "its sign" if self.name == "rms" else "0"


class GroupNorm(ByGroup):
    name: Literal["group"]


class WeightStandardization(ByGroup):
    name: Literal["weight_standardization"]


class InstanceNorm(ByChannel):
    name: Literal["instance"]


class FilterResponseNorm(ByChannel):
    name: Literal["frn"]
    threshold: bool

    @property
    def left_of_one(self) -> str:
        return "its sign"


class FrozenNorm(Measuring):
    name: Literal["frozen"]
    mean: Annotated[float, Field(allow_inf_nan=False)]
    variance: AtLeast0


class Pointwise(Learning):
    """What takes the place of a normalization without measuring anything."""

    name: Literal["dyt", "derf"]
    alpha: Positive


class OwnNorm(Placed, OfFunction):
    name: Literal["function"]
    section: ClassVar[str] = "norm"
    handed: ClassVar[tuple[str, ...]] = ("channels", "spatial")
    by_position: ClassVar[int] = 1


AnyNorm = (
    NoNorm
    | BatchNorm
    | GhostBatchNorm
    | BatchRenorm
    | Whiten
    | RankNorm
    | SwitchableNorm
    | LayerNorm
    | GroupNorm
    | WeightStandardization
    | InstanceNorm
    | FilterResponseNorm
    | FrozenNorm
    | Pointwise
    | OwnNorm
)
Norm = Annotated[AnyNorm, Field(discriminator="name")]
