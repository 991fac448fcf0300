"""What measures nothing: a fixed affine map, and the functions in place of a normalization."""

import math

import torch
from torch import Tensor, nn

from bnexp.norms.parts import Affine


class FrozenNorm(Affine):
    """Batch normalization whose statistics never change.

    The output is::

        y = weight * (x - mean) / sqrt(variance + epsilon) + bias

    with one mean and variance for all channels, in training and in evaluation. What is left of
    BN, with mean 0 and variance 1, are its gamma and beta.

    Source: as `torchvision.ops.FrozenBatchNorm2d`, which however has the statistics of another
    training and learns no gamma and beta.
    """

    def __init__(
        self, channels: int, epsilon: float, mean: float, variance: float, **affine: bool
    ) -> None:
        super().__init__(channels, **affine)
        self.mean = mean
        self.root = math.sqrt(variance + epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for x of shape (N, C) or (N, C, H, W)."""
        return self.affine((x - self.mean) / self.root)


class DynamicTanh(Affine):
    """Return weight * tanh(alpha * x) + bias, with one alpha a layer, which learns.

    Args:
        alpha: Its first value.

    Source: Zhu et al. (2025), "Transformers without Normalization", arXiv 2503.10622, which
    begins with .5.
    """

    def __init__(self, channels: int, alpha: float, **affine: bool) -> None:
        super().__init__(channels, **affine)
        self.alpha = nn.Parameter(torch.full((1,), alpha))

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for x of shape (N, C) or (N, C, H, W)."""
        return self.affine(torch.tanh(self.alpha * x))


class DynamicErf(Affine):
    """Return weight * erf(alpha * x + shift) + bias; alpha and shift, one a layer, learn.

    Args:
        alpha: Its first value; that of the shift is 0.

    Source: Chen et al. (2025), "Stronger Normalization-Free Transformers", arXiv 2512.10938,
    which begins with .5 and 0.
    """

    def __init__(self, channels: int, alpha: float, **affine: bool) -> None:
        super().__init__(channels, **affine)
        self.alpha = nn.Parameter(torch.full((1,), alpha))
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for x of shape (N, C) or (N, C, H, W)."""
        return self.affine(torch.erf(self.alpha * x + self.shift))
