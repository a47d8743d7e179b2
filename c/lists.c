/*
 * lists.c: ranking lists, scanning them, and measuring recall.
 *
 * Inverted lists searched nearest first (Sivic and Zisserman 2003; Jegou et
 * al. 2011), with a stop rule per query in place of a fixed number of
 * probes, and exact answers over the rows visited.
 *
 * Decisions:
 *  1. Rows are tested four at a time in f32 and only those that may enter
 *     the k nearest are computed again in f64. The test allows for the
 *     rounding error of the f32 sum (Higham, "Accuracy and Stability",
 *     section 3.1), so it never drops a row that belongs: results are those
 *     of f64 throughout, at the price of f32.
 *  2. A row equal in distance to the k-th is computed too, since a lower row
 *     number wins; the test is strict.
 *  3. Ranking is a radix sort of the bits of the distances, which order like
 *     unsigned integers because none is negative. It is stable, so ties go
 *     to the lower list, and it is O(k).
 *  4. The live test is made only where a bitmap is given; four live rows are
 *     gathered first, so that filters do not slow the arithmetic down.
 *  5. Kernels are small functions that are not inlined; see assign.c.
 */
#include "sv.h"
#include "internal.h"

#include <math.h>
#include <string.h>

#define KERNEL __attribute__((noinline))
#define RADIX 256u
#define ROW_BLOCK 32u

/* ---- ranking ----------------------------------------------------------- */

size_t sv_rank_scratch_size(uint32_t k) {
  return RADIX * 4 * sizeof(uint32_t) + (size_t)k * 3 * sizeof(uint32_t);
}

/* radix_pass moves n (key, value) pairs in the order of one byte of the key.
 * counts holds how many keys have each value of it. */
static KERNEL void radix_pass(const uint32_t *keys, const uint32_t *values,
                              uint32_t n, uint32_t shift, uint32_t *counts,
                              uint32_t *keys_out, uint32_t *values_out) {
  uint32_t at = 0;
  for (uint32_t b = 0; b < RADIX; b++) {
    const uint32_t count = counts[b];
    counts[b] = at;
    at += count;
  }
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t to = counts[keys[i] >> shift & 0xff]++;
    keys_out[to] = keys[i];
    values_out[to] = values[i];
  }
}

/* score_to_key returns the bits of the squared distance of a score, at
 * least 0; a NaN ranks last. */
static uint32_t score_to_key(double square, float score) {
  const double d = square - 2 * (double)score;
  const float distance = d > 0 ? (float)d : d <= 0 ? 0 : INFINITY;
  uint32_t key;
  memcpy(&key, &distance, sizeof key);
  return key;
}

/* make_keys also counts every byte of every key, for all four passes. */
static KERNEL void make_keys(const float *scores, double square, uint32_t k,
                             uint32_t *keys, uint32_t *order,
                             uint32_t *counts) {
  memset(counts, 0, RADIX * 4 * sizeof *counts);
  for (uint32_t j = 0; j < k; j++) {
    const uint32_t key = score_to_key(square, scores[j]);
    keys[j] = key;
    order[j] = j;
    counts[key & 0xff]++;
    counts[RADIX + (key >> 8 & 0xff)]++;
    counts[RADIX * 2 + (key >> 16 & 0xff)]++;
    counts[RADIX * 3 + (key >> 24)]++;
  }
}

int32_t sv_rank_lists(const float *routed, uint32_t dim, const float *packed,
                      const float *half_norms, uint32_t k, uint32_t *order,
                      float *distances, void *scratch) {
  uint32_t *counts = scratch;
  uint32_t *keys = counts + (size_t)RADIX * 4;
  uint32_t *other_keys = keys + k, *other_order = other_keys + k;
  const double square = -sv_distance(SV_INNER_PRODUCT, routed, routed, dim);
  sv_scores(routed, dim, packed, half_norms, k, distances);
  make_keys(distances, square, k, keys, order, counts);
  radix_pass(keys, order, k, 0, counts, other_keys, other_order);
  radix_pass(other_keys, other_order, k, 8, counts + RADIX, keys, order);
  radix_pass(keys, order, k, 16, counts + (size_t)RADIX * 2, other_keys,
             other_order);
  radix_pass(other_keys, other_order, k, 24, counts + (size_t)RADIX * 3,
             keys, order);
  memcpy(distances, keys, k * sizeof *keys);
  return 0;
}

/* ---- scanning ---------------------------------------------------------- */

#if SV_SIMD

/* store_sums_f32x4 writes the four sums, each as (s0 + s2) + (s1 + s3). */
static inline void store_sums_f32x4(v128_t a, v128_t b, v128_t c, v128_t d,
                                    float out[4]) {
  const v128_t ab = wasm_f32x4_add(wasm_i32x4_shuffle(a, b, 0, 1, 4, 5),
                                   wasm_i32x4_shuffle(a, b, 2, 3, 6, 7));
  const v128_t cd = wasm_f32x4_add(wasm_i32x4_shuffle(c, d, 0, 1, 4, 5),
                                   wasm_i32x4_shuffle(c, d, 2, 3, 6, 7));
  wasm_v128_store(out,
                  wasm_f32x4_add(wasm_i32x4_shuffle(ab, cd, 0, 2, 4, 6),
                                 wasm_i32x4_shuffle(ab, cd, 1, 3, 5, 7)));
}

