/* kmeans.c: properties of Lloyd's iterations and of the stop rules;
 * test_split.c has empty lists and edges. */
#include "kmeans_run.h"
#define SV_ALLOCATOR
#include "internal.h"

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

/* ---- groups ------------------------------------------------------------ */

/* beside says whether list j was put where the rows of another had their
 * mean, whose own centroid has moved by as much. */
static int beside(const struct run *r, uint32_t j, const double *means,
                  uint32_t count) {
  const uint32_t dim = r->state.dim;
  for (uint32_t t = 0; t < dim; t++) {
    const double mean = means[t] / count;
    if (fabs((double)r->centroids[j * dim + t] - mean) >
        0.02 * fabs(mean) + 1e-5)
      return 0;
  }
  return 1;
}

/* Lists that were put beside others meet all groups that these met. */
static void join(const struct run *r, const double *means,
                 const uint32_t *counts, uint8_t *met, uint8_t *went) {
  const uint32_t k = r->state.k;
  const uint32_t *origins = r->scratch;
  memcpy(went, met, (size_t)r->state.n_groups * k);
  for (uint32_t j = 0; j < k; j++) {
    const uint32_t from = origins[j];
    CHECK(from == j || beside(r, j, means + from * r->state.dim, counts[from]));
    CHECK(counts[j] > 0 || from != j || r->state.objective == 0);
    for (uint32_t g = 0; g < r->state.n_groups; g++)
      met[g * k + j] |= went[g * k + from];
  }
}

/* met[g * k + j] says whether rows of group g may go to list j. One pass by
 * hand; notes where rows went, and returns the objective. */
static double grouped_oracle(const struct run *r, const uint32_t *starts,
                             const uint8_t *met, uint8_t *went, double *means,
                             uint32_t *counts) {
  const uint32_t dim = r->state.dim, k = r->state.k;
  double sum = 0;
  memset(means, 0, (size_t)k * dim * sizeof *means);
  memset(counts, 0, k * sizeof *counts);
  memset(went, 0, (size_t)r->state.n_groups * k);
  for (uint32_t g = 0; g < r->state.n_groups; g++)
    for (uint32_t i = starts[g]; i < starts[g + 1]; i++) {
      float least = INFINITY;
      uint32_t list = 0;
      for (uint32_t j = 0; j < k; j++) {
        const float d = sv_squared_l2_scalar(
            r->rows + i * dim, r->centroids + j * dim, dim);
        if (!met[g * k + j] || !(d < least)) continue;
        least = d;
        list = j;
      }
      sum += (double)least;
      counts[list]++;
      went[g * k + list] = 1;
      for (uint32_t t = 0; t < dim; t++)
        means[list * dim + t] += (double)r->rows[i * dim + t];
    }
  return sum / r->state.n;
}

/* One run in groups, some of them empty, stepped at random. */
static void check_groups(struct run *r, const uint32_t *starts,
                         uint8_t *met, uint8_t *went) {
  const uint32_t dim = r->state.dim, k = r->state.k;
  double *means = make(k * dim * sizeof *means);
  uint32_t *counts = make(k * sizeof *counts);
  CHECK(sv_kmeans_start(&r->state, r->rows, starts, 0, r->centroids,
                        r->scratch) == 0);
  memset(met, 1, (size_t)r->state.n_groups * k);
  int all = 1;
  double before = (double)INFINITY;
  for (int32_t more = 1; more == 1;) {
    const double objective =
        grouped_oracle(r, starts, met, went, means, counts);
    const uint32_t iteration = r->state.iteration, was = r->state.repaired;
    while (r->state.iteration == iteration)
      more = step(r, 1 + random_below(90));
    CHECK(fabs(r->state.objective - objective) <= 1e-5 * (1 + objective));
    if (all) memcpy(met, went, (size_t)r->state.n_groups * k);
    const int gained = r->state.objective < before;
    CHECK(r->state.stop != SV_KMEANS_CONVERGED || r->state.objective == 0 ||
          (all && (!gained || r->state.balances > 0)));
    const int again = !all && r->state.iteration > 1 && !gained;
    CHECK(r->state.balance > 0 ||
          (r->state.compare_all != 0) == (r->state.n_groups == 0 || again));
    all = r->state.compare_all != 0;
    before = r->state.objective;
    join(r, means, counts, met, went);
    if (all) memset(met, 1, (size_t)r->state.n_groups * k);
    const int moved = r->state.repaired > was || r->state.balances > 0;
    for (uint32_t j = 0; j < k && !moved; j++)
      for (uint32_t t = 0; t < dim; t++)
        CHECK(fabs((double)r->centroids[j * dim + t] -
                   means[j * dim + t] / counts[j]) < 1e-5);
  }
  free(means);
  free(counts);
}

