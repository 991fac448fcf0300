"""The noise of minibatch statistics: how far a layer's batch mean and variance scatter."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bnexp.metrics.metric import Measured, in_powers_of_ten, powers_of_ten
from bnexp.metrics.probe import Look, Probe
from bnexp.metrics.roles import role

if TYPE_CHECKING:
    from torch import Tensor, nn


KEPT = ("running_mean", "running_quantiles")


def batch_moments(
    network: nn.Module, batches: Iterable[Tensor], *, training: bool = True
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the mean and the biased variance of each layer's channels in each minibatch.

    Both of shape (B, C), by layer. They are of what a batch normalization is given; of a
    convolution or dense layer without one, of its output, where one stands by default. The
    last layer, which nobody normalizes, has none. A layer that is used twice has twice its
    channels.

    The network, its mode, its running statistics and its random streams stay as they are.

    Args:
        batches: Images of B minibatches, each of shape (N, ...).
        training: In training mode, where the noise comes about, or in evaluation mode.
    """
    import torch
    from torch import Tensor, nn

    network = copy.deepcopy(network).train(training)
    weighted, norms = {}, []
    for path, layer in network.named_modules():
        name = role(path)
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.requires_grad:
            weighted[name] = layer
        # Whatever keeps running statistics is a batch normalization.
        elif any(isinstance(getattr(layer, kept, None), Tensor) for kept in KEPT):
            # One of several time steps is a use of what they all are.
            norms.append((re.sub(r"_norm(\.\d+)?$", "", name), layer))
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def watch(name: str, layer: nn.Module, *, given: bool) -> None:
        def look(layer: nn.Module, x: tuple[Tensor, ...], y: Tensor) -> None:
            values = x[0] if given else y
            axes = [axis for axis in range(values.dim()) if axis != 1]
            var, mean = torch.var_mean(values, axes, correction=0)
            seen.setdefault(name, []).append((mean.double(), var.double()))

        layer.register_forward_hook(look)

    for name, layer in norms:
        watch(name, layer, given=True)
    normalized = {name for name, _ in norms}
    for name, layer in list(weighted.items())[:-1]:
        if name not in normalized:
            watch(name, layer, given=False)
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for images in batches:
        seen.clear()
        with torch.no_grad():
            network(images)
        for name, uses in seen.items():
            means, variances = zip(*uses, strict=True)
            found.setdefault(name, []).append((torch.cat(means), torch.cat(variances)))
    return {
        name: (torch.stack([mean for mean, _ in one]), torch.stack([var for _, var in one]))
        for name, one in found.items()
    }


def noise(mean: Tensor, var: Tensor) -> tuple[float | None, float | None]:
    """Return how far the mean and the variance of minibatches scatter, in powers of ten.

    The variance of the batch mean over minibatches, by the variance of the channel over all
    their values; the variance of the batch variance, by the square of that. Each is averaged
    over the channels that are not constant. Of N independent values a minibatch, the first
    is expected to be 1/N and the second about (k - 1)/N with their kurtosis k: both fall in
    proportion to the size of a minibatch.

    Args:
        mean: Of each channel in each of B minibatches of one size, shape (B, C).
        var: Their biased variances, shape (B, C).

    Returns:
        None where there are fewer than two minibatches, or no channel that varies, or where
        a value is not finite.

    Source: Luo et al. (2019), arXiv 1809.00846, for both as the regularization of BN.
    """
    if len(mean) < 2:
        return None, None
    whole = var.mean(0) + mean.var(0, correction=0)  # (C,)
    varies = whole != 0
    of_mean = (mean.var(0) / whole)[varies].mean().item()
    of_variance = (var.var(0) / whole.square())[varies].mean().item()
    return powers_of_ten(of_mean), powers_of_ten(of_variance)


NAMES = ("batch_mean_noise", "batch_variance_noise")


def measure(look: Look) -> Measured:
    """Return the noise of every layer, and the mean over layers; see `noise`."""
    moments = batch_moments(look.network, look.batches)
    by_layer = {layer: noise(*found) for layer, found in moments.items()}
    found: Measured = dict.fromkeys(NAMES)
    for name, values in zip(NAMES, zip(*by_layer.values(), strict=True), strict=False):
        found |= {
            f"{name}_{layer}": value for layer, value in zip(by_layer, values, strict=True)
        }
        if None not in values:
            found[name] = sum(values) / len(values)
    return found


PROBE = Probe(
    does="how far means and variances of minibatches scatter",
    measure=measure,
    batches="minibatches",
    metrics=tuple(
        in_powers_of_ten(
            f"batch_{moment}_noise{of}",
            f"noise of batch {moment}s",
            details,
            quantity=f"batch_{moment}_noise",
        )
        for moment in ("mean", "variance")
        for of, details in (("", "mean over layers"), ("_{layer}", "{layer}"))
    ),
)
