"""Gradients of stages; see `bnexp.train.gpu.stage`."""

import triton
import triton.language as tl

from bnexp.train.gpu.kernels.activations import NO, activated, slope_of
from bnexp.train.gpu.kernels.stage import AVERAGE, MAX


@triton.jit
def _back(
    y,
    g,
    row,
    column,
    image,
    n,
    mean,
    rstd,
    gamma,
    beta,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    NORM: tl.constexpr,
    ACTIVATION: tl.constexpr,
    POOL: tl.constexpr,
):
    """Return a block's normalized values and the gradients with respect to them scaled.

    A block is what one output is pooled from, its values in tuples. Values behind the edge
    have gradients of zero.
    """
    HALF: tl.constexpr = 2 if POOL != NO else 1
    OUT_HEIGHT: tl.constexpr = HEIGHT // HALF
    OUT_WIDTH: tl.constexpr = WIDTH // HALF
    pooled = (row < OUT_HEIGHT) & (column < OUT_WIDTH) & (image < n)
    slope = tl.load(g + (row * OUT_WIDTH + column) * n + image, pooled, 0.0)
    if POOL == AVERAGE:
        slope = slope * 0.25
    values, results = (), ()
    for i in tl.static_range(HALF):
        for j in tl.static_range(HALF):
            at_row, at = row * HALF + i, column * HALF + j
            there = (at_row < HEIGHT) & (at < WIDTH) & (image < n)
            x = tl.load(y + (at_row * WIDTH + at) * n + image, there, 0.0)
            if NORM:
                x = (x - mean) * rstd
                a = activated(x * gamma + beta, ACTIVATION)
            else:
                a = activated(x, ACTIVATION)
            values = values + (x,)
            results = results + (a,)
    if POOL == MAX:
        largest = results[0]
        which = tl.zeros_like(slope).to(tl.int32)
        for k in tl.static_range(1, 4):
            larger = (results[k] > largest) | (results[k] != results[k])
            largest = tl.where(larger, results[k], largest)
            which = tl.where(larger, k, which)
    slopes = ()
    for k in tl.static_range(HALF * HALF):
        one = slope * slope_of(results[k], ACTIVATION)
        if POOL == MAX:
            one = tl.where(which == k, one, 0.0)
        slopes = slopes + (one,)
    return values, slopes


@triton.jit
def stage_sums(
    y,
    g,
    weight,
    bias,
    kept_mean,
    kept_rstd,
    sums,
    products,
    n,
    CHANNELS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ACTIVATION: tl.constexpr,
    POOL: tl.constexpr,
    COLUMNS: tl.constexpr,
    IMAGES: tl.constexpr,
):
    """Sum, over a row of outputs, the gradients and their products with what is normalized."""
    HALF: tl.constexpr = 2 if POOL != NO else 1
    OUT_HEIGHT: tl.constexpr = HEIGHT // HALF
    OUT_WIDTH: tl.constexpr = WIDTH // HALF
    row = tl.program_id(0) % OUT_HEIGHT
    place = (tl.program_id(0) // OUT_HEIGHT).to(tl.int64)
    y += place * HEIGHT * WIDTH * n
    g += place * OUT_HEIGHT * OUT_WIDTH * n
    mean, rstd = tl.load(kept_mean + place), tl.load(kept_rstd + place)
    gamma, beta = tl.load(weight + place), tl.load(bias + place)
    total = tl.zeros((COLUMNS, IMAGES), y.dtype.element_ty)
    product = tl.zeros((COLUMNS, IMAGES), y.dtype.element_ty)
    for first in range(0, OUT_WIDTH, COLUMNS):
        column = first + tl.arange(0, COLUMNS)[:, None]
        for start in range(0, n, IMAGES):
            image = start + tl.arange(0, IMAGES)[None, :]
            # fmt: off
            values, slopes = _back(
                y, g, row, column, image, n, mean, rstd, gamma, beta,
                HEIGHT, WIDTH, True, ACTIVATION, POOL,
            )
            # fmt: on
            for k in tl.static_range(HALF * HALF):
                total += slopes[k]
                product += slopes[k] * values[k]
    tl.store(sums + tl.program_id(0), tl.sum(total))
    tl.store(products + tl.program_id(0), tl.sum(product))


@triton.jit
def stage_gradients(
    y,
    g,
    slope,
    weight,
    bias,
    kept_mean,
    kept_rstd,
    sums,
    products,
    weight_slope,
    bias_slope,
    n,
    parts,
    CHANNELS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ACTIVATION: tl.constexpr,
    POOL: tl.constexpr,
    NORM: tl.constexpr,
    PARTS: tl.constexpr,
    COLUMNS: tl.constexpr,
    IMAGES: tl.constexpr,
):
    """Compute the gradient with respect to the inputs of a row of outputs."""
    HALF: tl.constexpr = 2 if POOL != NO else 1
    OUT_HEIGHT: tl.constexpr = HEIGHT // HALF
    OUT_WIDTH: tl.constexpr = WIDTH // HALF
    ROWS: tl.constexpr = (HEIGHT + HALF - 1) // HALF
    row = tl.program_id(0) % ROWS
    place = (tl.program_id(0) // ROWS).to(tl.int64)
    y += place * HEIGHT * WIDTH * n
    slope += place * HEIGHT * WIDTH * n
    g += place * OUT_HEIGHT * OUT_WIDTH * n
    mean, rstd, gamma, beta = 0.0, 1.0, 1.0, 0.0
    if NORM:
        mean, rstd = tl.load(kept_mean + place), tl.load(kept_rstd + place)
        gamma, beta = tl.load(weight + place), tl.load(bias + place)
        number = tl.arange(0, PARTS)
        total = tl.sum(tl.load(sums + place * parts + number, number < parts, 0.0))
        product = tl.sum(tl.load(products + place * parts + number, number < parts, 0.0))
        if row == 0:
            tl.store(weight_slope + place, product)
            tl.store(bias_slope + place, total)
        total /= HEIGHT * WIDTH * n
        product /= HEIGHT * WIDTH * n
    for first in range(0, (WIDTH + HALF - 1) // HALF, COLUMNS):
        column = first + tl.arange(0, COLUMNS)[:, None]
        for start in range(0, n, IMAGES):
            image = start + tl.arange(0, IMAGES)[None, :]
            # fmt: off
            values, slopes = _back(
                y, g, row, column, image, n, mean, rstd, gamma, beta,
                HEIGHT, WIDTH, NORM, ACTIVATION, POOL,
            )
            # fmt: on
            for i in tl.static_range(HALF):
                for j in tl.static_range(HALF):
                    one = slopes[i * HALF + j]
                    if NORM:
                        one = gamma * rstd * (one - total - values[i * HALF + j] * product)
                    at_row, at = row * HALF + i, column * HALF + j
                    there = (at_row < HEIGHT) & (at < WIDTH) & (image < n)
                    tl.store(slope + (at_row * WIDTH + at) * n + image, one, there)
