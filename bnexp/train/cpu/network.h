/* Training and evaluation of one network, for one thread. A template, like layers.h.

   One call trains a run for an epoch. Its weights and the optimizer's moments stay in the
   second cache all the while, which those of a whole cohort, step by step, would not. */

#define EVALUATED 32 /* images at a time: their values stay in the second cache */

static const struct NAME(step) NAME(still) = {0}; /* no step at all: evaluation */

/* A network: layers of images, if any, then dense ones. */
struct NAME(network) {
    const struct NAME(layer) *of_images, *dense;
    int64_t n_of_images, n_dense, classes;
    struct NAME(image_scratch) images;
    struct NAME(scratch) rows;
    char *block;
};

/* Make a network ready for minibatches up to a size; return whether there is memory. */
static int NAME(open)(struct NAME(network) *net, const struct NAME(layer) *layers,
                      int64_t n_layers, int64_t batch) {
    int64_t n = 0;
    while (n < n_layers && layers[n].to.channels) n++;
    net->of_images = layers, net->n_of_images = n;
    net->dense = layers + n, net->n_dense = n_layers - n;
    net->classes = layers[n_layers - 1].out;
    int64_t rows = NAME(divide)(&net->rows, 0, batch, net->dense, net->n_dense);
    int64_t images = n ? NAME(divide_images)(&net->images, 0, batch, layers, n) : 0;
    net->block = malloc(rows + images + 64);
    if (!net->block) return 0;
    char *start = net->block + (64 - (uintptr_t)net->block % 64);
    NAME(divide)(&net->rows, start, batch, net->dense, net->n_dense);
    if (n) NAME(divide_images)(&net->images, start + rows, batch, layers, n);
    return 1;
}

/* Pass n images, in the given order or from a first one on, through the first layers;
   return what comes out, in groups or in rows. */
static const REAL *NAME(pass)(struct NAME(network) *net, const struct NAME(images) *images,
                              const int64_t *order, int64_t first, int64_t n,
                              const struct NAME(step) *step, int64_t n_layers) {
    int64_t of_images = net->n_of_images, size = net->dense[0].in;
    REAL *rows = net->rows.values[0];
    if (of_images) {
        int64_t passed = n_layers < of_images ? n_layers : of_images;
        NAME(fill)(images, order, first, n, &net->images);
        NAME(forward_images)(net->of_images, passed, n, step, &net->images);
        const REAL *values = net->images.values[passed];
        if (n_layers < of_images) return values;
        for (int64_t k = 0; k < n; k++) {
            const REAL *from = values + k / WIDTH * WIDTH * size + k % WIDTH;
            for (int64_t p = 0; p < size; p++) rows[k * size + p] = from[p * WIDTH];
        }
    } else {
        for (int64_t k = 0; k < n; k++) {
            int64_t at = (order ? order[k] : first + k) * size;
            if (images->numbers) {
                memcpy(rows + k * size, images->numbers + at, size * sizeof(REAL));
                NAME(standardize)(images, size, rows + k * size);
            } else {
                NAME(bnexp_pixels)(images, images->pixels + at, size, rows + k * size);
            }
        }
    }
    NAME(forward)(net->dense, n_layers - of_images, n, step, &net->rows);
    return net->rows.values[n_layers - of_images];
}

/* Take the gradient with respect to the logits, in rows.g, back; move every parameter. */
static void NAME(learn)(struct NAME(network) *net, int64_t n, const struct NAME(optimizer) *o,
                        const struct NAME(step) *step) {
    int64_t of_images = net->n_of_images, size = net->dense[0].in;
    int learns = NAME(first_learner)(net->of_images, of_images) < of_images;
    NAME(backward)(net->dense, net->n_dense, n, learns, o, step, &net->rows);
    if (!learns) return;
    REAL *g = net->images.g;
    if (n % WIDTH) memset(g + n / WIDTH * WIDTH * size, 0, WIDTH * size * sizeof(REAL));
    for (int64_t k = 0; k < n; k++) {
        REAL *to = g + k / WIDTH * WIDTH * size + k % WIDTH;
        for (int64_t p = 0; p < size; p++) to[p * WIDTH] = net->rows.g[k * size + p];
    }
    NAME(backward_images)(net->of_images, of_images, n, o, step, &net->images);
}

