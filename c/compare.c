/*
 * compare.c: rows compared with a query by their vectors (scan.c).
 *
 * Decisions:
 *  1. Rows are tested four at a time in f32 and only those that may enter
 *     the k nearest are computed again in f64. The test allows for the
 *     rounding error of the f32 sum (Higham, "Accuracy and Stability",
 *     section 3.1), so it never drops a row that belongs: results are those
 *     of f64 throughout, at the price of f32.
 *  2. A row equal in distance to the k-th is computed too, since a lower row
 *     number wins; every test is strict.
 *  3. Of candidates those of the k least upper bounds come first: the k-th of
 *     their distances rules out most of the others, so that a cold query
 *     opens few.
 *  4. Kernels are small functions that are not inlined; see sieve.c.
 */
#include "sv.h"
#include "internal.h"

#include <math.h>

#define KERNEL __attribute__((noinline))

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

/* set_bar: with e = (dim/4 + 8) 2^-24 the relative error of a sum of
 * squares, and the error of a dot relative to |x||q|, the bar stands more
 * than 2 e away from the k-th distance; the other half of it pays for the
 * rounding of the bar itself and of |x|. tiny pays for what underflows: at
 * most 2^-150 a product, and 2^-150 |q| where |x| is subnormal. */
void set_bar(const struct sv_scan *scan, struct bar *bar) {
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

/* Up to four rows to be compared. */
struct four {
  const float *rows[4];
  float norms[4];
  uint32_t numbers[4], n;
};

/* compare looks at the rows gathered. Comparisons are written so that a NaN
 * passes on to the exact distance, where sv_topk_push refuses it. */
static void compare(struct sv_scan *scan, struct four *four,
                    struct bar *bar) {
  float sums[4];
  const uint32_t n = four->n;
  for (uint32_t i = n; i < 4; i++) four->rows[i] = four->rows[0];
  four->n = 0;
  if (n == 0) return;
  const int dots = scan->metric != SV_SQUARED_L2;
  if (dots)
    dots_4(scan->query, four->rows, scan->dim, sums);
  else
    squares_4(scan->query, four->rows, scan->dim, sums);
  for (uint32_t i = 0; i < n; i++) {
    if (dots ? sums[i] < four->norms[i] * bar->slope + bar->base
             : sums[i] > bar->base)
      continue;
    const double distance =
        sv_distance(scan->metric, scan->query, four->rows[i], scan->dim);
    if (sv_topk_push(&scan->top, distance, four->numbers[i]))
      set_bar(scan, bar);
  }
}

/* gather adds a row of a block, and compares when there are four. */
static inline void gather(struct sv_scan *scan, const struct sv_block *block,
                          uint32_t i, struct four *four, struct bar *bar) {
  four->rows[four->n] = block->vectors + (size_t)i * scan->dim;
  four->norms[four->n] = block->norms ? block->norms[i] : 0;
  four->numbers[four->n++] = block->first_row + i;
  if (four->n == 4) compare(scan, four, bar);
}

KERNEL void scan_vectors(struct sv_scan *scan, const struct sv_block *block,
                         struct bar *bar) {
  struct four four = {.n = 0};
  for (uint32_t i = 0; i < block->n_rows; i++) {
    if (!is_live(scan, block->first_row + i)) continue;
    scan->rows_scanned++;
    gather(scan, block, i, &four, bar);
  }
  compare(scan, &four, bar);
}

/* ---- candidates -------------------------------------------------------- */

/* Candidates in the order in which they are compared: those in the heap of
 * upper bounds, then all. `limit` is what their lower bounds may not be
 * over. */
struct wanted {
  const struct sv_topk *limits;
  const uint32_t *numbers; /* NULL: all, in order */
  uint32_t n;
};

static struct wanted wanted_of(const struct sv_scan *scan, int all) {
  return (struct wanted){all ? &scan->top : &scan->bounds,
                         all ? NULL : scan->bounds.rows,
                         all ? scan->n_candidates : scan->bounds.count};
}

/* candidate_at returns the i-th unless it has been compared, or need not be. */
static struct sv_candidate *candidate_at(const struct sv_scan *scan,
                                         const struct wanted *wanted,
                                         uint32_t i) {
  struct sv_candidate *one =
      scan->candidates + (wanted->numbers ? wanted->numbers[i] : i);
  if (one->place == SV_NO_ROW || one->lower > limit_of(wanted->limits))
    return NULL;
  return one;
}

int32_t compare_candidates(struct sv_scan *scan, int all, struct bar *bar) {
  struct four four = {.n = 0};
  const struct wanted wanted = wanted_of(scan, all);
  for (uint32_t i = 0; i < wanted.n; i++) {
    struct sv_candidate *one = candidate_at(scan, &wanted, i);
    if (one == NULL) continue;
    const struct sv_block *block = scan->blocks + one->place;
    if (block->vectors == NULL) {
      compare(scan, &four, bar);
      if (one->lower > limit_of(wanted.limits)) continue;
      scan->missing = one->place;
      return SV_SCAN_VECTORS;
    }
    one->place = SV_NO_ROW;
    gather(scan, block, one->row, &four, bar);
  }
  compare(scan, &four, bar);
  return 0;
}

static uint32_t missing_candidates(const struct sv_scan *scan, int all,
                                   uint32_t most, uint32_t *numbers) {
  const struct wanted wanted = wanted_of(scan, all);
  uint32_t n = 0;
  for (uint32_t i = 0; i < wanted.n && n < most; i++) {
    const struct sv_candidate *one = candidate_at(scan, &wanted, i);
    if (one && scan->blocks[one->place].vectors == NULL)
      numbers[n++] = (uint32_t)(one - scan->candidates);
  }
  return n;
}

int32_t sv_scan_candidates(const struct sv_scan *scan, uint32_t most,
                           uint32_t *numbers) {
  const uint32_t n = missing_candidates(scan, 0, most, numbers);
  return (int32_t)(n ? n : missing_candidates(scan, 1, most, numbers));
}

void sv_scan_compare(struct sv_scan *scan, uint32_t n, const uint32_t *numbers,
                     const float *rows) {
  struct four four = {.n = 0};
  struct bar bar;
  set_bar(scan, &bar);
  for (uint32_t i = 0; i < n; i++) {
    struct sv_candidate *one = scan->candidates + numbers[i];
    const float *row = rows + (size_t)i * scan->dim;
    if (one->place == SV_NO_ROW) continue;
    four.rows[four.n] = row;
    sv_norms(row, 1, scan->dim, four.norms + four.n);
    four.numbers[four.n++] = scan->blocks[one->place].first_row + one->row;
    one->place = SV_NO_ROW;
    if (four.n == 4) compare(scan, &four, &bar);
  }
  compare(scan, &four, &bar);
}
