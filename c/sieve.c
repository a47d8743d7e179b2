/*
 * sieve.c: the nearest of many vectors, exactly, by int16 arithmetic that
 * rules the others out.
 *
 * With m the mean of the k vectors c, |x - c|^2 = |x - m|^2 - 2 score, and
 * score = (x - m).(c - m) - |c - m|^2 / 2. The product is taken in int16, in
 * tiles of 4 rows by 8 vectors whose 32 sums stay in registers (the packing
 * of Goto and van de Geijn, "Anatomy of High-Performance Matrix
 * Multiplication", 2008): sv_assign does 25 to 36 GMAC/s in V8 (make bench),
 * where the same tiles in f32 did 18 to 20.
 * What within the rounding error may be the nearest, mostly one or two of k,
 * is compared by sv_squared_l2; the rest cannot be nearer.
 *
 * Decisions:
 *  1. x - m and c - m are scaled to length UNIT, each by its own factor, so
 *     that one far away costs the others no precision. By Cauchy-Schwarz no
 *     partial sum passes UNIT^2 + error < 2^31, whatever dim is.
 *  2. A component moves by at most 1/2 in rounding, so a product moves by at
 *     most sqrt(dim) UNIT + dim / 4: ERROR. Sums begin at ERROR, not at 0,
 *     which makes them upper bounds at no cost.
 *  3. Every f32 rounding, those of sv_squared_l2 too, is at most
 *     u = (dim/4 + 8) 2^-24 of |x - m|^2 + |c - m|^2; the bounds give away
 *     4 u of each. What is nearer to m than sqrt(VANISHING) counts as m:
 *     SMALLEST > VANISHING / (8 u) covers the product that this neglects.
 *  4. Adding 1.5 * 2^23 rounds a float to an integer, to nearest even, and
 *     leaves it in the low 16 bits: three operations for V8's nine of
 *     i32x4.trunc_sat.
 *  5. Kernels are small functions that are not inlined. V8 has no on-stack
 *     replacement: a long loop entered once stays in baseline code, while a
 *     function called often is recompiled and the next call is fast.
 *  6. Rows go in blocks of ROW_BLOCK against each 8 vectors, so that those
 *     (16 dim bytes) come from L1 and all k are read once per block.
 */
#include "sv.h"
#include "internal.h"

#include <math.h>
#include <string.h>

#define KERNEL __attribute__((noinline))
#define LANES SV_PACK_LANES
#define ROWS 4u
#define ROW_BLOCK 32u
#define CANDIDATES 24u
#define UNIT 32000.0f
#define ROUND 12582912.0f
#define VANISHING 1e-36f
#define SMALLEST 1e-30f

/* Where things are in the memory of a sieve. Pairs of components lie
 * together: pair t of vector j is panels[(j / 8 * pairs + t) * 8 + j % 8]. */
struct sieve {
  float *rows;     /* k * dim, as given */
  float *center;   /* dim, their mean */
  float *inverses; /* k rounded up: 1 / scale */
  float *offsets;  /* -|c - m|^2 / 2 and its slack; -infinity where none is */
  uint32_t *panels;
};

/* A block of rows in fixed point, and what a vector must reach to matter. */
struct block {
  uint32_t *panels; /* pair t of row i: [(i / 4 * pairs + t) * 4 + i % 4] */
  float inverses[ROW_BLOCK], squares[ROW_BLOCK], least[ROW_BLOCK];
  int32_t sums[ROWS * LANES]; /* of the tile just multiplied */
};

static size_t pairs_of(uint32_t dim) { return ((size_t)dim + 1) / 2; }

static float slack_of(uint32_t dim) {
  return 4 * ((float)dim / 4 + 8) * 0x1p-24f;
}

static int32_t error_of(uint32_t dim) {
  return (int32_t)(1.04 * (double)UNIT * sqrt(dim) + dim);
}

size_t sv_sieve_size(uint32_t k, uint32_t dim) {
  const uint64_t wide = ((uint64_t)k + LANES - 1) / LANES * LANES;
  const uint64_t bytes = pad16((uint64_t)k * dim * 4) +
                         pad16((uint64_t)dim * 4) + wide * 8 +
                         wide * pairs_of(dim) * 4;
  return k > SV_MAX_LISTS || dim > SV_MAX_DIM + 1 || bytes > SIZE_MAX
             ? 0
             : (size_t)bytes;
}

size_t sv_sieve_scratch_size(uint32_t k, uint32_t dim) {
  return ROW_BLOCK * pairs_of(dim) * 4 + (size_t)round_up(k, LANES) * 4;
}

