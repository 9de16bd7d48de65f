/* What takes the time, for a C compiler: the pass over a block of rows, the joint counts of two categories, and the steps of
 * mini-batch descent between two records. Plain C99 without Python's headers, called through ctypes, which lets go of Python's
 * lock meanwhile; one library serves every version of Python. gradline/maths/kernels/__init__.py says how it is built and loaded.
 * Where it is not there, NumPy does the same (maths/block.py, training/loop.py), to the last digits but not to the bit.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A copy of each function for each generation of processor, chosen when the library is loaded. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif
#define INLINE static inline __attribute__((always_inline))

enum {
    ROWS = 128,  /* of a tile: fixed, since the bits of a block must not depend on how it is cut */
    WIDTH = 12,  /* columns of a panel, three vectors: twelve sums of four fit the registers of AVX2 */
    TILES = 8,   /* after which the sums of few levels are added up: one long running sum would lose digits */
    FEW = 4096,  /* sums by level that count as few */
    AHEAD = 16,  /* rows of a batch that are asked for before they are needed */
    LINE = 64    /* bytes of the cache's */
};

typedef double vector __attribute__((vector_size(32), aligned(8), may_alias));

/* out (4, 4 count) += a' b of some rows of two panels, from four columns of a and `count` vectors of b on. */
INLINE void multiply(const double *a, const double *b, int64_t rows, double *out, int64_t pitch, const int count) {
    vector sum[4][3] = {{{0}}};
    for (int64_t r = 0; r < rows; r++, a += WIDTH, b += WIDTH) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            const vector x = {a[i], a[i], a[i], a[i]};
#pragma GCC unroll 3
            for (int j = 0; j < count; j++) sum[i][j] += x * *(const vector *)(b + 4 * j);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
#pragma GCC unroll 3
        for (int j = 0; j < count; j++) *(vector *)(out + i * pitch + 4 * j) += sum[i][j];
}

/* gram (used, used) += a' b of some rows of two tiles, above the diagonal, by vectors. */
INLINE void multiply_tiles(const double *a, const double *b, int64_t rows, double *gram, int64_t pitch, int64_t used) {
    for (int64_t right = 0; right < used; right += WIDTH) {
        const int64_t end = right + WIDTH < used ? right + WIDTH : used;
        for (int64_t left = 0; left < end; left += 4) {
            const int64_t from = left < right ? right : left;
            const double *x = a + left / WIDTH * WIDTH * ROWS + left % WIDTH, *z = b + right * ROWS + from % WIDTH;
            double *out = gram + left * pitch + from;
            if (end - from > 8) multiply(x, z, rows, out, pitch, 3);
            else if (end - from > 4) multiply(x, z, rows, out, pitch, 2);
            else multiply(x, z, rows, out, pitch, 1);
        }
    }
}

/* A row of k values, less the shift, into its place in each panel of a tile; true where one of them is missing. */
#define PACK(NAME, TYPE)                                                                                          \
    INLINE int64_t NAME(const TYPE *restrict x, int64_t k, const double *restrict shift, double *restrict z,      \
                        double *restrict least, double *restrict greatest) {                                      \
        int64_t missing = 0;                                                                                      \
        for (int64_t c = 0; c < k; c += WIDTH, z += ROWS * WIDTH) {                                               \
            if (k - c >= WIDTH) PACKED(WIDTH)                                                                     \
            else PACKED(k - c)                                                                                    \
        }                                                                                                         \
        return missing;                                                                                           \
    }
#define PACKED(COUNT)                                                                                             \
    for (int64_t i = 0; i < (COUNT); i++) {                                                                       \
        const double v = x[c + i];                                                                                \
        missing |= v != v;                                                                                        \
        z[i] = v - shift[c + i];                                                                                  \
        least[c + i] = v < least[c + i] ? v : least[c + i];                                                       \
        greatest[c + i] = v > greatest[c + i] ? v : greatest[c + i];                                              \
    }
PACK(pack_float, float)
PACK(pack_double, double)

