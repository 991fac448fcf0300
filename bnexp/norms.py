"""Normalization layers: batch normalization as PyTorch has it, and as its formula."""

import torch
from torch import Tensor, nn

from bnexp.config.schema import BatchNorm, NoNorm


class FormulaBatchNorm(nn.Module):
    """Batch normalization written as its formula, differentiable by autograd.

    In training, each channel is normalized with the moments of the minibatch::

        y = weight * (x - mean) / sqrt(var + epsilon) + bias

    where `var` is the *biased* variance (divided by n, the channel's number of values:
    N in a dense layer, N*H*W after a convolution). In evaluation the running statistics
    take the place of the batch's. What is *stored* is the *unbiased* variance (divided
    by n - 1)::

        running = (1 - momentum) * running + momentum * batch

    so `momentum` weighs the new batch; None averages all batches equally. Epsilon takes
    part in the normalization only, never in what is stored.

    Args:
        channels: C, the second axis of the input.
        epsilon: Added to the variance, inside the root.
        momentum: In [0, 1], or None for the cumulative average.

    Source: Ioffe and Szegedy (2015), arXiv 1502.03167, algorithm 1; the conventions for
    the two variances and for momentum are those of `torch.nn.BatchNorm1d` and `2d`.
    """

    # Buffers, for the type checker.
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int, epsilon: float, momentum: float | None) -> None:
        super().__init__()
        self.eps = epsilon
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized input.

        Args:
            x: Shape (N, C) or (N, C, H, W).

        Raises:
            ValueError: If a channel has one value in training: it has no variance, and
                its output would be `bias` whatever the input.
        """
        axes = [0, 2, 3][: x.dim() - 1]
        shape = (1, -1) + (1,) * (x.dim() - 2)
        if self.training:
            n = x.numel() // x.shape[1]
            if n < 2:
                raise ValueError(
                    f"more than one value per channel is needed to train, got {tuple(x.shape)}"
                )
            mean = x.mean(axes)  # (C,)
            var = ((x - mean.view(shape)) ** 2).mean(axes)  # (C,), biased
            self._remember(mean.detach(), var.detach() * n / (n - 1))
        else:
            mean, var = self.running_mean, self.running_var
        x_hat = (x - mean.view(shape)) / torch.sqrt(var.view(shape) + self.eps)
        return self.weight.view(shape) * x_hat + self.bias.view(shape)

    def _remember(self, mean: Tensor, unbiased_var: Tensor) -> None:
        self.num_batches_tracked += 1
        # In the input's precision: an integer tensor would be divided in float32.
        count = self.num_batches_tracked.to(mean.dtype)
        new = 1 / count if self.momentum is None else self.momentum
        self.running_mean += new * (mean - self.running_mean)
        self.running_var += new * (unbiased_var - self.running_var)


BatchNormLayer = FormulaBatchNorm | nn.BatchNorm1d | nn.BatchNorm2d


def make_norm(config: NoNorm | BatchNorm, channels: int, *, spatial: bool) -> nn.Module | None:
    """Return a fresh normalization layer, or None where the configuration has none.

    Args:
        config: The `norm` section.
        channels: C of the input.
        spatial: True for inputs of shape (N, C, H, W), False for (N, C).
    """
    if isinstance(config, NoNorm):
        return None
    if config.name == "scratch":
        return FormulaBatchNorm(channels, config.epsilon, config.momentum)
    layer = nn.BatchNorm2d if spatial else nn.BatchNorm1d
    return layer(channels, eps=config.epsilon, momentum=config.momentum)


def pooled_moments(mean: Tensor, var: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return the moments that all samples would have if seen as one minibatch.

    Exact for minibatches of unequal size, and stable where the mean is large against the
    spread: the variance between the minibatches is added to the variance within, so
    nothing of the size of a squared mean is ever subtracted.

    Args:
        mean: Channel means of each minibatch, shape (B, C).
        var: Their *biased* variances, shape (B, C).
        count: Values behind each row (N*H*W after a convolution), shape (B,), all >= 1.

    Returns:
        The pooled mean and the pooled *biased* variance, each of shape (C,).

    Raises:
        ValueError: If the shapes disagree or there is no minibatch.

    Source: the law of total variance; used for inference statistics as in Wu and Johnson
    (2021), arXiv 2105.07576, section 3.
    """
    if mean.shape != var.shape or len(count) != len(mean) or len(mean) == 0:
        raise ValueError(f"shapes disagree: {mean.shape}, {var.shape}, {count.shape}")
    share = (count.to(mean.dtype) / count.sum())[:, None]  # (B, 1)
    pooled_mean = (share * mean).sum(0)
    between = (mean - pooled_mean) ** 2
    return pooled_mean, (share * (var + between)).sum(0)
