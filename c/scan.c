/*
 * scan.c: the k nearest rows of the lists that a query visits.
 *
 * Where rows have codes, these are scanned first (codes.c): every row gets a
 * lower and an upper bound of its distance, and only rows whose lower bound is
 * not over the k-th least upper bound are compared by their vectors in the
 * end. Other rows are compared at once.
 *
 * Decisions:
 *  1. Rows are tested four at a time in f32 and only those that may enter
 *     the k nearest are computed again in f64. The test allows for the
 *     rounding error of the f32 sum (Higham, "Accuracy and Stability",
 *     section 3.1), so it never drops a row that belongs: results are those
 *     of f64 throughout, at the price of f32.
 *  2. A row equal in distance to the k-th is computed too, since a lower row
 *     number wins; every test is strict.
 *  3. Vectors are looked at after all lists, those of the k least upper bounds
 *     first: the k-th of their distances rules out most of the others, so
 *     that a cold query opens few.
 *  4. The live test is made only where a bitmap is given; four live rows are
 *     gathered first, so that filters do not slow the arithmetic down.
 *  5. Kernels are small functions that are not inlined; see sieve.c.
 */
#include "sv.h"
#include "internal.h"

#include <math.h>
#include <string.h>

#define KERNEL __attribute__((noinline))
#define RUN 64u
#define FEW 4u /* rows whose codes are looked at without their signs */
#define LISTS_AHEAD 4u

/* ---- by vectors -------------------------------------------------------- */

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

/* gather adds a row, and compares when there are four. */
static inline void gather(struct sv_scan *scan, const struct sv_block *block,
                          uint32_t i, struct four *four, struct bar *bar) {
  four->rows[four->n] = block->vectors + (size_t)i * scan->dim;
  four->norms[four->n] = block->norms ? block->norms[i] : 0;
  four->numbers[four->n++] = block->first_row + i;
  if (four->n == 4) compare(scan, four, bar);
}

static int is_live(const struct sv_scan *scan, uint32_t row) {
  return scan->live == NULL || (scan->live[row >> 3] >> (row & 7) & 1);
}

static KERNEL void scan_vectors(struct sv_scan *scan,
                                const struct sv_block *block,
                                struct bar *bar) {
  struct four four = {.n = 0};
  for (uint32_t i = 0; i < block->n_rows; i++) {
    if (!is_live(scan, block->first_row + i)) continue;
    scan->rows_scanned++;
    gather(scan, block, i, &four, bar);
  }
  compare(scan, &four, bar);
}

/* ---- by codes ---------------------------------------------------------- */

/* live_bits returns a bit for each of n <= 64 rows that may be returned. */
static uint64_t live_bits(const struct sv_scan *scan, uint32_t row,
                          uint32_t n) {
  const uint64_t all = first_bits(n);
  if (scan->live == NULL) return all;
  const uint32_t shift = row & 7, bytes = (shift + n + 7) / 8;
  const uint8_t *p = scan->live + (row >> 3);
  uint64_t bits = 0;
  if (bytes <= 8 && (row >> 3) + bytes >= 8) {
    memcpy(&bits, p + bytes - 8, 8);
    bits >>= 8 * (8 - bytes);
  } else {
    for (uint32_t i = 0; i < bytes && i < 8; i++)
      bits |= (uint64_t)p[i] << 8 * i;
  }
  bits >>= shift;
  if (bytes > 8) bits |= (uint64_t)p[8] << (64 - shift);
  return bits & all;
}

/* any_live says whether a block has a row to look at, so that one whose rows
 * are all dead or filtered out is not asked for. */
static int any_live(const struct sv_scan *scan, const struct sv_block *block) {
  if (scan->live == NULL) return block->n_rows > 0;
  for (uint32_t i = 0; i < block->n_rows; i += RUN) {
    const uint32_t left = block->n_rows - i;
    if (live_bits(scan, block->first_row + i, left < RUN ? left : RUN))
      return 1;
  }
  return 0;
}

static struct probe *probe_of(const struct sv_scan *scan, uint32_t origin) {
  uint8_t *at = scan->probes;
  at += origin * sv_probe_size(scan->dim);
  return (struct probe *)(void *)at;
}

/* keep notes a row that may be among the nearest. */
static void keep(struct sv_scan *scan, uint32_t place, uint32_t row,
                 float lower, float estimate) {
  const uint32_t at = scan->n_candidates++;
  scan->candidates[at] = (struct sv_candidate){lower, estimate, place, row};
  sv_topk_push(&scan->bounds, (double)estimate + ((double)estimate - lower),
               at);
}

/* limit_of returns what a lower bound may not be over. */
static float limit_of(const struct sv_topk *top) {
  return top->count < top->k ? INFINITY : (float)top->distances[0];
}

/* scan_codes looks at what is left of a block; NO_ROOM when the candidates
 * may not hold it. */
