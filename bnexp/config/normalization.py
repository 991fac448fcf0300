"""The `norm:` section: what normalizes, where in a layer, and in which layers."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from bnexp.config.networks import Layer
from bnexp.config.part import AtLeast0, Count, Lax, Part, Positive
from bnexp.datasets.about import Shape

Placement = Literal[
    "before_activation",
    "after_activation",
    "after_pool",
    "after_pool_before_activation",
    "after_flatten",
    "before_dropout",
    "after_dropout",
]
# Levels that are wrong on purpose, as sources had them, so that it can be measured what
# each mistake costs. No default, preset or shared level may be one of them (tested).
DEFECTS = ("variance_not_sd", "mode_by_grad", "forgets_statistics")


class NoNorm(Part):
    name: Literal["none"]


class Placed(Part):
    """What every normalization has.

    `where` lists the layers that get one; the input has one only where it is listed.
    """

    placement: Placement
    where: Literal["all"] | Annotated[tuple[str, ...], Lax, Field(min_length=1)]
    epsilon: Positive
    affine: Literal["both", "gamma", "beta", "none"]

    def normalized(self, layers: Sequence[Layer]) -> tuple[str, ...]:
        """Return the names of the layers that get a normalization."""
        return tuple(layer.name for layer in layers) if self.where == "all" else self.where


class BatchNorm(Placed):
    name: Literal["batch", "scratch", "variance_not_sd", "mode_by_grad", "forgets_statistics"]
    momentum: Annotated[float, Field(ge=0, le=1)] | None
    epsilon_inside: bool
    center: bool
    scale: bool
    noise: AtLeast0


class GroupNorm(Placed):
    name: Literal["group"]
    groups: Count


class LayerNorm(Placed):
    name: Literal["layer"]


class InstanceNorm(Placed):
    name: Literal["instance"]

    def normalized(self, layers: Sequence[Layer]) -> tuple[str, ...]:
        """Return the layers; an instance norm needs an image, so dense layers have none."""
        convs = tuple(layer.name for layer in layers if layer.is_conv)
        return convs if self.where == "all" else self.where


AnyNorm = NoNorm | BatchNorm | LayerNorm | GroupNorm | InstanceNorm
Norm = Annotated[AnyNorm, Field(discriminator="name")]


def placements(layers: Sequence[Layer]) -> tuple[str, ...]:
    """Return the placements that a network of these layers can have."""
    found = ["before_activation", "after_activation"]
    if any(layer.is_pooled for layer in layers):
        found += ["after_pool", "after_pool_before_activation"]
    if any(layer.is_conv for layer in layers):
        found.append("after_flatten")
    if any(layer.dropout for layer in layers):
        found += ["before_dropout", "after_dropout"]
    return tuple(found)


def is_spatial(norm: Placed, layers: Sequence[Layer]) -> bool:
    """Return whether every channel that is normalized is an image, of many values a sample.

    Of what a user's function builds nothing is known.
    """
    convs = {layer.name for layer in layers if layer.is_conv}
    images = convs | {"input"} if convs else convs
    return norm.placement != "after_flatten" and set(norm.normalized(layers)) <= images != set()


def misfit(norm: AnyNorm, layers: Sequence[Layer], shape: Shape) -> str | None:
    """Return why a network of these layers cannot have a normalization, or None.

    Args:
        shape: Of what the network is given.
    """
    if isinstance(norm, NoNorm):
        return None
    possible = placements(layers)
    if norm.placement not in possible:
        needs = {
            "pool": "a pooling layer",
            "flatten": "a convolution",
            "dropout": "model.dropout",
        }
        what = next(text for part, text in needs.items() if part in norm.placement)
        return (
            f"norm.placement={norm.placement} needs {what}; this model can have "
            f"{', '.join(possible)}"
        )
    names = [layer.name for layer in layers]
    normalized = norm.normalized(layers)
    unknown = [name for name in normalized if name not in ("input", *names)]
    if unknown:
        return f"norm.where={unknown[0]}: this model's layers are {', '.join(names)} and input"
    if isinstance(norm, InstanceNorm) and (reason := _without_image(norm, layers, shape)):
        return reason
    if isinstance(norm, GroupNorm):
        channels = {"input": shape[0]} | {layer.name: layer.width for layer in layers}
        for name in normalized:
            if channels[name] % norm.groups:
                return (
                    f"norm.groups={norm.groups} does not divide the {channels[name]} "
                    f"channels of {name}"
                )
    return _groups_of_one(norm, layers, shape)


def _groups_of_one(
    norm: BatchNorm | LayerNorm | GroupNorm | InstanceNorm,
    layers: Sequence[Layer],
    shape: Shape,
) -> str | None:
    """Return in which layer single values would be normalized by themselves, or None."""
    if isinstance(norm, BatchNorm):
        return None
    places = _places(norm, layers, shape)
    for name in norm.normalized(layers):
        channels, n = places[name]
        groups = norm.groups if isinstance(norm, GroupNorm) else 1
        if isinstance(norm, InstanceNorm):
            groups = channels
        if channels * n == groups:
            return (
                f"norm={norm.name} would normalize groups of one value in {name}, which "
                "makes each of them 0: leave it out of norm.where"
                + (
                    ", or choose fewer norm.groups"
                    if isinstance(norm, GroupNorm) and groups > 1
                    else ""
                )
            )
    return None


def _places(norm: Placed, layers: Sequence[Layer], shape: Shape) -> dict[str, tuple[int, int]]:
    """Return the channels of each layer's normalization, and the values of each channel."""
    found = {"input": (shape[0], math.prod(shape[1:]))}
    sides, convs = list(shape[1:]), [layer for layer in layers if layer.is_conv]
    behind = norm.placement in ("after_pool", "after_pool_before_activation", "after_flatten")
    for layer in layers:
        if not layer.is_conv:
            found[layer.name] = (layer.width, 1)
            continue
        before = [layer.convolved(side) for side in sides]
        sides = [layer.pooled(side) for side in before]
        n = math.prod(sides if behind else before)
        found[layer.name] = (layer.width, n)
        if norm.placement == "after_flatten" and layer is convs[-1]:
            found[layer.name] = (layer.width * n, 1)
    return found


def _without_image(norm: InstanceNorm, layers: Sequence[Layer], shape: Shape) -> str | None:
    """Return which layer has no image for an instance norm to normalize over, or None."""
    normalized = norm.normalized(layers)
    if not normalized:
        return "norm=instance needs a convolution, which this model does not have"
    convs = [layer.name for layer in layers if layer.is_conv]
    if "input" in normalized and len(shape) == 1:
        return "norm=instance: the input is a vector, which has one value a sample"
    for name in normalized:
        if name not in ("input", *convs):
            return f"norm=instance: {name} is dense, a unit has one value a sample"
    if norm.placement == "after_flatten" and convs[-1] in normalized:
        return (
            f"norm=instance: {convs[-1]} is flattened, a unit has one value a sample; leave "
            "it out of norm.where or choose another norm.placement"
        )
    return None
