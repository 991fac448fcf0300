"""Batch normalization, activation and pooling of many runs as one kernel.

A stage is any part of: normalize, activate, pool, in this order. Its input is kept and its
output computed again on the way back, which moves less memory than storing what lies between:
which value of a pooling was the largest, for example.

Moments are Welford's, lane by lane, and their parts are pooled by the law of total variance:
nothing of the size of a squared mean is ever subtracted.
"""

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from bnexp.train.gpu.kernels import stage as kernels
from bnexp.train.gpu.kernels import stage_gradients as gradients

PART = 8192  # values of a channel in one program's moments


@dataclass(frozen=True)
class Norm:
    """The batch normalization of R runs: shapes (R, C), `tracked` (R,), `settings` (2,).

    Attributes:
        settings: Epsilon and momentum, in the precision of the values; momentum below 0
            stands for the cumulative average.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    var: Tensor
    tracked: Tensor
    settings: Tensor


@dataclass(frozen=True)
class Moments:
    """Of a minibatch: the mean and the reciprocal of the standard deviation, (R, C)."""

    mean: Tensor
    rstd: Tensor


def stage(
    y: Tensor, norm: Norm | None, activation: int, pool: int, *, train: bool
) -> tuple[Tensor, Moments | None]:
    """Return y normalized, activated and pooled, and the minibatch's moments in training.

    Args:
        y: Shape (R, C, H, W, B), or (1, C, H, W, B) for the same values in all runs.
        norm: In training, its running statistics take the minibatch in.
        activation: 0 for none, 1 for sigmoid, 2 for ReLU, 3 for tanh.
        pool: 0 for none, 1 for the largest of 2x2 values, 2 for their mean; what is left
            over at an edge falls out.
        train: Normalize by the minibatch.
    """
    _, channels, height, width, n = y.shape
    n_runs = len(y) if norm is None else len(norm.weight)
    half = 2 if pool else 1
    out = y.new_empty(n_runs, channels, height // half, width // half, n)
    moments = None
    parts, part = 1, PART
    means = squares = y
    if norm is not None and train:
        means, squares, parts, part = _partial_moments(y)
        moments = Moments(torch.empty_like(norm.weight), torch.empty_like(norm.weight))
    columns, images, warps = _tile(width // half, n)
    kernels.stage[(n_runs * channels * (height // half),)](
        *(y, out),
        *((y,) * 6 if norm is None else _of(norm)),
        *((y, y) if moments is None else (moments.mean, moments.rstd)),
        *(means, squares, n, y.stride(0) if len(y) > 1 else 0, parts, part),
        *(channels, height, width),
        0 if norm is None else 1 if train else 2,
        *(activation, pool, triton.next_power_of_2(parts), columns, images),
        num_warps=warps,
    )
    return out, moments


def stage_gradients(
    y: Tensor, g: Tensor, norm: tuple[Norm, Moments] | None, activation: int, pool: int
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the gradients with respect to y and to the weight and bias of the norm.

    Args:
        y: The input of the stage.
        g: The gradient with respect to its output.
        norm: As it was given to `stage`, and what came from it.
        activation: As it was given.
        pool: As it was given.
    """
    n_runs, channels, height, width, n = y.shape
    slope = torch.empty_like(y)
    half = 2 if pool else 1
    columns, images, warps = _tile(-(-width // half), n)
    rows = -(-height // half)
    tile = (channels, height, width, activation, pool)
    if norm is None:
        gradients.stage_gradients[(n_runs * channels * rows,)](
            *(y, g, slope, *(y,) * 8, n, 1, *tile, False, 1, columns, images),
            num_warps=warps,
        )
        return slope, None, None
    of = (norm[0].weight, norm[0].bias, norm[1].mean, norm[1].rstd)
    parts = height // half
    sums = y.new_empty(2, n_runs, channels, parts)
    gradients.stage_sums[(n_runs * channels * parts,)](
        *(y, g, *of, sums[0], sums[1], n, *tile, columns, images), num_warps=warps
    )
    weight, bias = torch.empty_like(of[0]), torch.empty_like(of[1])
    gradients.stage_gradients[(n_runs * channels * rows,)](
        *(y, g, slope, *of, sums[0], sums[1], weight, bias, n, parts, *tile),
        *(True, triton.next_power_of_2(parts), columns, images),
        num_warps=warps,
    )
    return slope, weight, bias


def _of(norm: Norm) -> tuple[Tensor, ...]:
    return (norm.weight, norm.bias, norm.mean, norm.var, norm.tracked, norm.settings)


def _tile(width: int, n: int) -> tuple[int, int, int]:
    """Return columns and images of a program's step and its number of warps."""
    images = min(256, triton.next_power_of_2(n))
    columns = min(4, triton.next_power_of_2(width))
    return columns, images, max(1, min(4, columns * images // 128))


def _partial_moments(y: Tensor) -> tuple[Tensor, Tensor, int, int]:
    """Return mean and summed squared deviations of parts of each channel, (R, C, parts)."""
    n_runs, channels = y.shape[:2]
    n = y[0, 0].numel()
    parts = triton.cdiv(n, PART)
    means = y.new_empty(n_runs, channels, parts)
    squares = torch.empty_like(means)
    block = min(1024, triton.next_power_of_2(n))
    kernels.partial_moments[(n_runs * channels * parts,)](
        *(y, means, squares, n, parts, PART, block), num_warps=max(1, min(4, block // 128))
    )
    return means, squares, parts, PART