/* The same of one column of some rows. */
INLINE int64_t pack_column(const double *restrict x, const int64_t *restrict at, int64_t first, int64_t rows, double shift,
                           double *restrict z, double *restrict least, double *restrict greatest) {
    int64_t missing = 0;
    double low = *least, high = *greatest;
    for (int64_t r = 0; r < rows; r++) {
        const double v = x[at ? at[first + r] : first + r];
        missing |= v != v;
        z[r * WIDTH] = v - shift;
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    *least = low;
    *greatest = high;
    return missing;
}

/* Categories of the rows: codes (rows,) of each, levels of each; rows past the last level count nowhere. */
struct categories {
    int64_t count;
    const int64_t *const *codes;
    const int64_t *levels;
    double *const *sums;    /* (levels, pitch) each */
    double *const *partial; /* the same, zeros, of those with few sums; NULL of the others */
};

INLINE void add_partial(const struct categories *c, int64_t pitch) {
    for (int64_t i = 0; i < c->count; i++) {
        if (!c->partial[i]) continue;
        for (int64_t j = 0; j < c->levels[i] * pitch; j++) c->sums[i][j] += c->partial[i][j];
        memset(c->partial[i], 0, c->levels[i] * pitch * sizeof(double));
    }
}

/* Over the rows `at` (all where it is NULL), with z = x - shift and a one after the q = k + beside numbers:
 * gram (pitch, pitch) += Σ w z z', above the diagonal;  sums += Σ w z by level;  least, greatest (q,) of x.
 * The first k numbers lie row by row in `matrix` (of float where `single`), the others in a column each.
 * weight (rows,), by the order of `at`; NULL for ones.  tile: 2 * ROWS * pitch, on a border of 32 bytes.
 * pitch: q + 1, rounded up to panels.  Returns 1, with nothing of use, where a number is missing.
 */
FOR_EACH_PROCESSOR
int64_t gradline_tally(int64_t rows, const int64_t *at, const void *matrix, int64_t row_pitch, int64_t single, int64_t k,
                       const double *const *columns, int64_t beside, const double *weight, const double *shift, int64_t pitch,
                       double *gram, double *least, double *greatest, const struct categories *categories, double *tile) {
    const int64_t q = k + beside, panel = ROWS * WIDTH;
    double *const z = tile, *const heavy = weight ? tile + ROWS * pitch : tile;
    memset(z, 0, ROWS * pitch * sizeof(double));
    for (int64_t r = 0; r < ROWS; r++) z[q / WIDTH * panel + r * WIDTH + q % WIDTH] = 1.0;
    for (int64_t first = 0; first < rows; first += ROWS) {
        const int64_t height = rows - first < ROWS ? rows - first : ROWS;
        int64_t missing = 0;
        for (int64_t r = 0; k && r < height; r++) {
            const int64_t from = (at ? at[first + r] : first + r) * row_pitch;
            if (single) missing |= pack_float((const float *)matrix + from, k, shift, z + r * WIDTH, least, greatest);
            else missing |= pack_double((const double *)matrix + from, k, shift, z + r * WIDTH, least, greatest);
        }
        for (int64_t c = k; c < q; c++)
            missing |= pack_column(columns[c - k], at, first, height, shift[c], z + c / WIDTH * panel + c % WIDTH, least + c,
                                   greatest + c);
        if (missing) return 1;
        for (int64_t c = 0; weight && c < pitch; c += WIDTH)
            for (int64_t r = 0; r < height; r++)
                for (int64_t i = 0; i < WIDTH; i++)
                    heavy[c * ROWS + r * WIDTH + i] = z[c * ROWS + r * WIDTH + i] * weight[first + r];
        multiply_tiles(heavy, z, height, gram, pitch, q + 1);
        for (int64_t i = 0; i < categories->count; i++) {
            const int64_t *codes = categories->codes[i] + first;
            double *sums = categories->partial[i] ? categories->partial[i] : categories->sums[i];
            for (int64_t r = 0; r < height; r++) {
                if (codes[r] >= categories->levels[i]) continue;
                for (int64_t c = 0; c < pitch; c += WIDTH)
                    for (int64_t j = 0; j < WIDTH; j++) sums[codes[r] * pitch + c + j] += heavy[c * ROWS + r * WIDTH + j];
            }
        }
        if (first / ROWS % TILES == TILES - 1) add_partial(categories, pitch);
    }
    add_partial(categories, pitch);
    return 0;
}

/* joint (levels of a, levels of b) += the weight of the rows of each pair. */
void gradline_joint(int64_t rows, const int64_t *a, const int64_t *b, int64_t levels_a, int64_t levels_b, const double *weight,
                    double *joint) {
    for (int64_t r = 0; r < rows; r++)
        if (a[r] < levels_a && b[r] < levels_b) joint[a[r] * levels_b + b[r]] += weight ? weight[r] : 1.0;
}

/* gradient (k,) += Σ w (x·v - y) x of `count` rows of X from `row` on: four at a time, a function of each count. */
#define ADD_ROWS(NAME, COUNT)                                                                                     \
    INLINE void NAME(const double *restrict X, int64_t k, const double *restrict y, const double *restrict weight,  \
                     int64_t row, const double *restrict v, double *restrict gradient) {                          \
        const double *restrict x = X + row * k;                                                                   \
        double slope[COUNT];                                                                                      \
        vector sum[COUNT] = {{0}};                                                                                \
        int64_t j = 0;                                                                                            \
        for (; j + 4 <= k; j += 4)                                                                                \
            for (int i = 0; i < COUNT; i++) sum[i] += *(const vector *)(x + i * k + j) * *(const vector *)(v + j); \
        for (int i = 0; i < COUNT; i++) slope[i] = (sum[i][0] + sum[i][1]) + (sum[i][2] + sum[i][3]) - y[row + i]; \
        for (; j < k; j++)                                                                                        \
            for (int i = 0; i < COUNT; i++) slope[i] += x[i * k + j] * v[j];                                      \
        for (int i = 0; weight && i < COUNT; i++) slope[i] *= weight[row + i];                                    \
        for (j = 0; j < k; j++) {                                                                                 \
            double total = 0.0;                                                                                   \
            for (int i = 0; i < COUNT; i++) total += slope[i] * x[i * k + j];                                     \
            gradient[j] += total;                                                                                 \
        }                                                                                                         \
    }
ADD_ROWS(add_row, 1)
ADD_ROWS(add_rows, 4)

INLINE void add_range(const double *X, int64_t k, const double *y, const double *weight, int64_t first, int64_t last,
                      const double *v, double *gradient) {
    for (; first + 4 <= last; first += 4) {
        const char *ahead = (const char *)(X + (first + AHEAD) * k);
        for (int64_t line = 0; first + AHEAD + 4 <= last && line < 4 * k * (int64_t)sizeof(double); line += LINE)
            __builtin_prefetch(ahead + line);
        add_rows(X, k, y, weight, first, v, gradient);
    }
    for (; first < last; first++) add_row(X, k, y, weight, first, v, gradient);
}

/* Steps of descent on batches of the rows X (rows, k), whose last column may be ones, of squared error:
 *   g = (Σ w (x·v - y) x) / (size · mean_weight) + l2 v (of the first p);   v <- v - rate g;   average <- average + share (v - average)
 * The batch of step t is `sizes[t]` rows from `firsts[t]` on, around the end.  weight (rows,) or NULL.  iterate, average (k,):
 * v and its average; shares (steps,) or NULL for no average.  before (k,): the average, or v, before the last step.
 * gradient: (k,) of room.
 */
FOR_EACH_PROCESSOR
void gradline_descend(int64_t rows, int64_t k, const double *X, const double *y, const double *weight, int64_t steps,
                      const int64_t *firsts, const int64_t *sizes, const double *rates, const double *shares, double mean_weight,
                      double l2, int64_t p, double *restrict iterate, double *restrict average, double *restrict before,
                      double *restrict gradient) {
    for (int64_t t = 0; t < steps; t++) {
        if (t == steps - 1) memcpy(before, shares ? average : iterate, k * sizeof(double));
        memset(gradient, 0, k * sizeof(double));
        const int64_t last = firsts[t] + sizes[t];
        add_range(X, k, y, weight, firsts[t], last < rows ? last : rows, iterate, gradient);
        add_range(X, k, y, weight, 0, last - rows, iterate, gradient);
        for (int64_t j = 0; j < k; j++) {
            gradient[j] = gradient[j] / (sizes[t] * mean_weight) + (j < p ? l2 * iterate[j] : 0.0);
            iterate[j] -= rates[t] * gradient[j];
            if (shares) average[j] += shares[t] * (iterate[j] - average[j]);
        }
    }
}
