"""Convolutions of many runs, each with its own weights, and their gradients.

Images lie as (R, C, H, W, B), the minibatch innermost: neighbouring threads take
neighbouring images of one run, so that every access is of adjacent memory and a weight is
one number for all threads. A thread keeps the outputs of several channels and positions of
its image in registers and goes once through the inputs that they need. Accumulators are
tuples of vectors along the minibatch: their layout is then no choice of the compiler.

A sum is over a run's own values in an order that knows nothing of other runs, and nothing is
added atomically: a run has the same bits in any company.
"""

from dataclasses import dataclass

import triton
from torch import Tensor

from bnexp.train.gpu.ends import rows_summed
from bnexp.train.gpu.kernels import convolution as kernels

WARP = 32


@dataclass(frozen=True)
class Tile:
    """What a program takes: channels and positions of a row, for so many images.

    Attributes:
        channels: Output channels.
        columns: Adjacent positions of an output row.
        images: A multiple of the threads: each takes images / (32 * warps).
        warps: Of 32 threads.
    """

    channels: int
    columns: int
    images: int
    warps: int


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    padding: int,
    *,
    transposed: bool = False,
    tile: Tile | None = None,
) -> Tensor:
    """Return the convolution of every run's images, shape (R, O, H', W', B).

    Args:
        x: Shape (R, C, H, W, B), or (1, C, H, W, B) for the same images in all runs.
        weight: Shape (R, O, C, K, K).
        bias: Shape (R, O).
        padding: Zeros on each side.
        transposed: Turn the kernel around and exchange its channels: from the gradient with
            respect to a convolution's output to that of its input, with K - 1 - padding.
        tile: In place of the usual one.
    """
    n_runs, out_channels, channels, kernel, _ = weight.shape
    if transposed:
        out_channels, channels = channels, out_channels
    _, _, height, width, n = x.shape
    more = 2 * padding + 1 - kernel
    y = x.new_empty(n_runs, out_channels, height + more, width + more, n)
    tile = tile or convolution_tile(out_channels, width + more, n)
    blocks = (
        triton.cdiv(out_channels, tile.channels),
        height + more,
        triton.cdiv(width + more, tile.columns),
        triton.cdiv(n, tile.images),
    )
    kernels.convolve[(n_runs * blocks[0] * blocks[1] * blocks[2] * blocks[3],)](
        *(x, weight, y if bias is None else bias, y, n),
        x.stride(0) if len(x) > 1 else 0,
        *(channels, out_channels, height, width, kernel, padding),
        *(transposed, bias is not None, tile.channels, tile.columns, tile.images),
        num_warps=tile.warps,
    )
    return y


def convolution_tile(channels: int, width: int, n: int) -> Tile:
    """Return the usual tile for an output of so many channels and columns and n images."""
    columns = width if width <= 14 and channels <= 8 else 8 if width >= 8 else width
    most = 96 // columns  # accumulators of a thread with two images: twice as many
    blocks = -(-channels // most)
    per_thread = 2 if n > WARP else 1
    warps = min(4, triton.next_power_of_2(-(-n // (WARP * per_thread))))
    return Tile(-(-channels // blocks), columns, WARP * per_thread * warps, warps)


@dataclass(frozen=True)
class WeightTile:
    """What a program takes of the gradient with respect to a kernel.

    Attributes:
        out_channels: Output channels.
        channels: Input channels.
        rows: Of the kernel: 1 or all.
        columns: Adjacent positions of an output row, taken at a time.
        lines: Output rows of a program; a second pass adds what programs and threads sum.
        warps: Of 32 threads.
    """

    out_channels: int
    channels: int
    rows: int
    columns: int
    lines: int
    warps: int = 1


def convolution_gradients(
    x: Tensor, g: Tensor, kernel: int, padding: int, *, tile: WeightTile | None = None
) -> tuple[Tensor, Tensor]:
    """Return the gradients with respect to weight, (R, O, C, K, K), and bias, (R, O).

    Args:
        x: The input, shape (R, C, H, W, B).
        g: The gradient with respect to the output, shape (R, O, H', W', B).
        kernel: K.
        padding: Zeros on each side.
        tile: In place of the usual one.
    """
    n_runs, channels, height, width, n = x.shape
    _, out_channels, out_height, out_width, _ = g.shape
    tile = tile or weight_tile(out_channels, channels, kernel, out_width)
    parts = triton.cdiv(out_height, tile.lines)
    blocks = (
        triton.cdiv(out_channels, tile.out_channels),
        triton.cdiv(channels, tile.channels),
        triton.cdiv(kernel, tile.rows),
        parts,
    )
    lanes = parts * WARP * tile.warps
    weight = x.new_empty(n_runs, out_channels, channels, kernel, kernel, lanes)
    bias = x.new_empty(n_runs, out_channels, lanes)
    kernels.convolution_gradients[(n_runs * blocks[0] * blocks[1] * blocks[2] * blocks[3],)](
        *(x, g, weight, bias, n),
        *(channels, out_channels, height, width, kernel, padding),
        *(tile.out_channels, tile.channels, tile.rows, tile.columns, tile.lines),
        WARP * tile.warps,
        num_warps=tile.warps,
    )
    return rows_summed(weight), rows_summed(bias)


def weight_tile(out_channels: int, channels: int, kernel: int, width: int) -> WeightTile:
    """Return the usual tile for a kernel of that shape and an output of so many columns."""
    rows = kernel if out_channels * kernel**2 <= 160 and channels == 1 else 1
    most = max(1, 160 // (rows * kernel))
    blocks = -(-out_channels // most)
    columns = next(c for c in (4, 3, 2, 5, 1) if width % c == 0)
    lines = 1 if rows == kernel else 2
    return WeightTile(-(-out_channels // blocks), 1, rows, columns, lines)
