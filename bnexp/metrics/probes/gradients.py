"""The gradient of a minibatch, and how much of it arrives at the first layer."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bnexp.metrics.metric import Measured, in_powers_of_ten, powers_of_ten
from bnexp.metrics.probe import Look, Probe

if TYPE_CHECKING:
    from torch import Tensor, nn


def loss_and_gradients(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    against: Iterable[Tensor] = (),
    length: float = 0.0,
) -> tuple[float, dict[str, Tensor]]:
    """Return the loss of a minibatch and its gradient by parameter, after a step or none.

    In training mode and double precision, in which 64 layers cannot lose it. The network, its
    running statistics and its random streams stay as they are: what draws draws the same at
    every place that a step leads to.

    Args:
        images: A minibatch, shape (N, ...).
        labels: Shape (N,).
        against: What to step against, a gradient for each of the first parameters that learn;
            the others stay.
        length: Of the step, in gradients.
    """
    import torch
    from torch.nn.functional import cross_entropy

    network = copy.deepcopy(network).double().train()
    learned = {name: p for name, p in network.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for parameter, gradient in zip(learned.values(), against, strict=False):
            parameter.sub_(gradient, alpha=length)
    device = images.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        loss = cross_entropy(network(images.double()), labels)
    found = torch.autograd.grad(
        loss, list(learned.values()), allow_unused=True, materialize_grads=True
    )
    return loss.item(), dict(zip(learned, found, strict=True))


def trained_weights(network: nn.Module) -> list[str]:
    """Return the names of the weights that learn of dense layers and convolutions, in order."""
    from torch import nn

    weights = [
        layer.weight for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    return [
        name
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and any(parameter is weight for weight in weights)
    ]


def gradient_ratio(network: nn.Module, images: Tensor, labels: Tensor) -> float | None:
    """Return how large the first layer's gradient is beside the last one's, in powers of ten.

    The gradient is that of `loss_and_gradients` with respect to a layer's weights, its size
    their root mean square: below 0 it vanishes on its way back, above 0 it grows.

    Args:
        images: A minibatch, shape (N, ...).
        labels: Shape (N,).

    Returns:
        None if the loss or a gradient is not finite, if one of the two is zero, or if there are
        no two such layers.
    """
    weights = trained_weights(network)
    if len(weights) < 2:
        return None
    _, gradients = loss_and_gradients(network, images, labels)
    first, last = (
        gradients[name].square().mean().sqrt().item() for name in (weights[0], weights[-1])
    )
    return powers_of_ten(first / last) if 0 < last < math.inf else None


def measure(look: Look) -> Measured:
    """Return how large the first layer's gradient is beside the last one's, by the time."""
    ratio = gradient_ratio(look.network, *look.first_minibatch())
    return {f"gradient_ratio_{look.when}": ratio}


WORDS = "gradient, first over last layer"
PROBE = Probe(
    does="the first layer's gradient over the last one's",
    measure=measure,
    metrics=(
        in_powers_of_ten(
            "gradient_ratio_start",
            WORDS,
            "at the start",
            quantity="gradient_ratio",
            when=("start",),
        ),
        in_powers_of_ten("gradient_ratio_end", WORDS, "at the end", quantity="gradient_ratio"),
    ),
)