static int32_t scan_codes(struct sv_scan *scan, uint32_t place,
                          const struct sv_block *block) {
  struct code_terms terms;
  struct sign_terms signs;
  float lowers[RUN], estimates[RUN];
  struct probe *probe = probe_of(scan, block->origin);
  if (probe->metric < 0)
    probe_prepare(probe, scan->metric, scan->query,
                  scan->origins[block->origin], scan->dim);
  probe_block(probe, block->codes, block->n_rows, scan->z, &terms);
  const int looks =
      block->signs && !(scan->z > 1) && scan->bounds.count == scan->bounds.k &&
      signs_visit(scan->metric, scan->origins[block->origin], scan->dim,
                  block->n_rows, block->codes, block->signs,
                  scan->sign_scratch);
  if (looks) signs_prepare(probe, &terms, block->signs, block->n_rows, &signs);
  for (; scan->row < block->n_rows; scan->row += RUN) {
    const uint32_t left = block->n_rows - scan->row;
    const uint32_t n = left < RUN ? left : RUN;
    if (scan->n_candidates + n > scan->room) return SV_SCAN_ROOM;
    const float limit = limit_of(&scan->bounds);
    uint64_t bits = live_bits(scan, block->first_row + scan->row, n);
    const uint32_t live = (uint32_t)__builtin_popcountll(bits);
    scan->rows_scanned += live;
    if (looks && live > FEW) bits &= signs_test(&signs, scan->row, n, limit);
    bits = codes_test(&terms, scan->row, bits, limit, lowers, estimates);
    for (; bits; bits &= bits - 1) {
      const uint32_t i = (uint32_t)__builtin_ctzll(bits);
      if (!(lowers[i] > limit_of(&scan->bounds)))
        keep(scan, place, scan->row + i, lowers[i], estimates[i]);
    }
  }
  scan->row = 0;
  return 0;
}

/* compare_candidates compares those not over the limit by their vectors, once
 * each: those in the heap of upper bounds, or all. */
static int32_t compare_candidates(struct sv_scan *scan, int all,
                                  struct bar *bar) {
  struct four four = {.n = 0};
  const uint32_t n = all ? scan->n_candidates : scan->bounds.count;
  for (uint32_t i = 0; i < n; i++) {
    struct sv_candidate *one =
        scan->candidates + (all ? i : scan->bounds.rows[i]);
    const struct sv_topk *top = all ? &scan->top : &scan->bounds;
    if (one->place == SV_NO_ROW || one->lower > limit_of(top)) continue;
    const struct sv_block *block = scan->blocks + one->place;
    if (block->vectors == NULL) {
      compare(scan, &four, bar);
      if (one->lower > limit_of(top)) continue;
      scan->missing = one->place;
      return SV_SCAN_VECTORS;
    }
    one->place = SV_NO_ROW;
    gather(scan, block, one->row, &four, bar);
  }
  compare(scan, &four, bar);
  return 0;
}

/* ---- lists ------------------------------------------------------------- */

/* scan_group scans what is left of one group. */
static int32_t scan_group(struct sv_scan *scan, uint32_t group,
                          struct bar *bar) {
  const uint32_t start = scan->list_starts[group];
  const uint32_t n = scan->list_starts[group + 1] - start;
  for (; scan->block < n; scan->block++) {
    const uint32_t place = start + scan->block;
    const struct sv_block *block = scan->blocks + place;
    if (!any_live(scan, block)) continue;
    scan->missing = place;
    if (scan->origins == NULL) {
      if (block->vectors == NULL) return SV_SCAN_VECTORS;
      scan_vectors(scan, block, bar);
      continue;
    }
    if (block->codes == NULL) return SV_SCAN_CODES;
    const int32_t code = scan_codes(scan, place, block);
    if (code) return code;
  }
  scan->block = 0;
  return 0;
}

/* kth_distance returns that of the k-th row so far, as far as it is known;
 * negative while there are not k. */
static int find_kth(const struct sv_scan *scan, double *distance) {
  const struct sv_topk *top = scan->origins ? &scan->bounds : &scan->top;
  if (top->count < top->k) return 0;
  *distance = scan->origins
                  ? (double)scan->candidates[top->rows[0]].estimate
                  : top->distances[0];
  return 1;
}

static struct ranking ranking_of(const struct sv_scan *scan) {
  return (struct ranking){scan->rank_scratch, scan->routed, scan->packed,
                          scan->half_norms,
                          sv_route_dim(scan->metric, scan->dim)};
}

/* reach ranks the first n lists, where they are not given. */
static void reach(struct sv_scan *scan, uint32_t n) {
  if (n <= scan->ranked) return;
  const struct ranking ranking = ranking_of(scan);
  for (uint32_t at = scan->ranked; at < n; at++)
    scan->order[at] = ranking_next(&ranking, scan->order_distances + at);
  scan->ranked = n;
}

/* stops says whether the next list, number `list` of the order, need not be
 * visited. Written so that infinity minus infinity goes on. */
