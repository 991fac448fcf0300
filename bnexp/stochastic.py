"""Layers that draw random numbers while they train, each from its own stream.

What a layer draws at a step depends on (seed, layer, step) alone: two cells of one seed
drop the same units, whatever else they differ in. Drawn on the CPU, so that devices agree.
"""

import torch
from torch import Tensor, nn

from bnexp.streams import generator


class Dropout(nn.Module):
    """Dropout (Srivastava et al. 2014): zero with probability p, else divide by 1 - p.

    Args:
        p: In [0, 1).
        seed: The replicate.
        name: The layer's name: its stream.
    """

    def __init__(self, p: float, seed: int, name: str) -> None:
        super().__init__()
        self.p, self.seed, self.name, self.step = p, seed, name, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        self.step += 1
        stream = generator(self.seed, "dropout", f"{self.name}/{self.step}")
        kept = torch.rand(x.shape, generator=stream) >= self.p
        return x * kept.to(x.device) / (1 - self.p)


class Noise(nn.Module):
    """Noise with a mean and a spread per channel that change at every training step.

    Adds m + s * xi with m ~ U(-size, size), s ~ U(0, size) for each channel and
    xi ~ N(0, 1) for each value: it undoes the stable distribution that a normalization
    before it has made.

    Args:
        size: Of the noise, in the normalized units of its input; >= 0.
        seed: The replicate.
        name: The layer's name: its stream.

    Source: the experiment of Santurkar et al. (2018), arXiv 1805.11604, section 2.1; the
    distributions are ours.
    """

    def __init__(self, size: float, seed: int, name: str) -> None:
        super().__init__()
        self.size, self.seed, self.name, self.step = size, seed, name, 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        self.step += 1
        stream = generator(self.seed, "noise", f"{self.name}/{self.step}")
        shape = (1, x.shape[1]) + (1,) * (x.dim() - 2)
        mean = (2 * torch.rand(shape, generator=stream) - 1) * self.size
        spread = torch.rand(shape, generator=stream) * self.size
        noise = mean + spread * torch.randn(x.shape, generator=stream)
        return x + noise.to(x)
