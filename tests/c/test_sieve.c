/* sieve.c against comparing everything by sv_squared_l2: the same lists,
 * neighbours and distances to the bit, on data that make it hard. */
#include "check.h"
#define SV_ALLOCATOR
#include "internal.h"

#define MAX_DIM 67u

/* Kinds of data: what the bounds of the sieve must hold for. */
enum kind {
  EVEN,       /* uniform in [-1, 1) */
  UNEVEN,     /* components and rows of very different size */
  FAR,        /* all far from the origin */
  TIGHT,      /* all within the rounding of int16 of each other */
  OUTLIER,    /* tight, and one row far away */
  REPEATED,   /* a few different rows */
  VANISHING,  /* squares below the least normal float */
  LARGE,      /* norms near 1e18 */
  KINDS,
};

static float power(int exponent) { return ldexpf(1, exponent); }

static void fill(float *rows, uint32_t n, uint32_t dim, enum kind kind) {
  random_floats(rows, (size_t)n * dim);
  for (uint32_t i = 0; i < n; i++) {
    float *x = rows + (size_t)i * dim;
    const int exponent = (int)random_below(40) - 20;
    for (uint32_t t = 0; t < dim; t++) {
      if (kind == UNEVEN)
        x[t] *= power(exponent + (int)random_below(20) - 10);
      if (kind == FAR) x[t] = 1000 + x[t];
      if (kind == TIGHT || kind == OUTLIER)
        x[t] = (float)t / 64 + x[t] * power(-17);
      if (kind == VANISHING)
        x[t] *= power(-66 - (int)(t % 9));
      if (kind == LARGE) x[t] *= 1e17f;
    }
    if (kind == REPEATED && i > 2)
      memcpy(x, rows + random_below(3) * dim, dim * sizeof *x);
  }
  if (kind == OUTLIER)
    for (uint32_t t = 0; t < dim; t++) rows[t] = 1e6f;
}

/* A sieve with the rows it was made of. */
struct sifted {
  uint32_t k, dim;
  float *rows;
  void *sieve, *scratch;
};

static struct sifted sift(uint32_t k, uint32_t dim, enum kind kind) {
  struct sifted s = {k, dim, make((size_t)k * dim * sizeof(float)),
                     make(sv_sieve_size(k, dim)),
                     make(sv_sieve_scratch_size(k, dim))};
  fill(s.rows, k, dim, kind);
  sv_sieve_pack(s.rows, NULL, k, dim, s.sieve);
  return s;
}

static void drop(struct sifted s) {
  free(s.rows);
  free(s.sieve);
  free(s.scratch);
}

/* ---- assignment -------------------------------------------------------- */

static void check_assign(const struct sifted *s, const float *rows,
                         uint32_t n) {
  uint32_t *lists = make(n * sizeof *lists);
  float *distances = make(n * sizeof *distances);
  CHECK(sv_assign(rows, n, s->dim, s->sieve, s->k, s->scratch, lists,
                  distances) == 0);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t nearest = 0;
    float least = INFINITY;
    for (uint32_t j = 0; j < s->k; j++) {
      const float distance =
          sv_squared_l2_scalar(rows + (size_t)i * s->dim,
                               s->rows + (size_t)j * s->dim, s->dim);
      if (!(distance < least)) continue;
      least = distance;
      nearest = j;
    }
    CHECK(lists[i] == nearest);
    CHECK(same_bits(distances + i, &least, sizeof least));
  }
  free(lists);
  free(distances);
}

static void assigns(void) {
  for (uint32_t kind = 0; kind < KINDS; kind++)
    for (uint32_t dim = 1; dim <= MAX_DIM; dim++)
      for (uint32_t shift = 0; shift < 4; shift++) {
        const uint32_t n = 1 + random_below(13), k = 1 + random_below(40);
        const struct sifted s = sift(k, dim, kind);
        float *memory = make(((size_t)n * dim + shift) * sizeof *memory);
        fill(memory + shift, n, dim, kind);
        check_assign(&s, memory + shift, n);
        free(memory);
        drop(s);
      }
}

/* Rows of one kind to vectors of another, and rows that are the vectors. */
static void assigns_across(void) {
  for (uint32_t kind = 0; kind < KINDS; kind++)
    for (uint32_t other = 0; other < KINDS; other++) {
      const struct sifted s = sift(50, 33, kind);
      float *rows = make(70 * 33 * sizeof *rows);
      fill(rows, 70, 33, other);
      check_assign(&s, rows, 70);
      check_assign(&s, s.rows, 50);
      free(rows);
      drop(s);
    }
}

