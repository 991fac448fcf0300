"""Stages, and the moments of a minibatch; see `bnexp.train.gpu.stage`."""

import triton
import triton.language as tl

from bnexp.train.gpu.kernels.activations import NO, activated

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
                    a = activated(a, ACTIVATION)
                    if i + j == 0:
                        result = a
                    elif POOL == MAX:
                        result = tl.where((a > result) | (a != a), a, result)
                    else:
                        result += a
            if POOL == AVERAGE:
                result = result * 0.25
            tl.store(out + (row * OUT_WIDTH + column) * n + image, result, there)
