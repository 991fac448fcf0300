"""How much of the gradient arrives at the first layer."""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def gradient_ratio(network: nn.Module, images: Tensor, labels: Tensor) -> float | None:
    """Return how large the first layer's gradient is beside the last one's, in powers of ten.

    The gradient is that of a minibatch's loss in training mode with respect to a layer's
    weights, its size their root mean square: below 0 it vanishes on its way back, above 0 it
    grows. In double precision, in which 64 layers cannot lose it. The network, its running
    statistics and its random streams stay as they are.

    Args:
        images: A minibatch, shape (N, 1, 28, 28).
        labels: Shape (N,).

    Returns:
        None if the loss or a gradient is not finite, if one of the two is zero, or if there are
        no two such layers.
    """
    network = copy.deepcopy(network).double().train()
    weights = [
        layer.weight
        for layer in network.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.requires_grad
    ]
    if len(weights) < 2:
        return None
    loss = F.cross_entropy(network(images.double()), labels)
    first, last = (
        gradient.square().mean().sqrt().item()
        for gradient in torch.autograd.grad(loss, [weights[0], weights[-1]])
    )
    if not 0 < first < math.inf or not 0 < last < math.inf:
        return None
    return math.log10(first / last)
