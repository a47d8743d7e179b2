/* test_balance.c: which centroids a balance step moves. */
#define SV_ALLOCATOR /* tests may allocate */
#include "internal.h"
#include "kmeans_run.h"

#define MARGIN 0.85

struct lists {
  uint32_t k, dim, rows;
  uint32_t *counts, *origins;
  uint8_t *used;
  float *centroids;
};

static struct lists make_lists(uint32_t k, uint32_t dim, uint32_t most) {
  struct lists l = {.k = k, .dim = dim, .rows = 0};
  l.counts = make(k * sizeof *l.counts);
  l.used = make(k);
  l.origins = make(k * sizeof *l.origins);
  l.centroids = make((size_t)k * dim * sizeof *l.centroids);
  for (uint32_t j = 0; j < k; j++) {
    l.origins[j] = j;
    l.counts[j] = 1 + random_below(most);
    if (random_below(8) == 0) l.counts[j] *= 1 + random_below(9);
    l.rows += l.counts[j];
  }
  random_floats(l.centroids, (size_t)k * dim);
  return l;
}

static void drop_lists(struct lists l) {
  free(l.counts);
  free(l.used);
  free(l.origins);
  free(l.centroids);
}

static uint32_t balance(struct lists *l, double limit) {
  return sv_balance(l->counts, l->used, l->k, l->dim, l->rows, limit,
                    l->centroids, l->origins);
}

static uint32_t largest(const struct lists *l) {
  uint32_t most = 0;
  for (uint32_t j = 0; j < l->k; j++)
    if (l->counts[j] > most) most = l->counts[j];
  return most;
}

static void within_limit(void) {
  for (uint32_t round = 0; round < 50; round++) {
    struct lists l = make_lists(1 + random_below(40), 3, 100);
    const struct lists before = l;
    const size_t bytes = (size_t)l.k * l.dim * sizeof(float);
    float *centroids = make(bytes);
    memcpy(centroids, l.centroids, bytes);
    const double limit = (double)largest(&l) * l.k / l.rows;
    CHECK(balance(&l, limit * (1 + 1e-9)) == 0);
    CHECK(same_bits(centroids, before.centroids, bytes));
    free(centroids);
    drop_lists(l);
  }
}

/* changed says whether a centroid is not what it was. */
static int changed(const struct lists *l, const float *before, uint32_t j) {
  const size_t at = (size_t)j * l->dim, bytes = l->dim * sizeof *before;
  return !same_bits(l->centroids + at, before + at, bytes);
}

static void moves(void) {
  uint32_t balanced = 0;
  for (uint32_t round = 0; round < 200; round++) {
    struct lists l = make_lists(2 + random_below(60), 5, 50);
    const uint32_t most = largest(&l), k = l.k;
    const double mean = (double)l.rows / k, limit = 1.7 * mean;
    uint32_t *before = make(k * sizeof *before);
    float *centroids = make((size_t)k * 5 * sizeof *centroids);
    memcpy(before, l.counts, k * sizeof *before);
    memcpy(centroids, l.centroids, (size_t)k * 5 * sizeof *centroids);
    const uint32_t moved = balance(&l, 1.7);
    CHECK((moved > 0) == (most > limit));
    uint32_t spared = 0;
    for (uint32_t j = 0; j < k; j++) {
      CHECK(l.counts[j] > 0);
      if (!changed(&l, centroids, j)) continue;
      /* Large lists were split, others came to lie beside one. */
      if (before[j] > limit * MARGIN) continue;
      spared++;
      CHECK(before[j] <= mean);
    }
    CHECK(spared == moved);
    balanced += largest(&l) <= limit;
    free(before);
    free(centroids);
    drop_lists(l);
  }
  CHECK(balanced > 190); /* else the lists to spare ran out */
}

/* Three lists could be spared: the smallest is far from all others, the next
 * one closest to another, and the last has too many rows. */
static void cheapest(void) {
  uint32_t counts[] = {100, 10, 12, 40, 38};
  float centroids[] = {0, 0, 900, 0, 50, 0, 51, 0, -300, 0};
  uint8_t used[5];
  uint32_t origins[] = {0, 1, 2, 3, 4};
  CHECK(sv_balance(counts, used, 5, 2, 200, 2.4, centroids,
                   origins) == 1);
  const uint32_t expected[] = {50, 10, 50, 40, 38};
  CHECK(same_bits(counts, expected, sizeof expected));
  CHECK(centroids[2] == 900 && centroids[6] == 51 && centroids[8] == -300);
  CHECK(centroids[4] == 0); /* beside the one at the origin */
  const uint32_t beside[] = {0, 1, 0, 3, 4};
  CHECK(same_bits(origins, beside, sizeof beside));
}

