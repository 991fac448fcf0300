"""Batch normalization written as its formula, with its parts that can be left out."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from bnexp.norms.parts import Running, by_channel, moments, unbiased


@dataclass(frozen=True)
class Parts:
    """What the formula is made of; the defaults are batch normalization.

    Attributes:
        center: Subtract the mean.
        scale: Divide by the standard deviation.
        epsilon_inside: Add epsilon to the variance, not to its root.
        gamma: Learn `weight`.
        beta: Learn `bias`.
        divide_by_variance: A DEFECT: the variance stands where its root belongs.
        mode_by_grad: A DEFECT: training mode is whether gradients are enabled.
        forgets: A DEFECT: running statistics are not part of the state dict, so that
            evaluation, as if after loading a checkpoint, begins with the initial ones.
    """

    center: bool = True
    scale: bool = True
    epsilon_inside: bool = True
    gamma: bool = True
    beta: bool = True
    divide_by_variance: bool = False
    mode_by_grad: bool = False
    forgets: bool = False


class FormulaBatchNorm(Running):
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
        parts: What to leave out, or to get wrong on purpose.

    Source: Ioffe and Szegedy (2015), arXiv 1502.03167, algorithm 1; the conventions for
    the two variances and for momentum are those of `torch.nn.BatchNorm1d` and `2d`.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self, channels: int, epsilon: float, momentum: float | None, parts: Parts = Parts()
    ) -> None:
        super().__init__(
            channels,
            epsilon,
            momentum,
            {"mean": torch.zeros(channels), "var": torch.ones(channels)},
            kept=not parts.forgets,
            gamma=parts.gamma,
            beta=parts.beta,
        )
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized input.

        Args:
            x: Shape (N, C) or (N, C, H, W).

        Raises:
            ValueError: If a channel has one value in training: it has no variance, and
                its output would be `bias` whatever the input.
        """
        if torch.is_grad_enabled() if self.parts.mode_by_grad else self.training:
            mean, var = moments(x)
            self.remember(mean=mean, var=unbiased(var, x))
        else:
            mean, var = self.running_mean, self.running_var
        y = x - by_channel(mean, x) if self.parts.center else x
        if self.parts.scale:
            y = y / by_channel(self._divisor(var), x)
        return self.affine(y)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; where statistics are forgotten, evaluation begins without them."""
        if self.parts.forgets and not mode:
            self.running_mean.zero_()
            self.running_var.fill_(1)
        return super().train(mode)

    def _divisor(self, var: Tensor) -> Tensor:
        if self.parts.divide_by_variance:
            return var + self.eps
        if self.parts.epsilon_inside:
            return torch.sqrt(var + self.eps)
        # The root has no derivative at 0: a constant channel would send back NaN.
        return torch.sqrt(var.clamp_min(torch.finfo(var.dtype).tiny)) + self.eps
