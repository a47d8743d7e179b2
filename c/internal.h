/* internal.h: what the .c files share and no caller sees. */
#ifndef SV_INTERNAL_H
#define SV_INTERNAL_H

#include "sv.h"

#include <math.h>
#include <string.h>

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#define SV_SIMD 1
#else
#define SV_SIMD 0
#endif

/* Allocation goes through sv_alloc and sv_free alone (error.c), so that a
 * test can count and fail it. */
#ifndef SV_ALLOCATOR
#pragma GCC poison malloc calloc realloc free
#endif

static inline uint32_t load_u32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
         (uint32_t)p[3] << 24;
}

static inline void store_u32(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)v;
  p[1] = (uint8_t)(v >> 8);
  p[2] = (uint8_t)(v >> 16);
  p[3] = (uint8_t)(v >> 24);
}

static inline uint64_t pad16(uint64_t bytes) {
  return (bytes + 15) / 16 * 16;
}

/* sv_split puts a centroid beside another: `to` and `from` move apart by
 * 1/1024, up and down on alternating components (balance.c). */
void sv_split(float *from, float *to, uint32_t dim);

/* sv_balance splits lists of more than limit times the mean rows / k, in
 * place of lists that it spares, as long as there are both (balance.c). counts
 * becomes what is expected of the next pass, origins[j] that of the list which
 * j is put beside; used is scratch, k bytes. Returns how many centroids were
 * moved. */
uint32_t sv_balance(uint32_t *counts, uint8_t *used, uint32_t k, uint32_t dim,
                    double rows, double limit, float *centroids,
                    uint32_t *origins);

static inline uint32_t round_up(uint32_t n, uint32_t unit) {
  return (n + unit - 1) / unit * unit;
}

/* first_bits sets the lowest n <= 64 bits. */
static inline uint64_t first_bits(uint32_t n) {
  return n == 64 ? ~0ull : (1ull << n) - 1;
}

/* nearest_int rounds to nearest even; |x| < 2^21. */
#define ROUND 12582912.0f
static inline int32_t nearest_int(float x) {
  const float rounded = x + ROUND;
  int32_t bits;
  memcpy(&bits, &rounded, sizeof bits);
  return (int32_t)((uint32_t)bits << 10) >> 10;
}

/* ---- distance.c, scores.c --------------------------------------------- */

/* sv_dot returns x.y in f32. Relative to sum |x_i y_i| its error is at most
 * (dim / 4 + 8) * 2^-24. sv_dot_scalar is its definition: sixteen running
 * sums, s_i taking components i, i+16, ... of whole sixteens, folded to four
 * as (s_i + s_i+8) + (s_i+4 + s_i+12); these take the whole fours that are
 * left and are added as (s0+s2)+(s1+s3), then the tail in order. The two are
 * equal to the bit. */
float sv_dot(const float *x, const float *y, uint32_t dim);
float sv_dot_scalar(const float *x, const float *y, uint32_t dim);

/* sv_squared_l2 returns sum (x-y)^2 in f32, same order and error. */
float sv_squared_l2(const float *x, const float *y, uint32_t dim);
float sv_squared_l2_scalar(const float *x, const float *y, uint32_t dim);

/* sv_scores writes the score x.c - |c|^2/2 of one row against all k packed
 * rows (|x - c|^2 = |x|^2 - 2 score): one running f32 sum that begins at
 * -|c|^2/2 and takes the components in order. */
int32_t sv_scores(const float *row, uint32_t dim, const float *packed,
                  const float *half_norms, uint32_t k, float *scores);

/* ---- compare.c, for scan.c ---------------------------------------------- */

static inline int is_live(const struct sv_scan *scan, uint32_t row) {
  return scan->live == NULL || (scan->live[row >> 3] >> (row & 7) & 1);
}

/* limit_of returns what a lower bound may not be over. */
static inline float limit_of(const struct sv_topk *top) {
  return top->count < top->k ? INFINITY : (float)top->distances[0];
}

/* The test of rows in f32. Squared L2: a row whose sum is over base cannot
 * enter. Dots: one whose dot is under |x| slope + base cannot. */
struct bar {
  float slope, base;
};

void set_bar(const struct sv_scan *scan, struct bar *bar);

/* scan_vectors compares the live rows of a resident block. */
void scan_vectors(struct sv_scan *scan, const struct sv_block *block,
                  struct bar *bar);

/* compare_candidates compares those not over the limit by their vectors, once
 * each: those in the heap of upper bounds, or all. VECTORS where a block is
 * not resident. */
int32_t compare_candidates(struct sv_scan *scan, int all, struct bar *bar);

/* ---- lists.c, for scan.c ----------------------------------------------- */

/* gap_of returns (D_j - D_0) (j + 1)^0.75. */
double gap_of(const float *distances, uint32_t j);

/* Lists in the order of sv_rank_lists, one after another. `lists` is what is
 * known of them, sv_list_ranking_size bytes. */
struct lists;
struct ranking {
  struct lists *lists;
  const float *routed, *packed, *half_norms;
  uint32_t dim;
};

/* ranking_begin: origin is that of their codes, which follow it; or NULL. */
void ranking_begin(const struct ranking *ranking, const float *origin,
                   uint32_t k);

