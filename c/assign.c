/*
 * assign.c: the packed matrix and the score kernel.
 *
 * The kernel is the inner loop of k-means, assignment and ranking. It
 * multiplies a tile of 4 rows by 8 centroids that lie side by side in memory
 * (the packing of Goto and van de Geijn, "Anatomy of High-Performance Matrix
 * Multiplication", 2008; a 4 x 8 tile as in XNNPACK's wasm kernels), keeping
 * the 32 sums in eight v128 registers: 18 to 20 GMAC/s in V8 where one pair
 * at a time reaches 8.
 *
 * Decisions:
 *  1. The score is x.c - |c|^2/2, larger is nearer. Sums begin at -|c|^2/2,
 *     so the bias costs nothing and |x|^2 is not needed to choose a list.
 *  2. 4 x 8, not 6 x 8: V8 has 15 registers for values on x64, and 8 sums,
 *     2 centroid vectors, 1 splat and temporaries fit without a spill.
 *  3. Kernels are small functions that are not inlined. V8 has no on-stack
 *     replacement: a long loop entered once stays in baseline code, while a
 *     function called often is recompiled and the next call is fast.
 *  4. Rows go in blocks of ROW_BLOCK against each 8 centroids, so that those
 *     8 (32 dim bytes) come from L1 and the whole matrix is read once per
 *     ROW_BLOCK rows, however large k is.
 *  5. The tile ends with one comparison against each row's best so far; that
 *     it is beaten is rare (about ln(k/8) times a row), so the update is
 *     scalar and the common path stays short.
 */
#include "sv.h"
#include "internal.h"

#include <math.h>
#include <string.h>

#define KERNEL __attribute__((noinline))
#define ROW_BLOCK 32u

size_t sv_pack_size(uint32_t k, uint32_t dim) {
  const uint64_t floats = ((uint64_t)k + SV_PACK_LANES - 1) / SV_PACK_LANES *
                          SV_PACK_LANES * (uint64_t)dim;
  return floats > SIZE_MAX / sizeof(float) ? 0 : (size_t)floats;
}

/* half_square is |x|^2 / 2, rounded from f64. */
static float half_square(const float *x, uint32_t dim) {
  return (float)(sv_distance(SV_INNER_PRODUCT, x, x, dim) / -2);
}

int32_t sv_pack(const float *rows, uint32_t k, uint32_t dim, float *packed,
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
  return 0;
}

/* scores_1x8_scalar is the definition of every score in this file. */
static void scores_1x8_scalar(const float *x, uint32_t dim,
                              const float *packed, const float *half_norms,
                              float *scores) {
  float s[SV_PACK_LANES];
  for (uint32_t lane = 0; lane < SV_PACK_LANES; lane++)
    s[lane] = -half_norms[lane];
  for (uint32_t t = 0; t < dim; t++, packed += SV_PACK_LANES)
    for (uint32_t lane = 0; lane < SV_PACK_LANES; lane++)
      s[lane] += x[t] * packed[lane];
  memcpy(scores, s, sizeof s);
}

/* keep_best takes the scores of eight centroids in order; a later one must
 * be strictly better, which is what gives ties to the lower index. */
static void keep_best(const float *scores, uint32_t first, uint32_t *list,
                      float *best) {
  for (uint32_t lane = 0; lane < SV_PACK_LANES; lane++)
    if (scores[lane] > *best) {
      *best = scores[lane];
      *list = first + lane;
    }
}

int32_t sv_assign_scalar(const float *rows, uint32_t n, uint32_t dim,
                         const float *packed, const float *half_norms,
                         uint32_t k, uint32_t *lists, float *scores) {
  if (k == 0) return SV_ERROR_ARGUMENT;
  for (uint32_t i = 0; i < n; i++) {
    float tile[SV_PACK_LANES];
    lists[i] = 0;
    scores[i] = -INFINITY;
    for (uint32_t j = 0; j < k; j += SV_PACK_LANES) {
      scores_1x8_scalar(rows + (size_t)i * dim, dim, packed + (size_t)j * dim,
                        half_norms + j, tile);
      keep_best(tile, j, lists + i, scores + i);
    }
  }
  return 0;
}

#if SV_SIMD

/* One component of one row times eight centroids. */
#define TILE_ROW(x, lo, hi)                                  \
  do {                                                       \
    const v128_t x_f32x4 = wasm_v128_load32_splat(x);        \
    lo = wasm_f32x4_add(lo, wasm_f32x4_mul(x_f32x4, c_lo));  \
    hi = wasm_f32x4_add(hi, wasm_f32x4_mul(x_f32x4, c_hi));  \
  } while (0)

