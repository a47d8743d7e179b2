/* kmeans.c: properties of Lloyd's iterations, and small cases by hand. */
#include "check.h"
#include "sv.h"

struct run {
  struct sv_kmeans state;
  float *rows, *centroids;
  void *scratch;
};

/* make_run leaves rows uniform in [-1, 1) and the state ready to start. */
static struct run make_run(uint32_t n, uint32_t dim, uint32_t k) {
  struct run r;
  memset(&r.state, 0x5a, sizeof r.state);
  r.state.n = n;
  r.state.dim = dim;
  r.state.k = k;
  r.state.max_iters = 100;
  r.state.tolerance = 0;
  r.state.stall = 0;
  r.state.seed = random_u64();
  r.rows = make((size_t)n * dim * sizeof(float));
  r.centroids = make((size_t)k * dim * sizeof(float));
  r.scratch = make(sv_kmeans_scratch_size(dim, k));
  random_floats(r.rows, (size_t)n * dim);
  return r;
}

static void drop_run(struct run r) {
  free(r.rows);
  free(r.centroids);
  free(r.scratch);
}

static void start(struct run *r, int32_t warm) {
  CHECK(sv_kmeans_start(&r->state, r->rows, warm, r->centroids,
                        r->scratch) == 0);
  CHECK(r->state.stop == SV_KMEANS_RUNNING && r->state.iteration == 0);
}

static int32_t step(struct run *r, uint32_t max_rows) {
  return sv_kmeans_step(&r->state, r->rows, max_rows, r->centroids,
                        r->scratch);
}

static void finish(struct run *r) {
  while (step(r, UINT32_MAX) == 1) continue;
  CHECK(r->state.stop != SV_KMEANS_RUNNING);
}

static double l2(const float *x, const float *y, uint32_t dim) {
  double sum = 0;
  for (uint32_t t = 0; t < dim; t++) {
    const double d = (double)x[t] - (double)y[t];
    sum += d * d;
  }
  return sum;
}

/* nearest_oracle returns the nearest centroid's squared distance. */
static double nearest_oracle(const struct run *r, uint32_t row,
                             uint32_t *list) {
  const uint32_t dim = r->state.dim;
  double best = (double)INFINITY;
  for (uint32_t j = 0; j < r->state.k; j++) {
    const double d = l2(r->rows + (size_t)row * dim,
                        r->centroids + (size_t)j * dim, dim);
    if (d < best) {
      best = d;
      *list = j;
    }
  }
  return best;
}

/* One pass by hand: assign every row, take means. */
static double pass_oracle(const struct run *r, double *means,
                          uint32_t *counts) {
  const uint32_t dim = r->state.dim;
  double sum = 0;
  memset(means, 0, (size_t)r->state.k * dim * sizeof *means);
  memset(counts, 0, r->state.k * sizeof *counts);
  for (uint32_t i = 0; i < r->state.n; i++) {
    uint32_t list = 0;
    sum += nearest_oracle(r, i, &list);
    counts[list]++;
    for (uint32_t t = 0; t < dim; t++)
      means[list * dim + t] += (double)r->rows[(size_t)i * dim + t];
  }
  for (uint32_t j = 0; j < r->state.k * dim; j++)
    means[j] /= counts[j / dim];
  return sum / r->state.n;
}

static void passes(void) {
  for (uint32_t round = 0; round < 20; round++) {
    const uint32_t dim = 1 + random_below(33), k = 1 + random_below(21);
    struct run r = make_run(300 + random_below(300), dim, k);
    double *means = make(k * dim * sizeof *means);
    uint32_t *counts = make(k * sizeof *counts);
    start(&r, 0);
    for (int32_t more = 1; more == 1;) {
      const double objective = pass_oracle(&r, means, counts);
      const uint32_t repaired = r.state.repaired;
      more = step(&r, UINT32_MAX);
      CHECK(fabs(r.state.objective - objective) <= 1e-5 * (1 + objective));
      if (r.state.repaired > repaired) continue;
      for (uint32_t j = 0; j < k * dim; j++)
        CHECK(counts[j / dim] > 0 &&
              fabs((double)r.centroids[j] - means[j]) < 1e-5);
    }
    free(means);
    free(counts);
    drop_run(r);
  }
}

