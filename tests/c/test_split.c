/* kmeans.c: how empty lists are refilled, edges, and sampling. */
#include "kmeans_run.h"

/* Centroid 1 gets no row; it and its donor are the mean, moved apart. */
static void splits(void) {
  struct run r = make_run(64, 5, 2);
  double mean[5] = {0};
  for (uint32_t i = 0; i < 64 * 5; i++) mean[i % 5] += (double)r.rows[i] / 64;
  for (uint32_t t = 0; t < 10; t++) r.centroids[t] = t < 5 ? 0 : 1000;
  r.state.max_iters = 1;
  start(&r, 1);
  CHECK(step(&r, UINT32_MAX) == 0);
  CHECK(r.state.repaired == 1);
  for (uint32_t t = 0; t < 5; t++) {
    const double up = mean[t] * (1 + 1.0 / 1024);
    const double down = mean[t] * (1 - 1.0 / 1024);
    CHECK(fabs((double)r.centroids[t] - (t % 2 ? up : down)) < 1e-7);
    CHECK(fabs((double)r.centroids[5 + t] - (t % 2 ? down : up)) < 1e-7);
  }
  drop_run(r);
}

/* A list of one row has none to give: with rows at 100, 200, ... alone in
 * their lists, only the crowd at 1 can be split. */
static void spares_singletons(void) {
  for (uint32_t round = 0; round < 30; round++) {
    struct run r = make_run(60, 1, 12);
    for (uint32_t i = 0; i < 60; i++)
      r.rows[i] = i < 8 ? 100 * (float)(i + 1) : 1 + 0.1f * r.rows[i];
    for (uint32_t j = 0; j < 12; j++)
      r.centroids[j] = j < 8 ? r.rows[j] : j == 8 ? 1 : -1e6f;
    r.state.max_iters = 1;
    start(&r, 1);
    finish(&r);
    CHECK(r.state.repaired == 3);
    for (uint32_t j = 0; j < 12; j++)
      CHECK(j < 8 ? r.centroids[j] == r.rows[j]
                  : fabsf(r.centroids[j] - 1) < 0.2f);
    drop_run(r);
  }
}

/* Two crowds of 300 and 100 rows: splits go 3 to 1. */
static void draws_by_size(void) {
  uint32_t large = 0;
  for (uint32_t round = 0; round < 400; round++) {
    struct run r = make_run(400, 1, 3);
    for (uint32_t i = 0; i < 400; i++)
      r.rows[i] = (i < 300 ? 10 : 20) + r.rows[i];
    r.centroids[0] = 10;
    r.centroids[1] = 20;
    r.centroids[2] = -1e6f;
    r.state.max_iters = 1;
    start(&r, 1);
    finish(&r);
    large += r.centroids[2] < 15;
    drop_run(r);
  }
  CHECK(large > 260 && large < 340);
}

/* The same over 598 draws, lists far apart in the totals: two crowds of 600
 * rows, in the first list and the last, end with about 300 lists each. */
static void draws_many_by_size(void) {
  enum { K = 600, N = 1200 };
  struct run r = make_run(N, 1, K);
  for (uint32_t i = 0; i < N; i++)
    r.rows[i] = (i % 2 ? 10 : 20) + r.rows[i];
  for (uint32_t j = 0; j < K; j++) r.centroids[j] = -1e6f;
  r.centroids[0] = 10;
  r.centroids[K - 1] = 20;
  r.state.max_iters = 1;
  start(&r, 1);
  finish(&r);
  uint32_t low = 0;
  for (uint32_t j = 0; j < K; j++) low += r.centroids[j] < 15;
  CHECK(low > 250 && low < 350);
  drop_run(r);
}

static void sums_in_f64(void) {
  struct run r = make_run(30000, 3, 2);
  double *means = make(6 * sizeof *means);
  uint32_t counts[2];
  start(&r, 0);
  for (uint32_t i = 0; i < 3; i++) {
    const double objective = pass_oracle(&r, means, counts);
    step(&r, UINT32_MAX);
    CHECK(fabs(r.state.objective - objective) <= 2e-8 * objective);
    for (uint32_t t = 0; t < 6; t++)
      CHECK(fabs((double)r.centroids[t] - means[t]) <= 1e-7);
  }
  free(means);
  drop_run(r);
}

static void fills_all(void) {
  for (uint32_t round = 0; round < 10; round++) {
    enum { K = 40, N = 2000, DIM = 6 };
    struct run r = make_run(N, DIM, K);
    uint32_t counts[K] = {0}, list = 0;
    for (uint32_t t = 0; t < K * DIM; t++)
      r.centroids[t] = t < DIM ? 0 : 1e3f + (float)t;
    start(&r, 1);
    CHECK(step(&r, UINT32_MAX) == 1);
    CHECK(r.state.repaired == K - 1);
    finish(&r);
    for (uint32_t i = 0; i < N; i++) {
      nearest_oracle(&r, i, &list);
      counts[list]++;
    }
    for (uint32_t j = 0; j < K; j++) CHECK(counts[j] > 0);
    drop_run(r);
  }
}

