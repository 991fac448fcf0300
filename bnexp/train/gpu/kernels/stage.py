"""Stages and their gradients, and the moments of a minibatch; see `bnexp.train.gpu.stage`."""

import triton
import triton.language as tl

NO, SIGMOID, RELU, TANH = (tl.constexpr(kind) for kind in range(4))
MAX, AVERAGE = tl.constexpr(1), tl.constexpr(2)
BY_MINIBATCH, BY_RUNNING = tl.constexpr(1), tl.constexpr(2)


@triton.jit
def partial_moments(y, means, squares, n, parts, PART: tl.constexpr, BLOCK: tl.constexpr):
    block = tl.program_id(0)
    start = (block % parts) * PART
    stop = tl.minimum(start + PART, n)
    y += (block // parts).to(tl.int64) * n
    count = tl.zeros((BLOCK,), y.dtype.element_ty)
    mean = tl.zeros((BLOCK,), y.dtype.element_ty)
    square = tl.zeros((BLOCK,), y.dtype.element_ty)
    for first in range(start, stop, BLOCK):
        at = first + tl.arange(0, BLOCK)
        value = tl.load(y + at, at < stop, 0.0)
        count += tl.where(at < stop, 1.0, 0.0).to(count.dtype)
        from_mean = tl.where(at < stop, value - mean, 0.0)
        mean += from_mean / tl.maximum(count, 1.0)
        square += from_mean * tl.where(at < stop, value - mean, 0.0)
    total = (stop - start).to(count.dtype)
    pooled = tl.sum(mean * count) / total
    between = mean - pooled
    tl.store(means + block, pooled)
    tl.store(squares + block, tl.sum(square + count * between * between))


@triton.jit
def _activated(x, ACTIVATION: tl.constexpr):
    if ACTIVATION == SIGMOID:
        x = 1.0 / (1.0 + tl.exp(-x))
    elif ACTIVATION == RELU:
        x = tl.where(x < 0.0, 0.0, x)  # NaN stays
    elif ACTIVATION == TANH:
        small = tl.exp(-2.0 * tl.abs(x))
        large = (1.0 - small) / (1.0 + small)
        s = x * x  # near 0, where the quotient cancels: the series
        t = 21844.0 / 6081075.0 - s * (929569.0 / 638512875.0)
        t = 62.0 / 2835.0 + s * (s * t - 1382.0 / 155925.0)
        t = 1.0 + s * (s * (2.0 / 15.0 + s * (s * t - 17.0 / 315.0)) - 1.0 / 3.0)
        x = tl.where(tl.abs(x) < 0.1, x * t, tl.where(x < 0.0, -large, large))
    return x


@triton.jit
def _slope(a, ACTIVATION: tl.constexpr):
    """Return the derivative of the activation where its value is a."""
    if ACTIVATION == SIGMOID:
        slope = a * (1.0 - a)
    elif ACTIVATION == RELU:
        slope = tl.where(a <= 0.0, 0.0, 1.0).to(a.dtype)
    elif ACTIVATION == TANH:
        slope = 1.0 - a * a
    else:
        slope = a * 0.0 + 1.0
    return slope


@triton.jit
def stage(
    y,
    out,
    weight,
    bias,
    running_mean,
    running_var,
    tracked,
    settings,
    kept_mean,
    kept_rstd,
    means,
    squares,
    n,
    y_run,
    parts,
    part,
    CHANNELS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    NORM: tl.constexpr,
    ACTIVATION: tl.constexpr,
    POOL: tl.constexpr,
    PARTS: tl.constexpr,
    COLUMNS: tl.constexpr,
    IMAGES: tl.constexpr,
):
    HALF: tl.constexpr = 2 if POOL != NO else 1
    OUT_HEIGHT: tl.constexpr = HEIGHT // HALF
    OUT_WIDTH: tl.constexpr = WIDTH // HALF
    row = tl.program_id(0) % OUT_HEIGHT
    place = (tl.program_id(0) // OUT_HEIGHT).to(tl.int64)  # of a run's channel
    run, channel = place // CHANNELS, place % CHANNELS
    y += run * y_run + channel * HEIGHT * WIDTH * n
    out += place * OUT_HEIGHT * OUT_WIDTH * n
    if NORM == BY_MINIBATCH:
        dtype = y.dtype.element_ty
        count = HEIGHT * WIDTH * n
        number = tl.arange(0, PARTS)
        counts = tl.where(number < parts, tl.minimum(count - number * part, part), 0).to(dtype)
        each = tl.load(means + place * parts + number, number < parts, 0.0)
        mean = tl.sum(each * counts) / count
        each -= mean
        within = tl.load(squares + place * parts + number, number < parts, 0.0)
        square = tl.sum(within + counts * each * each)
        rstd = 1.0 / tl.sqrt(square / count + tl.load(settings))
        if row == 0:
            tl.store(kept_mean + place, mean)
            tl.store(kept_rstd + place, rstd)
            new = tl.load(settings + 1)
            before = tl.load(tracked + run)
            if new < 0.0:
                new = 1.0 / (before + 1).to(dtype)
            old = tl.load(running_mean + place)
            tl.store(running_mean + place, old + new * (mean - old))
            old = tl.load(running_var + place)
            tl.store(running_var + place, old + new * (square / (count - 1) - old))
    if NORM == BY_RUNNING:
        mean = tl.load(running_mean + place)
        rstd = 1.0 / tl.sqrt(tl.load(running_var + place) + tl.load(settings))
    if NORM != NO:
        gamma, beta = tl.load(weight + place), tl.load(bias + place)
    for first in range(0, OUT_WIDTH, COLUMNS):
        column = first + tl.arange(0, COLUMNS)[:, None]
        for start in range(0, n, IMAGES):
            image = start + tl.arange(0, IMAGES)[None, :]
            there = (column < OUT_WIDTH) & (image < n)
            for i in tl.static_range(HALF):
                for j in tl.static_range(HALF):
                    at = ((row * HALF + i) * WIDTH + column * HALF + j) * n + image
                    a = tl.load(y + at, there, 0.0)
                    if NORM != NO:
                        a = (a - mean) * rstd * gamma + beta
                    a = _activated(a, ACTIVATION)
                    if i + j == 0:
                        result = a
                    elif POOL == MAX:
                        result = tl.where((a > result) | (a != a), a, result)
                    else:
                        result += a
            if POOL == AVERAGE:
                result = result * 0.25
            tl.store(out + (row * OUT_WIDTH + column) * n + image, result, there)


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
    values, activated = (), ()
    for i in tl.static_range(HALF):
        for j in tl.static_range(HALF):
            at_row, at = row * HALF + i, column * HALF + j
            there = (at_row < HEIGHT) & (at < WIDTH) & (image < n)
            x = tl.load(y + (at_row * WIDTH + at) * n + image, there, 0.0)
            if NORM:
                x = (x - mean) * rstd
                a = _activated(x * gamma + beta, ACTIVATION)
            else:
                a = _activated(x, ACTIVATION)
            values = values + (x,)
            activated = activated + (a,)
    if POOL == MAX:
        largest = activated[0]
        which = tl.zeros_like(slope).to(tl.int32)
        for k in tl.static_range(1, 4):
            larger = (activated[k] > largest) | (activated[k] != activated[k])
            largest = tl.where(larger, activated[k], largest)
            which = tl.where(larger, k, which)
    slopes = ()
    for k in tl.static_range(HALF * HALF):
        one = slope * _slope(activated[k], ACTIVATION)
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
