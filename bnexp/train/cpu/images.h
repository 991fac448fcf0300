/* Layers of images, for one thread: convolution, normalization of channels, activation and
   pooling, forward and back. A template, like layers.h.

   Images lie in groups of WIDTH, a value of all of them beside each other: (C, H, W, WIDTH).
   So every layer, whatever its kernel or channels, computes on whole vectors; a network's
   first layers, of one channel in and six out, waste nothing. The lanes without an image in
   the last group hold a picture of zeros and never a gradient. */

static inline int64_t NAME(size)(struct NAME(shape) s) {
    return s.channels * s.height * s.width;
}

/* How many channels to compute at a time, of so many that are left: 6 are 3 and 3. */
static inline int64_t NAME(out_block)(int64_t left) {
    return left % MOST_OUT && left > MOST_OUT && left < 2 * MOST_OUT - 1 ? 3
           : left < MOST_OUT                                             ? left
                                                                         : MOST_OUT;
}

/* Copy a group into the middle of zeros. */
static void NAME(surround)(const REAL *x, struct NAME(shape) s, int64_t pad, REAL *to) {
    int64_t width = s.width + 2 * pad, height = s.height + 2 * pad;
    memset(to, 0, s.channels * height * width * WIDTH * sizeof(REAL));
    for (int64_t c = 0; c < s.channels; c++)
        for (int64_t y = 0; y < s.height; y++)
            memcpy(to + ((c * height + y + pad) * width + pad) * WIDTH,
                   x + (c * s.height + y) * s.width * WIDTH, s.width * WIDTH * sizeof(REAL));
}

/* Where a convolution reads and writes: `x` is surrounded by `pad` zeros, `s` is its shape
   without them. */
struct NAME(window) {
    const REAL *x;
    struct NAME(shape) s;
    int64_t pad, kernel;
    struct NAME(shape) out;
};

/* Some channels and neighbouring places of a convolution; both are constants where it is
   called. Taps that see nothing but zeros are left out. */
static inline __attribute__((always_inline)) void NAME(places)(
    int channels, int places, const struct NAME(window) *w, const REAL *weight,
    const REAL *bias, int64_t y, int64_t x, REAL *to) {
    NAME(vector) sums[MOST_OUT][MOST_PLACES];
    int64_t K = w->kernel, width = w->s.width + 2 * w->pad, height = w->s.height + 2 * w->pad;
    int64_t top = w->pad > y ? w->pad - y : 0;
    int64_t bottom = w->s.height + w->pad - y < K ? w->s.height + w->pad - y : K;
    int64_t left = w->pad > x + places - 1 ? w->pad - (x + places - 1) : 0;
    int64_t right = w->s.width + w->pad - x < K ? w->s.width + w->pad - x : K;
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < places; p++)
            sums[c][p] = (NAME(vector)){0} + (bias ? bias[c] : 0);
    for (int64_t i = 0; i < w->s.channels; i++)
        for (int64_t ky = top; ky < bottom; ky++) {
            const REAL *row = w->x + ((i * height + y + ky) * width + x) * WIDTH;
            const REAL *taps = weight + (i * K + ky) * K * channels;
            for (int64_t kx = left; kx < right; kx++)
                for (int p = 0; p < places; p++) {
                    NAME(vector) value = NAME(load)(row + (kx + p) * WIDTH);
                    for (int c = 0; c < channels; c++)
                        sums[c][p] += taps[kx * channels + c] * value;
                }
        }
    int64_t plane = w->out.height * w->out.width;
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < places; p++)
            memcpy(to + (c * plane + y * w->out.width + x + p) * WIDTH, &sums[c][p],
                   sizeof sums[c][p]);
}

/* A convolution of one group. `packed` holds the weights block by block of channels, each
   (in, kernel, kernel, channels of the block). */
static void NAME(convolve)(const struct NAME(window) *w, const REAL *packed, const REAL *bias,
                           REAL *to) {
    int64_t taps = w->s.channels * w->kernel * w->kernel, width = w->out.width;
    int64_t plane = w->out.height * width;
    for (int64_t y = 0; y < w->out.height; y++)
        for (int64_t c = 0, block; c < w->out.channels; c += block) {
            block = NAME(out_block)(w->out.channels - c);
#define PLACES(CHANNELS, COUNT)                                               \
    NAME(places)(CHANNELS, COUNT, w, packed + c * taps, bias ? bias + c : 0, \
                 y, x, to + c * plane * WIDTH)
#define ROW(CHANNELS)                                                         \
    for (; x + MOST_PLACES <= width; x += MOST_PLACES) PLACES(CHANNELS, MOST_PLACES); \
    for (; x < width; x++) PLACES(CHANNELS, 1);                               \
    break;
            int64_t x = 0;
            switch (block) {
            case 1: ROW(1)
            case 2: ROW(2)
            case 3: ROW(3)
            default: ROW(4)
            }
#undef ROW
#undef PLACES
        }
}

