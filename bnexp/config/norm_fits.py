"""Whether a network can have a normalization: its place, its layers, its groups."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from bnexp.config.network import Layer
from bnexp.config.norm_base import ByChannel, Placed
from bnexp.config.normalization import AnyNorm, NoNorm, WeightStandardization
from bnexp.datasets.about import Shape
from bnexp.plural import counted


def placements(layers: Sequence[Layer]) -> tuple[str, ...]:
    """Return the placements that a network of these layers can have."""
    if any(layer.recurrent for layer in layers):
        return ("before_activation",)
    found = ["before_activation", "after_activation"]
    if any(layer.is_pooled for layer in layers):
        found += ["after_pool", "after_pool_before_activation"]
    if any(layer.is_conv for layer in layers):
        found.append("after_flatten")
    if any(layer.dropout for layer in layers):
        found += ["before_dropout", "after_dropout"]
    return tuple(found)


def is_spatial(norm: AnyNorm, layers: Sequence[Layer], shape: Shape) -> bool:
    """Return whether every channel that is normalized has many values in an image.

    Of what a user's function builds nothing is known.

    Args:
        shape: Of what the network is given.
    """
    if not isinstance(norm, Placed) or not layers:
        return False
    places = _places(norm, layers, shape)
    return all(places[name].values > 1 for name in norm.normalized(layers))


def misfit(norm: AnyNorm, layers: Sequence[Layer], shape: Shape) -> str | None:
    """Return why a network of these layers cannot have a normalization, or None.

    Args:
        layers: None of them are known where a user's function builds the network.
        shape: Of what the network is given.
    """
    if isinstance(norm, NoNorm):
        return None
    possible = placements(layers)
    if norm.placement not in possible:
        needs = {
            "after_activation": "a layer that is no step of a recurrence",
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
    if isinstance(norm, ByChannel) and (reason := _without_image(norm, layers, shape)):
        return reason
    places = _places(norm, layers, shape)
    return (
        _without_weights(norm, normalized, places)
        or _undivided(norm, normalized, places)
        or _groups_of_one(norm, normalized, places)
    )


class _Place(NamedTuple):
    """Where a layer's normalization stands.

    Attributes:
        channels: C of what is normalized.
        values: Of each channel in an image, H * W.
        weights: That each unit or filter of the layer has; the input has none.
    """

    channels: int
    values: int
    weights: int


def _places(norm: Placed, layers: Sequence[Layer], shape: Shape) -> dict[str, _Place]:
    """Return the place of each layer's normalization, by name."""
    channels, *sides = shape
    found = {"input": _Place(channels, math.prod(sides), 0)}
    convs = [layer for layer in layers if layer.is_conv]
    behind = norm.placement in ("after_pool", "after_pool_before_activation", "after_flatten")
    for layer in layers:
        if not layer.is_conv:
            found[layer.name] = _Place(layer.width, 1, channels * math.prod(sides))
            channels, sides = layer.width, []
            continue
        weights = channels * layer.kernel**2
        before = [layer.convolved(side) for side in sides]
        channels, sides = layer.width, [layer.pooled(side) for side in before]
        n = math.prod(sides if behind else before)
        found[layer.name] = _Place(channels, n, weights)
        if norm.placement == "after_flatten" and layer is convs[-1]:
            found[layer.name] = _Place(channels * n, 1, weights)
    return found


def _undivided(
    norm: Placed, normalized: Sequence[str], places: dict[str, _Place]
) -> str | None:
    """Return whose channels cannot be parted into equal groups, or None."""
    for name in normalized:
        channels = places[name].channels
        key, number = norm.divisor(channels)
        if channels % number:
            return (
                f"norm.{key}={number} does not divide the {counted(channels, 'channel')} of "
                f"{name}: choose a divisor, or leave {name} out of norm.where"
            )
    return None


def _groups_of_one(
    norm: Placed, normalized: Sequence[str], places: dict[str, _Place]
) -> str | None:
    """Return in which layer single values would be normalized by themselves, or None."""
    for name in normalized:
        channels, values, _ = places[name]
        if norm.of_image(channels, values) == 1:
            fewer = norm.divisor(channels)[1] > 1
            return (
                f"norm={norm.name} would normalize groups of one value in {name}, which "
                f"makes each of them {norm.left_of_one}: leave it out of norm.where"
                + (", or choose fewer norm.groups" if fewer else "")
            )
    return None


def _without_image(norm: ByChannel, layers: Sequence[Layer], shape: Shape) -> str | None:
    """Return which layer has no image for a channel to be normalized over, or None."""
    normalized, what = norm.normalized(layers), f"norm={norm.name}"
    if not layers:
        return None
    if not normalized:
        return (
            f"{what} needs a convolution, which this model does not have: choose {_OF_VECTORS}"
        )
    convs = [layer.name for layer in layers if layer.is_conv]
    if "input" in normalized and len(shape) == 1:
        return (
            f"{what}: the input is a vector, which has one value a sample; leave it out of "
            f"norm.where, or choose {_OF_VECTORS}"
        )
    for name in normalized:
        if name not in ("input", *convs):
            return (
                f"{what}: {name} is dense, a unit has one value a sample; leave it out of "
                f"norm.where, or choose {_OF_VECTORS}"
            )
    if norm.placement == "after_flatten" and convs[-1] in normalized:
        return (
            f"{what}: {convs[-1]} is flattened, a unit has one value a sample; leave "
            "it out of norm.where or choose another norm.placement"
        )
    return None


# What normalizes a dense layer by sample.
_OF_VECTORS = "norm=layer, group or rms"


def _without_weights(
    norm: Placed, normalized: Sequence[str], places: dict[str, _Place]
) -> str | None:
    """Return which layer has no weights to be standardized, if they are to be, or None."""
    if not isinstance(norm, WeightStandardization):
        return None
    if not normalized:
        return (
            f"norm={norm.name} standardizes weights of bnexp's own networks: build one of your "
            "own with StandardizedConv2d or StandardizedLinear of bnexp.networks.standardized, "
            "and with norm=group"
        )
    for name in normalized:
        if places[name].weights < 2:
            many = "one weight a unit" if places[name].weights else "no weights"
            return f"norm={norm.name}: {name} has {many}, leave it out of norm.where"
    return None
