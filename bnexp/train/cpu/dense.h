/* Dense layers of one network, for one thread, forward and back. A template, like layers.h.

   Values lie row by row, (N, C). */

/* Some rows and vectors of a product; both are constants where it is called. */
static inline __attribute__((always_inline)) void NAME(tile)(
    int rows, int vectors, int64_t depth, const REAL *a, int64_t by_row, int64_t by_depth,
    const REAL *b, int64_t b_width, const REAL *b_last, const REAL *start, REAL *c,
    int64_t c_width, int64_t left) {
    NAME(vector) sums[ROWS][2], of_b[2];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) sums[r][v] = NAME(load)(start + v * WIDTH);
    for (int64_t p = 0; p < depth; p++) {
        const REAL *row = p < depth - 1 ? b + p * b_width : b_last;
        for (int v = 0; v < vectors; v++) of_b[v] = NAME(load)(row + v * WIDTH);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < vectors; v++)
                sums[r][v] += a[r * by_row + p * by_depth] * of_b[v];
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) {
            REAL *to = c + r * c_width + v * WIDTH;
            if (left >= (v + 1) * WIDTH)
                memcpy(to, &sums[r][v], sizeof sums[r][v]);
            else
                memcpy(to, &sums[r][v], (left - v * WIDTH) * sizeof(REAL));
        }
}

/* c (rows, width) = a b, plus `start` (width) in every row where it is given.

   Element (i, p) of `a` lies at a[i * by_row + p * by_depth], so that `a` may be transposed;
   b is (depth, width). */
static void NAME(product)(int64_t rows, int64_t width, int64_t depth, const REAL *a,
                          int64_t by_row, int64_t by_depth, const REAL *b, const REAL *start,
                          REAL *c) {
    /* Whole vectors are read: behind these rows there may be nothing. */
    REAL last[width + 2 * WIDTH], first[width + 2 * WIDTH];
    memcpy(last, b + (depth - 1) * width, width * sizeof(REAL));
    for (int64_t j = 0; j < width; j++) first[j] = start ? start[j] : 0;
#define TILE(HEIGHT, VECTORS)                                                               \
    NAME(tile)(HEIGHT, VECTORS, depth, a + i * by_row, by_row, by_depth, b + j, width,     \
               last + j, first + j, c + i * width + j, width, width - j)
    for (int64_t j = 0; j < width; j += 2 * WIDTH) {
        int64_t i = 0;
        if (width - j > WIDTH) {
            for (; i + ROWS <= rows; i += ROWS) TILE(ROWS, 2);
            for (; i < rows; i++) TILE(1, 2);
        } else {
            for (; i + ROWS <= rows; i += ROWS) TILE(ROWS, 1);
            for (; i < rows; i++) TILE(1, 1);
        }
    }
#undef TILE
}

/* The moments of x (N, C); V is the biased variance. */
static void NAME(row_moments)(const REAL *restrict X, int64_t N, int64_t C, REAL *restrict M,
                              REAL *restrict V) {
    for (int64_t c = 0; c < C; c++) M[c] = V[c] = 0;
    for (int64_t n = 0; n < N; n++)
        for (int64_t c = 0; c < C; c++) M[c] += X[n * C + c];
    for (int64_t c = 0; c < C; c++) M[c] /= N;
    for (int64_t n = 0; n < N; n++)
        for (int64_t c = 0; c < C; c++) V[c] += (X[n * C + c] - M[c]) * (X[n * C + c] - M[c]);
    for (int64_t c = 0; c < C; c++) V[c] /= N;
}

/* y = (x - mean) / divisor * gamma + beta, by channel of x (N, C). */
static void NAME(normalize_rows)(const struct NAME(layer) *l, const REAL *restrict X, int64_t N,
                                 const REAL *M, const REAL *V, REAL *restrict Y) {
    int64_t C = l->out;
    REAL m[C], a[C], b[C];
    for (int64_t c = 0; c < C; c++) {
        m[c] = l->centers ? M[c] : 0;
        a[c] = NAME(gamma)(l, c) / NAME(divisor)(l, V[c]), b[c] = NAME(beta)(l, c);
    }
    for (int64_t n = 0; n < N; n++)
        for (int64_t c = 0; c < C; c++) Y[n * C + c] = (X[n * C + c] - m[c]) * a[c] + b[c];
}

/* The way back: G is the gradient with respect to y, D that with respect to x; M and V are the
   batch's moments, V the biased one. */
