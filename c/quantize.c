/*
 * quantize.c: IEEE 754 half precision (binary16) to and from f32.
 *
 * The conversions are those of F. Giesen's "half <-> float" notes: integer
 * arithmetic on the bits for normal numbers, one float addition or
 * multiplication for subnormal ones, both of which the hardware rounds to
 * nearest even.
 *
 *   binary16  | sign 1 | exponent 5, bias  15 | fraction 10 |
 *   binary32  | sign 1 | exponent 8, bias 127 | fraction 23 |
 *
 * Decisions:
 *  1. Encoding checks all values before it writes one: at 65520 and above a
 *     number would round to infinity, and an index must not change a
 *     distance by that much silently. NaN and infinity are refused too.
 *  2. Decoding keeps infinities and NaN with their payload bits, so that it
 *     is a function of the bits alone, whatever they are.
 *  3. Decoding runs on every cold chunk of a float16 index and so has a
 *     SIMD form; encoding is bound by sealing and is plain C.
 */
#include "sv.h"
#include "internal.h"

#include <math.h>
#include <string.h>

#define F16_LIMIT 65520.0f           /* halfway from 65504 to 65536 */
#define F16_MIN_NORMAL 0x38800000u   /* 2^-14 as f32 bits */
#define REBIAS 112u                  /* 127 - 15 */

static uint16_t encode_one(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000u;
  uint32_t half = bits & 0x7fffffffu;
  if (half < F16_MIN_NORMAL) {
    /* The unit in the last place of 0.5 is that of a subnormal half. */
    const float shifted = fabsf(value) + 0.5f;
    memcpy(&half, &shifted, sizeof half);
    half -= 0x3f000000u;
  } else {
    half += 0xfffu + (half >> 13 & 1u);
    half = (half >> 13) - (REBIAS << 10);
  }
  return (uint16_t)(sign | half);
}

int32_t sv_f16_encode(const float *values, size_t n, uint16_t *halves) {
  for (size_t i = 0; i < n; i++)
    if (!(fabsf(values[i]) < F16_LIMIT)) return SV_ERROR_OUT_OF_F16;
  for (size_t i = 0; i < n; i++) halves[i] = encode_one(values[i]);
  return 0;
}

/* decode_one defines what the SIMD form must equal. */
static void decode_one(uint16_t half, float *value) {
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  uint32_t bits = (magnitude << 13) + (REBIAS << 23);
  if (magnitude >= 0x7c00u) bits += REBIAS << 23;
  if (magnitude < 0x0400u) {
    const float small = (float)magnitude * 0x1p-24f;
    memcpy(&bits, &small, sizeof bits);
  }
  bits |= sign;
  memcpy(value, &bits, sizeof bits);
}

#if SV_SIMD
static inline v128_t decode_f32x4(v128_t half_i32x4) {
  const v128_t magnitude =
      wasm_v128_and(half_i32x4, wasm_i32x4_const_splat(0x7fff));
  const v128_t sign = wasm_i32x4_shl(
      wasm_v128_and(half_i32x4, wasm_i32x4_const_splat(0x8000)), 16);
  const v128_t rebias = wasm_i32x4_const_splat(REBIAS << 23);
  const v128_t special =
      wasm_i32x4_gt(magnitude, wasm_i32x4_const_splat(0x7bff));
  const v128_t subnormal =
      wasm_i32x4_lt(magnitude, wasm_i32x4_const_splat(0x0400));
  v128_t bits = wasm_i32x4_add(wasm_i32x4_shl(magnitude, 13), rebias);
  bits = wasm_i32x4_add(bits, wasm_v128_and(special, rebias));
  const v128_t small = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(magnitude),
                                      wasm_f32x4_const_splat(0x1p-24f));
  return wasm_v128_or(wasm_v128_bitselect(small, bits, subnormal), sign);
}
#endif

int32_t sv_f16_decode(const uint16_t *halves, size_t n, float *values) {
  size_t i = 0;
#if SV_SIMD
  for (; i + 4 <= n; i += 4)
    wasm_v128_store(values + i,
                    decode_f32x4(wasm_u32x4_load16x4(halves + i)));
#endif
  for (; i < n; i++) decode_one(halves[i], values + i);
  return 0;
}