static void assigns_many(void) {
  static const uint32_t shapes[][3] = {
      {133, 100, 24}, {32, 64, 8}, {300, 700, 16}, {40, 90, 1537}};
  for (uint32_t i = 0; i < 4; i++) {
    const uint32_t n = shapes[i][0], k = shapes[i][1], dim = shapes[i][2];
    const struct sifted s = sift(k, dim, EVEN);
    float *rows = make((size_t)n * dim * sizeof *rows);
    random_floats(rows, (size_t)n * dim);
    check_assign(&s, rows, n);
    free(rows);
    drop(s);
  }
}

static void assigns_ties(void) {
  enum { K = 29, DIM = 6 };
  for (uint32_t first = 0; first < K; first++)
    for (uint32_t second = first + 1; second < K; second++) {
      const struct sifted s = sift(K, DIM, EVEN);
      float x[DIM], distance;
      uint32_t list;
      for (uint32_t t = 0; t < DIM; t++) x[t] = s.rows[second * DIM + t] * 4;
      memcpy(s.rows + first * DIM, x, sizeof x);
      memcpy(s.rows + second * DIM, x, sizeof x);
      sv_sieve_pack(s.rows, NULL, K, DIM, s.sieve);
      CHECK(sv_assign(x, 1, DIM, s.sieve, K, s.scratch, &list, &distance) ==
            0);
      CHECK(list == first && distance == 0);
      drop(s);
    }
}

static void assigns_picked(void) {
  const uint32_t picks[11] = {40, 3, 3, 17, 0, 49, 8, 9, 25, 31, 2};
  const struct sifted all = sift(50, 7, EVEN);
  float picked[11 * 7], rows[60 * 7];
  for (uint32_t j = 0; j < 11; j++)
    memcpy(picked + j * 7, all.rows + picks[j] * 7, 7 * sizeof *picked);
  const struct sifted s = {11, 7, picked, all.sieve, all.scratch};
  sv_sieve_pack(all.rows, picks, 11, 7, s.sieve);
  random_floats(rows, 60 * 7);
  check_assign(&s, rows, 60);
  drop(all);
}

/* The largest products there are: vectors along one axis or a diagonal, and
 * one whose length is far more than the squares that do not vanish say. */
static void assigns_aligned(void) {
  enum { DIM = 64 };
  float rows[4 * DIM] = {0}, tiny[2 * DIM];
  for (uint32_t t = 0; t < DIM; t++) {
    rows[DIM + t] = 1;
    rows[2 * DIM + t] = -1;
    tiny[t] = t == 0 ? 0x1p-73f : 0x1p-75f;
    tiny[DIM + t] = -tiny[t];
  }
  rows[0] = 1;
  rows[3 * DIM] = -1;
  void *sieve = make(sv_sieve_size(4, DIM));
  const struct sifted s = {4, DIM, rows, sieve,
                           make(sv_sieve_scratch_size(4, DIM))};
  sv_sieve_pack(rows, NULL, 4, DIM, sieve);
  check_assign(&s, rows, 4);
  sv_sieve_pack(tiny, NULL, 2, DIM, sieve);
  const struct sifted two = {2, DIM, tiny, sieve, s.scratch};
  check_assign(&two, tiny, 2);
  free(sieve);
  free(s.scratch);
}

static void assigns_nan(void) {
  const struct sifted s = sift(9, 4, EVEN);
  const float x[4] = {NAN, 0, 0, 0};
  uint32_t list = 7;
  float distance = 0;
  CHECK(sv_assign(x, 1, 4, s.sieve, 9, s.scratch, &list, &distance) == 0);
  CHECK(list == 0 && distance == INFINITY);
  CHECK(sv_assign(x, 1, 4, s.sieve, 0, s.scratch, &list, &distance) ==
        SV_ERROR_ARGUMENT);
  drop(s);
}

static void sizes(void) {
  CHECK(sv_sieve_size(1, SV_MAX_DIM + 2) == 0);
  CHECK(sv_sieve_size(SV_MAX_LISTS + 1, 1) == 0);
  CHECK(sv_sieve_size(UINT32_MAX, UINT32_MAX) == 0);
  CHECK(sv_sieve_size(8, 128) >= 8 * 128 * 6);
}

/* ---- neighbours -------------------------------------------------------- */