static KERNEL void scores_4x8(const float *x0, size_t dim,
                              const float *packed, const float *half_norms,
                              float *scores) {
  v128_t lo0 = wasm_f32x4_neg(wasm_v128_load(half_norms));
  v128_t hi0 = wasm_f32x4_neg(wasm_v128_load(half_norms + 4));
  v128_t lo1 = lo0, lo2 = lo0, lo3 = lo0, hi1 = hi0, hi2 = hi0, hi3 = hi0;
  const float *x1 = x0 + dim, *x2 = x1 + dim, *x3 = x2 + dim;
  for (const float *end = x1; x0 < end; x0++, x1++, x2++, x3++, packed += 8) {
    const v128_t c_lo = wasm_v128_load(packed);
    const v128_t c_hi = wasm_v128_load(packed + 4);
    TILE_ROW(x0, lo0, hi0);
    TILE_ROW(x1, lo1, hi1);
    TILE_ROW(x2, lo2, hi2);
    TILE_ROW(x3, lo3, hi3);
  }
  wasm_v128_store(scores, lo0);
  wasm_v128_store(scores + 4, hi0);
  wasm_v128_store(scores + 8, lo1);
  wasm_v128_store(scores + 12, hi1);
  wasm_v128_store(scores + 16, lo2);
  wasm_v128_store(scores + 20, hi2);
  wasm_v128_store(scores + 24, lo3);
  wasm_v128_store(scores + 28, hi3);
}

static KERNEL void scores_1x8(const float *x, size_t dim, const float *packed,
                              const float *half_norms, float *scores) {
  v128_t lo = wasm_f32x4_neg(wasm_v128_load(half_norms));
  v128_t hi = wasm_f32x4_neg(wasm_v128_load(half_norms + 4));
  for (const float *end = x + dim; x < end; x++, packed += 8) {
    const v128_t c_lo = wasm_v128_load(packed);
    const v128_t c_hi = wasm_v128_load(packed + 4);
    TILE_ROW(x, lo, hi);
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

/* beats says whether any of eight scores is over the best so far. */
static inline int beats(const float *scores, const float *best) {
  const v128_t best_f32x4 = wasm_v128_load32_splat(best);
  return wasm_v128_any_true(
      wasm_v128_or(wasm_f32x4_gt(wasm_v128_load(scores), best_f32x4),
                   wasm_f32x4_gt(wasm_v128_load(scores + 4), best_f32x4)));
}

void sv_score_tile(const float *rows, uint32_t n, uint32_t dim,
                   const float *packed, const float *half_norms,
                   float *scores) {
  if (n == 4) {
    scores_4x8(rows, dim, packed, half_norms, scores);
    return;
  }
  for (uint32_t i = 0; i < n; i++)
    scores_1x8(rows + (size_t)i * dim, dim, packed, half_norms,
               scores + i * SV_PACK_LANES);
}

/* assign_block: at most ROW_BLOCK rows against eight centroids. */
static KERNEL void assign_block(const float *rows, uint32_t n, uint32_t dim,
                                const float *packed, const float *half_norms,
                                uint32_t first, uint32_t *lists,
                                float *best) {
  float tile[4 * SV_PACK_LANES];
  for (uint32_t i = 0; i < n; i += 4) {
    const uint32_t m = n - i < 4 ? n - i : 4;
    sv_score_tile(rows + (size_t)i * dim, m, dim, packed, half_norms, tile);
    for (uint32_t r = 0; r < m; r++)
      if (beats(tile + r * SV_PACK_LANES, best + i + r))
        keep_best(tile + r * SV_PACK_LANES, first, lists + i + r,
                  best + i + r);
  }
}

int32_t sv_assign(const float *rows, uint32_t n, uint32_t dim,
                  const float *packed, const float *half_norms, uint32_t k,
                  uint32_t *lists, float *scores) {
  if (k == 0) return SV_ERROR_ARGUMENT;
  for (uint32_t i = 0; i < n; i++) {
    lists[i] = 0;
    scores[i] = -INFINITY;
  }
  for (uint32_t i = 0; i < n; i += ROW_BLOCK) {
    const uint32_t m = n - i < ROW_BLOCK ? n - i : ROW_BLOCK;
    for (uint32_t j = 0; j < k; j += SV_PACK_LANES)
      assign_block(rows + (size_t)i * dim, m, dim, packed + (size_t)j * dim,
                   half_norms + j, j, lists + i, scores + i);
  }
  return 0;
}

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

#else

void sv_score_tile(const float *rows, uint32_t n, uint32_t dim,
                   const float *packed, const float *half_norms,
                   float *scores) {
  for (uint32_t i = 0; i < n; i++)
    scores_1x8_scalar(rows + (size_t)i * dim, dim, packed, half_norms,
                      scores + i * SV_PACK_LANES);
}

int32_t sv_assign(const float *rows, uint32_t n, uint32_t dim,
                  const float *packed, const float *half_norms, uint32_t k,
                  uint32_t *lists, float *scores) {
  return sv_assign_scalar(rows, n, dim, packed, half_norms, k, lists, scores);
}

int32_t sv_scores(const float *row, uint32_t dim, const float *packed,
                  const float *half_norms, uint32_t k, float *scores) {
  for (uint32_t j = 0; j < k; j += SV_PACK_LANES) {
    float tile[SV_PACK_LANES];
    scores_1x8_scalar(row, dim, packed + (size_t)j * dim, half_norms + j,
                      tile);
    const uint32_t m = k - j < SV_PACK_LANES ? k - j : SV_PACK_LANES;
    memcpy(scores + j, tile, m * sizeof *tile);
  }
  return 0;
}

#endif