static struct sieve lay_out(const void *memory, uint32_t k, uint32_t dim) {
  uint8_t *p = (uint8_t *)(uintptr_t)memory;
  struct sieve at;
  at.rows = (float *)(void *)p;
  p += pad16((uint64_t)k * dim * 4);
  at.center = (float *)(void *)p;
  p += pad16((uint64_t)dim * 4);
  at.inverses = (float *)(void *)p;
  at.offsets = at.inverses + round_up(k, LANES);
  at.panels = (uint32_t *)(void *)(at.offsets + round_up(k, LANES));
  return at;
}

/* ---- fixed point ------------------------------------------------------- */

/* fix returns the 16 bits of y * scale, rounded. */
static uint32_t fix(float y, float scale) {
  const float rounded = y * scale + ROUND;
  uint32_t bits;
  memcpy(&bits, &rounded, sizeof bits);
  return bits & 0xffff;
}

/* fix_row writes the pairs of (x - m) * scale, `stride` apart. */
static KERNEL void fix_row(const float *x, const float *center, uint32_t dim,
                           float scale, uint32_t *out, uint32_t stride) {
  uint32_t t = 0;
#if SV_SIMD
  const v128_t scale_f32x4 = wasm_f32x4_splat(scale);
  const v128_t round_f32x4 = wasm_f32x4_const_splat(ROUND);
  for (; t + 8 <= dim; t += 8, out += 4 * stride) {
    v128_t lo = wasm_f32x4_sub(wasm_v128_load(x + t),
                               wasm_v128_load(center + t));
    v128_t hi = wasm_f32x4_sub(wasm_v128_load(x + t + 4),
                               wasm_v128_load(center + t + 4));
    lo = wasm_f32x4_add(wasm_f32x4_mul(lo, scale_f32x4), round_f32x4);
    hi = wasm_f32x4_add(wasm_f32x4_mul(hi, scale_f32x4), round_f32x4);
    const v128_t pairs =
        wasm_i16x8_shuffle(lo, hi, 0, 2, 4, 6, 8, 10, 12, 14);
    wasm_v128_store32_lane(out, pairs, 0);
    wasm_v128_store32_lane(out + stride, pairs, 1);
    wasm_v128_store32_lane(out + 2 * stride, pairs, 2);
    wasm_v128_store32_lane(out + 3 * stride, pairs, 3);
  }
#endif
  for (; t < dim; t += 2, out += stride) {
    const float next = t + 1 < dim ? x[t + 1] - center[t + 1] : 0;
    *out = fix(x[t] - center[t], scale) | fix(next, scale) << 16;
  }
}

/* scale_of returns the factor to length UNIT; 0 for what is at the mean. */
static float scale_of(float square) {
  return square > VANISHING ? UNIT / sqrtf(square) : 0;
}

/* mean_of: near the mean will do, as long as all use the same. */
static void mean_of(const float *rows, uint32_t k, uint32_t dim,
                    float *mean) {
  const float share = 1 / (float)k;
  memset(mean, 0, dim * sizeof *mean);
  for (uint32_t j = 0; j < k; j++, rows += dim)
    for (uint32_t t = 0; t < dim; t++) mean[t] += rows[t] * share;
}

void sv_sieve_pack(const float *rows, const uint32_t *picks, uint32_t k,
                   uint32_t dim, void *memory) {
  if (k == 0) return;
  const struct sieve at = lay_out(memory, k, dim);
  const uint32_t wide = round_up(k, LANES);
  const size_t pairs = pairs_of(dim);
  for (uint32_t j = 0; j < k; j++)
    memcpy(at.rows + (size_t)j * dim,
           rows + (size_t)(picks ? picks[j] : j) * dim, dim * sizeof *rows);
  mean_of(at.rows, k, dim, at.center);
  for (uint32_t j = 0; j < wide; j++) {
    uint32_t *panel = at.panels + (size_t)(j / LANES) * pairs * LANES +
                      j % LANES;
    if (j >= k) {
      for (size_t t = 0; t < pairs; t++) panel[t * LANES] = 0;
      at.inverses[j] = 0;
      at.offsets[j] = -INFINITY;
      continue;
    }
    const float *x = at.rows + (size_t)j * dim;
    const float square = sv_squared_l2(x, at.center, dim);
    const float scale = scale_of(square);
    fix_row(x, at.center, dim, scale, panel, LANES);
    at.inverses[j] = scale > 0 ? 1 / scale : 0;
    at.offsets[j] = -square / 2 + slack_of(dim) * square;
  }
}

