/*
 * distance.c: distances of one pair, checks of rows, and routed space.
 *
 * Routed space turns inner product into squared L2 by one more component
 * (Bachrach et al., "Speeding up the Xbox recommender system using a
 * Euclidean transformation for inner-product spaces", 2014), and cosine by
 * unit rows.
 *
 * Decisions:
 *  1. Every sum has one fixed order and no fused multiply-add, so that SIMD,
 *     scalar, wasm and native all give the same bits, and an index trained
 *     in one place is the index trained in another.
 *  2. The scalar functions define that order; SIMD forms follow.
 *  3. Exact distances widen to f64 first. Products of f32 are exact in f64,
 *     and squares of any finite f32 neither overflow nor vanish there, so
 *     one sum also serves to check a row.
 *  4. A zero row, which sv_check_rows refuses under cosine, is routed to
 *     zero and is at distance 1 from everything: no NaN is ever made.
 *  5. f64 kernels are functions that are not inlined, so that V8, which has
 *     no on-stack replacement, soon recompiles them.
 */
#include "sv.h"
#include "internal.h"

#include <math.h>
#include <string.h>

#define KERNEL __attribute__((noinline))
#define MAX_SQUARED_NORM 1e36

/* ---- one pair of rows -------------------------------------------------- */

/* fold_sums brings sixteen running sums down to four, in place. */
static void fold_sums(float *s) {
  for (uint32_t lane = 0; lane < 4; lane++)
    s[lane] = (s[lane] + s[lane + 8]) + (s[lane + 4] + s[lane + 12]);
}

float sv_dot_scalar(const float *x, const float *y, uint32_t dim) {
  float s[16] = {0};
  uint32_t t = 0;
  for (; t + 16 <= dim; t += 16)
    for (uint32_t lane = 0; lane < 16; lane++)
      s[lane] += x[t + lane] * y[t + lane];
  fold_sums(s);
  for (; t + 4 <= dim; t += 4)
    for (uint32_t lane = 0; lane < 4; lane++)
      s[lane] += x[t + lane] * y[t + lane];
  float sum = (s[0] + s[2]) + (s[1] + s[3]);
  for (; t < dim; t++) sum += x[t] * y[t];
  return sum;
}

static float squared(float x, float y) { return (x - y) * (x - y); }

float sv_squared_l2_scalar(const float *x, const float *y, uint32_t dim) {
  float s[16] = {0};
  uint32_t t = 0;
  for (; t + 16 <= dim; t += 16)
    for (uint32_t lane = 0; lane < 16; lane++)
      s[lane] += squared(x[t + lane], y[t + lane]);
  fold_sums(s);
  for (; t + 4 <= dim; t += 4)
    for (uint32_t lane = 0; lane < 4; lane++)
      s[lane] += squared(x[t + lane], y[t + lane]);
  float sum = (s[0] + s[2]) + (s[1] + s[3]);
  for (; t < dim; t++) sum += squared(x[t], y[t]);
  return sum;
}

#if SV_SIMD

/* sum_f32x4 adds the lanes as (s0 + s2) + (s1 + s3). */
static inline float sum_f32x4(v128_t s) {
  s = wasm_f32x4_add(s, wasm_i32x4_shuffle(s, s, 2, 3, 0, 1));
  return wasm_f32x4_extract_lane(s, 0) + wasm_f32x4_extract_lane(s, 1);
}

static inline v128_t fold_f32x4(const v128_t *s) {
  return wasm_f32x4_add(wasm_f32x4_add(s[0], s[2]),
                        wasm_f32x4_add(s[1], s[3]));
}

static inline v128_t product_f32x4(const float *x, const float *y) {
  return wasm_f32x4_mul(wasm_v128_load(x), wasm_v128_load(y));
}

static inline v128_t squared_f32x4(const float *x, const float *y) {
  const v128_t d = wasm_f32x4_sub(wasm_v128_load(x), wasm_v128_load(y));
  return wasm_f32x4_mul(d, d);
}

/* Four vectors of sums: one would wait for each addition, 4 cycles. */
float sv_dot(const float *x, const float *y, uint32_t dim) {
  v128_t s[4] = {0};
  uint32_t t = 0;
  for (; t + 16 <= dim; t += 16)
    for (uint32_t i = 0; i < 4; i++)
      s[i] = wasm_f32x4_add(s[i], product_f32x4(x + t + 4 * i, y + t + 4 * i));
  v128_t four = fold_f32x4(s);
  for (; t + 4 <= dim; t += 4)
    four = wasm_f32x4_add(four, product_f32x4(x + t, y + t));
  float sum = sum_f32x4(four);
  for (; t < dim; t++) sum += x[t] * y[t];
  return sum;
}

