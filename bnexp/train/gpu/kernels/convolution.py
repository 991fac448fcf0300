"""Convolutions and their gradients; see `bnexp.train.gpu.convolution` for the tiles."""

import triton
import triton.language as tl


@triton.jit
def convolve(
    x,
    weight,
    bias,
    y,
    n,
    x_run,
    CHANNELS: tl.constexpr,
    OUT_CHANNELS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    K: tl.constexpr,
    PADDING: tl.constexpr,
    TRANSPOSED: tl.constexpr,
    BIAS: tl.constexpr,
    TILE_CHANNELS: tl.constexpr,
    COLUMNS: tl.constexpr,
    IMAGES: tl.constexpr,
):
    OUT_HEIGHT: tl.constexpr = HEIGHT + 2 * PADDING + 1 - K
    OUT_WIDTH: tl.constexpr = WIDTH + 2 * PADDING + 1 - K
    WHOLE: tl.constexpr = COLUMNS >= OUT_WIDTH  # then the columns at the border are known
    n_image, n_column = tl.cdiv(n, IMAGES), tl.cdiv(OUT_WIDTH, COLUMNS)
    block = tl.program_id(0)
    image = (block % n_image) * IMAGES + tl.arange(0, IMAGES)
    block //= n_image
    column = (block % n_column) * COLUMNS
    block //= n_column
    row = block % OUT_HEIGHT
    block //= OUT_HEIGHT
    first = (block % tl.cdiv(OUT_CHANNELS, TILE_CHANNELS)) * TILE_CHANNELS
    run = (block // tl.cdiv(OUT_CHANNELS, TILE_CHANNELS)).to(tl.int64)
    x += run * x_run
    weight += run * CHANNELS * OUT_CHANNELS * K * K
    inside = image < n

    sums = ()
    for c in tl.static_range(TILE_CHANNELS):
        start = tl.zeros((IMAGES,), y.dtype.element_ty)
        if BIAS:
            start += tl.load(
                bias + run * OUT_CHANNELS + tl.minimum(first + c, OUT_CHANNELS - 1)
            )
        for _ in tl.static_range(COLUMNS):
            sums = sums + (start,)
    top = tl.maximum(PADDING - row, 0)
    bottom = tl.minimum(HEIGHT + PADDING - row, K)
    for channel in range(CHANNELS):
        for down in range(top, bottom):
            line = x + ((channel * HEIGHT + row + down - PADDING) * WIDTH) * n
            values = ()
            for i in tl.static_range(COLUMNS + K - 1):
                if WHOLE:
                    if i < PADDING or i >= WIDTH + PADDING:
                        values = values + (0.0,)  # is not read
                    else:
                        values = values + (
                            tl.load(line + (i - PADDING) * n + image, inside, 0.0),
                        )
                else:
                    at = column + i - PADDING
                    there = inside & (at >= 0) & (at < WIDTH)
                    values = values + (tl.load(line + at * n + image, there, 0.0),)
            after = ()
            for c in tl.static_range(TILE_CHANNELS):
                o = tl.minimum(first + c, OUT_CHANNELS - 1)
                if TRANSPOSED:
                    kernel = weight + (channel * OUT_CHANNELS + o) * K * K + (K - 1 - down) * K
                else:
                    kernel = weight + (o * CHANNELS + channel) * K * K + down * K
                weights = ()
                for k in tl.static_range(K):
                    if TRANSPOSED:
                        weights = weights + (tl.load(kernel + K - 1 - k),)
                    else:
                        weights = weights + (tl.load(kernel + k),)
                for j in tl.static_range(COLUMNS):
                    total = sums[c * COLUMNS + j]
                    for k in tl.static_range(K):
                        if not WHOLE or (j + k >= PADDING and j + k < WIDTH + PADDING):
                            total += weights[k] * values[j + k]
                    after = after + (total,)
            sums = after
    for c in tl.static_range(TILE_CHANNELS):
        line = ((run * OUT_CHANNELS + first + c) * OUT_HEIGHT + row) * OUT_WIDTH
        for j in tl.static_range(COLUMNS):
            there = inside & (first + c < OUT_CHANNELS) & (column + j < OUT_WIDTH)
            tl.store(y + (line + column + j) * n + image, sums[c * COLUMNS + j], there)


@triton.jit
def convolution_gradients(
    x,
    g,
    weight,
    bias,
    N: tl.constexpr,  # so that places differ by constants, which cost no addition
    CHANNELS: tl.constexpr,
    OUT_CHANNELS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    K: tl.constexpr,
    PADDING: tl.constexpr,
    TILE_OUT: tl.constexpr,
    TILE_IN: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    LINES: tl.constexpr,
    IMAGES: tl.constexpr,
):
    OUT_HEIGHT: tl.constexpr = HEIGHT + 2 * PADDING + 1 - K
    OUT_WIDTH: tl.constexpr = WIDTH + 2 * PADDING + 1 - K
    n_out, n_in = tl.cdiv(OUT_CHANNELS, TILE_OUT), tl.cdiv(CHANNELS, TILE_IN)
    n_rows, n_parts = tl.cdiv(K, ROWS), tl.cdiv(OUT_HEIGHT, LINES)
    block = tl.program_id(0)
    down = (block % n_rows) * ROWS
    block //= n_rows
    first_in = (block % n_in) * TILE_IN
    block //= n_in
    first_out = (block % n_out) * TILE_OUT
    block //= n_out
    part = block % n_parts
    run = (block // n_parts).to(tl.int64)
    x += run * CHANNELS * HEIGHT * WIDTH * N
    g += run * OUT_CHANNELS * OUT_HEIGHT * OUT_WIDTH * N

    sums, biases = (), ()
    for _ in tl.static_range(TILE_OUT):
        biases = biases + (tl.zeros((IMAGES,), x.dtype.element_ty),)
        for _ in tl.static_range(TILE_IN * ROWS * K):
            sums = sums + (tl.zeros((IMAGES,), x.dtype.element_ty),)
    for line in range(part * LINES, tl.minimum((part + 1) * LINES, OUT_HEIGHT)):
        for column in range(0, OUT_WIDTH, COLUMNS):
            for start in range(0, N, IMAGES):
                image = start + tl.arange(0, IMAGES)
                inside = image < N
                values = ()
                for i in tl.static_range(TILE_IN):
                    channel = tl.minimum(first_in + i, CHANNELS - 1)
                    for d in tl.static_range(ROWS):
                        at_row = line + down + d - PADDING
                        from_row = x + (channel * HEIGHT + at_row) * WIDTH * N + image
                        for j in tl.static_range(COLUMNS + K - 1):
                            at = column + j - PADDING
                            there = inside
                            if PADDING > 0:
                                there = there & (at_row >= 0) & (at_row < HEIGHT) & (at >= 0)
                            if PADDING > 0 or OUT_WIDTH % COLUMNS != 0:
                                there = there & (at < WIDTH)
                            values = values + (tl.load(from_row + at * N, there, 0.0),)
                after, biases_after = (), ()
                for o in tl.static_range(TILE_OUT):
                    out_channel = tl.minimum(first_out + o, OUT_CHANNELS - 1)
                    slopes = ()
                    from_line = g + (out_channel * OUT_HEIGHT + line) * OUT_WIDTH * N + image
                    total = biases[o]
                    for j in tl.static_range(COLUMNS):
                        there = inside
                        if OUT_WIDTH % COLUMNS != 0:
                            there = there & (column + j < OUT_WIDTH)
                        slope = tl.load(from_line + (column + j) * N, there, 0.0)
                        slopes = slopes + (slope,)
                        total += slope
                    biases_after = biases_after + (total,)
                    for i in tl.static_range(TILE_IN):
                        for d in tl.static_range(ROWS):
                            for k in tl.static_range(K):
                                total = sums[((o * TILE_IN + i) * ROWS + d) * K + k]
                                for j in tl.static_range(COLUMNS):
                                    total += (
                                        slopes[j]
                                        * values[(i * ROWS + d) * (COLUMNS + K - 1) + j + k]
                                    )
                                after = after + (total,)
                sums, biases = after, biases_after
    # Each thread's sums; what adds them up goes by the order of parts and threads.
    lane = part * IMAGES + tl.arange(0, IMAGES)
    lanes = n_parts * IMAGES
    for o in tl.static_range(TILE_OUT):
        at_out = run * OUT_CHANNELS + first_out + o
        known = (first_out + o < OUT_CHANNELS) & (lane < lanes)
        tl.store(bias + at_out * lanes + lane, biases[o], known & (first_in == 0) & (down == 0))
        for i in tl.static_range(TILE_IN):
            for d in tl.static_range(ROWS):
                there = known & (first_in + i < CHANNELS) & (down + d < K)
                for k in tl.static_range(K):
                    at = ((at_out * CHANNELS + first_in + i) * K + down + d) * K + k
                    one = sums[((o * TILE_IN + i) * ROWS + d) * K + k]
                    tl.store(weight + at * lanes + lane, one, there)