static void four_times(void) {
  uint32_t counts[] = {80, 1, 2, 3, 4, 26};
  float centroids[] = {1, 1, 9, 0, 8, 0, 7, 0, 6, 0, 5, 0};
  uint8_t used[6];
  uint32_t origins[] = {0, 1, 2, 3, 4, 5};
  CHECK(sv_balance(counts, used, 6, 2, 116, 1.6, centroids,
                   origins) == 3);
  uint32_t near = 0;
  for (uint32_t j = 0; j < 6; j++) {
    CHECK(counts[j] == (j == 4 ? 4u : j == 5 ? 26u : 20u));
    near += fabsf(centroids[2 * j] - 1) < 0.01f &&
            fabsf(centroids[2 * j + 1] - 1) < 0.01f;
  }
  CHECK(near == 4);
  const uint32_t beside[] = {0, 0, 0, 0, 4, 5};
  CHECK(same_bits(origins, beside, sizeof beside));
}

static void nothing_to_spare(void) {
  uint32_t counts[] = {7};
  float centroids[] = {1};
  uint8_t used[1];
  uint32_t origins[] = {0, 1, 2, 3};
  CHECK(sv_balance(counts, used, 1, 1, 7, 1, centroids, origins) == 0);
  uint32_t single[] = {1, 0, 0, 0};
  float four[] = {1, 2, 3, 4};
  uint8_t four_used[4];
  CHECK(sv_balance(single, four_used, 4, 1, 1, 1, four, origins) == 0);
}

/* fill_skewed: half of the rows lie in a tenth of the space. */
static void fill_skewed(struct run *r) {
  for (uint32_t i = 0; i < r->state.n; i++)
    for (uint32_t t = 0; t < r->state.dim; t++)
      r->rows[i * r->state.dim + t] = random_float() * (i % 2 ? 1 : 10);
}

static double imbalance(const struct run *r) {
  const uint32_t k = r->state.k;
  uint32_t *counts = make(k * sizeof *counts), most = 0;
  memset(counts, 0, k * sizeof *counts);
  for (uint32_t i = 0; i < r->state.n; i++) {
    uint32_t list = 0;
    nearest_oracle(r, i, &list);
    if (++counts[list] > most) most = counts[list];
  }
  free(counts);
  return (double)most * k / r->state.n;
}

static void evens_out(void) {
  for (uint32_t round = 0; round < 5; round++) {
    double left = 0, evened = 0;
    for (uint32_t balanced = 0; balanced < 2; balanced++) {
      struct run r = make_run(4000, 4, 40);
      fill_skewed(&r);
      r.state.balance = balanced ? 1.7f : 0;
      r.state.stall = 0.01f;
      start(&r, 0);
      finish(&r);
      *(balanced ? &evened : &left) = imbalance(&r);
      CHECK((r.state.balances > 0) == balanced);
      drop_run(r);
    }
    CHECK(left > 2 && evened < 2.2);
  }
}

static void ends(void) {
  /* Of 600 rows 500 are the same: no split parts them. */
  struct run r = make_run(600, 3, 12);
  for (uint32_t i = 0; i < 500; i++)
    memcpy(r.rows + i * 3, r.rows, 3 * sizeof *r.rows);
  r.state.balance = 1.5;
  start(&r, 0);
  finish(&r);
  CHECK(r.state.iteration < 100 && imbalance(&r) > 2);
  r.state.max_iters = 3;
  start(&r, 0);
  finish(&r);
  CHECK(r.state.iteration == 3);
  drop_run(r);
}

int main(void) {
  run("leaves lists alone that are within the limit", within_limit);
  run("splits lists over the limit in place of lists under the mean", moves);
  run("spares the list that costs the least", cheapest);
  run("splits a list of four times the mean three times", four_times);
  run("moves nothing when there is nothing to spare", nothing_to_spare);
  run("evens out lists of rows that lie very densely in places", evens_out);
  run("ends though a list cannot be split, and by max_iters", ends);
  return 0;
}