static void NAME(batch_norm_rows_back)(const struct NAME(layer) *l, const REAL *restrict X,
                                       const REAL *restrict G, int64_t N, const REAL *M,
                                       const REAL *V, REAL *restrict D, REAL *restrict of_gamma,
                                       REAL *restrict of_beta) {
    int64_t C = l->out;
    REAL rstd[C], scale[C], pull[C], center = l->centers ? 1 : 0;
    for (int64_t c = 0; c < C; c++) {
        of_gamma[c] = of_beta[c] = 0;
        rstd[c] = 1 / NAME(divisor)(l, V[c]);
        scale[c] = NAME(gamma)(l, c) * rstd[c];
        pull[c] = NAME(pull)(l, V[c], rstd[c]);
    }
    for (int64_t n = 0; n < N; n++)
        for (int64_t c = 0; c < C; c++) {
            of_beta[c] += G[n * C + c];
            of_gamma[c] += G[n * C + c] * (X[n * C + c] - M[c]) * rstd[c];
        }
    for (int64_t c = 0; !l->centers && c < C; c++) of_gamma[c] += M[c] * rstd[c] * of_beta[c];
    for (int64_t n = 0; n < N; n++)
        for (int64_t c = 0; c < C; c++)
            D[n * C + c] = scale[c] * (G[n * C + c] - center * of_beta[c] / N
                                       - (X[n * C + c] - M[c]) * pull[c] * of_gamma[c] / N);
}

/* Each row of x by itself, in groups of neighbouring channels; M and V hold the moments of each
   group of each row. */
static void NAME(group_norm_rows)(const struct NAME(layer) *l, const REAL *restrict X, int64_t N,
                                  REAL *restrict M, REAL *restrict V, REAL *restrict Y) {
    int64_t C = l->out, size = C / l->groups;
    for (int64_t n = 0; n < N; n++)
        for (int64_t k = 0; k < l->groups; k++) {
            const REAL *x = X + n * C + k * size;
            REAL sum = 0, square = 0;
            for (int64_t i = 0; i < size; i++) sum += x[i];
            REAL mean = sum / size;
            for (int64_t i = 0; i < size; i++) square += (x[i] - mean) * (x[i] - mean);
            REAL rstd = 1 / SQRT(square / size + (REAL)l->epsilon);
            for (int64_t i = 0; i < size; i++) {
                int64_t c = k * size + i;
                Y[n * C + c] = (x[i] - mean) * rstd * NAME(gamma)(l, c) + NAME(beta)(l, c);
            }
            M[n * l->groups + k] = mean, V[n * l->groups + k] = square / size;
        }
}

static void NAME(group_norm_rows_back)(const struct NAME(layer) *l, const REAL *restrict X,
                                       const REAL *restrict G, int64_t N, const REAL *M,
                                       const REAL *V, REAL *restrict D, REAL *restrict of_gamma,
                                       REAL *restrict of_beta) {
    int64_t C = l->out, size = C / l->groups;
    for (int64_t c = 0; c < C; c++) of_gamma[c] = of_beta[c] = 0;
    for (int64_t n = 0; n < N; n++)
        for (int64_t k = 0; k < l->groups; k++) {
            REAL mean = M[n * l->groups + k];
            REAL rstd = 1 / SQRT(V[n * l->groups + k] + (REAL)l->epsilon), sum = 0, product = 0;
            for (int64_t c = k * size; c < (k + 1) * size; c++) {
                REAL g = G[n * C + c], unit = (X[n * C + c] - mean) * rstd;
                of_beta[c] += g, of_gamma[c] += g * unit;
                sum += g * NAME(gamma)(l, c), product += g * NAME(gamma)(l, c) * unit;
            }
            for (int64_t c = k * size; c < (k + 1) * size; c++)
                D[n * C + c] = rstd * (G[n * C + c] * NAME(gamma)(l, c) - sum / size
                                       - (X[n * C + c] - mean) * rstd * product / size);
        }
}

/* Multiply or add what was drawn for n images of so many values, in rows. */
static void NAME(apply_drawn)(const struct NAME(layer) *l, const struct NAME(step) *step,
                              const REAL *x, int64_t n, REAL *y) {
    const REAL *drawn = l->drawn + step->start * l->out;
    if (l->kind == TIMES)
        for (int64_t k = 0; k < n * l->out; k++) y[k] = x[k] * drawn[k];
    else
        for (int64_t k = 0; k < n * l->out; k++) y[k] = x[k] + drawn[k];
}

/* Where a network's values lie, for minibatches up to a size. */
struct NAME(scratch) {
    REAL **values;         /* the input, then the output of each layer */
    REAL **means, **vars;  /* a normalization's moments: of the batch, or of each image */
    REAL *g, *d;           /* gradients with respect to an output and an input */
    REAL *turned, *of_parameters, *row;
};

