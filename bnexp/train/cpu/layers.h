/* What every layer of a network is made of: its parameters, the optimizer's update, images.

   A template: kernels.c includes it, and those that follow it, with REAL, NAME, EXP, LOG,
   SQRT and UNIT defined, once for floats and once for doubles (which tests compare to the
   last digits). */

/* As many values as a register holds floats. */
typedef REAL NAME(vector) __attribute__((vector_size(WIDTH * sizeof(REAL))));

/* A parameter of one run, what the optimizer keeps of it, and its weight decay. */
struct NAME(parameter) {
    REAL *value, *first, *second;
    int64_t learns;
    double decay;
};

/* BATCH_NORM is over a minibatch, GROUP_NORM over groups of channels of one image. A DRAWN
   layer multiplies or adds what was drawn for it, a SCALE multiplies by a factor. */
enum NAME(what) {
    NAME(DENSE) = 0, NAME(BATCH_NORM) = 1, NAME(ACTIVATION) = 2, NAME(CONVOLUTION) = 3,
    NAME(POOL) = 4, NAME(GROUP_NORM) = 5, NAME(SCALE) = 6, NAME(DRAWN) = 7
};

/* Of an image; a layer behind the images has none. */
struct NAME(shape) {
    int64_t channels, height, width;
};

/* One layer, from images of a shape to those of another or from so many values to so many.
   `weight` and `bias` are gamma and beta of a normalization, if it has them, whose running
   moments are `mean` and `var`; a dense layer's weights lie as (in, out), a convolution's as
   (out, in, K, K). A momentum below 0 is the average of all batches, `tracked` so far. `drawn`
   begins with what was drawn for the first image of the call. */
struct NAME(layer) {
    int64_t what, kind, in, out;
    struct NAME(shape) from, to;
    int64_t kernel, padding;
    struct NAME(parameter) weight, bias;
    REAL *mean, *var;
    double epsilon, momentum, factor;
    int64_t centers, divisor, groups, tracked;
    const REAL *drawn;
};

/* What is done with a minibatch: the number of the step, and of its first image. */
struct NAME(step) {
    int training;
    int64_t number, start;
};

/* SGD, or Adam with what corrects its moments at each step: 1 - beta1^t, sqrt(1 - beta2^t);
   the learning rate of each step. Adam's weight decay may be `decoupled`. */
struct NAME(optimizer) {
    int64_t adam, decoupled, nesterov;
    double momentum, beta1, beta2, epsilon;
    const double *lr, *correction;
    const REAL *root;
};

/* The images of a split, of so many values in so many channels: bytes, or numbers as they are.
   Of each channel, where they are standardized, what is subtracted from a number, or from a
   pixel in [0, 1], and what it is divided by. */
struct NAME(images) {
    const uint8_t *pixels;
    const REAL *numbers;
    const int64_t *labels;
    int64_t size, channels;
    const REAL *mean, *sd;
};

static inline NAME(vector) NAME(load)(const REAL *x) {
    NAME(vector) v;
    memcpy(&v, x, sizeof v);
    return v;
}

/* Standardize n numbers, of one image or of a group of them, by channel where that is asked. */
static void NAME(standardize)(const struct NAME(images) *images, int64_t n, REAL *restrict to) {
    int64_t of_one = n / images->channels;
    for (int64_t c = 0; images->sd && c < images->channels; c++) {
        REAL *of = to + c * of_one, mean = images->mean[c], sd = images->sd[c];
        for (int64_t i = 0; i < of_one; i++) of[i] = (of[i] - mean) / sd;
    }
}

/* n bytes, of one image or of a group of them, as pixels in [0, 1] or standardized. */
void NAME(bnexp_pixels)(const struct NAME(images) *images, const uint8_t *restrict from,
                        int64_t n, REAL *restrict to) {
    for (int64_t i = 0; i < n; i++) to[i] = UNIT(from[i]);
    NAME(standardize)(images, n, to);
}

/* Adam's update of n values; size = lr / (1 - beta1^t), root = sqrt(1 - beta2^t). */
static void NAME(adam)(REAL *restrict p, const REAL *restrict g, REAL *restrict m,
                       REAL *restrict v, int64_t n, REAL size, REAL decay, REAL root,
                       REAL beta1, REAL beta2, REAL epsilon) {
    REAL inverse = 1 / root;
    for (int64_t i = 0; i < n; i++) {
        REAL grad = g[i] + decay * p[i];
        REAL mean = m[i] + (1 - beta1) * (grad - m[i]);
        REAL square = beta2 * v[i] + (1 - beta2) * grad * grad;
        m[i] = mean, v[i] = square;
        p[i] -= size * mean / (SQRT(square) * inverse + epsilon);
    }
}

