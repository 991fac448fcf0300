"""A normalization that learns from which values it takes its moments."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bnexp.norms.parts import Running, by_channel, moments, unbiased


class SwitchableNorm(Running):
    """Normalize by a learned mixture of the moments of channel, image and minibatch.

    The output is::

        y = weight * (x - mean) / sqrt(var + epsilon) + bias
        mean = sum over k of softmax(mean_mixture)_k * mean_k
        var = sum over k of softmax(variance_mixture)_k * var_k

    where k is a channel of an image (as in instance normalization), an image (layer) and a
    channel of the minibatch (batch). A dense layer has the last two. All variances are biased;
    the minibatch's moments are kept and replaced in evaluation as in batch normalization.

    Args:
        channels: C, the second axis of the input.
        epsilon: Added to the mixed variance.
        momentum: Of the minibatch's moments; see `Running`.
        spatial: Whether inputs are images, (N, C, H, W), and not (N, C).

    Source: Luo et al. (2018), arXiv 1806.10779.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        channels: int,
        epsilon: float,
        momentum: float | None,
        *,
        spatial: bool,
        **affine: bool,
    ) -> None:
        start = {"mean": torch.zeros(channels), "var": torch.ones(channels)}
        super().__init__(channels, epsilon, momentum, start, **affine)
        self.mean_mixture = nn.Parameter(torch.ones(3 if spatial else 2))
        self.variance_mixture = nn.Parameter(torch.ones(3 if spatial else 2))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized input.

        Args:
            x: Shape (N, C) or (N, C, H, W).

        Raises:
            ValueError: If a channel has one value in training.
        """
        if self.training:
            mean, var = moments(x)
            self.remember(mean=mean, var=unbiased(var, x))
        else:
            mean, var = self.running_mean, self.running_var
        parts = [list(range(2, x.dim())), list(range(1, x.dim()))][x.dim() == 2 :]
        measured = [torch.var_mean(x, part, correction=0, keepdim=True) for part in parts]
        measured.append((by_channel(var, x), by_channel(mean, x)))
        variances, means = zip(*measured, strict=True)
        mixed_var = _mixed(self.variance_mixture, variances)
        y = (x - _mixed(self.mean_mixture, means)) / torch.sqrt(mixed_var + self.eps)
        return self.affine(y)


def _mixed(mixture: Tensor, values: Sequence[Tensor]) -> Tensor:
    """Return the mean of values, weighted by the softmax of a mixture."""
    shared = [share * v for share, v in zip(mixture.softmax(0).unbind(), values, strict=True)]
    return functools.reduce(torch.add, shared)
