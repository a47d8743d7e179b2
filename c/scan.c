/*
 * scan.c: the k nearest rows of the lists that a query visits.
 *
 * Where rows have codes, these are scanned first (codes.c): every row gets a
 * lower and an upper bound of its distance, and only rows whose lower bound is
 * not over the k-th least upper bound are compared by their vectors in the
 * end. Other rows are compared at once.
 *
 * Decisions:
 *  1. The live test is made only where a bitmap is given; four live rows are
 *     gathered first, so that filters do not slow the arithmetic down.
 *  2. Vectors are looked at after all lists (compare.c).
 *  3. Kernels are small functions that are not inlined; see sieve.c.
 */
#include "sv.h"
#include "internal.h"

#include <math.h>
#include <string.h>

#define KERNEL __attribute__((noinline))
#define RUN 64u
#define FEW 4u /* rows whose codes are looked at without their signs */
#define LISTS_AHEAD 4u

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
  if (scan->live == NULL || block->n_rows == 0) return block->n_rows > 0;
  const uint32_t first = block->first_row, last = first + block->n_rows - 1;
  const uint8_t *p = scan->live + (first >> 3), *end = scan->live + (last >> 3);
  const uint8_t of_first = (uint8_t)(0xff << (first & 7));
  const uint8_t of_last = (uint8_t)(0xff >> (7 - (last & 7)));
  if (p == end) return (*p & of_first & of_last) != 0;
  if (*p++ & of_first) return 1;
  for (uint64_t bits; end - p >= 8; p += 8) {
    memcpy(&bits, p, 8);
    if (bits) return 1;
  }
  for (; p < end; p++)
    if (*p) return 1;
  return (*end & of_last) != 0;
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

/* sv_scan_ahead goes through groups from the one under way on; without k
 * rows, through LISTS_AHEAD lists. */
int32_t sv_scan_ahead(struct sv_scan *scan, uint32_t most, uint32_t *places) {
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
      if (n == most) return (int32_t)n;
      places[n++] = place;
    }
  }
  if (n == 0 && most > 0) places[n++] = scan->missing;
  return (int32_t)n;
}
