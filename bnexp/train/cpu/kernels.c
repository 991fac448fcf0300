/* The inner loops that PyTorch's own kernels do slowly on a CPU, for one thread and floats.

   normalization -> activation -> 2x2 pooling in one pass, and back; whole networks
   (network.h); Adam's update of many runs. Compiled at first use by
   bnexp/train/cpu/kernels.py, without fast-math: a loss that is not finite must stay so. Sums
   are taken in WIDTH lanes, because a compiler may not reorder them, then in double precision. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The floats of a register, and how many registers hold sums: of a matrix product ROWS times
   two; of a convolution MOST_OUT channels times so many places, or taps of its weights'
   gradient. So many images lie beside each other. */
#if defined __AVX512F__
#define WIDTH 16
#define ROWS 8
#define MOST_PLACES 4
#define MOST_TAPS 5
#define FEWER_TAPS 3
#else
#if defined __AVX__
#define WIDTH 8
#else
#define WIDTH 4
#endif
#define ROWS 4
#define MOST_PLACES 2
#define MOST_TAPS 2
#define FEWER_TAPS 1
#endif
#define MOST_OUT 4
#define GROUPS(n) (((n) + WIDTH - 1) / WIDTH)

#define MOST 4096 /* values of one channel of one image: 4 h w may not be more */

/* What made this library: it stands in a run's provenance. */
#ifdef __clang__
const char *compiled_by(void) { return __VERSION__; } /* it names itself */
#else
const char *compiled_by(void) { return "gcc " __VERSION__; }
#endif
int vector_bits(void) { return WIDTH * 8 * (int)sizeof(float); }

enum activation { IDENTITY = 0, SIGMOID = 1, RELU = 2, TANH = 3 };
enum pooling { MAX = 0, MEAN = 1 };

/* exp, to 2 units in the last place: Cody and Waite's reduction and a polynomial of degree
   6 (the coefficients are those of the Taylor series; |r| <= ln(2)/2). NaN stays NaN. */
