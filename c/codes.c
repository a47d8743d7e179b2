/*
 * codes.c: four bits per component, and distances out of them with a bound.
 *
 * A block of rows is coded around a point near its mean: x = m + c + r, where
 * x is the row (for cosine, the unit row), m is the origin of the segment, c
 * the center of the block in eight bits per component, and r is rounded to the
 * middles of sixteen steps between -max|r| and max|r|, its own for each row
 * (Widrow's uniform quantiser; the factor that makes the error orthogonal to r
 * is that of RaBitQ, Gao and Long 2024). A query is brought to some eleven bits
 * once per origin; what is then multiplied is integers (estimate.c).
 *
 *   block: scale f32 | |c|^2, or |m + c|^2 but under squared L2, f32
 *          | reach f32 | error f32
 *          | center i8 * dim, to whole 32 (with 0)
 *          | row * n, four bits a component k: word w (16 bits) of each 16
 *            bytes g holds the components 32 g + 8 j + w in its bits 4 j ..
 *            4 j + 3; of the last components, fewer than 32, in ceil(m / 4)
 *            words, word w holds every ceil(m / 4)-th from the w-th on
 *          | 0 to whole 16
 *          | step f32 * n, to whole 4 | shift f32 * n, to whole 4 (with 0)
 *
 * with c = scale center, r ~ r~ = step (k - 7.5), |r - r~| <= step sqrt(dim)/2
 * and step error, shift = |r|^2 + 2 c.r~ under squared L2 and else
 * (m + c).(r~ - r), reach >= |c| + max(|r|, |r~|). Of a query y the distance is
 * about
 *
 *   |y-m-c|^2 - 2 (y-m).r~ + shift   and off by 2 (y-m-c).(r~-r)
 *
 * for squared L2, and for cosine and inner product, whatever tilt is,
 *
 *   1 or 0 - y.(m+c+r~) + tilt shift  and off by (y - tilt (m+c)).(r~-r)
 *
 * Version 1.
 *
 * Decisions:
 *  1. The tilt makes y - tilt (m + c) as short as can be. With y' that, or
 *     y - m - c, a dot is off by at most step |y'| error, which is about
 *     step |y'| sqrt(dim / 12) (Cauchy-Schwarz), and but once in e^(2 z^2) by
 *     more than step |y'| z were roundings independent (Hoeffding). A scan
 *     that must be exact takes the former, others z = 1, which is 3.5 standard
 *     deviations.
 *  2. Rounding of f32, and all that a query loses, is bounded by
 *     (dim/4 + 16) 2^-22 of the squared lengths that go in.
 *  3. Centers lie with the rows, not with the lists, so that codes depend on
 *     nothing outside their segment and survive any change of centroids.
 *  4. Kernels are functions that are not inlined; see sieve.c.
 */
#include "sv.h"
#include "internal.h"

#include <math.h>
#include <string.h>

#define KERNEL __attribute__((noinline))
#define BLOCK_BYTES 65536u
#define LEAST_ROWS 32u
#define LEAST_DIM 32u
#define ORIGIN_ROWS 1024u /* near the mean will do */

uint32_t sv_block_rows(uint32_t dim) {
  const uint32_t rows = BLOCK_BYTES / (4 * dim);
  return rows < LEAST_ROWS ? LEAST_ROWS : rows;
}

double sv_codes_size(uint32_t n, uint32_t dim) {
  if (dim < LEAST_DIM || n == 0) return 0;
  return (double)sizeof(struct code_head) + padded_of(dim) +
         (double)pad16((uint64_t)n * code_stride(dim)) + 8.0 * round_up(n, 4);
}

/* ---- encoding ---------------------------------------------------------- */

/* coded_row returns what of a row is coded: the row, or the unit row, which it
 * writes to `unit`. */