/* Order weights (out, in, K, K) as `convolve` wants them; with `back` those of the way back,
   turned by half a circle, which has `in` channels out and `out` in. */
static void NAME(pack)(const REAL *weight, int64_t out, int64_t in, int64_t K, int back,
                       REAL *packed) {
    int64_t to = back ? in : out, from = back ? out : in;
    for (int64_t c = 0, block; c < to; c += block) {
        block = NAME(out_block)(to - c);
        for (int64_t i = 0; i < from; i++)
            for (int64_t tap = 0; tap < K * K; tap++)
                for (int64_t k = 0; k < block; k++)
                    *packed++ = back ? weight[(i * in + c + k) * K * K + K * K - 1 - tap]
                                     : weight[((c + k) * in + i) * K * K + tap];
    }
}

/* Add a group's part of the gradient of some channels' weights, for some neighbouring taps. */
static inline __attribute__((always_inline)) void NAME(taps)(
    int channels, int taps, const struct NAME(window) *w, const REAL *g, int64_t i,
    int64_t ky, int64_t kx, REAL *sums_of, int64_t by_channel) {
    NAME(vector) sums[MOST_OUT][MOST_TAPS];
    int64_t width = w->s.width + 2 * w->pad, height = w->s.height + 2 * w->pad;
    int64_t top = w->pad > ky ? w->pad - ky : 0, bottom = w->s.height + w->pad - ky;
    if (bottom > w->out.height) bottom = w->out.height;
    for (int c = 0; c < channels; c++)
        for (int t = 0; t < taps; t++)
            sums[c][t] = NAME(load)(sums_of + (c * by_channel + t) * WIDTH);
    for (int64_t y = top; y < bottom; y++) {
        const REAL *row = w->x + ((i * height + y + ky) * width + kx) * WIDTH;
        const REAL *of = g + y * w->out.width * WIDTH;
        for (int64_t x = 0; x < w->out.width; x++) {
            NAME(vector) here[MOST_OUT];
            for (int c = 0; c < channels; c++)
                here[c] = NAME(load)(of + (c * w->out.height * w->out.width + x) * WIDTH);
            for (int t = 0; t < taps; t++) {
                NAME(vector) value = NAME(load)(row + (x + t) * WIDTH);
                for (int c = 0; c < channels; c++) sums[c][t] += here[c] * value;
            }
        }
    }
    for (int c = 0; c < channels; c++)
        for (int t = 0; t < taps; t++)
            memcpy(sums_of + (c * by_channel + t) * WIDTH, &sums[c][t], sizeof sums[c][t]);
}

/* Add a group's part of the gradient of the weights to `sums` (out, in, K, K, WIDTH). */
static void NAME(weight_gradient)(const struct NAME(window) *w, const REAL *g, REAL *sums) {
    int64_t K = w->kernel, by_channel = w->s.channels * K * K;
    int64_t plane = w->out.height * w->out.width;
    for (int64_t c = 0, block; c < w->out.channels; c += block) {
        block = NAME(out_block)(w->out.channels - c);
        for (int64_t i = 0; i < w->s.channels; i++)
            for (int64_t ky = 0; ky < K; ky++)
                for (int64_t kx = 0, taps; kx < K; kx += taps) {
                    taps = K - kx >= MOST_TAPS ? MOST_TAPS : K - kx >= FEWER_TAPS ? FEWER_TAPS : 1;
                    REAL *of = sums + ((c * w->s.channels + i) * K * K + ky * K + kx) * WIDTH;
#define TAPS(CHANNELS, COUNT) \
    NAME(taps)(CHANNELS, COUNT, w, g + c * plane * WIDTH, i, ky, kx, of, by_channel)
#define COUNTED(CHANNELS)                                \
    if (taps == MOST_TAPS) TAPS(CHANNELS, MOST_TAPS);    \
    else if (taps == FEWER_TAPS) TAPS(CHANNELS, FEWER_TAPS); \
    else TAPS(CHANNELS, 1);                              \
    break;
                    switch (block) {
                    case 1: COUNTED(1)
                    case 2: COUNTED(2)
                    case 3: COUNTED(3)
                    default: COUNTED(4)
                    }
#undef COUNTED
#undef TAPS
                }
    }
}

