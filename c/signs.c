/*
 * signs.c: a first look at codes, by one bit per component.
 *
 * A row's coded residual r~ = step (k - 7.5) (codes.c) is turned by R, which
 * spreads it evenly over all components (turn.c). R r~ lies near f b: b has
 * the signs of its components, and f = |r~|^2 / sum |(R r~)_t| makes f (R y).b
 * an unbiased estimate of y.r~ (RaBitQ, Gao and Long 2024). With v = m + c,
 * the origin and the center (c alone, and y - m the query, under squared L2),
 *
 *   y.r~ = f (R y).b + tilt (v.r~ - f (R v).b) + R (y - tilt v).(R r~ - f b).
 *
 * The second term is a number per row; the third is about normal, with
 * |y - tilt v| |R r~ - f b| / sqrt(dim) as its deviation, and is least by the
 * tilt of codes.c (1 under squared L2). The dot with b is looked
 * up four components at a time (Andre, Kermarrec and Le Scouarnec 2015), in
 * tables that a query makes per origin.
 *
 *   signs: share f32 | unit f32 | visits u32 | 0 u32
 *          | shift f32 * n, to whole 4: that of the codes less v.r~ - f (R v).b
 *            (twice, under squared L2)
 *          | ratio u8 * n, to whole 16: f / unit
 *          | of each 16 rows (of those left, in the end), for each 8
 *            components, a byte per row: bit t set where component t of them
 *            is not negative
 *          | 16 bytes
 *
 * They are made of codes in memory, and never stored.
 *
 * Decisions:
 *  1. Rows are dropped at three deviations, and no others: one in 740 of those
 *     right at the limit is lost. A scan that must be exact does not look.
 *  2. `share` is the largest |R r~ - f b|^2 / (f^2 dim) of the block, with
 *     (step / 2)^2 for r - r~ added, so that a row needs but its f. Rows that
 *     are much nearer to the center than others are always kept.
 *  3. R is what makes the error normal whatever the data: without it, of rows
 *     right at the limit one in seven is lost where components of rows and
 *     queries are alike but for their signs (STEPS of tests/c/test_signs.c).
 *  4. Entries of tables have six bits, so that four of them add up in a byte.
 *  5. They are made when a block is visited for the second time: what is cold
 *     is answered sooner without.
 *  6. Kernels are functions that are not inlined; see sieve.c.
 */
#include "sv.h"
#include "internal.h"

#include <math.h>
#include <string.h>

#define KERNEL __attribute__((noinline))
#define LEAST_DIM 64u /* under which too few rows are dropped */
#define DEVIATIONS 3.0f
#define LEAST_RATIO 16u
#define COLUMN 8u    /* components of a byte */
#define ABREAST 16u  /* rows side by side */
#define TABLE 16u    /* entries for four components */
#define MOST 63u

/* Sums of one turned row x: of |x|, x^2, v x and v sign(x). */
struct sums {
  float absolute, square, dot, sign_dot;
};

struct sign_head {
  float share, unit;
  uint32_t visits, zero;
};

static uint32_t columns_of(uint32_t dim) { return round_up(dim, 8) / COLUMN; }

size_t sv_signs_size(uint32_t n, uint32_t dim) {
  if (dim < LEAST_DIM || n == 0) return 0;
  return sizeof(struct sign_head) + (size_t)round_up(n, 4) * 4 +
         round_up(n, ABREAST) +
         (size_t)pad16((uint64_t)n * columns_of(dim) + ABREAST);
}

size_t sv_signs_scratch_size(uint32_t dim) {
  return (size_t)padded_of(dim) * 12 + sv_block_rows(dim) * sizeof(struct sums);
}

/* Where the parts of signs are. */
struct parts {
  float *shifts;
  uint8_t *ratios, *planes;
};

static struct parts parts_of(uint8_t *signs, uint32_t n) {
  struct parts at;
  at.shifts = (float *)(void *)(signs + sizeof(struct sign_head));
  at.ratios = (uint8_t *)(at.shifts + round_up(n, 4));
  at.planes = at.ratios + round_up(n, ABREAST);
  return at;
}

/* ---- of codes ---------------------------------------------------------- */

static float fold(const float s[4]) { return (s[0] + s[2]) + (s[1] + s[3]); }

/* decode_groups writes the coded residual of whole groups.
 * look_at sums up a turned row, and writes a byte for each column, `stride`
 * apart. */
#if SV_SIMD