#define WEIGHT_ROWS 64 /* whose gradients stay in the first cache until they are used */

/* Divide a block of memory; return its size. With `block` = 0 only the size is found. */
static int64_t NAME(divide)(struct NAME(scratch) *s, char *block, int64_t batch,
                            const struct NAME(layer) *layers, int64_t n_layers) {
    char *start = block ? block : (char *)64, *free = start; /* any address that is not 0 */
    int64_t widest = layers[0].in, most = 0;
    s->values = NAME(take)(&free, n_layers + 1, sizeof(REAL *));
    s->means = NAME(take)(&free, n_layers, sizeof(REAL *));
    s->vars = NAME(take)(&free, n_layers, sizeof(REAL *));
    for (int64_t i = 0; i <= n_layers; i++) {
        int64_t width = i ? layers[i - 1].out : layers[0].in;
        REAL *values = NAME(take)(&free, batch * width, sizeof(REAL));
        if (block) s->values[i] = values;
        int64_t moments = i ? NAME(moments_of)(layers + i - 1, width, batch) : 0;
        REAL *mean = NAME(take)(&free, moments, sizeof(REAL));
        REAL *var = NAME(take)(&free, moments, sizeof(REAL));
        if (block && i) s->means[i - 1] = mean, s->vars[i - 1] = var;
        if (i && layers[i - 1].what == NAME(DENSE)) {
            int64_t size = layers[i - 1].in * width;
            most = size > most ? size : most;
        }
        widest = width > widest ? width : widest;
    }
    s->g = NAME(take)(&free, batch * widest, sizeof(REAL));
    s->d = NAME(take)(&free, batch * widest, sizeof(REAL));
    s->turned = NAME(take)(&free, most, sizeof(REAL));
    s->of_parameters = NAME(take)(&free, WEIGHT_ROWS * widest, sizeof(REAL));
    s->row = NAME(take)(&free, widest, sizeof(REAL));
    return free - start;
}

/* Fill values[1] to values[n_layers] from values[0]. */
static void NAME(forward)(const struct NAME(layer) *layers, int64_t n_layers, int64_t n,
                          const struct NAME(step) *step, struct NAME(scratch) *s) {
    for (int64_t i = 0; i < n_layers; i++) {
        const struct NAME(layer) *l = layers + i;
        const REAL *x = s->values[i];
        REAL *y = s->values[i + 1];
        int64_t in = l->in, out = l->out;
        if (l->what == NAME(DENSE)) {
            NAME(product)(n, out, in, x, in, 1, l->weight.value, l->bias.value, y);
        } else if (l->what == NAME(BATCH_NORM) && step->training) {
            REAL *mean = s->means[i], *var = s->vars[i];
            NAME(row_moments)(x, n, out, mean, var);
            NAME(normalize_rows)(l, x, n, mean, var, y);
            NAME(remember)(l, step, mean, var, out, n);
        } else if (l->what == NAME(BATCH_NORM)) {
            NAME(normalize_rows)(l, x, n, l->mean, l->var, y);
        } else if (l->what == NAME(GROUP_NORM)) {
            NAME(group_norm_rows)(l, x, n, s->means[i], s->vars[i], y);
        } else if (l->what == NAME(SCALE)) {
            for (int64_t k = 0; k < n * out; k++) y[k] = (REAL)l->factor * x[k];
        } else if (l->what == NAME(DRAWN) && step->training) {
            NAME(apply_drawn)(l, step, x, n, y);
        } else if (l->what == NAME(DRAWN)) {
            memcpy(y, x, n * out * sizeof(REAL));
        } else if (l->kind == RELU) {
            for (int64_t k = 0; k < n * out; k++) y[k] = x[k] < 0 ? 0 : x[k];
        } else if (l->kind == SIGMOID) {
            for (int64_t k = 0; k < n * out; k++) y[k] = 1 / (1 + EXP(-x[k]));
        } else if (l->kind == TANH) {
            for (int64_t k = 0; k < n * out; k++) y[k] = 2 / (1 + EXP(-2 * x[k])) - 1;
        }
    }
}

/* Cross-entropy of n logits of C classes; how many are classified right. A share of each label
   is `smoothed` over all classes. The gradient of the mean goes to g where it is given. As for PyTorch, the first of the largest is the answer,
   and NaN is larger than any number. */
