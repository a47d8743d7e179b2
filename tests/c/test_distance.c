/* distance.c against sums in long double. */
#include "check.h"
#define SV_ALLOCATOR
#include "internal.h"

#define MAX_DIM 67u
#define ALIGNMENTS 4u

static const int32_t metrics[] = {SV_SQUARED_L2, SV_COSINE,
                                  SV_INNER_PRODUCT};

static long double dot_oracle(const float *x, const float *y, uint32_t dim) {
  long double sum = 0;
  for (uint32_t t = 0; t < dim; t++)
    sum += (long double)x[t] * (long double)y[t];
  return sum;
}

static long double l2_oracle(const float *x, const float *y, uint32_t dim) {
  long double sum = 0;
  for (uint32_t t = 0; t < dim; t++) {
    const long double d = (long double)x[t] - (long double)y[t];
    sum += d * d;
  }
  return sum;
}

static double distance_oracle(int32_t metric, const float *x, const float *y,
                              uint32_t dim) {
  if (metric == SV_SQUARED_L2) return (double)l2_oracle(x, y, dim);
  const long double dot = dot_oracle(x, y, dim);
  if (metric == SV_INNER_PRODUCT) return (double)-dot;
  return (double)(1 - dot / sqrtl(dot_oracle(x, x, dim) *
                                  dot_oracle(y, y, dim)));
}

/* A pair of rows that begin `shift` floats into their memory. */
struct pair {
  float *memory_x, *memory_y, *x, *y;
};

static struct pair make_pair(uint32_t dim, uint32_t shift) {
  struct pair p;
  p.memory_x = make((dim + shift) * sizeof(float));
  p.memory_y = make((dim + shift) * sizeof(float));
  p.x = p.memory_x + shift;
  p.y = p.memory_y + shift;
  random_floats(p.x, dim);
  random_floats(p.y, dim);
  return p;
}

static void drop_pair(struct pair p) {
  free(p.memory_x);
  free(p.memory_y);
}

static void f32_sums(void) {
  for (uint32_t dim = 1; dim <= MAX_DIM; dim++)
    for (uint32_t shift = 0; shift < ALIGNMENTS; shift++) {
      const struct pair p = make_pair(dim, shift);
      const double bound = ((double)dim / 4 + 8) * 0x1p-24;
      double magnitude = 0;
      for (uint32_t t = 0; t < dim; t++)
        magnitude += fabs((double)p.x[t] * (double)p.y[t]);
      const float dot = sv_dot(p.x, p.y, dim);
      const float l2 = sv_squared_l2(p.x, p.y, dim);
      const double exact = (double)l2_oracle(p.x, p.y, dim);
      CHECK(fabs((double)dot - (double)dot_oracle(p.x, p.y, dim)) <=
            bound * magnitude);
      CHECK(fabs((double)l2 - exact) <= bound * exact);
      const float dot_scalar = sv_dot_scalar(p.x, p.y, dim);
      const float l2_scalar = sv_squared_l2_scalar(p.x, p.y, dim);
      CHECK(same_bits(&dot, &dot_scalar, 4));
      CHECK(same_bits(&l2, &l2_scalar, 4));
      drop_pair(p);
    }
}

