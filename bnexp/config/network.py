"""What every network of the `model:` section has, and the layers that it is told as."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from bnexp.config.part import Count, Lax, Part, Positive, Seed

Pool = Literal["max", "avg", "stride", "none"]
Widths = Annotated[tuple[Count, ...], Lax, Field(min_length=1)]


@dataclass(frozen=True)
class Layer:
    """One hidden layer: a convolution or a dense layer with all that follows it.

    Attributes:
        width: Filters or units; the C of its normalization.
        kernel: Side of a convolution's kernel, 0 for a dense layer.
        pool: `stride` lets the convolution itself take steps of 2; `global` is the mean of
            what the last convolution leaves of each channel.
        dropout: Probability that a value is dropped, 0 for none.
        block: Name of the residual block that it is in. The block's input is added before
            the activation of its last layer.
        recurrent: Whether it is computed at every time step.
        weights: False for a place that can be normalized and nothing more.
    """

    name: str
    width: int
    kernel: int = 0
    padding: int = 0
    pool: Pool | Literal["global"] = "none"
    dropout: float = 0.0
    block: str = ""
    recurrent: bool = False
    weights: bool = True

    @property
    def is_conv(self) -> bool:
        """Return whether the layer's values lie in an image."""
        return self.kernel > 0

    @property
    def is_pooled(self) -> bool:
        """Return whether a pooling layer follows that a normalization may stand behind."""
        return self.pool in ("max", "avg")

    def convolved(self, side: int) -> int:
        """Return how long a side of an image is behind the convolution."""
        stride = 2 if self.pool == "stride" else 1
        return (side + 2 * self.padding - self.kernel) // stride + 1

    def pooled(self, side: int) -> int:
        """Return how long a side behind the convolution is behind the pooling."""
        if self.pool == "global":
            return min(side, 1)
        return side // 2 if self.is_pooled else side


class Network(Part):
    """What every architecture has."""

    activation: Literal["sigmoid", "relu", "tanh"]
    init: Literal[
        "xavier_uniform", "kaiming", "normal", "default", "zeros", "identity", "given"
    ]
    init_gain: Positive
    init_gain_where: Literal["all"] | Annotated[tuple[str, ...], Lax, Field(min_length=1)]
    init_seed: Seed | None
    bias: bool | Literal["auto"]
    output_bias: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]
    dropout_place: Literal["before_activation", "after_activation"]

    # Whether its weights are set by code of a user.
    is_given: ClassVar[bool] = False

    @model_validator(mode="after")
    def _given_by_someone(self) -> Self:
        if self.init == "given" and not self.is_given:
            raise ValueError("model.init=given keeps what the function of model=custom sets")
        return self


def dense(widths: tuple[int, ...], dropout: float) -> tuple[Layer, ...]:
    """Return dense layers of these widths."""
    return tuple(
        Layer(f"fc{number}", width, dropout=dropout)
        for number, width in enumerate(widths, start=1)
    )
