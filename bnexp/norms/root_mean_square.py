"""What divides the values of an image by their root mean square, without centering them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.norms.parts import Affine, by_channel


class RootMeanSquareNorm(Affine):
    """Return weight * x / sqrt(mean(x^2) + epsilon) + bias.

    The mean is over all values of an image, or all units of a layer, as in layer normalization;
    weight and bias go by channel.

    Source: Zhang and Sennrich (2019), arXiv 1910.07467, which has no bias and no epsilon.
    """

    def __init__(self, channels: int, epsilon: float, **affine: bool) -> None:
        super().__init__(channels, **affine)
        self.eps = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized input, x of shape (N, C) or (N, C, H, W)."""
        return self.affine(F.rms_norm(x, x.shape[1:], eps=self.eps))


class FilterResponseNorm(Affine):
    """Return weight * x / sqrt(mean(x^2) + epsilon) + bias, the mean over a channel's image.

    Args:
        threshold: Return max(y, tau) with a tau for each channel, which learns from 0.

    Source: Singh and Krishnan (2020), arXiv 1911.09737, where the threshold, "TLU", stands in
    for the activation; here the network's own activation follows in its place.
    """

    tau: nn.Parameter | None

    def __init__(
        self, channels: int, epsilon: float, *, threshold: bool, **affine: bool
    ) -> None:
        super().__init__(channels, **affine)
        self.eps = epsilon
        tau = nn.Parameter(torch.zeros(channels)) if threshold else None
        self.register_parameter("tau", tau)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized input, x of shape (N, C, H, W)."""
        y = self.affine(F.rms_norm(x, x.shape[2:], eps=self.eps))
        return y if self.tau is None else torch.maximum(y, by_channel(self.tau, y))