static KERNEL const float *coded_row(int32_t metric, const float *x,
                                     uint32_t dim, float *unit) {
  if (metric != SV_COSINE) return x;
  const double square = -sv_distance(SV_INNER_PRODUCT, x, x, dim);
  const double factor = square > 0 ? 1 / sqrt(square) : 0;
  for (uint32_t t = 0; t < dim; t++) unit[t] = (float)((double)x[t] * factor);
  return unit;
}

/* mean_of takes every step-th row. It needs the memory of a row in scratch. */
static KERNEL void mean_of(int32_t metric, const float *rows, uint32_t n,
                           uint32_t step, uint32_t dim, float *scratch,
                           float *mean) {
  const float share = 1 / (float)((n + step - 1) / step);
  memset(mean, 0, dim * sizeof *mean);
  for (uint32_t i = 0; i < n; i += step) {
    const float *x = coded_row(metric, rows + (size_t)i * dim, dim, scratch);
    for (uint32_t t = 0; t < dim; t++) mean[t] += x[t] * share;
  }
}

/* subtract writes x less others (origin may be NULL), to x itself if need be,
 * and zeros up to whole groups. */
static KERNEL void subtract(const float *x, const float *origin,
                            const float *center, uint32_t dim, float *out) {
  if (origin)
    for (uint32_t t = 0; t < dim; t++) out[t] = x[t] - origin[t] - center[t];
  else
    for (uint32_t t = 0; t < dim; t++) out[t] = x[t] - center[t];
  for (uint32_t t = dim; t < padded_of(dim); t++) out[t] = 0;
}

static KERNEL float greatest(const float *x, uint32_t n) {
  float most[4] = {0};
  uint32_t t = 0;
#if SV_SIMD
  v128_t most_f32x4 = wasm_f32x4_const_splat(0);
  for (; t + 4 <= n; t += 4)
    most_f32x4 = wasm_f32x4_pmax(most_f32x4,
                                 wasm_f32x4_abs(wasm_v128_load(x + t)));
  wasm_v128_store(most, most_f32x4);
#endif
  for (; t < n; t++)
    most[t % 4] = fabsf(x[t]) > most[t % 4] ? fabsf(x[t]) : most[t % 4];
  return fmaxf(fmaxf(most[0], most[1]), fmaxf(most[2], most[3]));
}

/* Of one row: r.r, r.(k - 7.5), |k - 7.5|^2, v.(k - 7.5), v.r, with v = c
 * under squared L2 and m + c else. */
struct sums {
  float rr, rk, kk, vk, vr;
};

static float fold(const float s[4]) { return (s[0] + s[2]) + (s[1] + s[3]); }

#if SV_SIMD

/* nearest_i32x4 is nearest_int of products. */
static inline v128_t nearest_i32x4(v128_t x, v128_t factor) {
  const v128_t y = wasm_f32x4_add(wasm_f32x4_mul(x, factor),
                                  wasm_f32x4_const_splat(ROUND));
  return wasm_i32x4_shr(wasm_i32x4_shl(y, 10), 10);
}

static inline v128_t level_i32x4(const float *r, v128_t inverse) {
  v128_t y = wasm_f32x4_mul(wasm_v128_load(r), inverse);
  y = wasm_f32x4_add(y, wasm_f32x4_const_splat(7.5f));
  y = wasm_f32x4_add(y, wasm_f32x4_const_splat(ROUND));
  y = wasm_i32x4_shr(wasm_i32x4_shl(y, 10), 10);
  y = wasm_i32x4_max(y, wasm_i32x4_const_splat(0));
  return wasm_i32x4_min(y, wasm_i32x4_const_splat(15));
}

/* quantise codes the residual of one row: whole groups to code, what is left
 * to a group of its own. */