static double NAME(lanes)(NAME(vector) v, int64_t n) {
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += v[k];
    return sum;
}

static inline int64_t NAME(filled)(int64_t n, int64_t group) {
    int64_t left = n - group * WIDTH;
    return left < WIDTH ? left : WIDTH;
}

/* Mean and biased variance of each channel of n images: those of each group put together by
   the law of total variance (Chan et al. 1983). */
static void NAME(channel_moments)(const REAL *x, int64_t n, struct NAME(shape) s, REAL *mean,
                                  REAL *var) {
    int64_t plane = s.height * s.width;
    for (int64_t c = 0; c < s.channels; c++) {
        double count = 0, center = 0, squares = 0;
        for (int64_t group = 0; group < GROUPS(n); group++) {
            const REAL *of = x + (group * s.channels + c) * plane * WIDTH;
            int64_t images = NAME(filled)(n, group), here = images * plane;
            NAME(vector) sum = {0}, square = {0};
            for (int64_t p = 0; p < plane; p++) sum += NAME(load)(of + p * WIDTH);
            REAL local = (REAL)(NAME(lanes)(sum, images) / here);
            for (int64_t p = 0; p < plane; p++) {
                NAME(vector) off = NAME(load)(of + p * WIDTH) - local;
                square += off * off;
            }
            /* `local` is rounded; squares about a number so near the mean are those about it
               but for an error of second order. */
            double shift = local - center;
            squares += NAME(lanes)(square, images) + shift * shift * count * here / (count + here);
            center += shift * here / (count + here);
            count += here;
        }
        mean[c] = (REAL)center, var[c] = (REAL)(squares / count);
    }
}

/* y = (x - mean) / divisor * gamma + beta, by channel, of so many groups of images. */
static void NAME(normalize_channels)(const struct NAME(layer) *l, const REAL *x, int64_t groups,
                                     const REAL *mean, const REAL *var, REAL *y) {
    int64_t plane = l->to.height * l->to.width * WIDTH;
    for (int64_t group = 0; group < groups; group++)
        for (int64_t c = 0; c < l->to.channels; c++, x += plane, y += plane) {
            REAL scale = NAME(gamma)(l, c) / NAME(divisor)(l, var[c]), bias = NAME(beta)(l, c);
            REAL center = l->centers ? mean[c] : 0;
            for (int64_t k = 0; k < plane; k++) y[k] = (x[k] - center) * scale + bias;
        }
}

/* The lanes without an image have no gradient. */
static void NAME(clear_rest)(REAL *g, int64_t planes, int64_t images) {
    for (int64_t p = 0; images < WIDTH && p < planes; p++)
        for (int64_t k = images; k < WIDTH; k++) g[p * WIDTH + k] = 0;
}

/* The way back through batch moments, in place: g becomes the gradient with respect to x. */
static void NAME(batch_norm_back)(const struct NAME(layer) *l, const REAL *x, int64_t n,
                                  const REAL *mean, const REAL *var, REAL *g, REAL *of_gamma,
                                  REAL *of_beta) {
    int64_t plane = l->to.height * l->to.width, channels = l->to.channels;
    REAL count = (REAL)(n * plane);
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0, product = 0;
        REAL rstd = 1 / NAME(divisor)(l, var[c]), scale = NAME(gamma)(l, c) * rstd;
        for (int64_t group = 0; group < GROUPS(n); group++) {
            int64_t start = (group * channels + c) * plane * WIDTH;
            NAME(vector) of_sum = {0}, of_product = {0};
            for (int64_t p = 0; p < plane; p++) {
                NAME(vector) here = NAME(load)(g + start + p * WIDTH);
                of_sum += here;
                of_product += here * (NAME(load)(x + start + p * WIDTH) - mean[c]);
            }
            sum += NAME(lanes)(of_sum, WIDTH), product += NAME(lanes)(of_product, WIDTH);
        }
        if (!l->centers) product += mean[c] * sum;
        of_beta[c] = (REAL)sum, of_gamma[c] = (REAL)(product * rstd);
        REAL k1 = l->centers ? of_beta[c] / count : 0;
        REAL k2 = of_gamma[c] * NAME(pull)(l, var[c], rstd) / count;
        for (int64_t group = 0; group < GROUPS(n); group++) {
            int64_t start = (group * channels + c) * plane * WIDTH;
            for (int64_t k = 0; k < plane * WIDTH; k++)
                g[start + k] = scale * (g[start + k] - k1 - (x[start + k] - mean[c]) * k2);
            NAME(clear_rest)(g + start, plane, NAME(filled)(n, group));
        }
    }
}

