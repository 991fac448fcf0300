"""The `model:` section: each architecture as the list of its hidden layers."""

import itertools
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from bnexp.config.part import ADDRESS, Args, Count, Lax, Part, Positive, Seed
from bnexp.datasets.about import About
from bnexp.user_code.settings import Signature, checked, signature
from bnexp.user_code.source import Source, source_of

Pool = Literal["max", "avg", "stride", "none"]


@dataclass(frozen=True)
class Layer:
    """One hidden layer: a convolution or a dense layer with all that follows it.

    Attributes:
        width: Filters or units; the C of its normalization.
        kernel: Side of a convolution's kernel, 0 for a dense layer.
        pool: `stride` lets the convolution itself take steps of 2.
        dropout: Probability that a value is dropped, 0 for none.
    """

    name: str
    width: int
    kernel: int = 0
    padding: int = 0
    pool: Pool = "none"
    dropout: float = 0.0

    @property
    def is_conv(self) -> bool:
        """Return whether the layer's values lie in an image."""
        return self.kernel > 0

    @property
    def is_pooled(self) -> bool:
        """Return whether a pooling layer follows (a stride does not count)."""
        return self.pool in ("max", "avg")

    def convolved(self, side: int) -> int:
        """Return how long a side of an image is behind the convolution."""
        stride = 2 if self.pool == "stride" else 1
        return (side + 2 * self.padding - self.kernel) // stride + 1

    def pooled(self, side: int) -> int:
        """Return how long a side behind the convolution is behind the pooling."""
        return side // 2 if self.is_pooled else side


class Network(Part):
    """What every architecture has."""

    activation: Literal["sigmoid", "relu", "tanh"]
    init: Literal["xavier_uniform", "kaiming", "normal", "default", "given"]
    init_gain: Positive
    init_gain_where: Literal["all"] | Annotated[tuple[str, ...], Lax, Field(min_length=1)]
    init_seed: Seed | None
    bias: bool | Literal["auto"]
    dropout: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _given_by_someone(self) -> Self:
        if self.init == "given" and not isinstance(self, Custom):
            raise ValueError("model.init=given keeps what the function of model=custom sets")
        return self


class LeNet(Network):
    name: Literal["lenet"]
    pool: Pool
    padding: Literal[0, 2]
    fc120: bool

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return 6 and 16 filters of 5x5, then 120 and 84 units.

        Without the 120 layer the 84 keeps its name: what it shares with other cells, its
        initial weights, stays paired.
        """
        fc1 = (Layer("fc1", 120, dropout=self.dropout),) if self.fc120 else ()
        return (
            Layer("conv1", 6, kernel=5, padding=self.padding, pool=self.pool),
            Layer("conv2", 16, kernel=5, pool=self.pool),
            *fc1,
            Layer("fc2", 84, dropout=self.dropout),
        )


class FastaiCnn(Network):
    name: Literal["fastai_cnn"]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return 32, 32 and 64, 64 filters of 3x3 with max pooling, then 512 units."""
        return (
            Layer("conv1", 32, kernel=3),
            Layer("conv2", 32, kernel=3, pool="max"),
            Layer("conv3", 64, kernel=3),
            Layer("conv4", 64, kernel=3, pool="max"),
            Layer("fc1", 512, dropout=self.dropout),
        )


class Mlp(Network):
    name: Literal["mlp"]
    hidden: Annotated[tuple[Count, ...], Lax, Field(min_length=1)]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return dense layers of the configured widths."""
        return _dense(self.hidden, self.dropout)


# The features of a dense head that does not see the pixels: LeNet's convolutions.
FROZEN = (
    Layer("frozen1", 6, kernel=5, pool="max"),
    Layer("frozen2", 16, kernel=5, pool="max"),
)


class DenseHead(Network):
    name: Literal["dense_head"]
    hidden: Annotated[tuple[Count, ...], Lax, Field(min_length=1)]
    features: Literal["pixels", "frozen_conv"]
    input_scale: Positive

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return the dense layers behind the frozen features."""
        return _dense(self.hidden, self.dropout)


# What a user's function is handed, beside its settings; the first two also by position.
HANDED = ("config", "seed", "shape", "classes")


class Custom(Network):
    name: Literal["custom"]
    function: Annotated[str, Field(pattern=ADDRESS)]
    args: Args
    # What the function was when the configuration was made: part of the run's id.
    _source: Source | None = PrivateAttr(default=None)
    _signature: Signature | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _read_source(self) -> Self:
        self._source = source_of(self.function.partition(":")[0])
        self._signature = signature(self.function, HANDED, 2, dict(self.args))
        assert self.settings is not None  # they are checked
        return self

    @property
    def signature(self) -> Signature:
        """Return what the function takes; where nobody can tell, a configuration and a seed."""
        return self._signature or Signature(HANDED[:2])

    @property
    def settings(self) -> dict[str, Any]:
        """Return what the function is told, in the types that it asks for."""
        return checked(dict(self.args), self._signature, self.function, "model.args")

    @property
    def source(self) -> Source | None:
        """Return the user's code that the network depends on, None for bnexp's own."""
        return self._source

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return none: what a user's function builds is known only when it has run."""
        return ()


def _dense(widths: tuple[int, ...], dropout: float) -> tuple[Layer, ...]:
    return tuple(
        Layer(f"fc{number}", width, dropout=dropout)
        for number, width in enumerate(widths, start=1)
    )


AnyNetwork = LeNet | FastaiCnn | Mlp | DenseHead | Custom
Model = Annotated[AnyNetwork, Field(discriminator="name")]


def unfit(model: AnyNetwork, about: About) -> str | None:
    """Return why an architecture cannot see such images, with what can, or None."""
    frozen = isinstance(model, DenseHead) and model.features == "frozen_conv"
    convs = [layer for layer in (*(FROZEN if frozen else ()), *model.layers) if layer.is_conv]
    if not convs:
        return None
    what = "model.features=frozen_conv" if frozen else f"model={model.name}"
    if not about.is_image:
        return f"{what} needs images, and the data are {about}: model=mlp can take them"

    def left(side: int) -> int:
        for layer in convs:
            side = layer.pooled(layer.convolved(side))
        return side

    # Each convolution and each pooling needs something to work on, and so does the next.
    smallest = next(side for side in itertools.count(1) if left(side) >= 1)
    if min(about.shape[1:]) >= smallest:
        return None
    return (
        f"{what} needs images of at least {smallest} x {smallest}, and the data are {about}: "
        "model=mlp takes any, and data.side lets data=folder resize its own"
    )
