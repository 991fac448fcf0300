"""What normalizations are made of: gamma and beta, and statistics that are kept."""

import torch
from torch import Tensor, nn


def by_channel(values: Tensor, x: Tensor) -> Tensor:
    """Return values of shape (C,) as they go with x of shape (N, C) or (N, C, H, W)."""
    return values.view(1, -1, *[1] * (x.dim() - 2))


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the *biased* variance of each channel, shape (C,).

    The variance of the differences from the mean, which loses no digits to a large mean.

    Args:
        x: Shape (N, C) or (N, C, H, W).

    Raises:
        ValueError: If a channel has one value: it has no variance.
    """
    check_several(x)
    axes = [0, 2, 3][: x.dim() - 1]
    mean = x.mean(axes)
    return mean, ((x - by_channel(mean, x)) ** 2).mean(axes)


def check_several(x: Tensor) -> None:
    """Check that a channel has several values.

    Raises:
        ValueError: If it has one.
    """
    if x.numel() // x.shape[1] < 2:
        raise ValueError(
            f"more than one value per channel is needed to train, got {tuple(x.shape)}"
        )


def unbiased(var: Tensor, x: Tensor) -> Tensor:
    """Return a biased variance of the values of each channel of x as PyTorch stores it."""
    n = x.numel() // x.shape[1]
    return var * n / (n - 1)


class Affine(nn.Module):
    """What ends with a gamma and a beta for each channel, each if it is learned.

    Args:
        channels: C, the second axis of the input.
        gamma: Learn `weight`, shape (C,), from 1.
        beta: Learn `bias`, shape (C,), from 0.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, channels: int, *, gamma: bool = True, beta: bool = True) -> None:
        super().__init__()
        for name, value, learned in (("weight", 1.0, gamma), ("bias", 0.0, beta)):
            parameter = nn.Parameter(torch.full((channels,), value)) if learned else None
            self.register_parameter(name, parameter)

    def affine(self, y: Tensor) -> Tensor:
        """Return gamma * y + beta, for y of shape (N, C) or (N, C, H, W)."""
        if self.weight is not None:
            y = by_channel(self.weight, y) * y
        return y if self.bias is None else y + by_channel(self.bias, y)


class Running(Affine):
    """What keeps a running average of the statistics of minibatches, as PyTorch does.

    ``running = (1 - momentum) * running + momentum * batch``: `momentum` weighs the new batch,
    None averages all batches equally.

    Args:
        channels: C, the second axis of the input.
        epsilon: Added to a variance.
        momentum: In [0, 1], or None.
        start: Of each statistic, by name; it is kept in the buffer `running_` + name.
        kept: Whether buffers are part of the state dict.
        affine: See `Affine`.
    """

    num_batches_tracked: Tensor

    def __init__(
        self,
        channels: int,
        epsilon: float,
        momentum: float | None,
        start: dict[str, Tensor],
        *,
        kept: bool = True,
        **affine: bool,
    ) -> None:
        super().__init__(channels, **affine)
        self.eps = epsilon
        self.momentum = momentum
        for name, value in start.items():
            self.register_buffer(f"running_{name}", value, persistent=kept)
        self.register_buffer("num_batches_tracked", torch.tensor(0), persistent=kept)

    @torch.no_grad()
    def remember(self, **batch: Tensor) -> None:
        """Let the statistics of a batch, by name, become part of the running ones."""
        self.num_batches_tracked += 1
        for name, value in batch.items():
            # In the statistic's precision: an integer tensor would be divided in float32.
            count = self.num_batches_tracked.to(value.dtype)
            new = 1 / count if self.momentum is None else self.momentum
            running = self.get_buffer(f"running_{name}")
            running += new * (value - running)
