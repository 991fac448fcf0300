"""Minibatches of images, cross-entropy, and sums."""

import triton
import triton.language as tl


@triton.jit
def gather(
    images,
    index,
    out,
    means,
    sds,
    n,
    pixels,
    of_a_channel,
    STANDARDIZED: tl.constexpr,
    IMAGES: tl.constexpr,
    PIXELS: tl.constexpr,
):
    n_image = tl.cdiv(n, IMAGES)
    run = (tl.program_id(0) // n_image).to(tl.int64)
    image = (tl.program_id(0) % n_image) * IMAGES + tl.arange(0, IMAGES)
    pixel = tl.program_id(1) * PIXELS + tl.arange(0, PIXELS)
    which = tl.load(index + run * n + image, image < n, 0)
    there = (image < n)[:, None] & (pixel < pixels)[None, :]
    value = tl.load(images + which[:, None] * pixels + pixel[None, :], there, 0)
    value = value.to(out.dtype.element_ty) / 255.0
    if STANDARDIZED:
        channel = pixel // of_a_channel
        mean = tl.load(means + channel, pixel < pixels, 0.0)
        sd = tl.load(sds + channel, pixel < pixels, 1.0)
        value = (value - mean[None, :]) / sd[None, :]
    tl.store(out + (run * pixels + pixel)[None, :] * n + image[:, None], value, there)


@triton.jit
def cross_entropy(
    logits,
    labels,
    index,
    losses,
    correct,
    slope,
    right,
    n,
    n_split,
    index_run,
    CLASSES: tl.constexpr,
    PADDED: tl.constexpr,
    IMAGES: tl.constexpr,
    TRAIN: tl.constexpr,
    NOTED: tl.constexpr,
):
    run = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, PADDED)[:, None]
    loss = tl.zeros((IMAGES,), logits.dtype.element_ty)
    n_right = tl.zeros((IMAGES,), tl.int32)
    for start in range(0, n, IMAGES):
        image = start + tl.arange(0, IMAGES)
        inside = image < n
        there = (place < CLASSES) & inside[None, :]
        at = (run * CLASSES + place) * n + image[None, :]
        x = tl.load(logits + at, there, -float("inf"))
        x = tl.where(inside[None, :], x, 0.0)
        which = tl.load(index + run * index_run + image, inside, 0)
        label = tl.load(labels + which, inside, 0)
        is_label = place == label[None, :]
        largest = tl.max(x, 0)
        shifted = x - largest[None, :]
        powers = tl.exp(shifted)
        total = tl.sum(powers, 0)
        one = tl.log(total) - tl.sum(tl.where(is_label, shifted, 0.0), 0)
        loss += tl.where(inside, one, 0.0)
        # As in PyTorch, NaN is larger than any number, and the first of the largest counts.
        is_nan = (x != x).to(tl.int32)
        is_largest = tl.where(tl.max(is_nan, 0)[None, :] > 0, is_nan > 0, shifted == 0.0)
        first = tl.min(tl.where(is_largest, place, PADDED), 0)
        n_right += (inside & (first == label)).to(tl.int32)
        if NOTED:
            tl.store(right + run * n_split + which, (first == label).to(tl.uint8), inside)
        if TRAIN:
            change = powers / total[None, :] - tl.where(is_label, 1.0, 0.0)
            tl.store(slope + at, (change / n).to(x.dtype), there)
    if TRAIN:
        tl.store(losses + run, tl.sum(loss) / n)
    else:
        tl.store(losses + run, tl.load(losses + run) + tl.sum(loss.to(tl.float64)))
    tl.store(correct + run, tl.load(correct + run) + tl.sum(n_right))


@triton.jit
def rows_summed(g, total, n_rows, n, ROWS: tl.constexpr, IMAGES: tl.constexpr):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    one = tl.zeros((ROWS, IMAGES), g.dtype.element_ty)
    for start in range(0, n, IMAGES):
        image = start + tl.arange(0, IMAGES)
        there = (row < n_rows)[:, None] & (image < n)[None, :]
        one += tl.load(g + row.to(tl.int64)[:, None] * n + image[None, :], there, 0.0)
    tl.store(total + row, tl.sum(one, 1), row < n_rows)