/* ranking_next returns the next of k lists, and its distance. */
uint32_t ranking_next(const struct ranking *ranking, float *distance);

/* ---- turn.c ------------------------------------------------------------ */

/* turn rotates a vector of 8 components or more, in place; turn_flips writes
 * the dim words it takes for that. */
void turn_flips(uint32_t dim, uint32_t *flips);
void turn(float *x, const uint32_t *flips, uint32_t dim);

/* ---- codes.c, estimate.c, signs.c, for scan.c -------------------------- */

/* Components that are coded together. */
#define CODE_GROUP 32u

static inline uint32_t padded_of(uint32_t dim) {
  return round_up(dim, CODE_GROUP);
}

/* Words of 16 bits that the last components take which make no whole group. */
static inline uint32_t tail_words(uint32_t dim) {
  return (dim % CODE_GROUP + 3) / 4;
}

/* Bytes of the code of a row. */
static inline uint32_t code_stride(uint32_t dim) {
  return dim / CODE_GROUP * 16 + tail_words(dim) * 2;
}

/* The first 16 bytes of a block of codes; see codes.c. */
struct code_head {
  float scale, square, reach, error;
};

/* The codes of the rows of a block, and what follows them. */
static inline const uint8_t *block_codes(const uint8_t *block, uint32_t dim) {
  return block + sizeof(struct code_head) + padded_of(dim);
}

static inline const float *block_steps(const uint8_t *block, uint32_t n,
                                       uint32_t dim) {
  return (const float *)(const void *)(block_codes(block, dim) +
                                       pad16((uint64_t)n * code_stride(dim)));
}

static inline const float *block_shifts(const uint8_t *block, uint32_t n,
                                        uint32_t dim) {
  return block_steps(block, n, dim) + round_up(n, 4);
}

/* A query as it meets codes about one origin, which is taken off it
 * under squared L2. sv_probe_size says how much memory it takes with its
 * components: f32, then i16 twice, in order and as the nibbles want them, and
 * with the tables of signs.c. */
struct probe {
  int32_t metric; /* -1 until it is prepared */
  uint32_t dim;
  float scale;    /* of the components */
  float total;    /* their sum, in integers */
  float square;   /* |y|^2 */
  float base;     /* 1 - y.origin for cosine, -y.origin for dots */
  float origin_norm;
  int32_t tabled;   /* whether there are tables: sums of the turned query */
  float table_step; /* unit of their entries */
  float table_base; /* the dot with signs all negative, plus that of all */
  float zero[2];
};

static inline float *probe_components(const struct probe *probe) {
  return (float *)(uintptr_t)(const void *)(probe + 1);
}

static inline int16_t *probe_plain(const struct probe *probe) {
  return (int16_t *)(void *)(probe_components(probe) + padded_of(probe->dim));
}

static inline int16_t *probe_placed(const struct probe *probe) {
  return probe_plain(probe) + padded_of(probe->dim);
}

static inline uint8_t *probe_tables(const struct probe *probe) {
  return (uint8_t *)(probe_placed(probe) + padded_of(probe->dim));
}

/* What estimates of the rows of one block are made of: with d = dot - half,
 * estimate = tilt shift + base - step factor d, within step weight + slack.
 * square is |y'|^2 of codes.c. */
struct code_terms {
  float base, tilt, factor, half, weight, slack, square;
  uint32_t groups, stride;
  const int16_t *query;
  const uint8_t *codes;
  const float *steps, *shifts;
};

void probe_prepare(struct probe *probe, int32_t metric, const float *query,
                   const float *origin, uint32_t dim);

/* probe_block: z is the bound in steps; see decision 1 of codes.c. */
void probe_block(const struct probe *probe, const uint8_t *block, uint32_t n,
                 float z, struct code_terms *terms);

/* codes_test estimates up to 64 rows of a block from `first` on, those that
 * `wanted` has a bit for, and returns a bit for each of them whose lower
 * bound is not over the limit. */
uint64_t codes_test(const struct code_terms *terms, uint32_t first,
                    uint64_t wanted, float limit, float *lowers,
                    float *estimates);

/* What signs say of the n rows of one block: the lower bound of a distance is
 * tilt shift + base - ratio (rise sum + offset). */
struct sign_terms {
  float base, tilt, rise, offset;
  uint32_t columns, n;
  const float *shifts;
  const uint8_t *ratios, *planes, *tables;
};

/* signs_visit says whether a block has signs: they are made when it is visited
 * for the second time, from its codes, about the origin. */
int signs_visit(int32_t metric, const float *origin, uint32_t dim, uint32_t n,
                const uint8_t *codes, uint8_t *signs, void *scratch);

/* signs_prepare makes them of what codes say of the block. */
void signs_prepare(struct probe *probe, const struct code_terms *codes,
                   const uint8_t *signs, uint32_t n,
                   struct sign_terms *terms);

/* signs_test returns a bit for each of n <= 64 rows from `first` on, a
 * multiple of 16, whose lower bound is not over the limit; others besides. */
uint64_t signs_test(const struct sign_terms *terms, uint32_t first,
                    uint32_t n, float limit);

#endif
