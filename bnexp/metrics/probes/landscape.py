"""How much the loss and its gradient change along a step: what a smooth landscape means."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bnexp.metrics.metric import Measured, in_powers_of_ten, powers_of_ten
from bnexp.metrics.probe import Look, Probe
from bnexp.metrics.probes.gradients import loss_and_gradients

if TYPE_CHECKING:
    from torch import Tensor, nn

# How far to go, in learning rates.
STEPS = (0.5, 1.0, 2.0, 4.0)


def along_step(network: nn.Module, images: Tensor, labels: Tensor, lr: float) -> Measured:
    """Return how smooth the loss of a minibatch is along its gradient, in powers of ten.

    From the weights, steps of `STEPS` learning rates are taken against the gradient, each
    from the same place:

        loss_range: The largest loss that they lead to, less the smallest.
        gradient_change: The largest distance of the gradient there from that here: how
            little this one predicts.
        curvature: The largest such distance by the length of its step, the effective
            smoothness (beta) of the loss.

    All as in `loss_and_gradients`: dropout leaves out the same units at each place.

    Args:
        images: A minibatch, shape (N, ...).
        labels: Shape (N,).

    Returns:
        None for what is not finite, or zero.

    Source: Santurkar et al. (2018), arXiv 1805.11604, figure 4.
    """
    import torch

    _, here = loss_and_gradients(network, images, labels)
    losses, changes, curvatures = (torch.zeros(len(STEPS)).double() for _ in range(3))
    for i, step in enumerate(STEPS):
        losses[i], there = loss_and_gradients(network, images, labels, here.values(), step * lr)
        changes[i] = _norm(there[name] - here[name] for name in here)
        curvatures[i] = changes[i] / (step * lr * _norm(here.values()))
    # Of tensors, the largest and the smallest are NaN where one value is.
    found = {
        "loss_range": losses.max() - losses.min(),
        "gradient_change": changes.max(),
        "curvature": curvatures.max(),
    }
    return {name: powers_of_ten(value.item()) for name, value in found.items()}


def measure(look: Look) -> Measured:
    """Return how smooth the loss of the first minibatch is; see `along_step`."""
    return along_step(look.network, *look.first_minibatch(), look.lr)


def _norm(tensors: Iterable[Tensor]) -> float:
    return math.sqrt(sum(float(tensor.square().sum()) for tensor in tensors))


PROBE = Probe(
    does="how much loss and gradient change along a step",
    measure=measure,
    metrics=tuple(
        in_powers_of_ten(key, words, better="lower", quantity=quantity, when=("start", "epoch"))
        for key, words, quantity in (
            ("loss_range", "range of the loss along a step", ""),
            ("gradient_change", "distance of the gradients along a step", "gradient_distance"),
            (
                "curvature",
                "distance of the gradients by length of the step",
                "gradient_distance",
            ),
        )
    ),
)