/* fix_block brings m rows into fixed point, and zeros up to whole tiles. */
static void fix_block(const struct sieve *at, const float *rows, uint32_t m,
                      uint32_t dim, struct block *block) {
  const size_t pairs = pairs_of(dim);
  for (uint32_t i = 0; i < round_up(m, ROWS); i++) {
    uint32_t *panel = block->panels + (size_t)(i / ROWS) * pairs * ROWS +
                      i % ROWS;
    const float *x = i < m ? rows + (size_t)i * dim : at->center;
    const float square = i < m ? sv_squared_l2(x, at->center, dim) : 0;
    const float scale = scale_of(square);
    fix_row(x, at->center, dim, scale, panel, ROWS);
    block->inverses[i] = scale > 0 ? 1 / scale : 0;
    block->squares[i] = square;
    block->least[i] = INFINITY;
  }
}

/* least_score returns what a vector must score to be at most `distance`
 * away. */
static float least_score(float square, float distance, uint32_t dim) {
  return (square - distance) / 2 - slack_of(dim) * square - SMALLEST;
}

/* ---- the kernel -------------------------------------------------------- */

#if SV_SIMD

/* One pair of components of one row times eight vectors. */
#define TILE_ROW(i)                                                         \
  do {                                                                      \
    const v128_t x = wasm_v128_load32_splat(rows + i);                      \
    lo##i = wasm_i32x4_add(lo##i, wasm_i32x4_dot_i16x8(x, c_lo));           \
    hi##i = wasm_i32x4_add(hi##i, wasm_i32x4_dot_i16x8(x, c_hi));           \
  } while (0)

/* bits_of says which of eight sums reach the least score. */
static inline uint32_t bits_of(v128_t lo, v128_t hi, const float *inverses,
                               const float *offsets, float inverse,
                               float least) {
  const v128_t inverse_f32x4 = wasm_f32x4_splat(inverse);
  const v128_t least_f32x4 = wasm_f32x4_splat(least);
  lo = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(lo), wasm_v128_load(inverses));
  hi = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(hi),
                      wasm_v128_load(inverses + 4));
  lo = wasm_f32x4_add(wasm_f32x4_mul(lo, inverse_f32x4),
                      wasm_v128_load(offsets));
  hi = wasm_f32x4_add(wasm_f32x4_mul(hi, inverse_f32x4),
                      wasm_v128_load(offsets + 4));
  lo = wasm_f32x4_ge(lo, least_f32x4);
  hi = wasm_f32x4_ge(hi, least_f32x4);
  return wasm_i32x4_bitmask(lo) | wasm_i32x4_bitmask(hi) << 4;
}