static KERNEL struct sums quantise(const float *r, const float *v,
                                   float inverse, uint32_t dim,
                                   uint8_t *code, uint8_t tail[16]) {
  v128_t rr = wasm_f32x4_const_splat(0), rk = rr, kk = rr, vk = rr, vr = rr;
  const v128_t inverse_f32x4 = wasm_f32x4_splat(inverse);
  for (uint32_t t = 0; t < dim; t += CODE_GROUP, code += 16) {
    v128_t words = wasm_i32x4_const_splat(0);
    for (uint32_t j = 0; j < 4; j++) {
      v128_t level[2];
      for (uint32_t h = 0; h < 2; h++) {
        const uint32_t at = t + 8 * j + 4 * h;
        level[h] = level_i32x4(r + at, inverse_f32x4);
        const v128_t k = wasm_f32x4_sub(wasm_f32x4_convert_i32x4(level[h]),
                                        wasm_f32x4_const_splat(7.5f));
        const v128_t x = wasm_v128_load(r + at);
        rr = wasm_f32x4_add(rr, wasm_f32x4_mul(x, x));
        rk = wasm_f32x4_add(rk, wasm_f32x4_mul(x, k));
        kk = wasm_f32x4_add(kk, wasm_f32x4_mul(k, k));
        const v128_t y = wasm_v128_load(v + at);
        vk = wasm_f32x4_add(vk, wasm_f32x4_mul(y, k));
        vr = wasm_f32x4_add(vr, wasm_f32x4_mul(y, x));
      }
      words = wasm_v128_or(
          words,
          wasm_i16x8_shl(wasm_i16x8_narrow_i32x4(level[0], level[1]), 4 * j));
    }
    wasm_v128_store(t + CODE_GROUP <= dim ? code : tail, words);
  }
  float s[5][4];
  wasm_v128_store(s[0], rr);
  wasm_v128_store(s[1], rk);
  wasm_v128_store(s[2], kk);
  wasm_v128_store(s[3], vk);
  wasm_v128_store(s[4], vr);
  return (struct sums){fold(s[0]), fold(s[1]), fold(s[2]), fold(s[3]),
                       fold(s[4])};
}

#else

static struct sums quantise(const float *r, const float *v, float inverse,
                            uint32_t dim, uint8_t *code, uint8_t tail[16]) {
  float s[5][4] = {{0}};
  const uint32_t first = dim / CODE_GROUP * CODE_GROUP;
  memset(code, 0, first / 2);
  memset(tail, 0, 16);
  for (uint32_t t = 0; t < padded_of(dim); t++) {
    int32_t level = nearest_int(r[t] * inverse + 7.5f);
    level = level < 0 ? 0 : level > 15 ? 15 : level;
    const float k = (float)level - 7.5f;
    s[0][t % 4] += r[t] * r[t];
    s[1][t % 4] += r[t] * k;
    s[2][t % 4] += k * k;
    s[3][t % 4] += v[t] * k;
    s[4][t % 4] += v[t] * r[t];
    const uint32_t nibble = t % CODE_GROUP / 8;
    uint8_t *group = t < first ? code + t / CODE_GROUP * 16 : tail;
    group[2 * (t % 8) + nibble / 2] |= (uint8_t)(level << 4 * (nibble % 2));
  }
  return (struct sums){fold(s[0]), fold(s[1]), fold(s[2]), fold(s[3]),
                       fold(s[4])};
}

#endif

/* close_up writes the last components in as few words as they need. */
static void close_up(const uint8_t tail[16], uint32_t dim, uint8_t *code) {
  const uint32_t words = tail_words(dim);
  memset(code, 0, words * 2);
  for (uint32_t t = 0; t < dim % CODE_GROUP; t++) {
    const uint32_t level = tail[2 * (t % 8) + t / 16] >> t / 8 % 2 * 4 & 15;
    const uint32_t nibble = t / words;
    code[2 * (t % words) + nibble / 2] |= (uint8_t)(level << nibble % 2 * 4);
  }
}

/* error_of bounds |r - r~| in steps, with what rounding may have taken off. */
static float error_of(const struct sums *s, float step, uint32_t dim) {
  if (!(step > 0)) return 0;
  const float rr = s->rr / step / step, rk = s->rk / step;
  const float rounding = ((float)dim / 4 + 16) * 0x1p-22f;
  const float square = rr - 2 * rk + s->kk + rounding * (rr + 2 * rk + s->kk);
  return sqrtf(fmaxf(square, 0)) * 1.00001f;
}

