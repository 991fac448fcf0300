"""The `model:` section: each architecture as the list of its hidden layers."""

import itertools
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from bnexp.config.network import Layer, Network, Pool, Widths, dense
from bnexp.config.norm_base import Learning
from bnexp.config.normalization import AnyNorm
from bnexp.config.of_function import OfFunction
from bnexp.config.part import Count, Lax, Positive
from bnexp.config.recurrent import Rnn
from bnexp.config.residual import Residual, ResidualMlp, ResNet
from bnexp.datasets.about import About


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


class Vgg(Network):
    name: Literal["vgg"]
    widths: Widths
    convs: Widths
    hidden: Annotated[tuple[Count, ...], Lax]
    pool: Pool

    @model_validator(mode="after")
    def _fits_itself(self) -> Self:
        if len(self.widths) != len(self.convs):
            raise ValueError(
                f"model.widths has {len(self.widths)} blocks and model.convs has "
                f"{len(self.convs)}: both have one entry a block"
            )
        if self.dropout and not self.hidden:
            raise ValueError(
                f"model.dropout={self.dropout:g} is that of dense layers, and model.hidden has "
                "none: model.dropout=0, or a width in model.hidden"
            )
        return self

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return blocks of 3x3 convolutions, pooled at their ends, then dense layers."""
        convs = tuple(
            Layer(
                f"block{block}_conv{number}",
                width,
                kernel=3,
                padding=1,
                pool=self.pool if number == n else "none",
            )
            for block, (width, n) in enumerate(zip(self.widths, self.convs, strict=True), 1)
            for number in range(1, n + 1)
        )
        return (*convs, *dense(self.hidden, self.dropout))


class Mlp(Network):
    name: Literal["mlp"]
    hidden: Widths

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return dense layers of the configured widths."""
        return dense(self.hidden, self.dropout)


# The features of a dense head that does not see the pixels: LeNet's convolutions.
FROZEN = (
    Layer("frozen1", 6, kernel=5, pool="max"),
    Layer("frozen2", 16, kernel=5, pool="max"),
)


def _no_others(features: object) -> object:
    """Refuse what is no network of bnexp's, with what leads to the same."""
    said = str(features)
    as_data = "are data, together with their labels: data=arrays data.file="
    if said.endswith(".npz"):
        raise ValueError(f"features in a file {as_data}{said}, model.features=pixels")
    if said.startswith("run:"):
        raise ValueError(
            "of an earlier run the weights are not kept. Features that a network of yours has "
            f"computed {as_data}FILE.npz, model.features=pixels"
        )
    return features


class DenseHead(Network):
    name: Literal["dense_head"]
    hidden: Widths
    features: Annotated[Literal["pixels", "frozen_conv"], BeforeValidator(_no_others)]
    learn: Literal["head", "last", "norms", "all"]
    input_scale: Positive

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        if self.learn == "all" and self.features == "pixels":
            raise ValueError(
                "model.learn=all lets the features learn too, and pixels cannot: choose "
                "model.features=frozen_conv, or model.learn=head"
            )
        return self

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return the dense layers behind the frozen features."""
        return dense(self.hidden, self.dropout)

    def unfit_norm(self, norm: AnyNorm) -> str | None:
        """Return why nothing would learn with a normalization, or None."""
        has_some = isinstance(norm, Learning) and any(norm.learned.values())
        if self.learn != "norms" or (has_some and norm.normalized(self.layers)):
            return None
        return (
            f"model.learn=norms trains gammas and betas alone, and norm={norm.name} as "
            "configured has none: choose norm=batch with norm.affine=both, gamma or beta, or "
            "model.learn=head"
        )


class Custom(Network, OfFunction):
    name: Literal["custom"]
    is_given: ClassVar[bool] = True
    section: ClassVar[str] = "model"
    handed: ClassVar[tuple[str, ...]] = ("config", "seed", "shape", "classes")
    by_position: ClassVar[int] = 2

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return none: what a user's function builds is known only when it has run."""
        return ()


AnyNetwork = LeNet | FastaiCnn | Vgg | ResNet | Mlp | ResidualMlp | Rnn | DenseHead | Custom
Model = Annotated[AnyNetwork, Field(discriminator="name")]


def unfit(model: AnyNetwork, about: About) -> str | None:
    """Return why an architecture cannot see such images, with what can, or None."""
    if isinstance(model, Rnn):
        return model.unreadable(about)
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


def unfit_norm(model: AnyNetwork, norm: AnyNorm) -> str | None:
    """Return why an architecture in particular cannot have a normalization, or None."""
    if isinstance(model, DenseHead | Residual | Rnn):
        return model.unfit_norm(norm)
    return None
