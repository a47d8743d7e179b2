/* kmeans_run.h: one clustering with its memory, and Lloyd's pass by hand. */
#ifndef KMEANS_RUN_H
#define KMEANS_RUN_H

#include "check.h"
#include "sv.h"

struct run {
  struct sv_kmeans state;
  float *rows, *centroids;
  void *scratch;
};

/* make_run leaves rows uniform in [-1, 1) and the state ready to start. */
static inline struct run make_run(uint32_t n, uint32_t dim, uint32_t k) {
  struct run r;
  memset(&r.state, 0x5a, sizeof r.state);
  r.state.n = n;
  r.state.dim = dim;
  r.state.k = k;
  r.state.n_groups = 0;
  r.state.max_iters = 100;
  r.state.tolerance = 0;
  r.state.stall = 0;
  r.state.balance = 0;
  r.state.seed = random_u64();
  r.rows = make((size_t)n * dim * sizeof(float));
  r.centroids = make((size_t)k * dim * sizeof(float));
  r.scratch = make(sv_kmeans_scratch_size(dim, k, 0));
  random_floats(r.rows, (size_t)n * dim);
  return r;
}

static inline void drop_run(struct run r) {
  free(r.rows);
  free(r.centroids);
  free(r.scratch);
}

static inline void start(struct run *r, int32_t warm) {
  CHECK(sv_kmeans_start(&r->state, r->rows, NULL, warm, r->centroids,
                        r->scratch) == 0);
  CHECK(r->state.stop == SV_KMEANS_RUNNING && r->state.iteration == 0);
}

/* step takes further rows, and finishes the pass when they were the last. */
static inline int32_t step(struct run *r, uint32_t max_rows) {
  const int32_t more = sv_kmeans_step(&r->state, r->rows, max_rows,
                                      r->centroids, r->scratch);
  return more != 0 ? more
                   : sv_kmeans_finish(&r->state, r->centroids, r->scratch);
}

static inline void finish(struct run *r) {
  while (step(r, UINT32_MAX) == 1) continue;
  CHECK(r->state.stop != SV_KMEANS_RUNNING);
}

static inline double l2(const float *x, const float *y, uint32_t dim) {
  double sum = 0;
  for (uint32_t t = 0; t < dim; t++) {
    const double d = (double)x[t] - (double)y[t];
    sum += d * d;
  }
  return sum;
}

/* nearest_oracle returns the nearest centroid's squared distance. */
static inline double nearest_oracle(const struct run *r, uint32_t row,
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
static inline double pass_oracle(const struct run *r, double *means,
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

#endif