/* 1 + 2^-24 three times rounds to 1 unless lanes are added in pairs. */
static void f32_order(void) {
  const float x[9] = {1, 0x1p-24f, 0x1p-24f, 0x1p-24f, 0, 0, 0, 0, 0x1p-24f};
  const float ones[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
  CHECK(sv_dot(x, ones, 4) == (1.0f + 0x1p-24f) + (0x1p-24f + 0x1p-24f));
  CHECK(sv_dot(x, ones, 9) == sv_dot(x, ones, 4) + 0x1p-24f);
  CHECK(sv_dot(x, ones, 3) == (1.0f + 0x1p-24f) + 0x1p-24f);
}

static void f64_distances(void) {
  for (uint32_t dim = 1; dim <= MAX_DIM; dim++)
    for (uint32_t shift = 0; shift < ALIGNMENTS; shift++)
      for (uint32_t m = 0; m < 3; m++) {
        const struct pair p = make_pair(dim, shift);
        const double distance = sv_distance(metrics[m], p.x, p.y, dim);
        const double exact = distance_oracle(metrics[m], p.x, p.y, dim);
        CHECK(fabs(distance - exact) <= 1e-13 * (1 + fabs(exact)));
        CHECK(distance == sv_distance(metrics[m], p.y, p.x, dim));
        drop_pair(p);
      }
}

static void f64_extremes(void) {
  float x[5], y[5], zero[5] = {0};
  for (uint32_t round = 0; round < 200; round++) {
    random_floats(x, 5);
    CHECK(sv_distance(SV_COSINE, x, x, 5) == 0);
    for (uint32_t t = 0; t < 5; t++) y[t] = -x[t];
    CHECK(sv_distance(SV_COSINE, x, y, 5) == 2);
    for (uint32_t t = 0; t < 5; t++) y[t] = x[t] * 0x1p-126f * 0x1p-10f;
    y[0] = 0x1p-149f;
    for (uint32_t t = 0; t < 5; t++) x[t] *= 4e17f;
    const double distance = sv_distance(SV_COSINE, x, y, 5);
    CHECK(fabs(distance - distance_oracle(SV_COSINE, x, y, 5)) < 1e-13);
    CHECK(distance >= 0 && distance <= 2);
    const double l2 = sv_distance(SV_SQUARED_L2, x, y, 5);
    CHECK(fabs(l2 / distance_oracle(SV_SQUARED_L2, x, y, 5) - 1) < 1e-13);
    CHECK(sv_distance(SV_COSINE, x, zero, 5) == 1);
    CHECK(sv_distance(SV_COSINE, zero, zero, 5) == 1);
    CHECK(sv_distance(SV_INNER_PRODUCT, x, zero, 5) == 0);
  }
}

static void refusals(void) {
  enum { N = 9, DIM = 7 };
  static const float bad[] = {NAN, INFINITY, -INFINITY, 1.1e18f, 3e38f};
  for (uint32_t i = 0; i < N; i++)
    for (uint32_t t = 0; t < DIM; t++)
      for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
        float *rows = make(N * DIM * sizeof *rows);
        random_floats(rows, N * DIM);
        uint32_t row = 77;
        CHECK(sv_check_rows(SV_COSINE, rows, N, DIM, &row) == 0 && row == 77);
        rows[i * DIM + t] = bad[b];
        rows[N * DIM - 1] = NAN;
        for (uint32_t m = 0; m < 3; m++) {
          CHECK(sv_check_rows(metrics[m], rows, N, DIM, &row) ==
                SV_ERROR_NOT_FINITE);
          CHECK(row == i);
        }
        free(rows);
      }
}

static void zero_rows(void) {
  float rows[6] = {1, 2, 0, -0.0f, 3, 4};
  uint32_t row = 77;
  CHECK(sv_check_rows(SV_SQUARED_L2, rows, 3, 2, &row) == 0);
  CHECK(sv_check_rows(SV_INNER_PRODUCT, rows, 3, 2, &row) == 0);
  CHECK(sv_check_rows(SV_COSINE, rows, 3, 2, &row) == SV_ERROR_ZERO_VECTOR);
  CHECK(row == 1);
  rows[3] = 0x1p-149f;
  CHECK(sv_check_rows(SV_COSINE, rows, 3, 2, &row) == 0);
  rows[3] = 1e18f;
  CHECK(sv_check_rows(SV_COSINE, rows, 3, 2, &row) == 0);
  CHECK(sv_check_rows(SV_COSINE, rows, 0, 2, &row) == 0);
}