/* dots_4 writes the dot of the query with each of four rows, to the error of
 * sv_dot; four rows hide the wait for each addition that one would have. */
static KERNEL void dots_4(const float *query, const float *const rows[4],
                          uint32_t dim, float out[4]) {
  const float *x0 = rows[0], *x1 = rows[1], *x2 = rows[2], *x3 = rows[3];
  v128_t s0 = wasm_f32x4_const_splat(0), s1 = s0, s2 = s0, s3 = s0;
  for (const float *end = query + (dim & ~3u); query < end;
       query += 4, x0 += 4, x1 += 4, x2 += 4, x3 += 4) {
    const v128_t q = wasm_v128_load(query);
    s0 = wasm_f32x4_add(s0, wasm_f32x4_mul(q, wasm_v128_load(x0)));
    s1 = wasm_f32x4_add(s1, wasm_f32x4_mul(q, wasm_v128_load(x1)));
    s2 = wasm_f32x4_add(s2, wasm_f32x4_mul(q, wasm_v128_load(x2)));
    s3 = wasm_f32x4_add(s3, wasm_f32x4_mul(q, wasm_v128_load(x3)));
  }
  store_sums_f32x4(s0, s1, s2, s3, out);
  for (uint32_t t = 0; t < (dim & 3u); t++) {
    out[0] += query[t] * x0[t];
    out[1] += query[t] * x1[t];
    out[2] += query[t] * x2[t];
    out[3] += query[t] * x3[t];
  }
}

static inline v128_t square_step(v128_t s, v128_t q, const float *x) {
  const v128_t d = wasm_f32x4_sub(q, wasm_v128_load(x));
  return wasm_f32x4_add(s, wasm_f32x4_mul(d, d));
}

/* squares_4 writes the squared distance of the query to each of four rows, to
 * the error of sv_squared_l2. */
static KERNEL void squares_4(const float *query, const float *const rows[4],
                             uint32_t dim, float out[4]) {
  const float *x0 = rows[0], *x1 = rows[1], *x2 = rows[2], *x3 = rows[3];
  v128_t s0 = wasm_f32x4_const_splat(0), s1 = s0, s2 = s0, s3 = s0;
  for (const float *end = query + (dim & ~3u); query < end;
       query += 4, x0 += 4, x1 += 4, x2 += 4, x3 += 4) {
    const v128_t q = wasm_v128_load(query);
    s0 = square_step(s0, q, x0);
    s1 = square_step(s1, q, x1);
    s2 = square_step(s2, q, x2);
    s3 = square_step(s3, q, x3);
  }
  store_sums_f32x4(s0, s1, s2, s3, out);
  for (uint32_t t = 0; t < (dim & 3u); t++) {
    out[0] += (query[t] - x0[t]) * (query[t] - x0[t]);
    out[1] += (query[t] - x1[t]) * (query[t] - x1[t]);
    out[2] += (query[t] - x2[t]) * (query[t] - x2[t]);
    out[3] += (query[t] - x3[t]) * (query[t] - x3[t]);
  }
}

#else

static void dots_4(const float *query, const float *const rows[4],
                   uint32_t dim, float out[4]) {
  for (uint32_t i = 0; i < 4; i++) out[i] = sv_dot_scalar(query, rows[i], dim);
}

static void squares_4(const float *query, const float *const rows[4],
                      uint32_t dim, float out[4]) {
  for (uint32_t i = 0; i < 4; i++)
    out[i] = sv_squared_l2_scalar(query, rows[i], dim);
}

#endif

/* The test of rows in f32. Squared L2: a row whose sum is over base cannot
 * enter. Dots: one whose dot is under |x| slope + base cannot. */
struct bar {
  float slope, base;
};

/* set_bar: with e = (dim/4 + 8) 2^-24 the relative error of a sum of
 * squares, and the error of a dot relative to |x||q|, the bar stands more
 * than 2 e away from the k-th distance; the other half of it pays for the
 * rounding of the bar itself and of |x|. tiny pays for what underflows: at
 * most 2^-150 a product, and 2^-150 |q| where |x| is subnormal. */
static void set_bar(const struct sv_scan *scan, struct bar *bar) {
  const double error = ((double)scan->dim / 4 + 16) * 0x1p-23;
  const double q = scan->query_norm;
  const double tiny = ((double)scan->dim + q + 8) * 0x1p-148;
  const int full = scan->top.count == scan->top.k;
  const double kth = scan->top.distances[0];
  bar->slope = 0;
  if (scan->metric == SV_COSINE) {
    if (full) bar->slope = (float)(q * (1 - kth - error)) - 0x1p-148f;
    bar->base = full ? (float)-tiny : -INFINITY;
  } else if (scan->metric == SV_INNER_PRODUCT) {
    if (full) bar->slope = (float)(q * -error) - 0x1p-148f;
    bar->base = full ? (float)(-kth - tiny) : -INFINITY;
  } else {
    bar->base = full ? (float)(kth * (1 + error) + tiny) : INFINITY;
  }
}

