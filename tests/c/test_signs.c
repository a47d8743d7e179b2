/* signs.c against distances in f64: what signs drop is far. */
#define SV_ALLOCATOR
#include "check.h"
#include "internal.h"
#include "sv.h"

#define MAX_DIM 320u

/* AXES: all but few components are one and the same for all rows and queries.
 * PLANE: rows and queries lie in a space of few directions, none an axis.
 * STEPS: components are alike but for their sign, which changes in few places,
 * as rows of Hadamard's matrix do. */
enum kind { UNIFORM, CLUSTERED, AXES, PLANE, SPARSE, STEPS, KINDS };

/* A block of rows about a center, and a query that may lie near them. */
struct sample {
  enum kind kind;
  uint32_t dim, n;
  float center[MAX_DIM], basis[8][MAX_DIM];
  float *rows;
  float query[MAX_DIM];
};

static float normal(void) {
  float sum = 0;
  for (uint32_t i = 0; i < 12; i++) sum += random_float();
  return sum / 2;
}

static void fill_row(const struct sample *s, float spread, float *x) {
  memcpy(x, s->center, s->dim * sizeof *x);
  if (s->kind == PLANE) {
    for (uint32_t b = 0; b < 8; b++) {
      const float much = spread * normal();
      for (uint32_t t = 0; t < s->dim; t++) x[t] += much * s->basis[b][t];
    }
    return;
  }
  if (s->kind == STEPS) {
    for (uint32_t h = 8; h <= 64; h *= 2) {
      const float much = spread * normal();
      for (uint32_t t = 0; t < s->dim; t++)
        x[t] += t / h % 2 ? much : -much;
    }
    for (uint32_t t = 0; t < s->dim; t++) x[t] += spread * normal() / 16;
    return;
  }
  for (uint32_t t = 0; t < s->dim; t++) {
    if (s->kind == AXES && t % 16 != 3) continue;
    if (s->kind == SPARSE && random_below(8)) continue;
    x[t] += spread * (s->kind == UNIFORM ? random_float() : normal());
  }
}

static struct sample make_sample(enum kind kind) {
  struct sample s;
  s.kind = kind;
  s.dim = 64 + random_below(MAX_DIM - 63);
  s.n = 1 + random_below(sv_block_rows(s.dim));
  s.rows = make((size_t)s.n * s.dim * sizeof *s.rows);
  for (uint32_t t = 0; t < s.dim; t++) {
    s.center[t] = kind == SPARSE ? 0 : 3 * normal();
    for (uint32_t b = 0; b < 8; b++) s.basis[b][t] = normal();
  }
  for (uint32_t i = 0; i < s.n; i++) fill_row(&s, 1, s.rows + i * s.dim);
  fill_row(&s, 1 + random_float() / 2, s.query);
  s.query[0] += 0.1f;
  return s;
}

/* Rows dropped: of those with a limit right behind them, and of those far
 * beyond their limit. */
struct counts {
  uint32_t rows, near_dropped, far_dropped;
};

/* far_limit is what a row at this distance is far beyond. */
static float far_limit(int32_t metric, const struct sample *s, const float *x,
                       double distance) {
  if (metric != SV_INNER_PRODUCT) return (float)(distance / 4);
  const double squared = sv_distance(SV_SQUARED_L2, s->query, x, s->dim);
  return (float)(distance - squared);
}

static void count_block(const struct sample *s, int32_t metric,
                        const struct sign_terms *terms,
                        struct counts *counts) {
  for (uint32_t i = 0; i < s->n; i++) {
    const float *x = s->rows + (size_t)i * s->dim;
    const uint32_t first = i / 64 * 64;
    const uint32_t n = s->n - first < 64 ? s->n - first : 64;
    const double distance = sv_distance(metric, s->query, x, s->dim);
    const float near = (float)(distance + fabs(distance) * 1e-6);
    const float far = far_limit(metric, s, x, distance);
    const uint64_t bit = 1ull << (i - first);
    counts->rows++;
    counts->near_dropped += !(signs_test(terms, first, n, near) & bit);
    counts->far_dropped += !(signs_test(terms, first, n, far) & bit);
  }
}

/* count_sample codes the rows beside others that lie elsewhere, so that their
 * mean is not that of the segment. */
static void count_sample(int32_t metric, const struct sample *s,
                         struct counts *counts) {
  const uint32_t starts[] = {0, s->n, 2 * s->n};
  const size_t floats = (size_t)s->n * s->dim;
  float *rows = make(2 * floats * sizeof *rows);
  float *origin = make(padded_of(s->dim) * 3 * sizeof *origin);
  uint8_t *codes = make(2 * (size_t)sv_codes_size(s->n, s->dim));
  uint8_t *signs = make(sv_signs_size(s->n, s->dim));
  struct probe *probe = make(sv_probe_size(s->dim));
  struct code_terms code_terms;
  struct sign_terms terms;
  memcpy(rows, s->rows, floats * sizeof *rows);
  for (size_t i = 0; i < floats; i++) rows[floats + i] = normal();
  sv_codes_origin(metric, rows, 2 * s->n, s->dim, origin);
  sv_codes_encode(metric, rows, s->dim, starts, 2, origin, codes);
  void *scratch = make(sv_signs_scratch_size(s->dim));
  memset(signs, 0, sv_signs_size(s->n, s->dim));
  for (int visit = 0; visit < 3; visit++)
    CHECK(signs_visit(metric, origin, s->dim, s->n, codes, signs, scratch) ==
          (visit > 0));
  free(scratch);
  probe_prepare(probe, metric, s->query, origin, s->dim);
  probe_block(probe, codes, s->n, 1, &code_terms);
  signs_prepare(probe, &code_terms, signs, s->n, &terms);
  count_block(s, metric, &terms, counts);
  free(rows);
  free(origin);
  free(codes);
  free(signs);
  free(probe);
}

static void drops(void) {
  for (int32_t metric = 0; metric < 3; metric++)
    for (enum kind kind = 0; kind < KINDS; kind++) {
      struct counts counts = {0, 0, 0};
      for (uint32_t round = 0; round < 150; round++) {
        struct sample s = make_sample(kind);
        count_sample(metric, &s, &counts);
        free(s.rows);
      }
      /* A handful of components that differ make no normal error. */
      CHECK(counts.near_dropped <= counts.rows / (kind == AXES ? 50 : 300));
      CHECK(counts.far_dropped >= counts.rows / 10 * 9);
    }
}

static void has_none(void) {
  CHECK(sv_signs_size(0, 128) == 0);
  CHECK(sv_signs_size(100, 63) == 0);
  CHECK(sv_signs_size(100, 64) > 0 && sv_signs_size(100, 64) % 16 == 0);
}

int main(void) {
  run("next to no row is dropped that is not farther than the limit, and most "
      "that are far are",
      drops);
  run("there are none of few components", has_none);
  return 0;
}