static inline float fast_exp(float x) {
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    float n = rintf(x * 1.44269504f);
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1 + r * (1 + r * (1 / 2.0f + r * (1 / 6.0f + r * (1 / 24.0f
            + r * (1 / 120.0f + r * (1 / 720.0f))))));
    int32_t bits = (int32_t)((uint32_t)((int32_t)n + 127) << 23);
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

static inline float activate(float t, int kind) {
    if (kind == SIGMOID) return 1 / (1 + fast_exp(-t));
    if (kind == TANH) return 2 / (1 + fast_exp(-2 * t)) - 1;
    if (kind == RELU) return t < 0 ? 0 : t;
    return t;
}

/* The derivative at t. */
static inline float slope(float t, int kind) {
    if (kind == SIGMOID) { float s = activate(t, SIGMOID); return s * (1 - s); }
    if (kind == TANH) { float s = activate(t, TANH); return 1 - s * s; }
    if (kind == RELU) return t > 0 ? 1 : 0;
    return 1;
}

/* Pool n windows, whose four values lie in four arrays. */
static inline __attribute__((always_inline)) void pool_windows(
    const float *restrict z0, const float *restrict z1, const float *restrict z2,
    const float *restrict z3, long n, float a, float b, int kind, int pool,
    float *restrict out) {
    for (long i = 0; i < n; i++) {
        float t0 = a * z0[i] + b, t1 = a * z1[i] + b, t2 = a * z2[i] + b, t3 = a * z3[i] + b;
        if (pool == MAX) {
            /* Every activation is monotone: the largest stays the largest. NaN wins. */
            float m01 = t1 > t0 ? t1 : t0, m23 = t3 > t2 ? t3 : t2;
            float m = m23 > m01 ? m23 : m01, any = t0 + t1 + t2 + t3;
            out[i] = activate(any != any ? any : m, kind);
        } else {
            out[i] = (activate(t0, kind) + activate(t1, kind) + activate(t2, kind)
                      + activate(t3, kind)) / 4;
        }
    }
}

/* The gradients with respect to a * z + b of n windows, from those of their pooled values. */
static inline __attribute__((always_inline)) void unpool_windows(
    const float *restrict z0, const float *restrict z1, const float *restrict z2,
    const float *restrict z3, long n, float a, float b, int kind, int pool,
    const float *restrict g, float *restrict d0, float *restrict d1, float *restrict d2,
    float *restrict d3) {
    for (long i = 0; i < n; i++) {
        float t0 = a * z0[i] + b, t1 = a * z1[i] + b, t2 = a * z2[i] + b, t3 = a * z3[i] + b;
        if (pool == MAX) {
            float m01 = t1 > t0 ? t1 : t0, m23 = t3 > t2 ? t3 : t2;
            float m = m23 > m01 ? m23 : m01, e = g[i] * slope(m, kind);
            /* To the first of equals, as in PyTorch. */
            int k0 = t0 == m, k1 = (t1 == m) & !k0, k2 = (t2 == m) & (m01 != m);
            int k3 = (t3 == m) & (m01 != m) & !k2;
            d0[i] = k0 ? e : 0, d1[i] = k1 ? e : 0, d2[i] = k2 ? e : 0, d3[i] = k3 ? e : 0;
        } else {
            float e = g[i] / 4;
            d0[i] = e * slope(t0, kind), d1[i] = e * slope(t1, kind);
            d2[i] = e * slope(t2, kind), d3[i] = e * slope(t3, kind);
        }
    }
}

/* Two layouts of the values, of one channel of one image each:
   phases = 1: (N, 4, C, h, w), value k of every window apart;
   phases = 0: (N, C, 2h, 2w), as a convolution leaves them. */
static inline long start_of(int phases, long n, long c, long C, long h, long w) {
    return phases ? (n * 4 * C + c) * h * w : (n * C + c) * 4 * h * w;
}

/* From the second layout to the first and back; `apart` holds 4 * h * w values. */
static inline void take_apart(const float *restrict z, long h, long w, float *restrict apart) {
    for (long y = 0; y < h; y++)
        for (long x = 0; x < w; x++)
            for (long k = 0; k < 4; k++)
                apart[k * h * w + y * w + x] = z[(2 * y + k / 2) * 2 * w + 2 * x + k % 2];
}

static inline void put_together(const float *restrict apart, long h, long w,
                                float *restrict z) {
    for (long y = 0; y < h; y++)
        for (long x = 0; x < w; x++)
            for (long k = 0; k < 4; k++)
                z[(2 * y + k / 2) * 2 * w + 2 * x + k % 2] = apart[k * h * w + y * w + x];
}

#define BY_KIND(CALL)                                     \
    switch (kind * 2 + pool) {                            \
    case SIGMOID * 2 + MAX: CALL(SIGMOID, MAX); break;    \
    case SIGMOID * 2 + MEAN: CALL(SIGMOID, MEAN); break;  \
    case RELU * 2 + MAX: CALL(RELU, MAX); break;          \
    case RELU * 2 + MEAN: CALL(RELU, MEAN); break;        \
    case TANH * 2 + MAX: CALL(TANH, MAX); break;          \
    case TANH * 2 + MEAN: CALL(TANH, MEAN); break;        \
    case IDENTITY * 2 + MAX: CALL(IDENTITY, MAX); break;  \
    default: CALL(IDENTITY, MEAN); break;                 \
    }

/* A vector of lanes, as GCC and Clang have it; they split it where registers are shorter. */
typedef float vector __attribute__((vector_size(WIDTH * sizeof(float))));

static inline vector load(const float *x) {
    vector v;
    memcpy(&v, x, sizeof v);
    return v;
}

static inline float folded(vector v) {
    for (int half = WIDTH / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) v[k] += v[k + half];
    return v[0];
}

static double sum_of(const float *x, long n) {
    vector lanes = {0};
    float rest = 0;
    long i = 0;
    for (; i + WIDTH <= n; i += WIDTH) lanes += load(x + i);
    for (; i < n; i++) rest += x[i];
    return (double)folded(lanes) + rest;
}

static double squares_of(const float *x, long n, float mean) {
    vector lanes = {0};
    float rest = 0;
    long i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        vector shifted = load(x + i) - mean;
        lanes += shifted * shifted;
    }
    for (; i < n; i++) rest += (x[i] - mean) * (x[i] - mean);
    return (double)folded(lanes) + rest;
}