static void falls(void) {
  for (uint32_t round = 0; round < 20; round++) {
    struct run r = make_run(500 + random_below(1000), 1 + random_below(20),
                            1 + random_below(60));
    double before = (double)INFINITY;
    uint32_t repaired = 0;
    start(&r, 0);
    for (int32_t more = 1; more == 1;) {
      more = step(&r, UINT32_MAX);
      if (r.state.repaired == repaired)
        CHECK(r.state.objective <= before * (1 + 1e-6));
      repaired = r.state.repaired;
      before = r.state.objective;
    }
    CHECK(r.state.iteration > 2 || r.state.k < 3);
    drop_run(r);
  }
}

static void forgy(void) {
  for (uint32_t round = 0; round < 50; round++) {
    const uint32_t n = 1 + random_below(60), k = 1 + random_below(n);
    struct run r = make_run(n, 3, k);
    uint32_t at = 0;
    start(&r, 0);
    for (uint32_t i = 0; i < n && at < k; i++)
      if (same_bits(r.rows + i * 3, r.centroids + at * 3, 12)) at++;
    CHECK(at == k);
    drop_run(r);
  }
}

static void stepping(void) {
  static const uint32_t steps[] = {1, 2, 3, 7, 255, 256, 257, 600, UINT32_MAX};
  struct run r = make_run(611, 13, 17);
  r.state.max_iters = 6;
  float expected[17 * 13];
  struct sv_kmeans state;
  for (size_t s = 0; s <= sizeof steps / sizeof *steps; s++) {
    uint32_t calls = 0;
    start(&r, 0);
    for (int32_t more = 1; more == 1; calls++) {
      const int random = s == sizeof steps / sizeof *steps;
      more = step(&r, random ? 1 + random_below(300) : steps[s]);
    }
    if (s == 0) {
      CHECK(calls == 6 * 611);
      memcpy(expected, r.centroids, sizeof expected);
      state = r.state;
    }
    CHECK(same_bits(expected, r.centroids, sizeof expected));
    CHECK(same_bits(&state.objective, &r.state.objective, sizeof(double)));
    CHECK(state.iteration == r.state.iteration);
  }
  drop_run(r);
}

static void seeds(void) {
  struct run r = make_run(400, 5, 9);
  float first[45];
  r.state.seed = 1;
  start(&r, 0);
  finish(&r);
  memcpy(first, r.centroids, sizeof first);
  start(&r, 0);
  finish(&r);
  CHECK(same_bits(first, r.centroids, sizeof first));
  r.state.seed = 2;
  start(&r, 0);
  finish(&r);
  CHECK(!same_bits(first, r.centroids, sizeof first));
  drop_run(r);
}

static uint32_t iterations(struct run *r, float tolerance, float stall,
                           uint32_t max_iters) {
  r->state.tolerance = tolerance;
  r->state.stall = stall;
  r->state.max_iters = max_iters;
  start(r, 0);
  finish(r);
  return r->state.iteration;
}

static void stop_rules(void) {
  struct run r = make_run(4000, 8, 50);
  const uint32_t exact = iterations(&r, 0, 0, 1000);
  CHECK(r.state.stop == SV_KMEANS_CONVERGED);
  const double best = r.state.objective;
  const uint32_t loose = iterations(&r, 1e-3f, 0, 1000);
  CHECK(r.state.stop == SV_KMEANS_CONVERGED);
  CHECK(r.state.objective >= best);
  const uint32_t looser = iterations(&r, 2e-2f, 0, 1000);
  CHECK(looser < loose && loose < exact);
  CHECK(iterations(&r, 1, 0, 1000) == 2);
  for (uint32_t max_iters = 1; max_iters < 6; max_iters++) {
    CHECK(iterations(&r, 0, 0, max_iters) == max_iters);
    CHECK(r.state.stop == SV_KMEANS_MAX_ITERS);
  }
  const uint32_t stalled = iterations(&r, 0, 1e-2f, 1000);
  CHECK(r.state.stop == SV_KMEANS_STALLED);
  CHECK(stalled >= 4 && stalled < exact);
  CHECK(iterations(&r, 0, 1, 1000) == 4);
  drop_run(r);
}