static void norms(void) {
  for (uint32_t dim = 1; dim <= MAX_DIM; dim++) {
    float *rows = make(3 * dim * sizeof *rows), out[3];
    random_floats(rows, 3 * dim);
    sv_norms(rows, 3, dim, out);
    for (uint32_t i = 0; i < 3; i++) {
      const float *x = rows + (size_t)i * dim;
      const double norm = sqrt((double)dot_oracle(x, x, dim));
      CHECK(fabs((double)out[i] - norm) <= norm * 0x1.0001p-24);
    }
    free(rows);
  }
}

/* Whatever the metric, squared L2 in routed space is scale * distance +
 * offset, which is what ranking and the stop rule rest on. */
static void routing(void) {
  for (uint32_t dim = 1; dim <= MAX_DIM; dim++)
    for (uint32_t m = 0; m < 3; m++) {
      enum { N = 5 };
      const uint32_t out_dim = sv_route_dim(metrics[m], dim);
      CHECK(out_dim == dim + (metrics[m] == SV_INNER_PRODUCT));
      float *rows = make(N * dim * sizeof *rows);
      float *query = make(dim * sizeof *query);
      float *routed = make(N * out_dim * sizeof *routed);
      float *routed_query = make(out_dim * sizeof *routed_query);
      float lengths[N], max_norm = 0;
      random_floats(rows, N * dim);
      random_floats(query, dim);
      sv_norms(rows, N, dim, lengths);
      for (uint32_t i = 0; i < N; i++) max_norm = fmaxf(max_norm, lengths[i]);
      double scale, offset;
      CHECK(sv_route_rows(metrics[m], rows, N, dim, max_norm, routed) == 0);
      CHECK(sv_route_query(metrics[m], query, dim, max_norm, routed_query,
                           &scale, &offset) == 0);
      for (uint32_t i = 0; i < N; i++) {
        const double squared = (double)l2_oracle(
            routed + (size_t)i * out_dim, routed_query, out_dim);
        const double distance =
            sv_distance(metrics[m], query, rows + (size_t)i * dim, dim);
        CHECK(fabs(squared - (scale * distance + offset)) <=
              1e-5 * (1 + offset));
      }
      free(rows);
      free(query);
      free(routed);
      free(routed_query);
    }
}

static void routing_edges(void) {
  const float rows[4] = {3, 4, 0, 0}, query[2] = {0, 0};
  float routed[6];
  double scale = 7, offset = 7;
  CHECK(sv_route_rows(SV_INNER_PRODUCT, rows, 2, 2, 2.0f, routed) == 0);
  CHECK(routed[2] == 0); /* longer than max_norm */
  CHECK(routed[5] == 2);
  CHECK(sv_route_query(SV_INNER_PRODUCT, query, 2, 2.0f, routed, &scale,
                       &offset) == 0);
  CHECK(routed[0] == 0 && routed[1] == 0 && routed[2] == 0);
  CHECK(scale == 0 && offset == 4);
  CHECK(sv_route_query(SV_INNER_PRODUCT, rows, 2, 10.0f, routed, &scale,
                       &offset) == 0);
  CHECK(routed[0] == 6 && routed[1] == 8 && scale == 4 && offset == 200);
  CHECK(sv_route_rows(SV_COSINE, rows, 2, 2, 0, routed) == 0);
  CHECK(routed[0] == 0.6f && routed[1] == 0.8f);
  CHECK(routed[2] == 0 && routed[3] == 0);
}

int main(void) {
  run("f32 sums stay within their bound and equal the scalar twin",
      f32_sums);
  run("f32 sums add lanes in the order that sv.h fixes", f32_order);
  run("distances equal those of long double", f64_distances);
  run("distances are right at 1e18, at 2^-149, at zero, and to itself",
      f64_extremes);
  run("refuses NaN, infinity and norms over 1e18, naming the first row",
      refusals);
  run("refuses zero rows under cosine only", zero_rows);
  run("norms are correctly rounded", norms);
  run("squared L2 of routed rows is scale * distance + offset", routing);
  run("routes zero queries and rows longer than max_norm", routing_edges);
  return 0;
}