float sv_squared_l2(const float *x, const float *y, uint32_t dim) {
  v128_t s[4] = {0};
  uint32_t t = 0;
  for (; t + 16 <= dim; t += 16)
    for (uint32_t i = 0; i < 4; i++)
      s[i] = wasm_f32x4_add(s[i], squared_f32x4(x + t + 4 * i, y + t + 4 * i));
  v128_t four = fold_f32x4(s);
  for (; t + 4 <= dim; t += 4)
    four = wasm_f32x4_add(four, squared_f32x4(x + t, y + t));
  float sum = sum_f32x4(four);
  for (; t < dim; t++) sum += squared(x[t], y[t]);
  return sum;
}

#else

float sv_dot(const float *x, const float *y, uint32_t dim) {
  return sv_dot_scalar(x, y, dim);
}

float sv_squared_l2(const float *x, const float *y, uint32_t dim) {
  return sv_squared_l2_scalar(x, y, dim);
}

#endif

/* ---- the same in f64 --------------------------------------------------- */

/* term is one product, or one squared difference. */
static inline double term(float x, float y, int squares) {
  const double d = (double)x - (double)y;
  return squares ? d * d : (double)x * (double)y;
}

#if SV_SIMD

static inline v128_t widen_f64x2(const float *x) {
  return wasm_f64x2_promote_low_f32x4(wasm_v128_load64_zero(x));
}

/* terms_f64x2 is term of components 0 and 1. */
static inline v128_t terms_f64x2(const float *x, const float *y,
                                 int squares) {
  const v128_t a = widen_f64x2(x), b = widen_f64x2(y);
  const v128_t d = wasm_f64x2_sub(a, b);
  return squares ? wasm_f64x2_mul(d, d) : wasm_f64x2_mul(a, b);
}

static inline double add_f64x2(v128_t s01, v128_t s23) {
  const v128_t s = wasm_f64x2_add(s01, s23);
  return wasm_f64x2_extract_lane(s, 0) + wasm_f64x2_extract_lane(s, 1);
}

static inline double sum_f64(const float *x, const float *y, uint32_t dim,
                             int squares) {
  v128_t s01 = wasm_f64x2_const_splat(0), s23 = s01;
  uint32_t t = 0;
  for (; t + 4 <= dim; t += 4) {
    s01 = wasm_f64x2_add(s01, terms_f64x2(x + t, y + t, squares));
    s23 = wasm_f64x2_add(s23, terms_f64x2(x + t + 2, y + t + 2, squares));
  }
  double sum = add_f64x2(s01, s23);
  for (; t < dim; t++) sum += term(x[t], y[t], squares);
  return sum;
}

#else

static inline double sum_f64(const float *x, const float *y, uint32_t dim,
                             int squares) {
  double s[4] = {0};
  uint32_t t = 0;
  for (; t + 4 <= dim; t += 4)
    for (uint32_t lane = 0; lane < 4; lane++)
      s[lane] += term(x[t + lane], y[t + lane], squares);
  double sum = (s[0] + s[2]) + (s[1] + s[3]);
  for (; t < dim; t++) sum += term(x[t], y[t], squares);
  return sum;
}

#endif

static KERNEL double dot_f64(const float *x, const float *y, uint32_t dim) {
  return sum_f64(x, y, dim, 0);
}

static KERNEL double squared_l2_f64(const float *x, const float *y,
                                    uint32_t dim) {
  return sum_f64(x, y, dim, 1);
}

/* cosine_sums writes x.y, x.x and y.y as dot_f64 has them. In one loop each
 * component is widened once and not three times, which is most of the work.
 */
static KERNEL void cosine_sums(const float *x, const float *y, uint32_t dim,
                               double sums[3]) {
#if SV_SIMD
  v128_t xy01 = wasm_f64x2_const_splat(0), xy23 = xy01, xx01 = xy01;
  v128_t xx23 = xy01, yy01 = xy01, yy23 = xy01;
  uint32_t t = 0;
  for (; t + 4 <= dim; t += 4) {
    const v128_t a = widen_f64x2(x + t), b = widen_f64x2(x + t + 2);
    const v128_t c = widen_f64x2(y + t), d = widen_f64x2(y + t + 2);
    xy01 = wasm_f64x2_add(xy01, wasm_f64x2_mul(a, c));
    xy23 = wasm_f64x2_add(xy23, wasm_f64x2_mul(b, d));
    xx01 = wasm_f64x2_add(xx01, wasm_f64x2_mul(a, a));
    xx23 = wasm_f64x2_add(xx23, wasm_f64x2_mul(b, b));
    yy01 = wasm_f64x2_add(yy01, wasm_f64x2_mul(c, c));
    yy23 = wasm_f64x2_add(yy23, wasm_f64x2_mul(d, d));
  }
  sums[0] = add_f64x2(xy01, xy23);
  sums[1] = add_f64x2(xx01, xx23);
  sums[2] = add_f64x2(yy01, yy23);
  for (; t < dim; t++) {
    sums[0] += term(x[t], y[t], 0);
    sums[1] += term(x[t], x[t], 0);
    sums[2] += term(y[t], y[t], 0);
  }
#else
  sums[0] = sum_f64(x, y, dim, 0);
  sums[1] = sum_f64(x, x, dim, 0);
  sums[2] = sum_f64(y, y, dim, 0);
#endif
}