static KERNEL void decode_groups(const uint8_t *code, uint32_t columns,
                                 float step, float *x) {
  const v128_t mask = wasm_i32x4_const_splat(15);
  const v128_t middle = wasm_f32x4_const_splat(7.5f);
  const v128_t steps = wasm_f32x4_splat(step);
  for (uint32_t c = 0; c < columns; c++, x += COLUMN) {
    const v128_t words =
        wasm_u16x8_shr(wasm_v128_load(code + c / 4 * 16), c % 4 * 4);
    const v128_t low =
        wasm_v128_and(wasm_u32x4_extend_low_u16x8(words), mask);
    const v128_t high =
        wasm_v128_and(wasm_u32x4_extend_high_u16x8(words), mask);
    wasm_v128_store(
        x, wasm_f32x4_mul(
               wasm_f32x4_sub(wasm_f32x4_convert_i32x4(low), middle), steps));
    wasm_v128_store(
        x + 4, wasm_f32x4_mul(wasm_f32x4_sub(wasm_f32x4_convert_i32x4(high),
                                             middle), steps));
  }
}

static KERNEL struct sums look_at(const float *x, uint32_t columns,
                                  const float *v, uint8_t *out,
                                  uint32_t stride) {
  const v128_t sign = wasm_f32x4_const_splat(-0.0f);
  v128_t absolute = wasm_f32x4_const_splat(0), square = absolute;
  v128_t dot = absolute, sign_dot = absolute;
  float s[4][4];
  for (uint32_t c = 0; c < columns; c++, out += stride) {
    uint32_t bits = 0;
    for (uint32_t h = 0; h < 2; h++, x += 4, v += 4) {
      const v128_t a = wasm_v128_load(x), w = wasm_v128_load(v);
      absolute = wasm_f32x4_add(absolute, wasm_f32x4_abs(a));
      square = wasm_f32x4_add(square, wasm_f32x4_mul(a, a));
      dot = wasm_f32x4_add(dot, wasm_f32x4_mul(a, w));
      sign_dot = wasm_f32x4_add(sign_dot,
                                wasm_v128_xor(w, wasm_v128_and(a, sign)));
      bits |= wasm_i32x4_bitmask(a) << (4 * h);
    }
    *out = (uint8_t)~bits;
  }
  wasm_v128_store(s[0], absolute);
  wasm_v128_store(s[1], square);
  wasm_v128_store(s[2], dot);
  wasm_v128_store(s[3], sign_dot);
  return (struct sums){fold(s[0]), fold(s[1]), fold(s[2]), fold(s[3])};
}

#else

static void decode_groups(const uint8_t *code, uint32_t columns, float step,
                          float *x) {
  for (uint32_t t = 0; t < columns * COLUMN; t++) {
    const uint8_t *word = code + t / 32 * 16 + t % 8 * 2;
    const int32_t k = (word[0] | word[1] << 8) >> t / 8 % 4 * 4 & 15;
    x[t] = ((float)k - 7.5f) * step;
  }
}

static struct sums look_at(const float *x, uint32_t columns, const float *v,
                           uint8_t *out, uint32_t stride) {
  float s[4][4] = {{0}};
  for (uint32_t c = 0; c < columns; c++) out[c * stride] = 0;
  for (uint32_t t = 0; t < columns * COLUMN; t++) {
    const int negative = signbit(x[t]) != 0;
    s[0][t % 4] += fabsf(x[t]);
    s[1][t % 4] += x[t] * x[t];
    s[2][t % 4] += x[t] * v[t];
    s[3][t % 4] += negative ? -v[t] : v[t];
    if (!negative) out[t / 8 * stride] |= (uint8_t)(1u << t % 8);
  }
  return (struct sums){fold(s[0]), fold(s[1]), fold(s[2]), fold(s[3])};
}

#endif

/* decode writes the coded residual, and zeros to whole columns. */
static void decode(const uint8_t *code, uint32_t dim, float step, float *x) {
  const uint32_t first = dim / CODE_GROUP * CODE_GROUP;
  const uint8_t *tail = code + first / 2;
  decode_groups(code, first / COLUMN, step, x);
  for (uint32_t t = dim; t < columns_of(dim) * COLUMN; t++) x[t] = 0;
  for (uint32_t t = first; t < dim; t++) {
    const uint32_t word = (t - first) % tail_words(dim);
    const uint32_t nibble = (t - first) / tail_words(dim);
    const uint32_t level = tail[2 * word + nibble / 2] >> nibble % 2 * 4 & 15;
    x[t] = ((float)level - 7.5f) * step;
  }
}

