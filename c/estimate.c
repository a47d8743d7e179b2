/*
 * estimate.c: the products of a query with codes (codes.c), and the test that
 * drops rows by them.
 *
 * Decisions:
 *  1. The low nibble of a byte is multiplied, and the whole byte, by what
 *     makes of it sixteen times the product of both nibbles (place_query in
 *     codes.c): 12 operations for 32 products, and one sum for each row.
 *  2. Rows that lie side by side are tested where they are; of others four are
 *     gathered first, but one or two, as a narrow filter leaves of a block, are
 *     tested one by one.
 *  3. Kernels are functions that are not inlined; see sieve.c.
 */
#include "sv.h"
#include "internal.h"

#define KERNEL __attribute__((noinline))

#if SV_SIMD

/* 32 components of one row. */
#define CODE_ROW(i)                                                           \
  do {                                                                        \
    const v128_t v = wasm_v128_load(x##i), w = wasm_u16x8_shr(v, 8);          \
    sum##i = wasm_i32x4_add(                                                  \
        sum##i, wasm_i32x4_dot_i16x8(wasm_v128_and(v, nibble), q0));          \
    sum##i = wasm_i32x4_add(                                                  \
        sum##i, wasm_i32x4_dot_i16x8(wasm_v128_and(v, byte), q1));            \
    sum##i = wasm_i32x4_add(                                                  \
        sum##i, wasm_i32x4_dot_i16x8(wasm_v128_and(w, nibble), q2));          \
    sum##i = wasm_i32x4_add(sum##i, wasm_i32x4_dot_i16x8(w, q3));             \
    x##i += 16;                                                               \
  } while (0)

#define CODE_SUM(i) wasm_i32x4_shr(sum##i, 4)

static inline v128_t add_lanes(v128_t a, v128_t b, v128_t c, v128_t d) {
  const v128_t ab = wasm_i32x4_add(wasm_i32x4_shuffle(a, b, 0, 1, 4, 5),
                                   wasm_i32x4_shuffle(a, b, 2, 3, 6, 7));
  const v128_t cd = wasm_i32x4_add(wasm_i32x4_shuffle(c, d, 0, 1, 4, 5),
                                   wasm_i32x4_shuffle(c, d, 2, 3, 6, 7));
  return wasm_i32x4_add(wasm_i32x4_shuffle(ab, cd, 0, 2, 4, 6),
                        wasm_i32x4_shuffle(ab, cd, 1, 3, 5, 7));
}

/* dots_i32x4 multiplies the query with four codes. */
static inline v128_t dots_i32x4(const int16_t *query, uint32_t groups,
                                const uint8_t *x0, const uint8_t *x1,
                                const uint8_t *x2, const uint8_t *x3) {
  const v128_t nibble = wasm_i16x8_const_splat(0x000f);
  const v128_t byte = wasm_i16x8_const_splat(0x00ff);
  v128_t sum0 = wasm_i32x4_const_splat(0), sum1 = sum0, sum2 = sum0;
  v128_t sum3 = sum0;
  for (const uint8_t *end = x0 + (size_t)groups * 16; x0 < end; query += 32) {
    const v128_t q0 = wasm_v128_load(query), q1 = wasm_v128_load(query + 8);
    const v128_t q2 = wasm_v128_load(query + 16);
    const v128_t q3 = wasm_v128_load(query + 24);
    CODE_ROW(0);
    CODE_ROW(1);
    CODE_ROW(2);
    CODE_ROW(3);
  }
  return add_lanes(CODE_SUM(0), CODE_SUM(1), CODE_SUM(2), CODE_SUM(3));
}

/* test_four estimates four rows, and returns a bit for each whose lower bound
 * is not over the limit. */
static inline uint32_t test_four(const struct code_terms *terms,
                                 const uint8_t *const x[4],
                                 const float steps[4], const float shifts[4],
                                 float limit, float lowers[4],
                                 float estimates[4]) {
  const v128_t dots = wasm_f32x4_sub(
      wasm_f32x4_convert_i32x4(dots_i32x4(terms->query, terms->groups, x[0],
                                          x[1], x[2], x[3])),
      wasm_f32x4_splat(terms->half));
  const v128_t step = wasm_v128_load(steps);
  const v128_t base = wasm_f32x4_add(
      wasm_f32x4_mul(wasm_v128_load(shifts),
                     wasm_f32x4_splat(terms->tilt)),
      wasm_f32x4_splat(terms->base));
  const v128_t product = wasm_f32x4_mul(
      wasm_f32x4_mul(step, wasm_f32x4_splat(terms->factor)), dots);
  const v128_t estimate = wasm_f32x4_sub(base, product);
  const v128_t bound =
      wasm_f32x4_add(wasm_f32x4_mul(step, wasm_f32x4_splat(terms->weight)),
                     wasm_f32x4_splat(terms->slack));
  const v128_t lower = wasm_f32x4_sub(estimate, bound);
  wasm_v128_store(estimates, estimate);
  wasm_v128_store(lowers, lower);
  return ~wasm_i32x4_bitmask(wasm_f32x4_gt(lower, wasm_f32x4_splat(limit))) &
         15u;
}

/* dot_code multiplies the query with one code. */
static inline int32_t dot_code(const int16_t *query, uint32_t groups,
                               const uint8_t *x0) {
  const v128_t nibble = wasm_i16x8_const_splat(0x000f);
  const v128_t byte = wasm_i16x8_const_splat(0x00ff);
  v128_t sum0 = wasm_i32x4_const_splat(0);
  for (const uint8_t *end = x0 + (size_t)groups * 16; x0 < end; query += 32) {
    const v128_t q0 = wasm_v128_load(query), q1 = wasm_v128_load(query + 8);
    const v128_t q2 = wasm_v128_load(query + 16);
    const v128_t q3 = wasm_v128_load(query + 24);
    CODE_ROW(0);
  }
  const v128_t sum = CODE_SUM(0);
  return wasm_i32x4_extract_lane(sum, 0) + wasm_i32x4_extract_lane(sum, 1) +
         wasm_i32x4_extract_lane(sum, 2) + wasm_i32x4_extract_lane(sum, 3);
}

#else

static int32_t dot_code(const int16_t *query, uint32_t groups,
                        const uint8_t *code) {
  int32_t sums[4] = {0}; /* as above: one might overflow */
  for (uint32_t g = 0; g < groups; g++, code += 16, query += CODE_GROUP)
    for (uint32_t i = 0; i < 16; i++) {
      const uint32_t w = i / 2, p = i % 2 * 16 + w;
      sums[w / 2] += (code[i] & 15) * query[p] + code[i] * query[p + 8];
    }
  return (sums[0] >> 4) + (sums[1] >> 4) + (sums[2] >> 4) + (sums[3] >> 4);
}

#endif

/* test_one estimates one row, and returns whether its lower bound is not over
 * the limit. */
static inline uint32_t test_one(const struct code_terms *terms,
                                const uint8_t *x, float step, float shift,
                                float limit, float *lower, float *estimate) {
  const float dot =
      (float)dot_code(terms->query, terms->groups, x) - terms->half;
  *estimate = (shift * terms->tilt + terms->base) - step * terms->factor * dot;
  *lower = *estimate - (step * terms->weight + terms->slack);
  return !(*lower > limit);
}

#if !SV_SIMD

static uint32_t test_four(const struct code_terms *terms,
                          const uint8_t *const x[4], const float steps[4],
                          const float shifts[4], float limit, float lowers[4],
                          float estimates[4]) {
  uint32_t bits = 0;
  for (uint32_t j = 0; j < 4; j++)
    bits |= test_one(terms, x[j], steps[j], shifts[j], limit, lowers + j,
                     estimates + j)
            << j;
  return bits;
}

#endif

/* rest_of returns the bits without the lowest. */
static inline uint64_t rest_of(uint64_t bits) { return bits & (bits - 1); }

/* test_side_by_side tests those four rows by four that are all wanted, which
 * need not be gathered; `fours` has the lowest bit of each. */
static KERNEL uint64_t test_side_by_side(const struct code_terms *terms,
                                         uint32_t first, uint64_t fours,
                                         float limit, float *lowers,
                                         float *estimates) {
  uint64_t bits = 0;
  for (; fours; fours = rest_of(fours)) {
    const uint32_t i = (uint32_t)__builtin_ctzll(fours);
    const uint32_t row = first + i, stride = terms->stride;
    const uint8_t *code = terms->codes + (size_t)row * stride;
    const uint8_t *const codes[4] = {code, code + stride, code + 2 * stride,
                                     code + 3 * stride};
    const uint64_t passed =
        test_four(terms, codes, terms->steps + row, terms->shifts + row, limit,
                  lowers + i, estimates + i);
    bits |= passed << i;
  }
  return bits;
}

/* test_apart gathers rows, four at a time, or looks at one by one where it is
 * one or two. */
static KERNEL uint64_t test_apart(const struct code_terms *terms,
                                  uint32_t first, uint64_t wanted, float limit,
                                  float *lowers, float *estimates) {
  uint64_t bits = 0;
  while (rest_of(rest_of(wanted))) {
    const uint8_t *codes[4];
    float steps[4], shifts[4], lower[4], estimate[4];
    uint32_t rows[4];
    for (uint32_t j = 0; j < 4; j++) {
      rows[j] = wanted ? (uint32_t)__builtin_ctzll(wanted) : rows[j - 1];
      wanted = rest_of(wanted);
      const uint32_t row = first + rows[j];
      codes[j] = terms->codes + (size_t)row * terms->stride;
      steps[j] = terms->steps[row];
      shifts[j] = terms->shifts[row];
    }
    const uint32_t passed = test_four(terms, codes, steps, shifts, limit, lower,
                                      estimate);
    for (uint32_t j = 0; j < 4; j++) {
      lowers[rows[j]] = lower[j];
      estimates[rows[j]] = estimate[j];
      bits |= (uint64_t)(passed >> j & 1) << rows[j];
    }
  }
  for (; wanted; wanted = rest_of(wanted)) {
    const uint32_t i = (uint32_t)__builtin_ctzll(wanted), row = first + i;
    const uint64_t passed =
        test_one(terms, terms->codes + (size_t)row * terms->stride,
                 terms->steps[row], terms->shifts[row], limit, lowers + i,
                 estimates + i);
    bits |= passed << i;
  }
  return bits;
}

uint64_t codes_test(const struct code_terms *terms, uint32_t first,
                    uint64_t wanted, float limit, float *lowers,
                    float *estimates) {
  const uint64_t fours = wanted & wanted >> 1 & wanted >> 2 & wanted >> 3 &
                         0x1111111111111111ull;
  uint64_t bits = 0;
  if (fours)
    bits = test_side_by_side(terms, first, fours, limit, lowers, estimates);
  wanted &= ~(fours * 15);
  if (wanted)
    bits |= test_apart(terms, first, wanted, limit, lowers, estimates);
  return bits;
}