/* Refilling is linear enough: 5,000 lists empty at once, many times over
 * the number of groups. */
static void fills_many(void) {
  enum { K = 5001, N = 10000 };
  struct run r = make_run(N, 1, K);
  for (uint32_t j = 0; j < K; j++) r.centroids[j] = j ? 1e6f : 0;
  r.state.max_iters = 1;
  r.state.n = K;
  start(&r, 1);
  finish(&r);
  CHECK(r.state.repaired == K - 1);
  drop_run(r);
}

static void edges(void) {
  struct run r = make_run(37, 4, 37); /* k = n */
  start(&r, 0);
  finish(&r);
  CHECK(r.state.objective == 0 && r.state.iteration == 1);
  CHECK(same_bits(r.rows, r.centroids, 37 * 4 * sizeof(float)));
  drop_run(r);

  r = make_run(12, 4, 12); /* k = n, each row twice */
  memcpy(r.rows, r.rows + 6 * 4, 6 * 4 * sizeof(float));
  start(&r, 0);
  finish(&r);
  CHECK(r.state.objective == 0 && r.state.repaired == 0);
  CHECK(same_bits(r.rows, r.centroids, 12 * 4 * sizeof(float)));
  drop_run(r);

  r = make_run(1000, 3, 1); /* k = 1 */
  start(&r, 0);
  finish(&r);
  for (uint32_t t = 0; t < 3; t++) {
    double mean = 0;
    for (uint32_t i = 0; i < 1000; i++) mean += (double)r.rows[i * 3 + t];
    CHECK(fabs((double)r.centroids[t] - mean / 1000) < 1e-6);
  }
  drop_run(r);

  r = make_run(1, 1, 1);
  start(&r, 0);
  finish(&r);
  CHECK(r.centroids[0] == r.rows[0]);
  drop_run(r);
}

/* Four different rows and 64 lists, from centroids that fit none: it must
 * end, with a centroid on every row. */
static void duplicates(void) {
  for (uint32_t round = 0; round < 20; round++) {
    struct run r = make_run(500, 7, 64);
    for (uint32_t i = 4; i < 500; i++)
      memcpy(r.rows + i * 7, r.rows + i % 4 * 7, 7 * sizeof(float));
    random_floats(r.centroids, 64 * 7);
    start(&r, round % 2);
    finish(&r);
    CHECK(r.state.iteration < 20);
    CHECK(r.state.objective < 1e-5);
    uint32_t list;
    for (uint32_t i = 0; i < 4; i++)
      CHECK(nearest_oracle(&r, i, &list) < 1e-5);
    drop_run(r);
  }
}

static void samples(void) {
  for (uint32_t round = 0; round < 300; round++) {
    const uint32_t n = random_below(70), m = random_below(n + 1);
    uint32_t *picks = make(m * sizeof *picks);
    CHECK(sv_sample(n, m, random_u64(), picks) == 0);
    for (uint32_t i = 0; i < m; i++)
      CHECK(picks[i] < n && (i == 0 || picks[i] > picks[i - 1]));
    CHECK(sv_sample(n, n + 1, 1, picks) == SV_ERROR_ARGUMENT);
    free(picks);
  }
}

/* Each number is picked 30 % of the time and each pair 9 %, within five
 * standard deviations. */
static void samples_uniformly(void) {
  enum { N = 20, M = 6 };
  const uint32_t rounds = 20000;
  uint32_t picks[M], singles[N] = {0}, pairs = 0;
  for (uint32_t round = 0; round < rounds; round++) {
    sv_sample(N, M, random_u64(), picks);
    uint32_t set = 0;
    for (uint32_t i = 0; i < M; i++) {
      singles[picks[i]]++;
      set |= 1u << picks[i];
    }
    pairs += (set & 3) == 3;
  }
  for (uint32_t i = 0; i < N; i++)
    CHECK(fabs(singles[i] - 0.3 * rounds) < 5 * sqrt(0.21 * rounds));
  const double p = 6.0 * 5 / (20 * 19);
  CHECK(fabs(pairs - p * rounds) < 5 * sqrt(p * (1 - p) * rounds));
}

int main(void) {
  run("splits a list by 1/1024 up and down", splits);
  run("never splits a list of one row", spares_singletons);
  run("draws donors by size", draws_by_size);
  run("draws many donors by size", draws_many_by_size);
  run("sums rows and distances in f64", sums_in_f64);
  run("leaves no list empty, even from hopeless centroids", fills_all);
  run("refills 5,000 lists at once", fills_many);
  run("k = n, k = 1 and n = 1 work", edges);
  run("more lists than different rows ends well", duplicates);
  run("samples ascending, distinct numbers", samples);
  run("samples uniformly", samples_uniformly);
  return 0;
}