/* make_reference writes v. */
static void make_reference(int32_t metric, const uint8_t *codes,
                           const float *origin, uint32_t dim, float *v) {
  const struct code_head *head = (const struct code_head *)(const void *)codes;
  const int8_t *center = (const int8_t *)(codes + sizeof *head);
  for (uint32_t t = 0; t < dim; t++) {
    v[t] = head->scale * (float)center[t];
    if (metric != SV_SQUARED_L2) v[t] += origin[t];
  }
}

static float factor_of(const struct sums *sums) {
  return sums->absolute > 0 ? sums->square / sums->absolute : 0;
}

/* finish_row writes the ratio of a row, with which `share` grows, and its
 * shift. */
static void finish_row(const struct sums *sums, float step, float twice,
                       uint32_t dim, struct sign_head *head, uint8_t *ratio,
                       float *shift) {
  const float factor = factor_of(sums), all = (float)dim;
  const float steps = head->unit > 0 ? factor / head->unit : 0;
  if (!(steps >= LEAST_RATIO)) {
    *shift = -INFINITY;
    return;
  }
  *ratio = (uint8_t)(steps < 255 ? nearest_int(steps) : 255);
  const float f = (float)*ratio * head->unit;
  const float error = sums->square - 2 * f * sums->absolute + f * f * all +
                      step * step / 4 * all;
  const float share = error / (f * f * all);
  if (share > head->share) head->share = share;
  *shift -= twice * (sums->dot - f * sums->sign_dot);
}

static void build(int32_t metric, const float *origin, uint32_t dim,
                  uint32_t n, const uint8_t *codes, uint8_t *signs,
                  float *scratch) {
  const uint32_t padded = padded_of(dim), columns = columns_of(dim);
  float *x = scratch, *v = x + padded;
  uint32_t *flips = (uint32_t *)(void *)(v + padded);
  struct sums *sums = (struct sums *)(void *)(flips + padded);
  struct sign_head *head = (struct sign_head *)(void *)signs;
  const struct parts at = parts_of(signs, n);
  const uint8_t *code = block_codes(codes, dim);
  const float *steps = block_steps(codes, n, dim);
  const float *shifts = block_shifts(codes, n, dim);
  float most = 0;
  memset(signs, 0, sv_signs_size(n, dim));
  memset(v, 0, padded * sizeof *v);
  turn_flips(dim, flips);
  make_reference(metric, codes, origin, dim, v);
  turn(v, flips, dim);
  for (uint32_t i = 0; i < n; i++, code += code_stride(dim)) {
    const uint32_t first = i / ABREAST * ABREAST;
    const uint32_t stride = n - first < ABREAST ? n - first : ABREAST;
    decode(code, dim, steps[i], x);
    turn(x, flips, dim);
    sums[i] = look_at(x, columns, v,
                      at.planes + (size_t)first * columns + i % ABREAST,
                      stride);
    most = fmaxf(most, factor_of(sums + i));
  }
  head->unit = most / 255;
  for (uint32_t i = 0; i < n; i++) {
    at.shifts[i] = shifts[i];
    finish_row(sums + i, steps[i], metric == SV_SQUARED_L2 ? 2 : 1, dim, head,
               at.ratios + i, at.shifts + i);
  }
}

int signs_visit(int32_t metric, const float *origin, uint32_t dim, uint32_t n,
                const uint8_t *codes, uint8_t *signs, void *scratch) {
  struct sign_head *head = (struct sign_head *)(void *)signs;
  const uint32_t before = head->visits;
  if (before == 1) build(metric, origin, dim, n, codes, signs, scratch);
  head->visits = before + (before < 2);
  return before > 0;
}

/* ---- queries ----------------------------------------------------------- */

/* turn_query writes the turned query in integers to whole 32 components, and
 * returns their unit. */
static float turn_query(const struct probe *probe, float *x, uint32_t *flips,
                        int16_t *q) {
  const uint32_t dim = probe->dim, padded = padded_of(dim);
  float most = 0;
  memcpy(x, probe_components(probe), padded * sizeof *x);
  turn_flips(dim, flips);
  turn(x, flips, dim);
  for (uint32_t t = 0; t < dim; t++) most = fmaxf(most, fabsf(x[t]));
  const float inverse = most > 1e-30f ? 2047 / most : 0;
  for (uint32_t t = 0; t < padded; t++)
    q[t] = (int16_t)nearest_int(x[t] * inverse);
  return most > 1e-30f ? most / 2047 : 0;
}

/* make_tables: entry s of a table is the sum of those of four components that
 * s has a bit for, less that of all negative ones, in units of table_step. */