/* Each image by itself, in groups of neighbouring channels, all WIDTH images of a group at once;
   `means` and `vars` hold the moments (groups of images, groups of channels, WIDTH). */
static void NAME(group_norm)(const struct NAME(layer) *l, const REAL *x, int64_t groups,
                             REAL *means, REAL *vars, REAL *y) {
    int64_t plane = l->to.height * l->to.width, size = l->to.channels / l->groups * plane;
    for (int64_t k = 0; k < groups * l->groups; k++, x += size * WIDTH, y += size * WIDTH) {
        NAME(vector) sum = {0}, square = {0}, rstd;
        for (int64_t p = 0; p < size; p++) sum += NAME(load)(x + p * WIDTH);
        NAME(vector) mean = sum / (REAL)size;
        for (int64_t p = 0; p < size; p++) {
            NAME(vector) off = NAME(load)(x + p * WIDTH) - mean;
            square += off * off;
        }
        NAME(vector) var = square / (REAL)size;
        for (int64_t i = 0; i < WIDTH; i++) rstd[i] = 1 / SQRT(var[i] + (REAL)l->epsilon);
        memcpy(means + k * WIDTH, &mean, sizeof mean);
        memcpy(vars + k * WIDTH, &var, sizeof var);
        for (int64_t p = 0; p < size; p++) {
            int64_t c = k % l->groups * (size / plane) + p / plane;
            NAME(vector) here = (NAME(load)(x + p * WIDTH) - mean) * rstd * NAME(gamma)(l, c)
                                + NAME(beta)(l, c);
            memcpy(y + p * WIDTH, &here, sizeof here);
        }
    }
}

/* The way back, in place, with the sums over n images that gamma and beta move by. */
static void NAME(group_norm_back)(const struct NAME(layer) *l, const REAL *x, int64_t n,
                                  const REAL *means, const REAL *vars, REAL *g, REAL *of_gamma,
                                  REAL *of_beta) {
    int64_t plane = l->to.height * l->to.width, channels = l->to.channels / l->groups;
    REAL count = (REAL)(channels * plane);
    for (int64_t c = 0; c < l->to.channels; c++) of_gamma[c] = of_beta[c] = 0;
    for (int64_t k = 0; k < GROUPS(n) * l->groups; k++) {
        const REAL *from = x + k * channels * plane * WIDTH;
        REAL *to = g + k * channels * plane * WIDTH;
        NAME(vector) mean = NAME(load)(means + k * WIDTH), sum = {0}, product = {0}, rstd;
        for (int64_t i = 0; i < WIDTH; i++)
            rstd[i] = 1 / SQRT(vars[k * WIDTH + i] + (REAL)l->epsilon);
        for (int64_t j = 0; j < channels; j++) {
            int64_t c = k % l->groups * channels + j;
            NAME(vector) of_sum = {0}, of_product = {0};
            for (int64_t p = j * plane; p < (j + 1) * plane; p++) {
                NAME(vector) here = NAME(load)(to + p * WIDTH);
                of_sum += here;
                of_product += here * (NAME(load)(from + p * WIDTH) - mean) * rstd;
            }
            of_beta[c] += (REAL)NAME(lanes)(of_sum, WIDTH);
            of_gamma[c] += (REAL)NAME(lanes)(of_product, WIDTH);
            sum += of_sum * NAME(gamma)(l, c), product += of_product * NAME(gamma)(l, c);
        }
        NAME(vector) k1 = sum / count, k2 = product * rstd / count;
        for (int64_t p = 0; p < channels * plane; p++) {
            REAL gamma = NAME(gamma)(l, k % l->groups * channels + p / plane);
            NAME(vector) off = NAME(load)(from + p * WIDTH) - mean;
            NAME(vector) here = rstd * (NAME(load)(to + p * WIDTH) * gamma - k1 - off * k2);
            memcpy(to + p * WIDTH, &here, sizeof here);
        }
        NAME(clear_rest)(to, channels * plane, NAME(filled)(n, k / l->groups));
    }
}

/* Multiply or add what was drawn, in rows, for each of n images; x and y may be the same. */
static void NAME(apply_drawn_to_images)(const struct NAME(layer) *l,
                                        const struct NAME(step) *step, const REAL *x, int64_t n,
                                        REAL *y) {
    const REAL *drawn = l->drawn + step->start * l->out;
    for (int64_t group = 0; group < GROUPS(n); group++)
        for (int64_t p = 0; p < l->out; p++, x += WIDTH, y += WIDTH) {
            for (int64_t k = 0; k < NAME(filled)(n, group); k++) {
                REAL here = drawn[(group * WIDTH + k) * l->out + p];
                y[k] = l->kind == TIMES ? x[k] * here : x[k] + here;
            }
            for (int64_t k = NAME(filled)(n, group); k < WIDTH; k++) y[k] = 0;
        }
}