/* Train for n images in the given order, a step a minibatch, and note the loss of each step;
   of labels, a share is smoothed. Return how many were classified right while the weights moved, -1 without memory. */
int64_t NAME(bnexp_train)(const struct NAME(layer) *layers, int64_t n_layers,
                          const struct NAME(optimizer) *o, const struct NAME(images) *images,
                          const int64_t *order, int64_t n, int64_t batch, double smoothed,
                          REAL *losses) {
    struct NAME(network) net;
    if (!NAME(open)(&net, layers, n_layers, batch)) return -1;
    int64_t correct = 0, size = images->size, labels[batch];
    for (int64_t t = 0, start = 0; start < n; t++, start += batch) {
        int64_t here = n - start < batch ? n - start : batch;
        struct NAME(step) step = {1, t, start};
        const REAL *logits = NAME(pass)(&net, images, order + start, 0, here, &step, n_layers);
        for (int64_t k = 0; k < here; k++) labels[k] = images->labels[order[start + k]];
        for (int64_t k = start + batch; k < n && k < start + 2 * batch; k++)
            for (int64_t line = 0; images->pixels && line < size; line += 64)
                __builtin_prefetch(images->pixels + order[k] * size + line, 0, 2);
        double sum;
        correct += NAME(loss)(logits, labels, here, net.classes, smoothed, net.rows.d,
                              net.rows.g, &sum, 0);
        losses[t] = (REAL)(sum / here);
        NAME(learn)(&net, here, o, &step);
    }
    free(net.block);
    return correct;
}

/* Add up the losses of n images, in evaluation mode, and note which are classified right where
   there is a place for that. Return how many are, -1 without memory. */
int64_t NAME(bnexp_evaluate)(const struct NAME(layer) *layers, int64_t n_layers,
                             const struct NAME(images) *images, int64_t n, double *loss,
                             uint8_t *right) {
    struct NAME(network) net;
    int64_t batch = EVALUATED, correct = 0;
    if (!NAME(open)(&net, layers, n_layers, batch)) return -1;
    *loss = 0;
    for (int64_t start = 0; start < n; start += batch) {
        int64_t here = n - start < batch ? n - start : batch;
        const REAL *logits = NAME(pass)(&net, images, 0, start, here, &NAME(still), n_layers);
        double sum;
        correct += NAME(loss)(logits, images->labels + start, here, net.classes, 0, net.rows.d,
                              0, &sum, right ? right + start : 0);
        *loss += sum;
    }
    free(net.block);
    return correct;
}

/* Replace the running moments of each normalization, one after the other, by the moments of
   its inputs over all n images; the variance is the biased one. Return -1 without memory. */
int64_t NAME(bnexp_population)(const struct NAME(layer) *layers, int64_t n_layers,
                               const struct NAME(images) *images, int64_t n) {
    struct NAME(network) net;
    if (!NAME(open)(&net, layers, n_layers, EVALUATED)) return -1;
    for (int64_t i = 0; i < n_layers; i++) {
        const struct NAME(layer) *l = layers + i;
        if (l->what != NAME(BATCH_NORM)) continue;
        int64_t of_images = i < net.n_of_images, C = of_images ? l->to.channels : l->out;
        int64_t places = of_images ? l->to.height * l->to.width : 1;
        double count = 0, center[C], squares[C];
        REAL mean[C], var[C];
        for (int64_t c = 0; c < C; c++) center[c] = squares[c] = 0;
        for (int64_t start = 0; start < n; start += EVALUATED) {
            int64_t images_here = n - start < EVALUATED ? n - start : EVALUATED;
            double here = (double)images_here * places;
            const REAL *x = NAME(pass)(&net, images, 0, start, images_here, &NAME(still), i);
            if (of_images)
                NAME(channel_moments)(x, images_here, l->from, mean, var);
            else
                NAME(row_moments)(x, images_here, C, mean, var);
            for (int64_t c = 0; c < C; c++) { /* the law of total variance */
                double shift = mean[c] - center[c];
                squares[c] += var[c] * here + shift * shift * count * here / (count + here);
                center[c] += shift * here / (count + here);
            }
            count += here;
        }
        for (int64_t c = 0; c < C; c++)
            l->mean[c] = (REAL)center[c], l->var[c] = (REAL)(squares[c] / count);
    }
    free(net.block);
    return 0;
}
#undef EVALUATED
