"""The rank transform: values become the normal scores of their ranks."""

import torch
from torch import Tensor

from bnexp.norms.parts import Running, by_channel, moments


class RankNorm(Running):
    """Give each channel a normal distribution, by the ranks of its values.

    In training, of the n values of a channel in the minibatch, the one of rank k from 1 becomes
    the quantile (k - 1/2) / n of the normal distribution; equal values share the middle of
    their ranks. Only the order of the values counts (the probability integral transform). The
    derivative of a rank is 0 almost everywhere, so that of batch normalization, the linear map
    in its place, is sent back (straight through).

    Evaluation has a running average of some quantiles of the minibatches, at (k - 1/2) / Q:
    between two of them ranks are interpolated, and what lies beyond the outermost has its
    score. They begin as those of the normal distribution.

    Args:
        channels: C, the second axis of the input.
        epsilon: Added to the variance in the gradient; see `FormulaBatchNorm`.
        momentum: See `Running`.
        quantiles: Q.

    Source: Hazen's plotting positions and van der Waerden's scores, as in Conover (1999),
    "Practical Nonparametric Statistics"; the use and the gradient are ours.
    """

    running_quantiles: Tensor

    def __init__(
        self,
        channels: int,
        epsilon: float,
        momentum: float | None,
        quantiles: int,
        **affine: bool,
    ) -> None:
        scores = torch.special.ndtri(_positions(quantiles, torch.empty(0)))
        start = {"quantiles": scores.repeat(channels, 1)}  # (C, Q)
        super().__init__(channels, epsilon, momentum, start, **affine)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normal scores.

        Args:
            x: Shape (N, C) or (N, C, H, W).

        Raises:
            ValueError: If a channel has one value in training.
        """
        values = x.movedim(1, 0).flatten(1).contiguous()  # (C, n)
        if self.training:
            mean, var = moments(x)
            ordered = values.detach().sort(1).values
            self.remember(quantiles=_quantiles(ordered, self.running_quantiles.shape[1]))
            found = _ranked(values.detach(), ordered)
        else:
            found = self._interpolated(values)
        scores = torch.special.ndtri(found)
        scores = scores.view(x.movedim(1, 0).shape).movedim(0, 1)
        if self.training:
            sd = torch.sqrt(var + self.eps)
            linear = (x - by_channel(mean, x)) / by_channel(sd, x)
            scores = scores + (linear - linear.detach())  # 0, with the gradient
        return self.affine(scores)

    def _interpolated(self, values: Tensor) -> Tensor:
        """Return the share of the running quantiles below values (C, n), interpolated."""
        quantiles = self.running_quantiles
        n = quantiles.shape[1]
        shares = _positions(n, quantiles).expand_as(quantiles)
        found = torch.zeros_like(values)
        # Of quantiles that are equal, from the first and from the last: the mean is the middle.
        for right in (False, True):
            at = torch.searchsorted(quantiles, values.detach(), right=right).clamp(1, n - 1)
            low, high = quantiles.gather(1, at - 1), quantiles.gather(1, at)
            width = (high - low).clamp_min(torch.finfo(values.dtype).tiny)
            start, end = shares.gather(1, at - 1), shares.gather(1, at)
            if right:
                found = found + end - ((high - values) / width).clamp(0, 1) / n
            else:
                found = found + start + ((values - low) / width).clamp(0, 1) / n
        return found / 2


def _positions(n: int, like: Tensor) -> Tensor:
    """Return (k - 1/2) / n for k from 1 to n."""
    return (torch.arange(n, dtype=like.dtype, device=like.device) + 0.5) / n


def _ranked(values: Tensor, ordered: Tensor) -> Tensor:
    """Return (k - 1/2) / n for each value's rank k, the middle one of equal values.

    Args:
        values: Shape (C, n).
        ordered: Each channel's from the smallest on.
    """
    below, up_to = (torch.searchsorted(ordered, values, right=side) for side in (False, True))
    return (below + up_to).to(values.dtype) / (2 * values.shape[1])


def _quantiles(ordered: Tensor, number: int) -> Tensor:
    """Return the quantiles (C, Q) at (k - 1/2) / Q of values (C, n) in their order."""
    n = ordered.shape[1]
    # Whole numbers first: where the two positions agree, so do the values, to the last bit.
    numbers = torch.arange(number, device=ordered.device)
    at = ((2 * numbers + 1) * n - number).to(ordered.dtype) / (2 * number)
    at = at.clamp(0, n - 1)
    low = at.floor()
    low_values = ordered[:, low.long()]
    return low_values + (at - low) * (ordered[:, at.ceil().long()] - low_values)