/* The rules look at exactly the objectives that sv.h names. */
static void stop_arithmetic(void) {
  struct run r = make_run(3000, 6, 40);
  double objectives[64] = {0};
  uint32_t judged = 0;
  start(&r, 0);
  for (uint32_t i = 0; i < 12 && step(&r, UINT32_MAX) == 1; i++)
    objectives[i] = r.state.objective;
  for (uint32_t i = 3; i < 11; i++) {
    const double *o = objectives;
    const double last = 1 - o[i] / o[i - 1], three = 1 - o[i] / o[i - 3];
    CHECK(last > 0 && three > last);
    CHECK(iterations(&r, (float)last * 1.001f, 0, 1000) <= i + 1);
    CHECK(iterations(&r, 0, (float)three * 1.001f, 1000) <= i + 1);
    int falling = 1;
    for (uint32_t j = 1; j < i; j++) {
      falling &= 1 - o[j] / o[j - 1] > last * 1.01;
      if (j >= 3) falling &= 1 - o[j] / o[j - 3] > three * 1.01;
    }
    if (!falling) continue;
    judged++;
    CHECK(iterations(&r, (float)last * 1.001f, 0, 1000) == i + 1);
    CHECK(iterations(&r, 0, (float)three * 1.001f, 1000) == i + 1);
  }
  CHECK(judged > 2);
  drop_run(r);
}

/* Blob b lies around (10 b, -10 b, 10 b, ...). */
static void fill_blobs(struct run *r, uint32_t n_blobs) {
  for (uint32_t i = 0; i < r->state.n; i++)
    for (uint32_t t = 0; t < r->state.dim; t++)
      r->rows[i * r->state.dim + t] =
          random_float() + (float)(i % n_blobs) * (t % 2 ? -10 : 10);
}

static void blobs(void) {
  struct run r = make_run(4000, 10, 8);
  fill_blobs(&r, 8);
  memcpy(r.centroids, r.rows, 8 * 10 * sizeof(float));
  start(&r, 1);
  finish(&r);
  for (uint32_t j = 0; j < 8; j++)
    for (uint32_t t = 0; t < 10; t++)
      CHECK(fabsf(r.centroids[j * 10 + t] -
                  (float)j * (t % 2 ? -10 : 10)) < 0.15f);
  CHECK(fabs(r.state.objective - 10.0 / 3) < 0.2);
  drop_run(r);
}