static void check_found(const struct sifted *s, const float *rows, uint32_t n,
                        uint32_t q, uint32_t skip, uint32_t k,
                        const float *best, const uint32_t *lists) {
  struct sv_topk top = {k, 0, make(k * sizeof(double)),
                        make(k * sizeof(uint32_t))};
  for (uint32_t i = 0; i < n; i++)
    if (1000 + i != skip)
      sv_topk_push(&top,
                   (double)sv_squared_l2_scalar(
                       s->rows + (size_t)q * s->dim,
                       rows + (size_t)i * s->dim, s->dim),
                   i);
  sv_topk_sort(&top);
  for (uint32_t i = 0; i < k; i++) {
    const int found = i < top.count;
    CHECK((double)best[i] == (found ? top.distances[i] : (double)INFINITY));
    CHECK(lists[i] == (found ? 100 + top.rows[i] : SV_NO_ROW));
  }
  free(top.distances);
  free(top.rows);
}

static void check_neighbors(uint32_t n, uint32_t n_queries, uint32_t dim,
                            uint32_t k, enum kind kind) {
  const struct sifted s = sift(n_queries, dim, kind);
  float *rows = make((size_t)n * dim * sizeof *rows);
  float *best = make(n_queries * k * sizeof *best);
  uint32_t *lists = make(n * sizeof *lists);
  uint32_t *skip = make(n_queries * sizeof *skip);
  uint32_t *best_lists = make(n_queries * k * sizeof *best_lists);
  fill(rows, n, dim, kind);
  for (uint32_t i = 0; i < n; i++) lists[i] = 100 + i; /* so they tell rows */
  for (uint32_t q = 0; q < n_queries; q++) {
    skip[q] = q % 3 ? 1000 + random_below(n) : SV_NO_ROW;
    if (q % 3)
      memcpy(s.rows + q * dim, rows + (skip[q] - 1000) * dim,
             dim * sizeof *rows);
  }
  sv_sieve_pack(s.rows, NULL, n_queries, dim, s.sieve);
  for (uint32_t i = 0; i < n_queries * k; i++) {
    best[i] = INFINITY;
    best_lists[i] = SV_NO_ROW;
  }
  for (uint32_t i = 0, m; i < n; i += m) {
    m = 1 + random_below(n - i);
    CHECK(sv_neighbors(rows + i * dim, lists + i, m, 1000 + i, dim, s.sieve,
                       n_queries, skip, k, best, best_lists,
                       s.scratch) == 0);
  }
  for (uint32_t q = 0; q < n_queries; q++)
    check_found(&s, rows, n, q, skip[q], k, best + q * k, best_lists + q * k);
  free(rows);
  free(best);
  free(lists);
  free(skip);
  free(best_lists);
  drop(s);
}

static void neighbors(void) {
  for (uint32_t round = 0; round < 800; round++)
    check_neighbors(1 + random_below(50), 1 + random_below(20),
                    1 + random_below(30), 1 + random_below(11),
                    (enum kind)(round % KINDS));
  check_neighbors(300, 9, 16, 10, EVEN);
}

static void neighbor_ties(void) {
  const float rows[5] = {1, -1, 1, 0, -1}, query = 0;
  const uint32_t lists[5] = {10, 11, 12, 13, 14}, skip = SV_NO_ROW;
  void *sieve = make(sv_sieve_size(1, 1));
  void *scratch = make(sv_sieve_scratch_size(1, 1));
  float best[3] = {INFINITY, INFINITY, INFINITY};
  uint32_t best_lists[3] = {SV_NO_ROW, SV_NO_ROW, SV_NO_ROW};
  sv_sieve_pack(&query, NULL, 1, 1, sieve);
  CHECK(sv_neighbors(rows, lists, 5, 0, 1, sieve, 1, &skip, 3, best,
                     best_lists, scratch) == 0);
  CHECK(best_lists[0] == 13 && best_lists[1] == 10 && best_lists[2] == 11);
  CHECK(sv_neighbors(rows, lists, 5, 0, 1, sieve, 1, &skip, 0, best,
                     best_lists, scratch) == SV_ERROR_ARGUMENT);
  CHECK(sv_neighbors(rows, lists, 5, 0, 1, sieve, 0, &skip, 1, best,
                     best_lists, scratch) == 0);
  free(sieve);
  free(scratch);
}

int main(void) {
  run("assigns as if all were compared, whatever the data", assigns);
  run("assigns rows of one kind to vectors of another", assigns_across);
  run("assigns more rows and vectors than a block holds", assigns_many);
  run("gives ties to the lower list wherever the two are", assigns_ties);
  run("assigns to the vectors picked", assigns_picked);
  run("assigns the largest products without overflow", assigns_aligned);
  run("gives a row with a NaN to list 0", assigns_nan);
  run("refuses sizes over its limits", sizes);
  run("finds the neighbours of every query, itself left out", neighbors);
  run("gives ties among neighbours to the earlier row", neighbor_ties);
  return 0;
}