/* encode_row writes code, step and shift of a residual, and returns the
 * larger of |r| and |r~|; error becomes no less than that of the row. */
static float encode_row(int32_t metric, const float *r, const float *v,
                        uint32_t dim, uint8_t *code, float *step,
                        float *shift, float *error) {
  const uint32_t padded = padded_of(dim);
  const float most = greatest(r, dim);
  const float inverse = most > 1e-30f ? 8 / most : 0;
  uint8_t tail[16];
  struct sums s = quantise(r, v, inverse, dim, code, tail);
  close_up(tail, dim, code + dim / CODE_GROUP * 16);
  s.kk -= 0.25f * (float)(padded - dim);
  /* The step that makes the error orthogonal to r, unless it errs by more
   * than the bound allows. */
  const float plain = most / 8, fitted = s.rr / s.rk;
  const int fits = s.rk > 0 && fitted * fitted * s.kk - s.rr <=
                                   fitted * fitted * (float)dim / 4;
  *step = !(inverse > 0) ? 0 : fits ? fitted : plain;
  *error = fmaxf(*error, error_of(&s, *step, dim));
  *shift = metric == SV_SQUARED_L2 ? s.rr + 2 * *step * s.vk
                                   : *step * s.vk - s.vr;
  const float length = sqrtf(s.rr), coded = *step * sqrtf(s.kk);
  return coded > length ? coded : length;
}

static float square_of(const float *x, uint32_t dim) {
  return (float)-sv_distance(SV_INNER_PRODUCT, x, x, dim);
}

/* round_center brings a mean to eight bits, in place too. */
static void round_center(float *mean, uint32_t dim, struct code_head *head,
                         int8_t *center) {
  const uint32_t padded = padded_of(dim);
  const float most = greatest(mean, dim);
  head->scale = most > 1e-30f ? most / 127 : 0;
  const float inverse = most > 1e-30f ? 127 / most : 0;
  for (uint32_t t = 0; t < padded; t++) {
    center[t] = t < dim ? (int8_t)nearest_int(mean[t] * inverse) : 0;
    mean[t] = (float)center[t] * head->scale;
  }
  head->square = square_of(mean, dim);
}

static void encode_block(int32_t metric, const float *rows, uint32_t n,
                         uint32_t dim, const float *origin, float *scratch,
                         uint8_t *out) {
  const uint32_t padded = padded_of(dim);
  float *center = scratch, *residual = scratch + padded;
  struct code_head *head = (struct code_head *)(void *)out;
  uint8_t *codes = out + sizeof *head + padded;
  head->error = 0;
  const size_t stride = code_stride(dim), bytes = (size_t)pad16(n * stride);
  float *steps = (float *)(void *)(codes + bytes);
  float *shifts = steps + round_up(n, 4), reach = 0;
  memset(codes, 0, bytes + 8 * round_up(n, 4));
  mean_of(metric, rows, n, 1, dim, residual, center);
  for (uint32_t t = 0; t < dim; t++) center[t] -= origin[t];
  round_center(center, dim, head, (int8_t *)(out + sizeof *head));
  const float center_length = sqrtf(head->square);
  if (metric != SV_SQUARED_L2) {
    for (uint32_t t = 0; t < dim; t++) center[t] += origin[t];
    head->square = square_of(center, dim);
    origin = NULL;
  }
  for (uint32_t i = 0; i < n; i++) {
    const float *x = coded_row(metric, rows + (size_t)i * dim, dim, residual);
    subtract(x, origin, center, dim, residual);
    const float length =
        encode_row(metric, residual, center, dim, codes + i * stride,
                   steps + i, shifts + i, &head->error);
    if (length > reach) reach = length;
  }
  head->reach = (center_length + reach) * 1.00001f;
}

void sv_codes_origin(int32_t metric, const float *rows, uint32_t n,
                     uint32_t dim, float *origin) {
  const uint32_t step = n / ORIGIN_ROWS + 1;
  mean_of(metric, rows, n, step, dim, origin + padded_of(dim), origin);
}

