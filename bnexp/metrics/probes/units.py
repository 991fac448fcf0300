"""What activations do to what they are given: saturated inputs, dead units, moments behind."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnexp.metrics.metric import Measured, Metric, finite, in_percent
from bnexp.metrics.probe import Look, Probe

if TYPE_CHECKING:
    from torch import Tensor, nn


def limits() -> dict[type[nn.Module], tuple[float, float]]:
    """Return each kind of activation, with the inputs beyond which it is saturated.

    There a sigmoid and a tanh (the same curve, stretched) have less than 8 % of their
    steepest slope; below its zero, a ReLU has none.
    """
    from torch import nn

    return {nn.Sigmoid: (-4.0, 4.0), nn.Tanh: (-2.0, 2.0), nn.ReLU: (0.0, math.inf)}


@dataclass
class _Seen:
    """What one activation has seen of every image so far.

    Attributes:
        saturated: How many inputs.
        n: Of how many, over all units.
        low: Of each unit, whether every input lay at or below the lower limit, shape (C,).
        high: The same of the upper one.
        total: The sum of each unit's outputs, shape (C,), in double precision.
        squares: Of their squares.
    """

    saturated: Tensor
    n: int
    low: Tensor
    high: Tensor
    total: Tensor
    squares: Tensor


def activity(network: nn.Module, batches: Iterable[Tensor]) -> Measured:
    """Return what is saturated or dead, and how values are spread behind activations.

    In evaluation mode, which is restored; None without an activation.

        saturated_inputs: The share of inputs beyond `limits`, averaged over activations.
        dead_units: The share of units that are saturated on the same side for every image
            and place; of a convolution a filter is a unit.
        activation_mean: The mean of a unit's outputs over images and places, averaged over
            the units of an activation and over activations.
        activation_sd: Their SD, averaged in the same way.

    Args:
        batches: The images, each of shape (N, ...).
    """
    import torch

    # By the number of units too: one activation may serve layers of several widths.
    seen: dict[tuple[nn.Module, int], _Seen] = {}
    hooks = [
        layer.register_forward_hook(lambda layer, x, y: _look(seen, layer, x[0], y))
        for layer in network.modules()
        if type(layer) in limits()
    ]
    mode = network.training
    network.eval()
    with torch.no_grad():
        for images in batches:
            network(images)
    network.train(mode)
    for hook in hooks:
        hook.remove()
    if not seen:
        return dict.fromkeys(metric.key for metric in PROBE.metrics)
    dead = torch.cat([one.low | one.high for one in seen.values()])
    shares, means, sds = zip(*map(_summary, seen.values()), strict=True)
    return {
        "saturated_inputs": sum(shares) / len(seen),
        "dead_units": dead.double().mean().item(),
        "activation_mean": finite(sum(means) / len(seen)),
        "activation_sd": finite(sum(sds) / len(seen)),
    }


def _summary(one: _Seen) -> tuple[float, float, float]:
    """Return the share of saturated inputs, and mean and SD of a unit's outputs."""
    n = one.n / len(one.total)  # of one unit
    mean = one.total / n
    variance = (one.squares / n - mean.square()).clamp(min=0)  # rounding may leave less
    return float(one.saturated) / one.n, float(mean.mean()), float(variance.sqrt().mean())


def _look(
    seen: dict[tuple[nn.Module, int], _Seen], layer: nn.Module, x: Tensor, y: Tensor
) -> None:
    least, most = limits()[type(layer)]
    x, y = (side.transpose(0, 1).flatten(1) for side in (x, y.double()))
    low, high = x <= least, x >= most
    now = _Seen(
        low.sum() + high.sum(), x.numel(), low.all(1), high.all(1), y.sum(1), y.square().sum(1)
    )
    key = (layer, len(x))
    if key not in seen:
        seen[key] = now
        return
    one = seen[key]
    one.saturated, one.n = one.saturated + now.saturated, one.n + now.n
    one.low, one.high = one.low & now.low, one.high & now.high
    one.total, one.squares = one.total + now.total, one.squares + now.squares


def measure(look: Look) -> Measured:
    """Return what the test set leaves of the network's units; see `activity`."""
    return activity(look.network, look.batches)


PROBE = Probe(
    does="saturated inputs of activations, and dead units",
    measure=measure,
    batches="test",
    metrics=(
        in_percent("saturated_inputs", "saturated inputs of activations", better="lower"),
        in_percent("dead_units", "dead units", better="lower"),
        Metric("activation_mean", "mean behind activations"),
        Metric("activation_sd", "SD behind activations", low=0),
    ),
)