static int stops(struct sv_scan *scan, uint32_t list) {
  double distance;
  if (list >= scan->n_lists) return 1;
  reach(scan, list + 1);
  if (!find_kth(scan, &distance)) return 0;
  if (list >= scan->n_probes) return 1;
  if (list < scan->min_probes || isinf(scan->stop_ratio)) return 0;
  return gap_of(scan->order_distances, list) >
         (double)scan->stop_ratio * (scan->scale * distance + scan->offset);
}

static int finished(struct sv_scan *scan) {
  return scan->position > 0 && scan->block == 0 && scan->row == 0 &&
         stops(scan, scan->position - 1);
}

static uint32_t group_at(const struct sv_scan *scan, uint32_t position) {
  return position == 0 ? scan->n_lists : scan->order[position - 1];
}

int32_t sv_scan_run(struct sv_scan *scan) {
  if (scan->top.k == 0) return 0;
  struct bar bar;
  set_bar(scan, &bar);
  while (!finished(scan)) {
    const int32_t code =
        scan_group(scan, group_at(scan, scan->position), &bar);
    if (code) return code;
    scan->position++;
  }
  if (scan->origins == NULL) return 0;
  const int32_t code = compare_candidates(scan, 0, &bar);
  return code ? code : compare_candidates(scan, 1, &bar);
}

/* rank orders the lists for a query. */
static void rank(struct sv_scan *scan) {
  if (scan->n_lists == 0) return;
  sv_route_query(scan->metric, scan->query, scan->dim, scan->max_norm,
                 scan->routed, &scan->scale, &scan->offset);
  const struct ranking ranking = ranking_of(scan);
  ranking_begin(&ranking, scan->list_codes, scan->n_lists);
}

int32_t sv_scan_begin(struct sv_scan *scan) {
  uint32_t row;
  const int32_t error =
      sv_check_rows(scan->metric, scan->query, 1, scan->dim, &row);
  if (error) return error;
  scan->query_norm =
      sqrt(-sv_distance(SV_INNER_PRODUCT, scan->query, scan->query, scan->dim));
  scan->top.count = scan->bounds.count = 0;
  scan->n_candidates = scan->position = scan->block = scan->row = 0;
  scan->rows_scanned = scan->missing = scan->ranked = 0;
  for (uint32_t s = 0; s < scan->n_origins; s++)
    probe_of(scan, s)->metric = -1;
  rank(scan);
  return sv_scan_next(scan);
}

int32_t sv_scan_next(struct sv_scan *scan) {
  const int32_t code = sv_scan_run(scan);
  if (code == 0) sv_topk_sort(&scan->top);
  return code;
}

/* ---- what to load ------------------------------------------------------ */

/* ahead adds the blocks of groups from the one under way on that have rows to
 * look at; without k rows, of LISTS_AHEAD lists. */
static uint32_t blocks_ahead(struct sv_scan *scan, uint32_t most,
                             uint32_t *places) {
  uint32_t n = 0;
  double distance;
  const uint32_t last = find_kth(scan, &distance)
                            ? scan->n_lists
                            : scan->position + LISTS_AHEAD;
  for (uint32_t p = scan->position; p <= last && p <= scan->n_lists; p++) {
    if (p > scan->position && stops(scan, p - 1)) break;
    const uint32_t group = group_at(scan, p);
    uint32_t place = scan->list_starts[group];
    if (p == scan->position) place += scan->block;
    for (; place < scan->list_starts[group + 1]; place++) {
      const struct sv_block *block = scan->blocks + place;
      const int missing = scan->origins ? block->codes == NULL
                                        : block->vectors == NULL;
      if (!missing || !any_live(scan, block)) continue;
      if (n == most) return n;
      places[n++] = place;
    }
  }
  return n;
}

/* vectors_ahead goes through the candidates as compare_candidates does. */
static uint32_t vectors_ahead(const struct sv_scan *scan, int all,
                              uint32_t most, uint32_t *places) {
  uint32_t n = 0;
  const float limit = limit_of(all ? &scan->top : &scan->bounds);
  const uint32_t count = all ? scan->n_candidates : scan->bounds.count;
  for (uint32_t i = 0; i < count && n < most; i++) {
    const struct sv_candidate *one =
        scan->candidates + (all ? i : scan->bounds.rows[i]);
    if (one->place == SV_NO_ROW || one->lower > limit ||
        scan->blocks[one->place].vectors != NULL)
      continue;
    uint32_t seen = 0;
    while (seen < n && places[seen] != one->place) seen++;
    if (seen == n) places[n++] = one->place;
  }
  return n;
}

int32_t sv_scan_ahead(struct sv_scan *scan, int32_t vectors, uint32_t most,
                      uint32_t *places) {
  uint32_t n = 0;
  if (scan->origins && vectors) {
    n = vectors_ahead(scan, 0, most, places);
    if (n == 0) n = vectors_ahead(scan, 1, most, places);
  } else {
    n = blocks_ahead(scan, most, places);
  }
  if (n == 0 && most > 0) places[n++] = scan->missing;
  return (int32_t)n;
}
