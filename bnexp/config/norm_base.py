"""What is asked of every normalization of the `norm:` section, and what several share."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bnexp.config.network import Layer
from bnexp.config.part import Count, Lax, Part, Positive

Placement = Literal[
    "before_activation",
    "after_activation",
    "after_pool",
    "after_pool_before_activation",
    "after_flatten",
    "before_dropout",
    "after_dropout",
]
Affine = Literal["both", "gamma", "beta", "none"]


class Normalization(Part):
    """What is asked of every normalization; the answers are those of `none`.

    Attributes:
        lacks: Of `eval.statistics`, what it cannot be evaluated with, and why.
    """

    lacks: ClassVar[Mapping[str, str]] = {}

    name: str

    @property
    def centers(self) -> bool:
        """Return whether it takes a bias off with the mean of the batch (`model.bias=auto`)."""
        return False

    def normalized(self, layers: Sequence[Layer]) -> tuple[str, ...]:
        """Return the names of the layers that get a normalization."""
        return ()

    def leaves_one(self, n: int) -> bool:
        """Return whether one of n images is left to be normalized by itself."""
        return False

    @property
    def parted(self) -> str:
        """Return what parts a batch further, as messages say it."""
        return ""


class Placed(Normalization):
    """What stands behind layers.

    `where` lists the layers that get one; the input has one only where it is listed.
    """

    placement: Placement
    where: Literal["all"] | Annotated[tuple[str, ...], Lax, Field(min_length=1)]

    def normalized(self, layers: Sequence[Layer]) -> tuple[str, ...]:
        return tuple(layer.name for layer in layers) if self.where == "all" else self.where

    def divisor(self, channels: int) -> tuple[str, int]:
        """Return the key of what has to divide the channels, with its value."""
        return "", 1

    def of_image(self, channels: int, n: int) -> int | None:
        """Return how many values of an image are normalized by their own moments, if any are.

        Args:
            channels: C of the layer.
            n: Values of a channel, H * W of an image.
        """
        return None

    @property
    def left_of_one(self) -> str:
        """Return what becomes of a value that is normalized by itself."""
        return "0"


class Learning(Placed):
    """What ends with a gamma and a beta."""

    affine: Affine

    @property
    def learned(self) -> dict[str, bool]:
        """Return whether each of gamma and beta is learned."""
        return {part: self.affine in ("both", part) for part in ("gamma", "beta")}


class Measuring(Learning):
    """What divides by a spread that it measures, or is given."""

    epsilon: Positive


class ByBatch(Measuring):
    """What measures minibatches in training, and keeps the average for evaluation."""

    momentum: Annotated[float, Field(ge=0, le=1)] | None

    @property
    def centers(self) -> bool:
        return True

    def together(self, n: int) -> int:
        """Return how many of n images share their statistics."""
        return n

    def leaves_one(self, n: int) -> bool:
        return n == 1


class ByGroup(Measuring):
    groups: Count

    def divisor(self, channels: int) -> tuple[str, int]:
        return "groups", self.groups

    def of_image(self, channels: int, n: int) -> int | None:
        return channels * n // self.groups


class ByChannel(Measuring):
    """What normalizes each channel of an image by itself; dense layers have none."""

    def normalized(self, layers: Sequence[Layer]) -> tuple[str, ...]:
        convs = tuple(layer.name for layer in layers if layer.is_conv)
        return convs if self.where == "all" else self.where

    def of_image(self, channels: int, n: int) -> int | None:
        return n
