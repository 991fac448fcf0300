"""Layers that draw random numbers while they train, each from its own stream.

What a layer draws at a step depends on (seed, layer, step) alone: two cells of one seed
drop the same units, whatever else they differ in. Key and step are buffers, and what is drawn
is a function of them (`bnexp.philox`): the device that trains draws, for one network or for
many that `torch.func.vmap` stacks, and devices agree.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import TypeAlias

import torch
from torch import Tensor, nn

from bnexp import philox
from bnexp.streams import key_of

# From how many and for what (see `philox.words`) to random words of this step.
Words: TypeAlias = Callable[[int, int], Tensor]


class Drawing(nn.Module):
    """What both layers are: a key, and the number of the step, from 1."""

    key: Tensor
    step: Tensor

    def __init__(self, purpose: str, seed: int, name: str) -> None:
        super().__init__()
        self.purpose, self.seed, self.name = purpose, seed, name
        key = torch.tensor(key_of(seed, purpose, name))
        self.register_buffer("key", key, persistent=False)
        self.register_buffer("step", torch.tensor(0), persistent=False)

    def next_words(self) -> Words:
        """Begin a step; return what draws for it."""
        self.step += 1
        return lambda n, stream: philox.words(self.key, self.step, n, stream)

    def draw(self, shape: Sequence[int], words: Words) -> Tensor:
        """Return a step's draw for an input of a shape (N, ...)."""
        raise NotImplementedError


class Dropout(Drawing):
    """Dropout (Srivastava et al. 2014): zero with probability p, else divide by 1 - p.

    Args:
        p: In [0, 1), to a 2^32nd.
        seed: The replicate.
        name: The layer's name: its stream.
    """

    dropped: Tensor

    def __init__(self, p: float, seed: int, name: str) -> None:
        super().__init__("dropout", seed, name)
        # So many of the 2^32 words: as an integer no device or precision rounds it.
        dropped = torch.tensor(round(p * philox.WORDS))
        self.register_buffer("dropped", dropped, persistent=False)

    def draw(self, shape: Sequence[int], words: Words) -> Tensor:
        kept = words(prod(shape), 0).view(*shape) >= self.dropped
        scale = philox.WORDS / (philox.WORDS - self.dropped).to(philox.doubles(kept.device))
        return kept * scale

    def forward(self, x: Tensor) -> Tensor:
        return x * self.draw(x.shape, self.next_words()).to(x) if self.training else x


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

    size: Tensor

    def __init__(self, size: float, seed: int, name: str) -> None:
        super().__init__("noise", seed, name)
        self.register_buffer("size", torch.tensor(float(size)), persistent=False)

    def draw(self, shape: Sequence[int], words: Words) -> Tensor:
        n, channels = prod(shape), shape[1]
        xi = philox.normal(words(n + n % 2, 0))[:n].view(*shape)
        uniform = words(2 * channels, 1).to(xi) / philox.WORDS
        by_channel = (2, 1, channels) + (1,) * (len(shape) - 2)
        mean, spread = uniform.view(by_channel).unbind(0)
        return self.size * (2 * mean - 1 + spread * xi)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.draw(x.shape, self.next_words()).to(x) if self.training else x