static KERNEL void make_tables(struct probe *probe) {
  const uint32_t padded = padded_of(probe->dim), n = padded / 4;
  uint8_t *table = probe_tables(probe);
  float *x = (float *)(void *)(table + n * TABLE);
  uint32_t *flips = (uint32_t *)(void *)(x + padded);
  int16_t *q = (int16_t *)(void *)(flips + padded);
  const float scale = turn_query(probe, x, flips, q);
  const int32_t most = (int32_t)(65535 / n < MOST ? 65535 / n : MOST);
  int32_t widest = 1, base = 0, total = 0;
  for (uint32_t i = 0; i < n; i++) {
    int32_t width = 0;
    for (uint32_t t = 4 * i; t < 4 * i + 4; t++)
      width += q[t] < 0 ? -q[t] : q[t];
    if (width > widest) widest = width;
  }
  int32_t factor = 32768 * most / widest;
  if (factor > 32767) factor = 32767;
  for (uint32_t i = 0; i < n; i++, q += 4, table += TABLE) {
    int32_t negative = 0;
    for (uint32_t t = 0; t < 4; t++) negative += q[t] < 0 ? q[t] : 0;
    base += negative;
    total += q[0] + q[1] + q[2] + q[3];
#if SV_SIMD
    const v128_t bit0 = wasm_i16x8_const(0, -1, 0, -1, 0, -1, 0, -1);
    const v128_t bit1 = wasm_i16x8_const(0, 0, -1, -1, 0, 0, -1, -1);
    const v128_t bit2 = wasm_i16x8_const(0, 0, 0, 0, -1, -1, -1, -1);
    const v128_t factors = wasm_i16x8_splat((int16_t)factor);
    v128_t low = wasm_i16x8_splat((int16_t)-negative);
    low = wasm_i16x8_add(low, wasm_v128_and(wasm_i16x8_splat(q[0]), bit0));
    low = wasm_i16x8_add(low, wasm_v128_and(wasm_i16x8_splat(q[1]), bit1));
    low = wasm_i16x8_add(low, wasm_v128_and(wasm_i16x8_splat(q[2]), bit2));
    const v128_t high = wasm_i16x8_add(low, wasm_i16x8_splat(q[3]));
    wasm_v128_store(
        table, wasm_u8x16_narrow_i16x8(wasm_i16x8_q15mulr_sat(low, factors),
                                       wasm_i16x8_q15mulr_sat(high, factors)));
#else
    for (int32_t s = 0; s < (int32_t)TABLE; s++) {
      int32_t sum = -negative;
      for (uint32_t t = 0; t < 4; t++) sum += s >> t & 1 ? q[t] : 0;
      table[s] = (uint8_t)((sum * factor + 0x4000) >> 15);
    }
#endif
  }
  probe->table_step = scale * 32768 / (float)factor;
  probe->table_base = scale * (float)(2 * base - total);
  probe->tabled = 1;
}

void signs_prepare(struct probe *probe, const struct code_terms *codes,
                   const uint8_t *signs, uint32_t n,
                   struct sign_terms *terms) {
  const struct sign_head *head = (const struct sign_head *)(const void *)signs;
  const struct parts at = parts_of((uint8_t *)(uintptr_t)signs, n);
  const float twice = probe->metric == SV_SQUARED_L2 ? 2 : 1;
  if (!probe->tabled) make_tables(probe);
  const float step = probe->table_step, unit = twice * head->unit;
  const float rounding = step * step * (float)padded_of(probe->dim) / 12;
  const float deviation =
      sqrtf(head->share * (codes->square + codes->slack) + rounding);
  terms->base = codes->base - codes->slack;
  terms->tilt = codes->tilt;
  terms->rise = unit * 2 * step;
  terms->offset = unit * (probe->table_base + DEVIATIONS * deviation);
  terms->columns = columns_of(probe->dim);
  terms->n = n;
  terms->tables = probe_tables(probe);
  terms->shifts = at.shifts;
  terms->ratios = at.ratios;
  terms->planes = at.planes;
}

#if SV_SIMD

static inline v128_t look_up(const uint8_t *table, v128_t nibbles) {
  return wasm_i8x16_swizzle(wasm_v128_load(table), nibbles);
}