static void NAME(activation)(int64_t kind, int64_t n, REAL *y) {
    if (kind == RELU)
        for (int64_t k = 0; k < n; k++) y[k] = y[k] < 0 ? 0 : y[k];
    else if (kind == SIGMOID)
        for (int64_t k = 0; k < n; k++) y[k] = 1 / (1 + EXP(-y[k]));
    else if (kind == TANH)
        for (int64_t k = 0; k < n; k++) y[k] = 2 / (1 + EXP(-2 * y[k])) - 1;
}

static void NAME(activation_back)(int64_t kind, int64_t n, const REAL *restrict y,
                                  REAL *restrict g) {
    if (kind == RELU)
        for (int64_t k = 0; k < n; k++) g[k] = y[k] <= 0 ? 0 : g[k];
    else if (kind == SIGMOID)
        for (int64_t k = 0; k < n; k++) g[k] = g[k] * y[k] * (1 - y[k]);
    else if (kind == TANH)
        for (int64_t k = 0; k < n; k++) g[k] = g[k] * (1 - y[k] * y[k]);
}

/* Pool the windows of so many planes (a channel of a group each). */
static void NAME(pool)(const REAL *x, int64_t planes, struct NAME(shape) from,
                       struct NAME(shape) to, int64_t kind, REAL *y) {
    int64_t row = from.width * WIDTH;
    for (int64_t plane = 0; plane < planes; plane++)
        for (int64_t v = 0; v < to.height; v++) {
            const REAL *above = x + (plane * from.height + 2 * v) * row, *below = above + row;
            REAL *into = y + (plane * to.height + v) * to.width * WIDTH;
            for (int64_t u = 0; u < to.width; u++)
                for (int64_t k = 0; k < WIDTH; k++) {
                    int64_t first = 2 * u * WIDTH + k, second = first + WIDTH;
                    REAL t0 = above[first], t1 = above[second];
                    REAL t2 = below[first], t3 = below[second];
                    REAL m01 = t1 > t0 ? t1 : t0, m23 = t3 > t2 ? t3 : t2;
                    REAL m = m23 > m01 ? m23 : m01, all = t0 + t1 + t2 + t3;
                    /* NaN wins. */
                    into[u * WIDTH + k] = kind == MEAN ? all / 4 : all != all ? all : m;
                }
        }
}

/* The way back: of the largest value to the first of equals, as in PyTorch. */
static void NAME(pool_back)(const REAL *restrict x, int64_t planes, struct NAME(shape) from,
                            struct NAME(shape) to, int64_t kind, const REAL *restrict g,
                            REAL *restrict d) {
    int64_t row = from.width * WIDTH;
    if (from.width % 2 || from.height % 2)
        memset(d, 0, planes * from.height * row * sizeof(REAL));
    for (int64_t plane = 0; plane < planes; plane++)
        for (int64_t v = 0; v < to.height; v++) {
            int64_t start = (plane * from.height + 2 * v) * row;
            const REAL *above = x + start, *below = above + row;
            const REAL *of = g + (plane * to.height + v) * to.width * WIDTH;
            REAL *d_above = d + start, *d_below = d_above + row;
            for (int64_t u = 0; u < to.width; u++)
                for (int64_t k = 0; k < WIDTH; k++) {
                    int64_t first = 2 * u * WIDTH + k, second = first + WIDTH;
                    REAL e = of[u * WIDTH + k];
                    if (kind == MEAN) {
                        d_above[first] = d_above[second] = e / 4;
                        d_below[first] = d_below[second] = e / 4;
                        continue;
                    }
                    REAL t0 = above[first], t1 = above[second];
                    REAL t2 = below[first], t3 = below[second];
                    REAL m01 = t1 > t0 ? t1 : t0, m23 = t3 > t2 ? t3 : t2;
                    REAL m = m23 > m01 ? m23 : m01;
                    int k0 = t0 == m, k1 = (t1 == m) & !k0, k2 = (t2 == m) & (m01 != m);
                    int k3 = (t3 == m) & (m01 != m) & !k2;
                    d_above[first] = k0 ? e : 0, d_above[second] = k1 ? e : 0;
                    d_below[first] = k2 ? e : 0, d_below[second] = k3 ? e : 0;
                }
        }
}