/* Mean and biased variance of each channel: those of each run of values, while it lies in
   the nearest cache, put together by the law of total variance (Chan et al. 1983). */
void bnexp_moments(const float *z, long N, long C, long h, long w, int phases, float *mean,
                   float *var) {
    long parts = phases ? 4 : 1, run = phases ? h * w : 4 * h * w;
    for (long c = 0; c < C; c++) {
        double count = 0, center = 0, squares = 0;
        for (long n = 0; n < N; n++)
            for (long k = 0; k < parts; k++) {
                const float *x = z + start_of(phases, n, c, C, h, w) + k * C * h * w;
                float local = (float)(sum_of(x, run) / run);
                double from_local = squares_of(x, run, local), shift = local - center;
                squares += from_local + shift * shift * count * run / (count + run);
                center += shift * run / (count + run);
                count += run;
            }
        mean[c] = (float)center, var[c] = (float)(squares / count);
    }
}

/* out = pool(activation(a * z + b)), shape (N, C, h, w); a and b by channel. */
void bnexp_forward(const float *z, long N, long C, long h, long w, int phases, const float *a,
                   const float *b, int kind, int pool, float *out) {
    long size = h * w, apart = phases ? C * size : size;
    float scratch[MOST];
    for (long n = 0; n < N; n++)
        for (long c = 0; c < C; c++) {
            const float *from = z + start_of(phases, n, c, C, h, w);
            float *to = out + (n * C + c) * size;
            if (!phases) take_apart(from, h, w, scratch), from = scratch;
#define CALL(KIND, POOL)                                                             \
    pool_windows(from, from + apart, from + 2 * apart, from + 3 * apart, size, a[c], \
                 b[c], KIND, POOL, to)
            BY_KIND(CALL)
#undef CALL
        }
}

/* Add the sums of e and of e * (x - mean). */
static void add_sums(const float *restrict e, const float *restrict x, long n, float mean,
                     double *of_e, double *of_product) {
    vector l1 = {0}, l2 = {0};
    float r1 = 0, r2 = 0;
    long i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        vector v = load(e + i);
        l1 += v, l2 += v * (load(x + i) - mean);
    }
    for (; i < n; i++) r1 += e[i], r2 += e[i] * (x[i] - mean);
    *of_e += (double)folded(l1) + r1, *of_product += (double)folded(l2) + r2;
}

/* e = a * (e - k1 - (x - mean) * k2); return its sum. */
static double take_off(float *restrict e, const float *restrict x, long n, float mean, float a,
                       float k1, float k2) {
    for (long i = 0; i < n; i++) e[i] = a * (e[i] - k1 - (x[i] - mean) * k2);
    return sum_of(e, n);
}

/* The way back: d is the gradient with respect to z, of z's layout.

   With batch moments (normed = 1): xhat = (z - mean) * rstd, sums over all values of a
   channel. dgamma = sum(e * xhat), dbeta = sum(e), where e is the gradient with respect to
   a * z + b; then d = a * (e - dbeta / M - xhat * dgamma / M). dbias = sum(d). */
