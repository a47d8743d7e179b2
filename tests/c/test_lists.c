/* Ranking and neighbours (lists.c) against brute force; test_scan.c has the
 * rest. */
#include "check.h"
#include "sv.h"

/* ---- ranking ----------------------------------------------------------- */

static void check_ranking(uint32_t k, uint32_t dim, int ties) {
  const size_t wide = (k + 7) / 8 * 8;
  float *rows = make(k * dim * sizeof *rows), *x = make(dim * sizeof *x);
  float *packed = make(wide * dim * sizeof *packed);
  float *half_norms = make(wide * sizeof *half_norms);
  uint32_t *order = make(k * sizeof *order);
  float *distances = make(k * sizeof *distances);
  uint8_t *seen = make(k), *scratch = make(sv_rank_scratch_size(k));
  random_floats(rows, k * dim);
  random_floats(x, dim);
  for (uint32_t j = 0; ties && j < k; j++)
    memcpy(rows + j * dim, j % 3 ? x : rows, dim * sizeof *x);
  sv_pack(rows, k, dim, packed, half_norms);
  CHECK(sv_rank_lists(x, dim, packed, half_norms, k, order, distances,
                      scratch) == 0);
  memset(seen, 0, k);
  for (uint32_t i = 0; i < k; i++) {
    CHECK(order[i] < k && !seen[order[i]]);
    seen[order[i]] = 1;
    const double exact =
        sv_distance(SV_SQUARED_L2, x, rows + order[i] * dim, dim);
    CHECK(fabs((double)distances[i] - exact) < 2e-6 * dim);
    CHECK(distances[i] >= 0);
    if (i == 0) continue;
    CHECK(distances[i - 1] <= distances[i]);
    CHECK(distances[i - 1] < distances[i] || order[i - 1] < order[i]);
  }
  free(rows);
  free(x);
  free(packed);
  free(half_norms);
  free(order);
  free(distances);
  free(seen);
  free(scratch);
}

static void ranks(void) {
  for (uint32_t k = 0; k < 80; k++) check_ranking(k, 1 + k % 23, 0);
  for (uint32_t k = 1; k < 40; k++) check_ranking(k, 5, 1);
  check_ranking(5000, 16, 0);
}

/* A centroid whose score is NaN comes last, not first. */
static void ranks_nan(void) {
  const float rows[3] = {NAN, 5, 1}, x = 0;
  float packed[8], half_norms[8], distances[3];
  uint32_t order[3];
  void *scratch = make(sv_rank_scratch_size(3));
  sv_pack(rows, 3, 1, packed, half_norms);
  sv_rank_lists(&x, 1, packed, half_norms, 3, order, distances, scratch);
  CHECK(order[0] == 2 && order[1] == 1 && order[2] == 0);
  CHECK(distances[0] == 1 && distances[1] == 25);
  CHECK(distances[2] == INFINITY);
  free(scratch);
}

/* ---- neighbours -------------------------------------------------------- */

static void check_neighbors(uint32_t n, uint32_t n_queries, uint32_t dim,
                            uint32_t k) {
  const size_t wide = (n_queries + 7) / 8 * 8;
  float *rows = make(n * dim * sizeof *rows);
  float *queries = make(n_queries * dim * sizeof *queries);
  float *packed = make(wide * dim * sizeof *packed);
  float *half_norms = make(wide * sizeof *half_norms);
  float *scores = make(wide * 4 * sizeof *scores);
  float *best = make(n_queries * k * sizeof *best);
  uint32_t *lists = make(n * sizeof *lists);
  uint32_t *skip = make(n_queries * sizeof *skip);
  uint32_t *best_lists = make(n_queries * k * sizeof *best_lists);
  random_floats(rows, n * dim);
  random_floats(queries, n_queries * dim);
  for (uint32_t i = 0; i < n; i++) lists[i] = 100 + i; /* so they tell rows */
  for (uint32_t q = 0; q < n_queries; q++) {
    skip[q] = q % 3 && n > 0 ? 1000 + random_below(n) : SV_NO_ROW;
    if (q % 3)
      memcpy(queries + q * dim, rows + (skip[q] - 1000) * dim,
             dim * sizeof *rows);
  }
  sv_pack(queries, n_queries, dim, packed, half_norms);
  for (uint32_t i = 0; i < n_queries * k; i++) {
    best[i] = INFINITY;
    best_lists[i] = SV_NO_ROW;
  }
  for (uint32_t i = 0, m; i < n; i += m) {
    m = 1 + random_below(n - i);
    CHECK(sv_neighbors(rows + i * dim, lists + i, m, 1000 + i, dim, packed,
                       half_norms, n_queries, skip, k, best, best_lists,
                       scores) == 0);
  }
  for (uint32_t q = 0; q < n_queries; q++) {
    const float *x = queries + q * dim;
    struct sv_topk top = {k, 0, make(k * sizeof(double)),
                          make(k * sizeof(uint32_t))};
    for (uint32_t i = 0; i < n; i++)
      if (1000 + i != skip[q])
        sv_topk_push(&top, sv_distance(SV_SQUARED_L2, x, rows + i * dim, dim),
                     i);
    sv_topk_sort(&top);
    for (uint32_t i = 0; i < k; i++) {
      if (i >= top.count) {
        CHECK(best[q * k + i] == INFINITY);
        CHECK(best_lists[q * k + i] == SV_NO_ROW);
        continue;
      }
      CHECK(fabs((double)best[q * k + i] - top.distances[i]) < 2e-6 * dim);
      const uint32_t row = best_lists[q * k + i] - 100;
      CHECK(row < n && 1000 + row != skip[q]);
      CHECK(fabs(sv_distance(SV_SQUARED_L2, x, rows + row * dim, dim) -
                 top.distances[i]) < 2e-6 * dim);
    }
    free(top.distances);
    free(top.rows);
  }
  free(rows);
  free(queries);
  free(packed);
  free(half_norms);
  free(scores);
  free(best);
  free(lists);
  free(skip);
  free(best_lists);
}

static void neighbors(void) {
  for (uint32_t round = 0; round < 600; round++)
    check_neighbors(1 + random_below(50), 1 + random_below(20),
                    1 + random_below(30), 1 + random_below(11));
  check_neighbors(300, 9, 16, 10);
}

static void neighbor_ties(void) {
  const float rows[5] = {1, -1, 1, 0, -1}, query = 0;
  const uint32_t lists[5] = {10, 11, 12, 13, 14}, skip = SV_NO_ROW;
  float packed[8], half_norms[8], scores[32];
  float best[3] = {INFINITY, INFINITY, INFINITY};
  uint32_t best_lists[3] = {SV_NO_ROW, SV_NO_ROW, SV_NO_ROW};
  sv_pack(&query, 1, 1, packed, half_norms);
  CHECK(sv_neighbors(rows, lists, 5, 0, 1, packed, half_norms, 1, &skip, 3,
                     best, best_lists, scores) == 0);
  CHECK(best_lists[0] == 13 && best_lists[1] == 10 && best_lists[2] == 11);
  CHECK(sv_neighbors(rows, lists, 5, 0, 1, packed, half_norms, 1, &skip, 0,
                     best, best_lists, scores) == SV_ERROR_ARGUMENT);
}

int main(void) {
  run("ranks every list by distance, then number", ranks);
  run("ranks a list without a distance last", ranks_nan);
  run("finds the neighbours of every query, itself left out", neighbors);
  run("gives ties among neighbours to the earlier row", neighbor_ties);
  return 0;
}