static void groups(void) {
  for (uint32_t round = 0; round < 40; round++) {
    const uint32_t dim = 1 + random_below(9), k = 2 + random_below(30);
    const uint32_t n = 100 + random_below(200), n_groups = 1 + round % 7;
    struct run r = make_run(n, dim, k);
    for (uint32_t i = 0; round % 3 == 0 && i < n / 2; i++) /* for repairs */
      memcpy(r.rows + i * dim, r.rows, dim * sizeof *r.rows);
    r.state.n_groups = n_groups;
    r.state.max_iters = round % 2 ? 6 : 1000;
    r.state.balance = round % 5 < 2 ? 1.3f : 0;
    free(r.scratch);
    r.scratch = make(sv_kmeans_scratch_size(dim, k, n_groups));
    uint32_t *starts = make((n_groups + 1) * sizeof *starts);
    uint8_t *met = make((size_t)n_groups * k);
    uint8_t *went = make((size_t)n_groups * k);
    starts[0] = 0;
    for (uint32_t g = 1; g <= n_groups; g++)
      starts[g] = g == n_groups ? n
                                : starts[g - 1] + random_below(3) *
                                      random_below(n - starts[g - 1]) / 2;
    check_groups(&r, starts, met, went);
    free(starts);
    free(met);
    free(went);
    drop_run(r);
  }
}

static void groups_refused(void) {
  struct run r = make_run(10, 2, 3);
  r.state.n_groups = 2;
  free(r.scratch);
  r.scratch = make(sv_kmeans_scratch_size(2, 3, 2));
  const uint32_t good[3] = {0, 4, 10};
  const uint32_t bad[4][3] = {{1, 4, 10}, {0, 4, 9}, {0, 11, 10}, {0, 4, 11}};
  CHECK(sv_kmeans_start(&r.state, r.rows, good, 0, r.centroids, r.scratch) ==
        0);
  CHECK(sv_kmeans_start(&r.state, r.rows, NULL, 0, r.centroids, r.scratch) ==
        SV_ERROR_ARGUMENT);
  for (uint32_t i = 0; i < 4; i++)
    CHECK(sv_kmeans_start(&r.state, r.rows, bad[i], 0, r.centroids,
                          r.scratch) == SV_ERROR_ARGUMENT);
  drop_run(r);
}

/* ---- sums in any order ------------------------------------------------- */

static void any_order(void) {
  enum { N = 500, DIM = 7, K = 5 };
  static float rows[N * DIM], back[N * DIM];
  static uint32_t lists[N], lists_back[N];
  double sums[K * DIM] = {0}, sums_back[K * DIM] = {0}, exact[K * DIM] = {0};
  uint32_t counts[K] = {0}, counts_back[K] = {0};
  const double grain = 0x1p-26;
  random_floats(rows, N * DIM);
  for (uint32_t i = 0; i < N; i++) {
    lists[i] = lists_back[N - 1 - i] = random_below(K);
    memcpy(back + (N - 1 - i) * DIM, rows + i * DIM, DIM * sizeof *rows);
    for (uint32_t t = 0; t < DIM; t++)
      exact[lists[i] * DIM + t] += (double)rows[i * DIM + t];
  }
  CHECK(sv_add_rows(rows, lists, N, DIM, grain, sums, counts) == 0);
  for (uint32_t i = 0; i < N; i += 100)
    CHECK(sv_add_rows(back + i * DIM, lists_back + i, 100, DIM, grain,
                      sums_back, counts_back) == 0);
  CHECK(same_bits(sums, sums_back, sizeof sums));
  CHECK(same_bits(counts, counts_back, sizeof counts));
  for (uint32_t j = 0; j < K * DIM; j++) {
    CHECK(fabs(sums[j] - exact[j]) <= N * grain / 2);
    CHECK(fmod(sums[j], grain) == 0);
  }
}