static void two_blobs(void) {
  for (uint32_t round = 0; round < 20; round++) {
    struct run r = make_run(500, 4, 2);
    fill_blobs(&r, 2);
    start(&r, 0);
    finish(&r);
    CHECK(fabs((double)(r.centroids[0] + r.centroids[4]) - 10) < 0.3);
    CHECK(r.state.objective < 2);
    drop_run(r);
  }
}

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
  for (uint32_t i = 0; i < 3 * 30000; i++) r.rows[i] += 300;
  start(&r, 0);
  for (uint32_t i = 0; i < 3; i++) {
    const double objective = pass_oracle(&r, means, counts);
    step(&r, UINT32_MAX);
    CHECK(fabs(r.state.objective - objective) <= 2e-8 * objective);
    for (uint32_t t = 0; t < 6; t++)
      CHECK(fabs((double)r.centroids[t] - means[t]) <= 0x1p-15);
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

/* Four different rows, 64 lists: nothing to gain, but it must end, and with
 * a centroid on every row. */
static void duplicates(void) {
  for (uint32_t round = 0; round < 20; round++) {
    struct run r = make_run(500, 7, 64);
    for (uint32_t i = 4; i < 500; i++)
      memcpy(r.rows + i * 7, r.rows + i % 4 * 7, 7 * sizeof(float));
    start(&r, 0);
    finish(&r);
    CHECK(r.state.objective < 1e-5);
    uint32_t list;
    for (uint32_t i = 0; i < 4; i++)
      CHECK(nearest_oracle(&r, i, &list) < 1e-5);
    drop_run(r);
  }
}

static void warm_start(void) {
  struct run r = make_run(200, 3, 5);
  float before[15];
  random_floats(r.centroids, 15);
  memcpy(before, r.centroids, sizeof before);
  start(&r, 1);
  CHECK(same_bits(before, r.centroids, sizeof before));
  step(&r, 100); /* half a pass moves nothing */
  CHECK(same_bits(before, r.centroids, sizeof before));
  step(&r, 100);
  CHECK(!same_bits(before, r.centroids, sizeof before));
  drop_run(r);
}

static void after_stop(void) {
  struct run r = make_run(50, 2, 3);
  r.state.max_iters = 1;
  start(&r, 0);
  CHECK(step(&r, 0) == SV_ERROR_ARGUMENT);
  CHECK(step(&r, 49) == 1);
  CHECK(step(&r, 49) == 0);
  float before[6];
  memcpy(before, r.centroids, sizeof before);
  CHECK(step(&r, 50) == 0);
  CHECK(same_bits(before, r.centroids, sizeof before));
  drop_run(r);
}

static void arguments(void) {
  struct run r = make_run(10, 2, 3);
  const struct sv_kmeans good = r.state;
#define REFUSES(field, value)                                          \
  do {                                                                 \
    r.state = good;                                                    \
    r.state.field = value;                                             \
    CHECK(sv_kmeans_start(&r.state, r.rows, 0, r.centroids,            \
                          r.scratch) == SV_ERROR_ARGUMENT);            \
  } while (0)
  REFUSES(k, 0);
  REFUSES(k, 11);
  REFUSES(n, 2);
  REFUSES(dim, 0);
  REFUSES(dim, SV_MAX_DIM + 2);
  REFUSES(max_iters, 0);
  REFUSES(tolerance, -1);
  REFUSES(tolerance, NAN);
  REFUSES(stall, -1);
  REFUSES(stall, NAN);
#undef REFUSES
  CHECK(sv_kmeans_scratch_size(SV_MAX_DIM + 2, 1) == 0);
  CHECK(sv_kmeans_scratch_size(1, SV_MAX_LISTS + 1) == 0);
  CHECK(sv_kmeans_scratch_size(UINT32_MAX, UINT32_MAX) == 0);
  drop_run(r);
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
  run("each pass is one of Lloyd's", passes);
  run("the objective never rises but after a split", falls);
  run("starts from k different rows", forgy);
  run("gives the same bits however it is stepped", stepping);
  run("the same seed gives the same centroids, another gives others", seeds);
  run("tolerance, stall and max_iters stop it, looser sooner", stop_rules);
  run("stops on exactly the objectives that sv.h names", stop_arithmetic);
  run("recovers eight blobs from one row of each", blobs);
  run("recovers two blobs from any two rows", two_blobs);
  run("splits a list by 1/1024 up and down", splits);
  run("never splits a list of one row", spares_singletons);
  run("draws donors by size", draws_by_size);
  run("draws many donors by size", draws_many_by_size);
  run("sums rows and distances in f64", sums_in_f64);
  run("leaves no list empty, even from hopeless centroids", fills_all);
  run("refills 5,000 lists at once", fills_many);
  run("k = n, k = 1 and n = 1 work", edges);
  run("more lists than different rows ends well", duplicates);
  run("a warm start keeps the centroids until a pass ends", warm_start);
  run("refuses to step by nothing, and after its end does nothing",
      after_stop);
  run("refuses arguments out of range", arguments);
  run("samples ascending, distinct numbers", samples);
  run("samples uniformly", samples_uniformly);
  return 0;
}