void bnexp_backward(const float *z, const float *g, long N, long C, long h, long w, int phases,
                    const float *a, const float *b, const float *mean, const float *rstd,
                    int kind, int pool, int normed, float *d, float *dgamma, float *dbeta,
                    float *dbias) {
    long size = h * w, apart = phases ? C * size : size;
    float scratch[MOST], scratch_d[MOST];
    long parts = phases ? 4 : 1, run = phases ? h * w : 4 * h * w;
    double count = (double)N * 4 * h * w;
    double s1[C], s2[C], s3[C];
    for (long c = 0; c < C; c++) s1[c] = s2[c] = s3[c] = 0;
    for (long n = 0; n < N; n++)
        for (long c = 0; c < C; c++) {
            long start = start_of(phases, n, c, C, h, w);
            const float *from = z + start, *back = g + (n * C + c) * size;
            float *to = phases ? d + start : scratch_d;
            if (!phases) take_apart(from, h, w, scratch), from = scratch;
#define CALL(KIND, POOL)                                                               \
    unpool_windows(from, from + apart, from + 2 * apart, from + 3 * apart, size, a[c], \
                   b[c], KIND, POOL, back, to, to + apart, to + 2 * apart, to + 3 * apart)
            BY_KIND(CALL)
#undef CALL
            for (long k = 0; k < 4; k++)
                add_sums(to + k * apart, from + k * apart, size, mean[c], &s1[c], &s2[c]);
            if (!phases) put_together(scratch_d, h, w, d + start);
        }
    for (long c = 0; c < C; c++) {
        s2[c] *= rstd[c];
        dbeta[c] = (float)s1[c], dgamma[c] = (float)s2[c], dbias[c] = (float)s1[c];
    }
    if (!normed) return;
    for (long n = 0; n < N; n++)
        for (long c = 0; c < C; c++) {
            float k1 = (float)(s1[c] / count), k2 = (float)(s2[c] / count) * rstd[c];
            for (long k = 0; k < parts; k++) {
                long start = start_of(phases, n, c, C, h, w) + k * C * size;
                s3[c] += take_off(d + start, z + start, run, mean[c], a[c], k1, k2);
            }
        }
    for (long c = 0; c < C; c++) dbias[c] = (float)s3[c];
}

/* What follows is there for floats and, for tests to the last digits, for doubles. */

/* x / 255 to the last bit: what rounding leaves of the product is added (for every byte: see
   the tests). A division would take as long as the first layer. */
static inline float unit_float(uint8_t byte) {
    float x = byte, q = x * (1 / 255.0f);
    return fmaf(fmaf(-q, 255, x), 1 / 255.0f, q);
}

static inline double unit_double(uint8_t byte) { return byte / 255.0; }

#ifdef BNEXP_DOUBLE /* for the tests: twice the code would take twice the time to compile */

#define REAL double
#define NAME(x) x##_double
#define EXP exp
#define LOG log
#define SQRT sqrt
#define UNIT unit_double
#include "layers.h"
#include "dense.h"
#include "images.h"
#include "network.h"

#else

#define REAL float
#define NAME(x) x##_float
#define EXP fast_exp
#define LOG logf
#define SQRT sqrtf
#define UNIT unit_float
#include "layers.h"
#include "dense.h"
#include "images.h"
#include "network.h"

/* Adam's update of R runs of n values each; size = lr / (1 - beta1^t), root = sqrt(1 - beta2^t). */
void bnexp_adam(float *p, const float *g, float *m, float *v, long R, long n, const float *size,
                const float *decay, float root, float beta1, float beta2, float epsilon) {
    for (long r = 0; r < R; r++)
        adam_float(p + r * n, g + r * n, m + r * n, v + r * n, n, size[r], decay[r], root, beta1,
                   beta2, epsilon);
}

/* Batch normalization of R dense layers, x of shape (R, N, C), each run by itself: what a run
   gets depends on nothing that stands beside it. `mean` and `var` are the batch's, biased. */
void bnexp_dense_norm(const float *x, long R, long N, long C, const float *gamma,
                      const float *beta, float epsilon, float *y, float *mean, float *var) {
    for (long r = 0; r < R; r++)
        norm_float(x + r * N * C, N, C, gamma + r * C, beta + r * C, epsilon, y + r * N * C,
                   mean + r * C, var + r * C);
}

/* The way back: g is the gradient with respect to y, d that with respect to x. */
void bnexp_dense_norm_back(const float *x, const float *g, long R, long N, long C,
                           const float *gamma, float epsilon, const float *mean,
                           const float *var, float *d, float *dgamma, float *dbeta) {
    for (long r = 0; r < R; r++)
        norm_back_float(x + r * N * C, g + r * N * C, N, C, gamma + r * C, epsilon,
                        mean + r * C, var + r * C, d + r * N * C, dgamma + r * C,
                        dbeta + r * C);
}

#endif