double sv_codes_encode(int32_t metric, const float *rows, uint32_t dim,
                       const uint32_t *starts, uint32_t n_lists,
                       float *origin, uint8_t *out) {
  const uint32_t most = sv_block_rows(dim);
  float *scratch = out ? origin + padded_of(dim) : NULL;
  double bytes = 0;
  if (dim < LEAST_DIM) return 0;
  for (uint32_t l = 0; l < n_lists; l++)
    for (uint32_t at = starts[l]; at < starts[l + 1]; at += most) {
      const uint32_t left = starts[l + 1] - at, m = left < most ? left : most;
      if (out)
        encode_block(metric, rows + (size_t)at * dim, m, dim, origin, scratch,
                     out + (size_t)bytes);
      bytes += sv_codes_size(m, dim);
    }
  return bytes;
}

/* ---- queries ----------------------------------------------------------- */

size_t sv_probe_size(uint32_t dim) {
  return sizeof(struct probe) + (size_t)padded_of(dim) * 22;
}

/* query_limit: seventeen times a component fits 16 bits (place_query), and sums
 * stay under 2^31 with 32 * 127 times one for each group (center_dot). */
static float query_limit(uint32_t dim) {
  const float limit = 0x1p31f / 4064 / (float)(padded_of(dim) / CODE_GROUP) - 1;
  return limit < 1927 ? floorf(limit) : 1927;
}

/* place_query puts the components of a query where codes have theirs, and then
 * makes of each two nibbles of a byte, to be multiplied by p and q, what is to
 * be multiplied by the low nibble and by the byte: 16 p - q, and q. */
static KERNEL void place_query(const int16_t *plain, uint32_t dim,
                               int16_t *placed) {
  const uint32_t padded = padded_of(dim), first = dim / CODE_GROUP * CODE_GROUP;
  memcpy(placed, plain, first * sizeof *placed);
  memset(placed + first, 0, (padded - first) * sizeof *placed);
  for (uint32_t t = 0; t < dim - first; t++) {
    const uint32_t word = t % tail_words(dim), nibble = t / tail_words(dim);
    placed[first + 8 * nibble + word] = plain[first + t];
  }
  for (uint32_t t = 0; t < padded; t += 16)
    for (uint32_t w = t; w < t + 8; w++)
      placed[w] = (int16_t)(16 * placed[w] - placed[w + 8]);
}

/* round_query writes whole groups, and returns their sum. */
static KERNEL int32_t round_query(const float *y, float inverse,
                                  uint32_t padded, int16_t *plain) {
  int32_t sum = 0;
#if SV_SIMD
  const v128_t inverse_f32x4 = wasm_f32x4_splat(inverse);
  v128_t sums = wasm_i32x4_const_splat(0);
  for (uint32_t t = 0; t < padded; t += 8) {
    const v128_t low = nearest_i32x4(wasm_v128_load(y + t), inverse_f32x4);
    const v128_t high =
        nearest_i32x4(wasm_v128_load(y + t + 4), inverse_f32x4);
    const v128_t q = wasm_i16x8_narrow_i32x4(low, high);
    sums = wasm_i32x4_add(sums, wasm_i32x4_add(low, high));
    wasm_v128_store(plain + t, q);
  }
  for (uint32_t j = 0; j < 4; j++) {
    sum += wasm_i32x4_extract_lane(sums, 0);
    sums = wasm_i32x4_shuffle(sums, sums, 1, 2, 3, 0);
  }
#else
  for (uint32_t t = 0; t < padded; t++) {
    const int32_t q = nearest_int(y[t] * inverse);
    sum += q;
    plain[t] = (int16_t)q;
  }
#endif
  return sum;
}

