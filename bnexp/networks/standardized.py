"""Layers whose weights are standardized before they are used."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def standardized(weight: Tensor, epsilon: float) -> Tensor:
    """Return weights with mean 0 and variance 1 over the inputs of each unit or filter.

    ``(w - mean) / sqrt(var + epsilon)`` with the biased variance.

    Args:
        weight: Shape (C, inputs) or (C, channels, height, width).

    Source: Qiao et al. (2019), arXiv 1903.10520, for convolutions; of dense layers the weights
    of a unit are taken likewise.
    """
    over = list(range(1, weight.dim()))
    var, mean = torch.var_mean(weight, over, correction=0, keepdim=True)
    found: Tensor = (weight - mean) / torch.sqrt(var + epsilon)
    return found


class StandardizedConv2d(nn.Conv2d):
    """A convolution that uses its `standardized` weights; what learns are those before it."""

    eps: float

    def forward(self, x: Tensor) -> Tensor:
        """Return the output, as `nn.Conv2d` does."""
        weight = standardized(self.weight, self.eps)
        found: Tensor = self._conv_forward(x, weight, self.bias)
        return found


class StandardizedLinear(nn.Linear):
    """A dense layer that uses its `standardized` weights; what learns are those before it."""

    eps: float

    def forward(self, x: Tensor) -> Tensor:
        """Return the output, as `nn.Linear` does."""
        return F.linear(x, standardized(self.weight, self.eps), self.bias)


def standardize(layer: nn.Module, epsilon: float) -> None:
    """Let a convolution or a dense layer use its standardized weights.

    It stays the same module, as with PyTorch's own parametrizations: only its class changes.
    """
    kind = StandardizedConv2d if isinstance(layer, nn.Conv2d) else StandardizedLinear
    layer.__class__ = kind
    vars(layer)["eps"] = epsilon