/* Where images' values lie, for minibatches up to a size. */
struct NAME(image_scratch) {
    REAL **values;        /* the input, then the output of each layer */
    REAL **means, **vars; /* a normalization's moments: of the batch, or of each image */
    REAL *g, *d;          /* gradients with respect to an output and an input */
    REAL *around;         /* a group surrounded by zeros */
    REAL *packed, *sums, *of_weight, *of_bias;
    uint8_t *pixels;      /* of a group */
};

/* What a convolution in steps of two leaves of one in steps of one, and the way back. */
static void NAME(thin)(const REAL *x, int64_t planes, struct NAME(shape) from,
                       struct NAME(shape) to, REAL *y) {
    for (int64_t plane = 0; plane < planes; plane++)
        for (int64_t v = 0; v < to.height; v++)
            for (int64_t u = 0; u < to.width; u++, y += WIDTH)
                memcpy(y, x + ((plane * from.height + 2 * v) * from.width + 2 * u) * WIDTH,
                       WIDTH * sizeof(REAL));
}

static void NAME(thin_back)(int64_t planes, struct NAME(shape) from, struct NAME(shape) to,
                            const REAL *g, REAL *d) {
    memset(d, 0, planes * from.height * from.width * WIDTH * sizeof(REAL));
    for (int64_t plane = 0; plane < planes; plane++)
        for (int64_t v = 0; v < to.height; v++)
            for (int64_t u = 0; u < to.width; u++, g += WIDTH)
                memcpy(d + ((plane * from.height + 2 * v) * from.width + 2 * u) * WIDTH, g,
                       WIDTH * sizeof(REAL));
}

static inline int64_t NAME(larger)(int64_t a, int64_t b) { return a > b ? a : b; }

/* Divide a block of memory; return its size. With `block` = 0 only the size is found. */
static int64_t NAME(divide_images)(struct NAME(image_scratch) *s, char *block, int64_t batch,
                                   const struct NAME(layer) *layers, int64_t n_layers) {
    char *start = block ? block : (char *)64, *free = start; /* any address that is not 0 */
    int64_t groups = GROUPS(batch) * WIDTH, largest = 0, around = 0, weights = 0, widest = 0;
    s->values = NAME(take)(&free, n_layers + 1, sizeof(REAL *));
    s->means = NAME(take)(&free, n_layers, sizeof(REAL *));
    s->vars = NAME(take)(&free, n_layers, sizeof(REAL *));
    for (int64_t i = 0; i <= n_layers; i++) {
        struct NAME(shape) shape = i ? layers[i - 1].to : layers[0].from;
        /* An activation replaces its input, which nothing needs again. */
        REAL *values = 0;
        if (!i || layers[i - 1].what != NAME(ACTIVATION))
            values = NAME(take)(&free, groups * NAME(size)(shape), sizeof(REAL));
        if (block) s->values[i] = values ? values : s->values[i - 1];
        int64_t moments = i ? NAME(moments_of)(layers + i - 1, shape.channels, groups) : 0;
        REAL *mean = NAME(take)(&free, moments, sizeof(REAL));
        REAL *var = NAME(take)(&free, moments, sizeof(REAL));
        if (block && i) s->means[i - 1] = mean, s->vars[i - 1] = var;
        if (i && layers[i - 1].what == NAME(CONVOLUTION)) {
            const struct NAME(layer) *l = layers + i - 1;
            int64_t pad = l->padding, back = l->kernel - 1 - pad;
            struct NAME(shape) x = l->from, g = l->to;
            x.height += 2 * pad, x.width += 2 * pad, g.height += 2 * back, g.width += 2 * back;
            around = NAME(larger)(around, NAME(larger)(NAME(size)(x), NAME(size)(g)));
            int64_t taps = l->kernel * l->kernel;
            weights = NAME(larger)(weights, l->from.channels * l->to.channels * taps);
        }
        largest = NAME(larger)(largest, NAME(size)(shape));
        widest = NAME(larger)(widest, shape.channels);
    }
    s->g = NAME(take)(&free, groups * largest, sizeof(REAL));
    s->d = NAME(take)(&free, groups * largest, sizeof(REAL));
    s->around = NAME(take)(&free, around * WIDTH, sizeof(REAL));
    s->packed = NAME(take)(&free, weights, sizeof(REAL));
    s->sums = NAME(take)(&free, weights * WIDTH, sizeof(REAL));
    s->of_weight = NAME(take)(&free, NAME(larger)(weights, widest), sizeof(REAL));
    s->of_bias = NAME(take)(&free, widest, sizeof(REAL));
    s->pixels = NAME(take)(&free, WIDTH * NAME(size)(layers[0].from), 1);
    return free - start;
}

