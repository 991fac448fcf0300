/* What PyTorch's own kernels do slowly on a CPU, for one thread: whole networks (network.h), and
   Adam's update of many runs. Compiled at first use by bnexp/train/cpu/kernels.py, without
   fast-math: a loss that is not finite must stay so. Long sums are taken in WIDTH lanes, because a
   compiler may not reorder them, then in double precision. */

#include <float.h>
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

/* What made this library: it stands in a run's provenance. */
#ifdef __clang__
const char *compiled_by(void) { return __VERSION__; } /* it names itself */
#else
const char *compiled_by(void) { return "gcc " __VERSION__; }
#endif
int vector_bits(void) { return WIDTH * 8 * (int)sizeof(float); }

enum activation { IDENTITY = 0, SIGMOID = 1, RELU = 2, TANH = 3 };
enum pooling { MAX = 0, MEAN = 1, FIRST = 2 }; /* FIRST is what a stride of 2 leaves */
/* What a normalization divides by: nothing, sqrt(v + epsilon), sqrt(v) + epsilon, v + epsilon. */
enum divisor { NOTHING = 0, ROOT = 1, ROOT_PLUS_EPSILON = 2, VARIANCE = 3 };
enum drawn { TIMES = 0, PLUS = 1 };

/* n random words; see bnexp/philox.py, which tells the source and computes the same. */
void bnexp_words(int64_t key0, int64_t key1, int64_t step, int64_t stream, int64_t n,
                 int64_t *words) {
    enum { BLOCKS = 16 };
    for (int64_t first = 0; first < n; first += 4 * BLOCKS) {
        uint32_t c[4][BLOCKS], k0 = (uint32_t)key0, k1 = (uint32_t)key1;
        for (int i = 0; i < BLOCKS; i++) {
            c[0][i] = (uint32_t)(first / 4 + i);
            c[1][i] = (uint32_t)stream;
            c[2][i] = (uint32_t)step;
            c[3][i] = (uint32_t)(step >> 32);
        }
        for (int round = 0; round < 10; round++) {
            for (int i = 0; i < BLOCKS; i++) {
                uint64_t one = 0xD2511F53ull * c[0][i], other = 0xCD9E8D57ull * c[2][i];
                c[0][i] = (uint32_t)(other >> 32) ^ c[1][i] ^ k0;
                c[1][i] = (uint32_t)other;
                c[2][i] = (uint32_t)(one >> 32) ^ c[3][i] ^ k1;
                c[3][i] = (uint32_t)one;
            }
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        int64_t count = n - first < 4 * BLOCKS ? n - first : 4 * BLOCKS;
        for (int64_t i = 0; i < count; i++) words[first + i] = c[i % 4][i / 4];
    }
}

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
#define TINY DBL_MIN
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
#define TINY FLT_MIN
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

#endif