/* SGD's update of n values; there are no velocities without momentum. */
static void NAME(sgd)(REAL *restrict p, const REAL *restrict g, REAL *restrict velocity,
                      int64_t n, REAL lr, REAL decay, REAL momentum, int64_t nesterov) {
    for (int64_t i = 0; i < n; i++) {
        REAL change = g[i] + decay * p[i];
        if (velocity) {
            velocity[i] = momentum * velocity[i] + change;
            change = nesterov ? change + momentum * velocity[i] : velocity[i];
        }
        p[i] -= lr * change;
    }
}

/* Move n values of a parameter, from the given one on, by their gradients at step t. */
static void NAME(move)(const struct NAME(optimizer) *o, int64_t t,
                       const struct NAME(parameter) *parameter, int64_t from, int64_t n,
                       const REAL *g) {
    REAL *p = parameter->value + from;
    REAL *first = parameter->first ? parameter->first + from : 0;
    REAL lr = (REAL)o->lr[t], decay = (REAL)parameter->decay;
    if (!o->adam) {
        NAME(sgd)(p, g, first, n, lr, decay, (REAL)o->momentum, o->nesterov);
        return;
    }
    if (o->decoupled) {
        REAL kept = 1 - lr * decay;
        for (int64_t i = 0; i < n; i++) p[i] *= kept;
        decay = 0;
    }
    NAME(adam)(p, g, first, parameter->second + from, n, (REAL)(o->lr[t] / o->correction[t]),
               decay, o->root[t], (REAL)o->beta1, (REAL)o->beta2, (REAL)o->epsilon);
}

static void *NAME(take)(char **free, int64_t n, size_t size) {
    void *taken = *free;
    if (*free) *free += (n * size + 63) / 64 * 64;
    return taken;
}

/* The position of the first layer that learns. */
static int64_t NAME(first_learner)(const struct NAME(layer) *layers, int64_t n_layers) {
    int64_t i = 0;
    while (i < n_layers && !layers[i].weight.learns && !layers[i].bias.learns) i++;
    return i;
}

/* Update running moments by a batch's, of so many values a channel. */
static void NAME(remember)(const struct NAME(layer) *l, const struct NAME(step) *step,
                           const REAL *mean, const REAL *var, int64_t channels, int64_t n) {
    int64_t count = l->tracked + step->number + 1;
    REAL new = l->momentum < 0 ? 1 / (REAL)count : (REAL)l->momentum;
    REAL unbiased = (REAL)((double)n / (n - 1));
    for (int64_t c = 0; c < channels; c++) {
        l->mean[c] += new * (mean[c] - l->mean[c]);
        l->var[c] += new * (var[c] * unbiased - l->var[c]);
    }
}

static inline REAL NAME(gamma)(const struct NAME(layer) *l, int64_t c) {
    return l->weight.value ? l->weight.value[c] : 1;
}

static inline REAL NAME(beta)(const struct NAME(layer) *l, int64_t c) {
    return l->bias.value ? l->bias.value[c] : 0;
}

/* What a batch normalization divides by where the variance is v. */
static inline REAL NAME(divisor)(const struct NAME(layer) *l, REAL v) {
    REAL epsilon = (REAL)l->epsilon;
    switch (l->divisor) {
    case ROOT: return SQRT(v + epsilon);
    case ROOT_PLUS_EPSILON: return SQRT(v > TINY ? v : TINY) + epsilon;
    case VARIANCE: return v + epsilon;
    default: return 1;
    }
}

/* The way back through a variance: with s = 1 / divisor, -2 ds/dv / s^2. */
static inline REAL NAME(pull)(const struct NAME(layer) *l, REAL v, REAL s) {
    switch (l->divisor) {
    case ROOT: return s;
    case ROOT_PLUS_EPSILON: return v < TINY ? 0 : 1 / SQRT(v);
    case VARIANCE: return 2;
    default: return 0;
    }
}

/* How many moments a normalization of so many channels keeps: of each for the batch, or of each
   group for so many images. */
static inline int64_t NAME(moments_of)(const struct NAME(layer) *l, int64_t channels,
                                       int64_t images) {
    if (l->what == NAME(BATCH_NORM)) return channels;
    return l->what == NAME(GROUP_NORM) ? images * l->groups : 0;
}
