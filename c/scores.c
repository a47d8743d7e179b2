/*
 * scores.c: the packed matrix, and the scores of one row against all of it.
 *
 * Ranking lists for a query multiplies one row with k centroids. They lie
 * eight side by side in memory, so that one splat of a component serves
 * eight products.
 *
 * Decisions:
 *  1. The score is x.c - |c|^2/2, larger is nearer. Sums begin at -|c|^2/2,
 *     so the bias costs nothing and |x|^2 is not needed to rank.
 *  2. Kernels are not inlined, for the reason given in sieve.c.
 */
#include "sv.h"
#include "internal.h"

#include <math.h>
#include <string.h>

#define KERNEL __attribute__((noinline))

size_t sv_pack_size(uint32_t k, uint32_t dim) {
  const uint64_t floats = ((uint64_t)k + SV_PACK_LANES - 1) / SV_PACK_LANES *
                          SV_PACK_LANES * (uint64_t)dim;
  return floats > SIZE_MAX / sizeof(float) ? 0 : (size_t)floats;
}

/* half_square is |x|^2 / 2, rounded from f64. */
static float half_square(const float *x, uint32_t dim) {
  return (float)(sv_distance(SV_INNER_PRODUCT, x, x, dim) / -2);
}

void sv_pack(const float *rows, uint32_t k, uint32_t dim, float *packed,
             float *half_norms) {
  const uint32_t k_padded = round_up(k, SV_PACK_LANES);
  for (uint32_t j = 0; j < k_padded; j++) {
    const float *x = rows + (size_t)j * dim;
    float *out = packed + (size_t)(j / SV_PACK_LANES) * dim * SV_PACK_LANES +
                 j % SV_PACK_LANES;
    for (uint32_t t = 0; t < dim; t++)
      out[(size_t)t * SV_PACK_LANES] = j < k ? x[t] : 0;
    half_norms[j] = j < k ? half_square(x, dim) : INFINITY;
  }
}

void sv_unpack(const float *packed, uint32_t k, uint32_t dim, float *rows) {
  for (uint32_t j = 0; j < k; j++, rows += dim) {
    const size_t block = (size_t)(j / SV_PACK_LANES) * dim;
    for (uint32_t t = 0; t < dim; t++)
      rows[t] = packed[(block + t) * SV_PACK_LANES + j % SV_PACK_LANES];
  }
}

#if SV_SIMD

static KERNEL void scores_1x8(const float *x, size_t dim, const float *packed,
                              const float *half_norms, float *scores) {
  v128_t lo = wasm_f32x4_neg(wasm_v128_load(half_norms));
  v128_t hi = wasm_f32x4_neg(wasm_v128_load(half_norms + 4));
  for (const float *end = x + dim; x < end; x++, packed += 8) {
    const v128_t x_f32x4 = wasm_v128_load32_splat(x);
    lo = wasm_f32x4_add(lo, wasm_f32x4_mul(x_f32x4, wasm_v128_load(packed)));
    hi = wasm_f32x4_add(hi,
                        wasm_f32x4_mul(x_f32x4, wasm_v128_load(packed + 4)));
  }
  wasm_v128_store(scores, lo);
  wasm_v128_store(scores + 4, hi);
}

/* scores_1x32: one row has two sums per eight centroids, too few to hide the
 * latency of an addition; four blocks at once double the speed. */
static KERNEL void scores_1x32(const float *x, size_t dim,
                               const float *packed, const float *half_norms,
                               float *scores) {
  v128_t s[8];
  for (uint32_t b = 0; b < 8; b++)
    s[b] = wasm_f32x4_neg(wasm_v128_load(half_norms + 4 * b));
  const size_t stride = dim * 8;
  for (const float *end = x + dim; x < end; x++, packed += 8) {
    const v128_t x_f32x4 = wasm_v128_load32_splat(x);
    for (uint32_t b = 0; b < 8; b++)
      s[b] = wasm_f32x4_add(
          s[b], wasm_f32x4_mul(x_f32x4, wasm_v128_load(
                                            packed + b / 2 * stride +
                                            b % 2 * 4)));
  }
  for (uint32_t b = 0; b < 8; b++) wasm_v128_store(scores + 4 * b, s[b]);
}

#else

/* scores_1x8 is the definition of a score: one sum, components in order. */
static void scores_1x8(const float *x, size_t dim, const float *packed,
                       const float *half_norms, float *scores) {
  for (uint32_t lane = 0; lane < SV_PACK_LANES; lane++)
    scores[lane] = -half_norms[lane];
  for (size_t t = 0; t < dim; t++)
    for (uint32_t lane = 0; lane < SV_PACK_LANES; lane++)
      scores[lane] += x[t] * packed[t * SV_PACK_LANES + lane];
}

static void scores_1x32(const float *x, size_t dim, const float *packed,
                        const float *half_norms, float *scores) {
  for (uint32_t b = 0; b < 32; b += SV_PACK_LANES)
    scores_1x8(x, dim, packed + b * dim, half_norms + b, scores + b);
}

#endif

int32_t sv_scores(const float *row, uint32_t dim, const float *packed,
                  const float *half_norms, uint32_t k, float *scores) {
  uint32_t j = 0;
  for (; j + 4 * SV_PACK_LANES <= k; j += 4 * SV_PACK_LANES)
    scores_1x32(row, dim, packed + (size_t)j * dim, half_norms + j,
                scores + j);
  for (; j < k; j += SV_PACK_LANES) {
    float tile[SV_PACK_LANES];
    scores_1x8(row, dim, packed + (size_t)j * dim, half_norms + j, tile);
    const uint32_t m = k - j < SV_PACK_LANES ? k - j : SV_PACK_LANES;
    memcpy(scores + j, tile, m * sizeof *tile);
  }
  return 0;
}
