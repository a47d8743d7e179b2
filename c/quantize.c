/*
 * quantize.c: IEEE 754 half precision (binary16) to and from f32, and
 * centroids in sixteen bits per component.
 *
 * The conversions of halves are those of F. Giesen's "half <-> float" notes:
 * integer arithmetic on the bits for normal numbers, one float addition or
 * multiplication for subnormal ones, both of which the hardware rounds to
 * nearest even.
 *
 *   binary16  | sign 1 | exponent 5, bias  15 | fraction 10 |
 *   binary32  | sign 1 | exponent 8, bias 127 | fraction 23 |
 *
 * Centroids are what is left of them about their mean, in fixed point:
 *
 *   mean f32 * dim | unit f32 * k | (component - mean) / unit i16 * dim * k
 *
 * with the unit of a centroid 1/32767 of its largest deviation, so that it
 * errs by at most sqrt(dim) / 65534 of its distance from the mean, however
 * far from the origin all of them are.
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

/* mean_of writes the mean of k rows. */
static void mean_of(const float *rows, uint32_t k, uint32_t dim, float *mean) {
  for (uint32_t t = 0; t < dim; t++) {
    double sum = 0;
    for (uint32_t j = 0; j < k; j++) sum += (double)rows[(size_t)j * dim + t];
    mean[t] = (float)(sum / k);
  }
}

void sv_centroids_encode(const float *centroids, uint32_t k, uint32_t dim,
                         uint8_t *out) {
  float *mean = (float *)(void *)out, *units = mean + dim;
  int16_t *values = (int16_t *)(void *)(units + k);
  mean_of(centroids, k, dim, mean);
  for (uint32_t j = 0; j < k; j++, centroids += dim, values += dim) {
    float most = 0;
    for (uint32_t t = 0; t < dim; t++)
      most = fmaxf(most, fabsf(centroids[t] - mean[t]));
    const float unit = units[j] = most / 32767;
    const float inverse = unit > 0 ? 1 / unit : 0;
    const int fits = inverse > 0 && !isinf(inverse);
    for (uint32_t t = 0; t < dim; t++) {
      const float value = fits ? (centroids[t] - mean[t]) * inverse : 0;
      values[t] = (int16_t)fminf(fmaxf(roundf(value), -32767), 32767);
    }
  }
}

void sv_centroids_decode(const uint8_t *bytes, uint32_t k, uint32_t dim,
                         float *centroids) {
  const float *mean = (const float *)(const void *)bytes, *units = mean + dim;
  const int16_t *values = (const int16_t *)(const void *)(units + k);
  for (uint32_t j = 0; j < k; j++, centroids += dim, values += dim)
    for (uint32_t t = 0; t < dim; t++)
      centroids[t] = mean[t] + units[j] * (float)values[t];
}