#define STORE_ROW(i)                                                        \
  do {                                                                      \
    wasm_v128_store(sums + i * LANES, lo##i);                               \
    wasm_v128_store(sums + i * LANES + 4, hi##i);                           \
  } while (0)

/* sieve_tile multiplies 4 rows by 8 vectors and returns bit 8 i + j for each
 * row i that vector j may matter to, whose product is then sums[8 i + j]. */
static KERNEL uint32_t sieve_tile(const uint32_t *rows, const uint32_t *panel,
                                  size_t pairs, int32_t error,
                                  const float *inverses, const float *offsets,
                                  const float *row_inverses,
                                  const float *least, int32_t *sums) {
  v128_t lo0 = wasm_i32x4_splat(error);
  v128_t lo1 = lo0, lo2 = lo0, lo3 = lo0;
  v128_t hi0 = lo0, hi1 = lo0, hi2 = lo0, hi3 = lo0;
  for (const uint32_t *end = rows + pairs * ROWS; rows < end;
       rows += ROWS, panel += LANES) {
    const v128_t c_lo = wasm_v128_load(panel);
    const v128_t c_hi = wasm_v128_load(panel + 4);
    TILE_ROW(0);
    TILE_ROW(1);
    TILE_ROW(2);
    TILE_ROW(3);
  }
  const uint32_t bits =
      bits_of(lo0, hi0, inverses, offsets, row_inverses[0], least[0]) |
      bits_of(lo1, hi1, inverses, offsets, row_inverses[1], least[1]) << 8 |
      bits_of(lo2, hi2, inverses, offsets, row_inverses[2], least[2]) << 16 |
      bits_of(lo3, hi3, inverses, offsets, row_inverses[3], least[3]) << 24;
  if (bits) {
    STORE_ROW(0);
    STORE_ROW(1);
    STORE_ROW(2);
    STORE_ROW(3);
  }
  return bits;
}

#else

static int32_t low(uint32_t pair) { return (int16_t)(pair & 0xffff); }
static int32_t high(uint32_t pair) { return (int16_t)(pair >> 16); }

static KERNEL uint32_t sieve_tile(const uint32_t *rows, const uint32_t *panel,
                                  size_t pairs, int32_t error,
                                  const float *inverses, const float *offsets,
                                  const float *row_inverses,
                                  const float *least, int32_t *sums) {
  uint32_t bits = 0;
  for (uint32_t i = 0; i < ROWS; i++)
    for (uint32_t j = 0; j < LANES; j++) {
      int32_t sum = error;
      for (size_t t = 0; t < pairs; t++) {
        const uint32_t x = rows[t * ROWS + i], c = panel[t * LANES + j];
        sum += low(x) * low(c) + high(x) * high(c);
      }
      sums[i * LANES + j] = sum;
      const float score = (float)sum * inverses[j] * row_inverses[i];
      if (score + offsets[j] >= least[i]) bits |= 1u << (i * LANES + j);
    }
  return bits;
}

#endif

/* ---- the nearest ------------------------------------------------------- */

/* What both searches carry from tile to tile. */
struct search {
  const float *rows;
  uint32_t n, dim, k;
  int32_t error;
  float slack; /* of a score and of what is compared with it */
  struct sieve at;
  struct block block;
};

static struct search search_of(const void *sieve, uint32_t k, uint32_t dim,
                               void *scratch) {
  return (struct search){.dim = dim, .k = k, .error = error_of(dim),
                         .slack = 2 * slack_of(dim),
                         .at = lay_out(sieve, k, dim),
                         .block = {.panels = scratch}};
}

/* tile_bits sieves the four rows from i on against the eight vectors from j
 * on, with offsets of the caller's. */
static uint32_t tile_bits(struct search *s, uint32_t i, uint32_t j,
                          const float *offsets) {
  const size_t pairs = pairs_of(s->dim);
  return sieve_tile(s->block.panels + i * pairs, s->at.panels + j * pairs,
                    pairs, s->error, s->at.inverses + j, offsets + j,
                    s->block.inverses + i, s->block.least + i, s->block.sums);
}

/* The vectors that may yet be the nearest of a row, ascending. */
struct candidates {
  uint32_t n;
  uint32_t lists[CANDIDATES];
  float scores[CANDIDATES]; /* at most */
};

/* settle compares row i with its candidates by their exact distances. */
static void settle(struct search *s, uint32_t i, struct candidates *some,
                   uint32_t *lists, float *distances) {
  for (uint32_t c = 0; c < some->n; c++) {
    if (some->scores[c] < s->block.least[i]) continue;
    const uint32_t j = some->lists[c];
    const float distance = sv_squared_l2(
        s->rows + (size_t)i * s->dim, s->at.rows + (size_t)j * s->dim, s->dim);
    if (!(distance < distances[i])) continue;
    distances[i] = distance;
    lists[i] = j;
    s->block.least[i] = least_score(s->block.squares[i], distance, s->dim);
  }
  some->n = 0;
}

/* propose notes vector j for row i. What its score says at least, others must
 * reach; another one of this tile may say more already. */
static void propose(struct search *s, uint32_t i, uint32_t j, int32_t sum,
                    struct candidates *some) {
  struct block *block = &s->block;
  const float unit = s->at.inverses[j] * block->inverses[i];
  const float score =
      (float)sum * s->at.inverses[j] * block->inverses[i] + s->at.offsets[j];
  if (score < block->least[i]) return;
  const float least = score - 2.001f * (float)s->error * unit -
                      s->slack * block->squares[i] +
                      s->slack * 2.1f * s->at.offsets[j] - 2 * SMALLEST;
  if (least > block->least[i]) block->least[i] = least;
  some->lists[some->n] = j;
  some->scores[some->n++] = score;
}

static void assign_block(struct search *s, uint32_t *lists,
                         float *distances) {
  struct candidates some[ROW_BLOCK];
  for (uint32_t i = 0; i < s->n; i++) {
    distances[i] = INFINITY;
    lists[i] = 0;
    some[i].n = 0;
    s->block.least[i] = -INFINITY;
  }
  for (uint32_t j = 0; j < s->k; j += LANES)
    for (uint32_t i = 0; i < s->n; i += ROWS)
      for (uint32_t bits = tile_bits(s, i, j, s->at.offsets); bits;
           bits &= bits - 1) {
        const uint32_t bit = (uint32_t)__builtin_ctz(bits);
        const uint32_t row = i + bit / LANES, list = j + bit % LANES;
        if (row >= s->n || list >= s->k) continue;
        if (some[row].n == CANDIDATES)
          settle(s, row, some + row, lists, distances);
        propose(s, row, list, s->block.sums[bit], some + row);
      }
  for (uint32_t i = 0; i < s->n; i++)
    settle(s, i, some + i, lists, distances);
}

int32_t sv_assign(const float *rows, uint32_t n, uint32_t dim,
                  const void *sieve, uint32_t k, void *scratch,
                  uint32_t *lists, float *distances) {
  if (k == 0) return SV_ERROR_ARGUMENT;
  struct search s = search_of(sieve, k, dim, scratch);
  for (uint32_t i = 0; i < n; i += ROW_BLOCK) {
    s.n = n - i < ROW_BLOCK ? n - i : ROW_BLOCK;
    s.rows = rows + (size_t)i * dim;
    fix_block(&s.at, s.rows, s.n, dim, &s.block);
    assign_block(&s, lists + i, distances + i);
  }
  return 0;
}

/* ---- the k nearest rows of each vector --------------------------------- */

/* The neighbours found so far, and where to note them. */
struct neighbors {
  uint32_t k, first_row;
  const uint32_t *lists; /* of the rows of the block */
  const uint32_t *skip;
  float *distances;
  uint32_t *found;
  float *offsets; /* those of the sieve, and half the k-th distance */
};

/* keep_neighbor inserts into ascending arrays of k; an equal one goes
 * behind. */
static void keep_neighbor(float distance, uint32_t list, uint32_t k,
                          float *distances, uint32_t *lists) {
  uint32_t i = k - 1;
  for (; i > 0 && distances[i - 1] > distance; i--) {
    distances[i] = distances[i - 1];
    lists[i] = lists[i - 1];
  }
  distances[i] = distance;
  lists[i] = list;
}

/* offer compares row i with query q by their exact distance. */
static void offer(const struct search *s, const struct neighbors *to,
                  uint32_t i, uint32_t q) {
  if (to->skip[q] == to->first_row + i) return;
  float *distances = to->distances + (size_t)q * to->k;
  const float distance = sv_squared_l2(
      s->rows + (size_t)i * s->dim, s->at.rows + (size_t)q * s->dim, s->dim);
  if (!(distance < distances[to->k - 1])) return;
  keep_neighbor(distance, to->lists[i], to->k, distances,
                to->found + (size_t)q * to->k);
  to->offsets[q] = s->at.offsets[q] + distances[to->k - 1] / 2;
}

static void neighbors_block(struct search *s,
                            const struct neighbors *to) {
  for (uint32_t q = 0; q < s->k; q += LANES)
    for (uint32_t i = 0; i < s->n; i += ROWS)
      for (uint32_t bits = tile_bits(s, i, q, to->offsets); bits;
           bits &= bits - 1) {
        const uint32_t bit = (uint32_t)__builtin_ctz(bits);
        const uint32_t row = i + bit / LANES, query = q + bit % LANES;
        if (row < s->n && query < s->k) offer(s, to, row, query);
      }
}

int32_t sv_neighbors(const float *rows, const uint32_t *lists, uint32_t n,
                     uint32_t first_row, uint32_t dim, const void *sieve,
                     uint32_t n_queries, const uint32_t *skip, uint32_t k,
                     float *best_distances, uint32_t *best_lists,
                     void *scratch) {
  if (k == 0) return SV_ERROR_ARGUMENT;
  if (n_queries == 0) return 0;
  struct search s = search_of(sieve, n_queries, dim, scratch);
  struct neighbors to = {
      .k = k, .skip = skip, .distances = best_distances, .found = best_lists,
      .offsets = (float *)(void *)(s.block.panels +
                                   ROW_BLOCK * pairs_of(dim))};
  for (uint32_t q = 0; q < round_up(n_queries, LANES); q++)
    to.offsets[q] =
        s.at.offsets[q] +
        (q < n_queries ? best_distances[(size_t)q * k + k - 1] / 2 : 0);
  for (uint32_t i = 0; i < n; i += ROW_BLOCK) {
    s.n = n - i < ROW_BLOCK ? n - i : ROW_BLOCK;
    s.rows = rows + (size_t)i * dim;
    fix_block(&s.at, s.rows, s.n, dim, &s.block);
    for (uint32_t r = 0; r < s.n; r++)
      s.block.least[r] = least_score(s.block.squares[r], 0, dim);
    to.lists = lists + i;
    to.first_row = first_row + i;
    neighbors_block(&s, &to);
  }
  return 0;
}
