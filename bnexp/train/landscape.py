"""How much the loss and its gradient change along a step: what a smooth landscape means."""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# How far to go, in learning rates.
STEPS = (0.5, 1.0, 2.0, 4.0)


def along_step(
    network: nn.Module, images: Tensor, labels: Tensor, lr: float
) -> dict[str, float | None]:
    """Return how smooth the loss of a minibatch is along its gradient, in powers of ten.

    From the weights, steps of `STEPS` learning rates are taken against the gradient, each
    from the same place:

        loss_range: The largest loss that they lead to, less the smallest.
        gradient_change: The largest distance of the gradient there from that here: how
            little this one predicts.
        curvature: The largest such distance by the length of its step, the effective
            smoothness (beta) of the loss.

    In training mode and double precision. The network, its running statistics and its random
    streams stay as they are: dropout leaves out the same units at each of them.

    Args:
        images: A minibatch, shape (N, 1, 28, 28).
        labels: Shape (N,).

    Returns:
        None for what is not finite, or zero.

    Source: Santurkar et al. (2018), arXiv 1805.11604, figure 4.
    """
    _, start = _loss_and_gradient(network, images, labels, [], 0.0)
    losses, changes, curvatures = (torch.zeros(len(STEPS)).double() for _ in range(3))
    for i, step in enumerate(STEPS):
        losses[i], gradient = _loss_and_gradient(network, images, labels, start, step * lr)
        changes[i] = _norm([new - old for new, old in zip(gradient, start, strict=True)])
        curvatures[i] = changes[i] / (step * lr * _norm(start))
    # Of tensors, the largest and the smallest are NaN where one value is.
    found = {
        "loss_range": losses.max() - losses.min(),
        "gradient_change": changes.max(),
        "curvature": curvatures.max(),
    }
    return {
        name: math.log10(value) if 0 < value < math.inf else None
        for name, value in found.items()
    }


def _loss_and_gradient(
    network: nn.Module, images: Tensor, labels: Tensor, start: list[Tensor], length: float
) -> tuple[float, list[Tensor]]:
    """Return the loss after a step, and its gradient there."""
    network = copy.deepcopy(network).double().train()
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    with torch.no_grad():
        for parameter, gradient in zip(learned, start, strict=False):  # none: stay here
            parameter.sub_(gradient, alpha=length)
    loss = F.cross_entropy(network(images.double()), labels)
    found = torch.autograd.grad(loss, learned, allow_unused=True, materialize_grads=True)
    return loss.item(), list(found)


def _norm(tensors: list[Tensor]) -> float:
    return math.sqrt(sum(float(tensor.square().sum()) for tensor in tensors))