/* cosine_distance divides by sqrt(xx yy), not sqrt(xx) sqrt(yy), so that a
 * row is at distance 0 from itself to the bit. A zero row, which
 * sv_check_rows refuses, is at 1 from everything. */
static double cosine_distance(const float *x, const float *y, uint32_t dim) {
  double sums[3];
  cosine_sums(x, y, dim, sums);
  const double squares = sums[1] * sums[2];
  if (!(squares > 0)) return 1;
  const double distance = 1 - sums[0] / sqrt(squares);
  if (distance < 0) return 0;
  return distance > 2 ? 2 : distance;
}

double sv_distance(int32_t metric, const float *x, const float *y,
                   uint32_t dim) {
  if (metric == SV_COSINE) return cosine_distance(x, y, dim);
  if (metric == SV_INNER_PRODUCT) return -dot_f64(x, y, dim);
  return squared_l2_f64(x, y, dim);
}

/* ---- rows and routed rows ---------------------------------------------- */

/* One sum per row finds everything: squares of finite f32 cannot overflow
 * f64, and a NaN or an infinity anywhere fails the comparison. */
int32_t sv_check_rows(int32_t metric, const float *rows, uint32_t n,
                      uint32_t dim, uint32_t *row) {
  for (uint32_t i = 0; i < n; i++) {
    const float *x = rows + (size_t)i * dim;
    const double sum = dot_f64(x, x, dim);
    const int finite = sum <= MAX_SQUARED_NORM;
    if (finite && (sum > 0 || metric != SV_COSINE)) continue;
    *row = i;
    return finite ? SV_ERROR_ZERO_VECTOR : SV_ERROR_NOT_FINITE;
  }
  return 0;
}

void sv_norms(const float *rows, uint32_t n, uint32_t dim, float *norms) {
  for (uint32_t i = 0; i < n; i++) {
    const float *x = rows + (size_t)i * dim;
    norms[i] = (float)sqrt(dot_f64(x, x, dim));
  }
}

uint32_t sv_route_dim(int32_t metric, uint32_t dim) {
  return metric == SV_INNER_PRODUCT ? dim + 1 : dim;
}

static void scale_row(const float *x, uint32_t dim, double factor,
                      float *out) {
  for (uint32_t t = 0; t < dim; t++) out[t] = (float)((double)x[t] * factor);
}

int32_t sv_route_rows(int32_t metric, const float *rows, uint32_t n,
                      uint32_t dim, float max_norm, float *routed) {
  const size_t out_dim = sv_route_dim(metric, dim);
  const double max_square = (double)max_norm * (double)max_norm;
  for (uint32_t i = 0; i < n; i++) {
    const float *x = rows + (size_t)i * dim;
    float *out = routed + (size_t)i * out_dim;
    if (metric == SV_COSINE) {
      const double norm = sqrt(dot_f64(x, x, dim));
      scale_row(x, dim, norm > 0 ? 1 / norm : 0, out);
      continue;
    }
    memcpy(out, x, dim * sizeof *x);
    if (metric == SV_INNER_PRODUCT) {
      const double rest = max_square - dot_f64(x, x, dim);
      out[dim] = rest > 0 ? (float)sqrt(rest) : 0;
    }
  }
  return 0;
}

/* sv_route_query: with q' = q M/|q| and x' = (x, sqrt(M^2 - |x|^2)),
 * |x' - q'|^2 = 2 M^2 - 2 (M/|q|) x.q. A zero query is at M^2 from all. */
int32_t sv_route_query(int32_t metric, const float *query, uint32_t dim,
                       float max_norm, float *routed, double *scale,
                       double *offset) {
  const double norm = sqrt(dot_f64(query, query, dim));
  const double max = (double)max_norm;
  *scale = 1;
  *offset = 0;
  if (metric == SV_COSINE) {
    scale_row(query, dim, norm > 0 ? 1 / norm : 0, routed);
    *scale = 2;
  } else if (metric == SV_INNER_PRODUCT) {
    scale_row(query, dim, norm > 0 ? max / norm : 0, routed);
    routed[dim] = 0;
    *scale = norm > 0 ? 2 * max / norm : 0;
    *offset = norm > 0 ? 2 * max * max : max * max;
  } else {
    memcpy(routed, query, dim * sizeof *query);
  }
  return 0;
}