/* Fill values[0] with n images, in the given order or from a first one on. */
static void NAME(fill)(const struct NAME(images) *images, const int64_t *order, int64_t first,
                       int64_t n, struct NAME(image_scratch) *s) {
    int64_t size = images->size;
    for (int64_t group = 0; group < GROUPS(n); group++) {
        int64_t here = NAME(filled)(n, group);
        REAL *to = s->values[0] + group * size * WIDTH;
        if (images->numbers) {
            if (here < WIDTH) memset(to, 0, size * WIDTH * sizeof(REAL));
            for (int64_t k = 0; k < here; k++) {
                int64_t at = group * WIDTH + k;
                const REAL *of = images->numbers + (order ? order[at] : first + at) * size;
                for (int64_t p = 0; p < size; p++) to[p * WIDTH + k] = of[p];
            }
            NAME(standardize)(images, size * WIDTH, to);
            continue;
        }
        const uint8_t *from[WIDTH];
        for (int64_t k = 0; k < here; k++) {
            int64_t at = group * WIDTH + k;
            from[k] = images->pixels + (order ? order[at] : first + at) * size;
        }
        if (here < WIDTH) memset(s->pixels, 0, size * WIDTH);
        for (int64_t p = 0; p < size; p++)
            for (int64_t k = 0; k < here; k++) s->pixels[p * WIDTH + k] = from[k][p];
        NAME(bnexp_pixels)(images, s->pixels, size * WIDTH, to);
    }
}

/* A group of what a convolution reads. */
static struct NAME(window) NAME(window_of)(const struct NAME(layer) *l, const REAL *x,
                                           int64_t group, struct NAME(image_scratch) *s) {
    x += group * NAME(size)(l->from) * WIDTH;
    if (l->padding) NAME(surround)(x, l->from, l->padding, s->around);
    return (struct NAME(window)){l->padding ? s->around : x, l->from, l->padding, l->kernel,
                                 l->to};
}

/* Fill values[1] to values[n_layers] from values[0]. */
static void NAME(forward_images)(const struct NAME(layer) *layers, int64_t n_layers, int64_t n,
                                 const struct NAME(step) *step,
                                 struct NAME(image_scratch) *s) {
    int64_t groups = GROUPS(n);
    for (int64_t i = 0; i < n_layers; i++) {
        const struct NAME(layer) *l = layers + i;
        REAL *x = s->values[i], *y = s->values[i + 1];
        int64_t channels = l->to.channels;
        if (l->what == NAME(CONVOLUTION)) {
            NAME(pack)(l->weight.value, channels, l->from.channels, l->kernel, 0, s->packed);
            for (int64_t group = 0; group < groups; group++) {
                struct NAME(window) w = NAME(window_of)(l, x, group, s);
                NAME(convolve)(&w, s->packed, l->bias.value,
                               y + group * NAME(size)(l->to) * WIDTH);
            }
        } else if (l->what == NAME(BATCH_NORM)) {
            REAL *mean = l->mean, *var = l->var;
            if (step->training) {
                mean = s->means[i], var = s->vars[i];
                NAME(channel_moments)(x, n, l->from, mean, var);
                NAME(remember)(l, step, mean, var, channels, n * l->to.height * l->to.width);
            }
            NAME(normalize_channels)(l, x, groups, mean, var, y);
        } else if (l->what == NAME(GROUP_NORM)) {
            NAME(group_norm)(l, x, groups, s->means[i], s->vars[i], y);
        } else if (l->what == NAME(ACTIVATION)) {
            NAME(activation)(l->kind, groups * l->out * WIDTH, y);
        } else if (l->what == NAME(SCALE)) {
            for (int64_t k = 0; k < groups * l->out * WIDTH; k++) y[k] = (REAL)l->factor * x[k];
        } else if (l->what == NAME(DRAWN) && step->training) {
            NAME(apply_drawn_to_images)(l, step, x, n, y);
        } else if (l->what == NAME(DRAWN)) {
            memcpy(y, x, groups * l->out * WIDTH * sizeof(REAL));
        } else if (l->kind == FIRST) {
            NAME(thin)(x, groups * channels, l->from, l->to, y);
        } else {
            NAME(pool)(x, groups * channels, l->from, l->to, l->kind, y);
        }
    }
}