/* scan_rows looks at m <= 4 rows of a block. Comparisons are written so that
 * a NaN passes on to the exact distance, where sv_topk_push refuses it. */
static void scan_rows(struct sv_scan *scan, const struct sv_block *block,
                      const uint32_t picks[4], uint32_t m, struct bar *bar) {
  const float *rows[4];
  float sums[4];
  for (uint32_t i = 0; i < 4; i++)
    rows[i] = block->vectors + (size_t)picks[i < m ? i : 0] * scan->dim;
  const int dots = scan->metric != SV_SQUARED_L2;
  if (dots)
    dots_4(scan->query, rows, scan->dim, sums);
  else
    squares_4(scan->query, rows, scan->dim, sums);
  for (uint32_t i = 0; i < m; i++) {
    if (dots ? sums[i] < block->norms[picks[i]] * bar->slope + bar->base
             : sums[i] > bar->base)
      continue;
    const double distance =
        sv_distance(scan->metric, scan->query, rows[i], scan->dim);
    if (sv_topk_push(&scan->top, distance, block->first_row + picks[i]))
      set_bar(scan, bar);
  }
  scan->rows_scanned += m;
}

static KERNEL void scan_all(struct sv_scan *scan,
                            const struct sv_block *block, struct bar *bar) {
  for (uint32_t i = 0; i < block->n_rows; i += 4) {
    const uint32_t left = block->n_rows - i;
    const uint32_t picks[4] = {i, i + 1, i + 2, i + 3};
    scan_rows(scan, block, picks, left < 4 ? left : 4, bar);
  }
}

static KERNEL void scan_live(struct sv_scan *scan,
                             const struct sv_block *block, struct bar *bar) {
  uint32_t picks[4], m = 0;
  for (uint32_t i = 0; i < block->n_rows; i++) {
    const uint32_t row = block->first_row + i;
    if (!(scan->live[row >> 3] >> (row & 7) & 1)) continue;
    picks[m++] = i;
    if (m < 4) continue;
    scan_rows(scan, block, picks, 4, bar);
    m = 0;
  }
  if (m > 0) scan_rows(scan, block, picks, m, bar);
}

/* any_live says whether a block has a row to look at, so that one whose rows
 * are all dead or filtered out is not asked for. */
static int any_live(const struct sv_scan *scan, const struct sv_block *block) {
  if (scan->live == NULL) return 1;
  for (uint32_t i = 0; i < block->n_rows; i++) {
    const uint32_t row = block->first_row + i;
    if (scan->live[row >> 3] >> (row & 7) & 1) return 1;
  }
  return 0;
}

/* scan_group scans what is left of one group; 1 when a block is missing. */
static int32_t scan_group(struct sv_scan *scan, uint32_t group,
                          struct bar *bar) {
  const uint32_t start = scan->list_starts[group];
  const uint32_t n = scan->list_starts[group + 1] - start;
  for (; scan->block < n; scan->block++) {
    const struct sv_block *block = scan->blocks + start + scan->block;
    if (block->n_rows == 0 || !any_live(scan, block)) continue;
    if (block->vectors == NULL) {
      scan->missing = start + scan->block;
      return 1;
    }
    if (scan->live)
      scan_live(scan, block, bar);
    else
      scan_all(scan, block, bar);
  }
  scan->block = 0;
  return 0;
}

/* gap_of returns (D_j - D_0) (j + 1)^0.75, the power by two square roots,
 * which round alike everywhere. */
static double gap_of(const float *distances, uint32_t j) {
  const double root = sqrt((double)j + 1);
  return ((double)distances[j] - (double)distances[0]) * root * sqrt(root);
}

int32_t sv_list_gaps(const uint32_t *order, const float *distances, uint32_t k,
                     double *gaps) {
  for (uint32_t j = 0; j < k; j++) gaps[order[j]] = gap_of(distances, j);
  return 0;
}

/* finished says whether the next list need not be visited. Written so that
 * infinity minus infinity goes on. */
static int finished(const struct sv_scan *scan) {
  const uint32_t list = scan->position - 1;
  if (list >= scan->n_lists) return 1;
  if (scan->block > 0 || scan->top.count < scan->top.k) return 0;
  if (list >= scan->n_probes) return 1;
  if (list < scan->min_probes || isinf(scan->stop_ratio)) return 0;
  const double square =
      scan->scale * scan->top.distances[0] + scan->offset;
  return gap_of(scan->order_distances, list) >
         (double)scan->stop_ratio * square;
}

int32_t sv_scan_run(struct sv_scan *scan) {
  if (scan->top.k == 0) return 0;
  struct bar bar;
  set_bar(scan, &bar);
  while (scan->position == 0 || !finished(scan)) {
    const uint32_t group = scan->position == 0
                               ? scan->n_lists
                               : scan->order[scan->position - 1];
    if (scan_group(scan, group, &bar)) return 1;
    scan->position++;
  }
  return 0;
}