void probe_prepare(struct probe *probe, int32_t metric, const float *query,
                   const float *origin, uint32_t dim) {
  const uint32_t padded = padded_of(dim);
  probe->dim = dim;
  float *y = probe_components(probe);
  const int cosine = metric == SV_COSINE;
  const float *x = coded_row(metric, query, dim, y);
  for (uint32_t t = 0; t < dim; t++)
    y[t] = metric == SV_SQUARED_L2 ? x[t] - origin[t] : x[t];
  const float most = greatest(y, dim), limit = query_limit(dim);
  const float inverse = most > 1e-30f ? limit / most : 0;
  for (uint32_t t = dim; t < padded; t++) y[t] = 0;
  const int32_t sum = round_query(y, inverse, padded, probe_plain(probe));
  place_query(probe_plain(probe), dim, probe_placed(probe));
  const double dot = -sv_distance(SV_INNER_PRODUCT, y, origin, dim);
  probe->metric = metric;
  probe->scale = most > 1e-30f ? most / limit : 0;
  probe->total = (float)sum;
  probe->square = square_of(y, dim);
  probe->base = (float)((cosine ? 1 : 0) - dot);
  probe->origin_norm = sqrtf(square_of(origin, dim));
  probe->tabled = 0;
}

/* center_dot multiplies the query with the center of a block. */
static KERNEL int32_t center_dot(const int16_t *query, const int8_t *center,
                                 uint32_t padded) {
#if SV_SIMD
  v128_t sum = wasm_i32x4_const_splat(0);
  for (uint32_t t = 0; t < padded; t += 8)
    sum = wasm_i32x4_add(
        sum, wasm_i32x4_dot_i16x8(wasm_v128_load(query + t),
                                  wasm_i16x8_load8x8(center + t)));
  return wasm_i32x4_extract_lane(sum, 0) + wasm_i32x4_extract_lane(sum, 1) +
         wasm_i32x4_extract_lane(sum, 2) + wasm_i32x4_extract_lane(sum, 3);
#else
  int32_t sum = 0;
  for (uint32_t t = 0; t < padded; t++) sum += query[t] * center[t];
  return sum;
#endif
}

void probe_block(const struct probe *probe, const uint8_t *block, uint32_t n,
                 float z, struct code_terms *terms) {
  const uint32_t dim = probe->dim, padded = padded_of(dim);
  const struct code_head *head = (const struct code_head *)(const void *)block;
  const float dot = (float)center_dot(
      probe_plain(probe), (const int8_t *)(block + sizeof *head), padded);
  const float product = probe->scale * head->scale * dot;
  const int squares = probe->metric == SV_SQUARED_L2;
  const float twice = squares ? 2 : 1;
  const float length = sqrtf(probe->square);
  const float rounding = ((float)dim / 4 + 16) * 0x1p-22f;
  const float span = length + head->reach;
  const float other =
      squares ? span : length + probe->origin_norm + head->reach;
  terms->slack = rounding * span * other + 1e-36f +
                 twice * z * probe->scale * head->reach;
  terms->base = probe->base - product;
  terms->tilt = 1;
  float meets = product; /* y.c, or y.(m + c) */
  if (!squares) {
    meets = (probe->metric == SV_COSINE ? 1 : 0) - terms->base;
    terms->tilt = head->square > 0 ? meets / head->square : 0;
  }
  float square = probe->square + terms->tilt * (terms->tilt * head->square -
                                                2 * meets);
  square = square < 0 ? 0 : square;
  if (squares) terms->base = square;
  /* What the query loses may make `meets` too large by the slack. */
  const float lost = squares ? 1 : 1 + 2 * fabsf(terms->tilt);
  terms->square = square;
  terms->weight =
      twice * fminf(z, head->error) * sqrtf(square + lost * terms->slack);
  terms->factor = twice * probe->scale;
  terms->half = 7.5f * probe->total;
  terms->query = probe_placed(probe);
  terms->groups = padded / CODE_GROUP;
  terms->stride = code_stride(dim);
  terms->codes = block_codes(block, dim);
  terms->steps = block_steps(block, n, dim);
  terms->shifts = block_shifts(block, n, dim);
}