/* ---- several states ---------------------------------------------------- */

#define PARTS 4

/* One pass of a state over rows [from, to) of its own, taken out at the end. */
static void step_part(struct run *r, uint32_t to, uint8_t *sums) {
  while (r->state.next_row < to)
    sv_kmeans_step(&r->state, r->rows,
                   1 + random_below(to - r->state.next_row), r->centroids,
                   r->scratch);
  sv_kmeans_take(&r->state, r->scratch, sums);
}

/* Adds the sums of all parts to a state and finishes its pass. */
static int32_t finish_parts(struct run *r, uint8_t *const sums[PARTS]) {
  for (uint32_t p = 0; p < PARTS; p++)
    sv_kmeans_add(&r->state, r->scratch, sums[p]);
  return sv_kmeans_finish(&r->state, r->centroids, r->scratch);
}

static void start_part(struct run *r, uint32_t n_groups,
                       const uint32_t *starts) {
  r->state.n_groups = n_groups;
  free(r->scratch);
  r->scratch =
      make(sv_kmeans_scratch_size(r->state.dim, r->state.k, n_groups));
  CHECK(sv_kmeans_start(&r->state, r->rows, starts, 1, r->centroids,
                        r->scratch) == 0);
}

/* The rows of four groups, all in one state and one group in each of four. */
static void several_states(void) {
  for (uint32_t round = 0; round < 20; round++) {
    const uint32_t dim = 1 + random_below(9), k = 2 + random_below(30);
    uint32_t starts[PARTS + 1] = {0};
    uint8_t *sums[PARTS];
    for (uint32_t p = 0; p < PARTS; p++) {
      starts[p + 1] = starts[p] + 8 + random_below(200);
      sums[p] = make(sv_kmeans_sums_size(k, dim));
    }
    struct run one = make_run(starts[PARTS], dim, k);
    struct run plain = make_run(starts[PARTS], dim, k), parts[PARTS];
    memcpy(plain.rows, one.rows, starts[PARTS] * dim * sizeof *one.rows);
    for (uint32_t t = 0; t < k * dim; t++) /* some lists stay empty */
      one.centroids[t] = 4 * random_float();
    const size_t bytes = k * dim * sizeof *one.centroids;
    memcpy(plain.centroids, one.centroids, bytes);
    one.state.max_iters = plain.state.max_iters = 12;
    one.state.seed = plain.state.seed = round;
    one.state.balance = plain.state.balance = round % 2 ? 1.5f : 0;
    start_part(&plain, PARTS, starts);
    for (uint32_t p = 0; p < PARTS; p++) {
      const uint32_t own[2] = {0, starts[p + 1] - starts[p]};
      parts[p] = make_run(own[1], dim, k);
      memcpy(parts[p].rows, one.rows + starts[p] * dim,
             own[1] * dim * sizeof *one.rows);
      memcpy(parts[p].centroids, one.centroids, bytes);
      parts[p].state.max_iters = 12;
      parts[p].state.seed = round;
      parts[p].state.balance = one.state.balance;
      start_part(&parts[p], 1, own);
    }
    start_part(&one, PARTS, starts);
    for (int32_t more = 1; more == 1;) {
      CHECK(sv_kmeans_finish(&one.state, one.centroids, one.scratch) ==
            SV_ERROR_ARGUMENT);
      for (uint32_t p = 0; p < PARTS; p++)
        step_part(&one, starts[p + 1], sums[p]);
      CHECK(sv_kmeans_finish(&one.state, one.centroids, one.scratch) ==
            SV_ERROR_ARGUMENT); /* nothing is added yet */
      more = finish_parts(&one, sums);
      step(&plain, UINT32_MAX);
      CHECK(fabs(plain.state.objective - one.state.objective) <
            1e-6 * (1 + one.state.objective));
      for (uint32_t p = 0; p < PARTS; p++)
        step_part(&parts[p], parts[p].state.n, sums[p]);
      CHECK(finish_parts(&parts[0], sums) == more);
      CHECK(same_bits(&one.state.objective, &parts[0].state.objective, 8));
      CHECK(same_bits(one.centroids, parts[0].centroids, bytes));
      CHECK(one.state.compare_all == parts[0].state.compare_all &&
            one.state.stop == parts[0].state.stop &&
            one.state.repaired == parts[0].state.repaired);
      for (uint32_t p = 1; p < PARTS; p++) {
        memcpy(parts[p].centroids, parts[0].centroids, bytes);
        memcpy(parts[p].scratch, parts[0].scratch, k * sizeof(uint32_t));
        sv_kmeans_next(&parts[p].state, (int32_t)parts[0].state.compare_all);
      }
    }
    for (uint32_t p = 0; p < PARTS; p++) {
      free(sums[p]);
      drop_run(parts[p]);
    }
    drop_run(one);
    drop_run(plain);
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
    CHECK(sv_kmeans_start(&r.state, r.rows, NULL, 0, r.centroids,      \
                          r.scratch) == SV_ERROR_ARGUMENT);            \
  } while (0)
  REFUSES(k, 0);
  REFUSES(k, 11);
  REFUSES(n, 2);
  REFUSES(dim, 0);
  REFUSES(dim, SV_MAX_DIM + 2);
  REFUSES(n_groups, 1);
  REFUSES(n_groups, SV_MAX_LISTS + 1);
  REFUSES(max_iters, 0);
  REFUSES(tolerance, -1);
  REFUSES(tolerance, NAN);
  REFUSES(stall, -1);
  REFUSES(stall, NAN);
  REFUSES(balance, 0.9f);
  REFUSES(balance, NAN);
#undef REFUSES
  CHECK(sv_kmeans_scratch_size(SV_MAX_DIM + 2, 1, 1) == 0);
  CHECK(sv_kmeans_scratch_size(1, SV_MAX_LISTS + 1, 1) == 0);
  CHECK(sv_kmeans_scratch_size(1, 1, SV_MAX_LISTS + 1) == 0);
  CHECK(sv_kmeans_sums_size(1, SV_MAX_DIM + 2) == 0);
  CHECK(sv_kmeans_sums_size(SV_MAX_LISTS + 1, 1) == 0);
  CHECK(sv_kmeans_scratch_size(UINT32_MAX, UINT32_MAX, 1) == 0);
  drop_run(r);
}

int main(void) {
  run("each pass is one of Lloyd's", passes);
  run("compares the rows of a group with the lists they once went to",
      groups);
  run("refuses groups that are not all of the rows", groups_refused);
  run("adds rows to the same bits in any order", any_order);
  run("states with the rows of one clustering go the way of one",
      several_states);
  run("the objective never rises but after a split", falls);
  run("starts from k different rows", forgy);
  run("gives the same bits however it is stepped", stepping);
  run("the same seed gives the same centroids, another gives others", seeds);
  run("tolerance, stall and max_iters stop it, looser sooner", stop_rules);
  run("stops on exactly the objectives that sv.h names", stop_arithmetic);
  run("recovers eight blobs from one row of each", blobs);
  run("recovers two blobs from any two rows", two_blobs);
  run("a warm start keeps the centroids until a pass ends", warm_start);
  run("refuses to step by nothing, and after its end does nothing",
      after_stop);
  run("refuses arguments out of range", arguments);
  return 0;
}
