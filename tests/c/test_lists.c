/* Ranking (lists.c) against brute force; test_scan.c has the rest. */
#define SV_ALLOCATOR
#include "check.h"
#include "internal.h"
#include "sv.h"

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
  sv_rank_lists(x, dim, packed, half_norms, k, order, distances, scratch);
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
  double *gaps = make(k * sizeof *gaps);
  sv_list_gaps(order, distances, k, gaps);
  for (uint32_t i = 0; i < k; i++) {
    const double gap = (double)distances[i] - (double)distances[0];
    CHECK(fabs(gaps[order[i]] - gap * pow(i + 1, 0.75)) <=
          1e-14 * gaps[order[i]]);
  }
  free(gaps);
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

/* Rows in clumps, as centroids of lists lie. */
static float *clumped_rows(uint32_t k, uint32_t dim) {
  float *rows = make((size_t)k * dim * sizeof *rows);
  random_floats(rows, k * dim);
  for (uint32_t j = 8; j < k; j++)
    for (uint32_t t = 0; t < dim; t++)
      rows[j * dim + t] = rows[j % 8 * dim + t] + 0.5f * rows[j * dim + t];
  return rows;
}

/* code_rows returns their origin, to whole 32, and their codes. */
static float *code_rows(const float *rows, uint32_t k, uint32_t dim) {
  const uint32_t starts[2] = {0, k};
  const size_t head = padded_of(dim), bytes = (size_t)sv_codes_encode(
      SV_SQUARED_L2, NULL, dim, starts, 1, NULL, NULL);
  float *origin = make(3 * head * sizeof *origin);
  float *codes = make(head * sizeof *codes + bytes);
  sv_codes_origin(SV_SQUARED_L2, rows, starts[1], dim, origin);
  sv_codes_encode(SV_SQUARED_L2, rows, dim, starts, 1, origin,
                  (uint8_t *)(codes + head));
  memset(codes, 0, head * sizeof *codes);
  memcpy(codes, origin, dim * sizeof *codes);
  free(origin);
  return codes;
}

/* One after another by codes is the order of sv_rank_lists. A bound that does
 * not hold, once in ten thousand, may put a list behind others. */
static void check_coded(uint32_t k, uint32_t dim) {
  const size_t wide = (k + 7) / 8 * 8;
  float *rows = clumped_rows(k, dim), *x = make(dim * sizeof *x);
  float *codes = code_rows(rows, k, dim);
  float *packed = make(wide * dim * sizeof *packed);
  float *half_norms = make(wide * sizeof *half_norms);
  uint32_t *order = make(k * sizeof *order), late = 0;
  float *distances = make(k * sizeof *distances), last = 0;
  float *of = make(k * sizeof *of);
  uint8_t *seen = make(k);
  void *scratch = make(sv_rank_scratch_size(k));
  struct lists *lists = make(sv_list_ranking_size(k, dim));
  const struct ranking ranking = {lists, x, packed, half_norms, dim};
  random_floats(x, dim);
  sv_pack(rows, k, dim, packed, half_norms);
  sv_rank_lists(x, dim, packed, half_norms, k, order, distances, scratch);
  for (uint32_t i = 0; i < k; i++) of[order[i]] = distances[i];
  memset(seen, 0, k);
  ranking_begin(&ranking, codes, k);
  for (uint32_t i = 0; i < k; i++) {
    float distance;
    const uint32_t list = ranking_next(&ranking, &distance);
    CHECK(list < k && !seen[list]);
    seen[list] = 1;
    CHECK(distance == of[list]);
    late += distance < last;
    if (distance > last) last = distance;
    if (late == 0) CHECK(list == order[i]);
  }
  CHECK(late <= 1 + k / 1000);
  void *const all[] = {rows,      x,  codes, packed,  half_norms, order,
                       distances, of, seen,  scratch, lists};
  for (uint32_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void ranks_by_codes(void) {
  for (uint32_t k = 1; k < 200; k += 7) check_coded(k, 32 + k % 40);
  check_coded(5000, 33);
  check_coded(3000, 128);
}

int main(void) {
  run("ranks every list by distance, then number, and tells the gaps", ranks);
  run("ranks a list without a distance last", ranks_nan);
  run("ranks in the same order by codes, one after another", ranks_by_codes);
  return 0;
}