static void NAME(convolution_back)(const struct NAME(layer) *l, const REAL *x, int64_t n,
                                   int needs_input, const struct NAME(optimizer) *o, int64_t t,
                                   struct NAME(image_scratch) *s) {
    int64_t in = l->from.channels, out = l->to.channels, K = l->kernel;
    int64_t weights = in * out * K * K, plane = l->to.height * l->to.width;
    for (int64_t group = 0; needs_input && group < GROUPS(n); group++) {
        int64_t pad = K - 1 - l->padding;
        const REAL *g = s->g + group * NAME(size)(l->to) * WIDTH;
        if (!group) NAME(pack)(l->weight.value, out, in, K, 1, s->packed);
        if (pad) NAME(surround)(g, l->to, pad, s->around);
        struct NAME(window) w = {pad ? s->around : g, l->to, pad, K, l->from};
        NAME(convolve)(&w, s->packed, 0, s->d + group * NAME(size)(l->from) * WIDTH);
    }
    if (l->weight.learns) {
        memset(s->sums, 0, weights * WIDTH * sizeof(REAL));
        for (int64_t group = 0; group < GROUPS(n); group++) {
            struct NAME(window) w = NAME(window_of)(l, x, group, s);
            NAME(weight_gradient)(&w, s->g + group * NAME(size)(l->to) * WIDTH, s->sums);
        }
        for (int64_t k = 0; k < weights; k++)
            s->of_weight[k] = (REAL)NAME(lanes)(NAME(load)(s->sums + k * WIDTH), WIDTH);
        NAME(move)(o, t, &l->weight, 0, weights, s->of_weight);
    }
    if (l->bias.value && l->bias.learns) {
        for (int64_t c = 0; c < out; c++) {
            double sum = 0;
            for (int64_t group = 0; group < GROUPS(n); group++) {
                const REAL *g = s->g + (group * out + c) * plane * WIDTH;
                NAME(vector) of = {0};
                for (int64_t p = 0; p < plane; p++) of += NAME(load)(g + p * WIDTH);
                sum += NAME(lanes)(of, WIDTH);
            }
            s->of_bias[c] = (REAL)sum;
        }
        NAME(move)(o, t, &l->bias, 0, out, s->of_bias);
    }
}

/* Take the gradient with respect to the output, in s->g, back to the first layer that learns;
   move every parameter as soon as nothing needs it any more. */
static void NAME(backward_images)(const struct NAME(layer) *layers, int64_t n_layers, int64_t n,
                                  const struct NAME(optimizer) *o,
                                  const struct NAME(step) *step,
                                  struct NAME(image_scratch) *s) {
    int64_t t = step->number;
    int64_t groups = GROUPS(n), first = NAME(first_learner)(layers, n_layers);
    for (int64_t i = n_layers - 1; i >= first; i--) {
        const struct NAME(layer) *l = layers + i;
        const REAL *x = s->values[i];
        int swap = 0;
        if (l->what == NAME(CONVOLUTION)) {
            swap = i > first;
            NAME(convolution_back)(l, x, n, swap, o, t, s);
        } else if (l->what == NAME(BATCH_NORM) || l->what == NAME(GROUP_NORM)) {
            if (l->what == NAME(BATCH_NORM))
                NAME(batch_norm_back)(l, x, n, s->means[i], s->vars[i], s->g, s->of_weight,
                                      s->of_bias);
            else
                NAME(group_norm_back)(l, x, n, s->means[i], s->vars[i], s->g, s->of_weight,
                                      s->of_bias);
            if (l->weight.learns) NAME(move)(o, t, &l->weight, 0, l->to.channels, s->of_weight);
            if (l->bias.learns) NAME(move)(o, t, &l->bias, 0, l->to.channels, s->of_bias);
        } else if (l->what == NAME(ACTIVATION)) {
            NAME(activation_back)(l->kind, groups * l->out * WIDTH, s->values[i + 1], s->g);
        } else if (l->what == NAME(SCALE)) {
            for (int64_t k = 0; k < groups * l->out * WIDTH; k++) s->g[k] *= (REAL)l->factor;
        } else if (l->what == NAME(DRAWN)) {
            if (l->kind == TIMES) NAME(apply_drawn_to_images)(l, step, s->g, n, s->g);
        } else if (l->kind == FIRST) {
            swap = 1;
            NAME(thin_back)(groups * l->to.channels, l->from, l->to, s->g, s->d);
        } else {
            swap = 1;
            NAME(pool_back)(x, groups * l->to.channels, l->from, l->to, l->kind, s->g, s->d);
        }
        if (swap) {
            REAL *g = s->g;
            s->g = s->d, s->d = g;
        }
    }
}
