"""Layers that draw random numbers while they train, each from its own stream.

What a layer draws at a step depends on (seed, layer, step) alone: two cells of one seed
drop the same units, whatever else they differ in. Drawn on the CPU, so that devices agree.

`forward` draws for itself unless `drawn` holds the draw: a trainer of many networks in one
program calls `draw` of each network's layer and hands the results in.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bnexp.streams import generator


class Drawing(nn.Module):
    """What both layers are: a stream, a step counter, and a draw that may be handed in."""

    drawn: Tensor  # for the type checker

    def __init__(self, purpose: str, seed: int, name: str) -> None:
        super().__init__()
        self.purpose, self.seed, self.name, self.step = purpose, seed, name, 0
        self.register_buffer("drawn", torch.empty(0), persistent=False)

    def next_stream(self) -> torch.Generator:
        """Return the stream of the next step."""
        self.step += 1
        return generator(self.seed, self.purpose, f"{self.name}/{self.step}")

    def draw(self, shape: Sequence[int]) -> Tensor:
        """Return the next step's draw, on the CPU, for an input of a shape (N, ...)."""
        raise NotImplementedError

    def drawn_for(self, x: Tensor) -> Tensor:
        """Return what was handed in, or else the next draw, of the shape (N, ...) of x."""
        return (self.drawn if self.drawn.numel() else self.draw(x.shape)).to(x)


class Dropout(Drawing):
    """Dropout (Srivastava et al. 2014): zero with probability p, else divide by 1 - p.

    Args:
        p: In [0, 1).
        seed: The replicate.
        name: The layer's name: its stream.
    """

    def __init__(self, p: float, seed: int, name: str) -> None:
        super().__init__("dropout", seed, name)
        self.p = p

    def draw(self, shape: Sequence[int]) -> Tensor:
        kept = torch.rand(tuple(shape), generator=self.next_stream()) >= self.p
        return kept.double() / (1 - self.p)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.drawn_for(x) if self.training else x


class Noise(Drawing):
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
        super().__init__("noise", seed, name)
        self.size = size

    def draw(self, shape: Sequence[int]) -> Tensor:
        stream = self.next_stream()
        by_channel = (1, shape[1]) + (1,) * (len(shape) - 2)
        mean = (2 * torch.rand(by_channel, generator=stream) - 1) * self.size
        spread = torch.rand(by_channel, generator=stream) * self.size
        return mean + spread * torch.randn(tuple(shape), generator=stream)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drawn_for(x) if self.training else x