static int64_t NAME(loss)(const REAL *z, const int64_t *labels, int64_t n, int64_t C,
                          double smoothed, REAL *shifted, REAL *g, double *sum, uint8_t *right) {
    int64_t correct = 0;
    for (int64_t k = 0; k < n; k++) {
        const REAL *row = z + k * C;
        int64_t best = 0;
        for (int64_t c = 1; c < C; c++)
            if (row[best] == row[best] && !(row[c] <= row[best])) best = c;
        correct += best == labels[k];
        if (right) right[k] = best == labels[k];
        for (int64_t c = 0; c < C; c++) shifted[k * C + c] = row[c] - row[best];
    }
    *sum = 0;
    for (int64_t k = 0; k < n; k++) *sum -= shifted[k * C + labels[k]] * (1 - smoothed);
    for (int64_t k = 0; smoothed && k < n * C; k++) *sum -= shifted[k] * smoothed / C;
    for (int64_t k = 0; k < n * C; k++) shifted[k] = EXP(shifted[k]);
    for (int64_t k = 0; k < n; k++) {
        REAL total = 0;
        for (int64_t c = 0; c < C; c++) total += shifted[k * C + c];
        *sum += LOG(total);
        if (!g) continue;
        REAL scale = 1 / (total * n);
        for (int64_t c = 0; c < C; c++) g[k * C + c] = shifted[k * C + c] * scale;
        g[k * C + labels[k]] -= (REAL)(1 - smoothed) / n;
        for (int64_t c = 0; smoothed && c < C; c++) g[k * C + c] -= (REAL)(smoothed / C) / n;
    }
    return correct;
}

/* Take the gradient with respect to the output, in s->g, back to the first layer, and with
   `to_input` through it; move every parameter as soon as nothing needs it any more. */
static void NAME(backward)(const struct NAME(layer) *layers, int64_t n_layers, int64_t n,
                           int to_input, const struct NAME(optimizer) *o,
                           const struct NAME(step) *step, struct NAME(scratch) *s) {
    int64_t t = step->number;
    for (int64_t i = n_layers - 1; i >= 0; i--) {
        const struct NAME(layer) *l = layers + i;
        const REAL *x = s->values[i], *y = s->values[i + 1];
        int64_t in = l->in, out = l->out;
        REAL *g = s->g, *d = s->d;
        if (l->what == NAME(DENSE)) {
            if (i || to_input) {
                for (int64_t k = 0; k < in; k++)
                    for (int64_t c = 0; c < out; c++)
                        s->turned[c * in + k] = l->weight.value[k * out + c];
                NAME(product)(n, in, out, g, out, 1, s->turned, 0, d);
            }
            for (int64_t k = 0; l->weight.learns && k < in; k += WEIGHT_ROWS) {
                int64_t rows = in - k < WEIGHT_ROWS ? in - k : WEIGHT_ROWS;
                NAME(product)(rows, out, n, x + k, 1, in, g, 0, s->of_parameters);
                NAME(move)(o, t, &l->weight, k * out, rows * out, s->of_parameters);
            }
            if (l->bias.value && l->bias.learns) {
                for (int64_t c = 0; c < out; c++) s->row[c] = 0;
                for (int64_t k = 0; k < n; k++)
                    for (int64_t c = 0; c < out; c++) s->row[c] += g[k * out + c];
                NAME(move)(o, t, &l->bias, 0, out, s->row);
            }
        } else if (l->what == NAME(SCALE)) {
            for (int64_t k = 0; k < n * out; k++) d[k] = (REAL)l->factor * g[k];
        } else if (l->what == NAME(DRAWN) && l->kind == TIMES) {
            NAME(apply_drawn)(l, step, g, n, d);
        } else if (l->what == NAME(DRAWN)) {
            continue; /* what is added has no part in the gradient */
        } else if (l->what == NAME(BATCH_NORM) || l->what == NAME(GROUP_NORM)) {
            if (l->what == NAME(BATCH_NORM))
                NAME(batch_norm_rows_back)(l, x, g, n, s->means[i], s->vars[i], d,
                                           s->of_parameters, s->row);
            else
                NAME(group_norm_rows_back)(l, x, g, n, s->means[i], s->vars[i], d,
                                           s->of_parameters, s->row);
            if (l->weight.learns) NAME(move)(o, t, &l->weight, 0, out, s->of_parameters);
            if (l->bias.learns) NAME(move)(o, t, &l->bias, 0, out, s->row);
        } else if (l->kind == RELU) {
            for (int64_t k = 0; k < n * out; k++) d[k] = y[k] <= 0 ? 0 : g[k];
        } else if (l->kind == SIGMOID) {
            for (int64_t k = 0; k < n * out; k++) d[k] = g[k] * y[k] * (1 - y[k]);
        } else if (l->kind == TANH) {
            for (int64_t k = 0; k < n * out; k++) d[k] = g[k] * (1 - y[k] * y[k]);
        }
        s->g = d, s->d = g;
    }
}