/* sum_tables adds up what the columns of sixteen rows say. */
static KERNEL void sum_tables(const uint8_t *tables, uint32_t columns,
                              const uint8_t *plane, uint32_t stride,
                              uint16_t sums[ABREAST]) {
  const v128_t mask = wasm_i8x16_const_splat(15);
  const v128_t low_byte = wasm_i16x8_const_splat(255);
  v128_t even = wasm_i16x8_const_splat(0), odd = even;
  for (uint32_t c = 0; c < columns; c += 2) {
    const v128_t x = wasm_v128_load(plane);
    v128_t sum = wasm_i8x16_add(
        look_up(tables, wasm_v128_and(x, mask)),
        look_up(tables + TABLE, wasm_v128_and(wasm_u16x8_shr(x, 4), mask)));
    if (c + 1 < columns) {
      const v128_t y = wasm_v128_load(plane + stride);
      sum = wasm_i8x16_add(
          sum, look_up(tables + 2 * TABLE, wasm_v128_and(y, mask)));
      sum = wasm_i8x16_add(
          sum, look_up(tables + 3 * TABLE,
                       wasm_v128_and(wasm_u16x8_shr(y, 4), mask)));
    }
    even = wasm_i16x8_add(even, wasm_v128_and(sum, low_byte));
    odd = wasm_i16x8_add(odd, wasm_u16x8_shr(sum, 8));
    tables += 4 * TABLE;
    plane += 2 * stride;
  }
  wasm_v128_store(sums, wasm_i16x8_shuffle(even, odd, 0, 8, 1, 9, 2, 10, 3,
                                           11));
  wasm_v128_store(sums + 8, wasm_i16x8_shuffle(even, odd, 4, 12, 5, 13, 6, 14,
                                               7, 15));
}

/* test_sums returns a bit for each row whose lower bound is not over the
 * limit. */
static KERNEL uint64_t test_sums(const struct sign_terms *terms,
                                 uint32_t first, uint32_t n,
                                 const uint16_t *sums, float limit) {
  const v128_t rise = wasm_f32x4_splat(terms->rise);
  const v128_t offset = wasm_f32x4_splat(terms->offset);
  const v128_t base = wasm_f32x4_splat(terms->base);
  const v128_t tilt = wasm_f32x4_splat(terms->tilt);
  const v128_t most = wasm_f32x4_splat(limit);
  const float *shifts = terms->shifts + first;
  const uint8_t *ratios = terms->ratios + first;
  uint64_t over = 0;
  for (uint32_t i = 0; i < n; i += 4) {
    const v128_t ratio = wasm_f32x4_convert_i32x4(
        wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(
            wasm_v128_load32_zero(ratios + i))));
    const v128_t sum = wasm_f32x4_convert_i32x4(wasm_u32x4_load16x4(sums + i));
    const v128_t dot = wasm_f32x4_add(wasm_f32x4_mul(sum, rise), offset);
    const v128_t shift = wasm_f32x4_mul(wasm_v128_load(shifts + i), tilt);
    const v128_t lower = wasm_f32x4_sub(wasm_f32x4_add(shift, base),
                                        wasm_f32x4_mul(ratio, dot));
    over |= (uint64_t)wasm_i32x4_bitmask(wasm_f32x4_gt(lower, most)) << i;
  }
  return ~over;
}

#else

static void sum_tables(const uint8_t *tables, uint32_t columns,
                       const uint8_t *plane, uint32_t stride,
                       uint16_t sums[ABREAST]) {
  memset(sums, 0, ABREAST * sizeof *sums);
  for (uint32_t c = 0; c < columns; c++, tables += 2 * TABLE, plane += stride)
    for (uint32_t i = 0; i < stride; i++)
      sums[i] = (uint16_t)(sums[i] + tables[plane[i] & 15] +
                           tables[TABLE + (plane[i] >> 4)]);
}

static uint64_t test_sums(const struct sign_terms *terms, uint32_t first,
                          uint32_t n, const uint16_t *sums, float limit) {
  uint64_t over = 0;
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t row = first + i;
    const float dot = (float)sums[i] * terms->rise + terms->offset;
    const float lower = (terms->shifts[row] * terms->tilt + terms->base) -
                        (float)terms->ratios[row] * dot;
    if (lower > limit) over |= 1ull << i;
  }
  return ~over;
}

#endif

uint64_t signs_test(const struct sign_terms *terms, uint32_t first,
                    uint32_t n, float limit) {
  uint16_t sums[64];
  for (uint32_t i = 0; i < n; i += ABREAST) {
    const uint32_t at = first + i, left = terms->n - at;
    sum_tables(terms->tables, terms->columns,
               terms->planes + (size_t)at * terms->columns,
               left < ABREAST ? left : ABREAST, sums + i);
  }
  return test_sums(terms, first, n, sums, limit);
}
