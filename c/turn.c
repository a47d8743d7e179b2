/*
 * turn.c: a rotation that spreads whatever a vector holds over all its
 * components.
 *
 * Signs are flipped as if at random, then Hadamard's transform adds and
 * subtracts everything (Ailon and Chazelle, "The fast Johnson-Lindenstrauss
 * transform", 2009). That takes a power of two of components: it is done to
 * the first as many as there are, then to the last.
 *
 * Decisions:
 *  1. Flips are a hash of the component's number, the same for all indexes:
 *     they need not be secret, only unlike what data are made of.
 *  2. Sums are of two at a time, in the same order with and without SIMD.
 */
#include "sv.h"
#include "internal.h"

#include <math.h>
#include <string.h>

#define KERNEL __attribute__((noinline))

void turn_flips(uint32_t dim, uint32_t *flips) {
  for (uint32_t t = 0; t < dim; t++) {
    uint32_t h = (t + 1) * 0x9e3779b1u;
    h = (h ^ h >> 15) * 0x85ebca77u;
    flips[t] = (h ^ h >> 13) & 0x80000000u;
  }
}

static void flip(float *x, const uint32_t *flips, uint32_t dim) {
  for (uint32_t t = 0; t < dim; t++) {
    uint32_t bits;
    memcpy(&bits, x + t, sizeof bits);
    bits ^= flips[t];
    memcpy(x + t, &bits, sizeof bits);
  }
}

/* transform is Hadamard's, of n = 2^i >= 8 components, at the length they
 * had. */
#if SV_SIMD

static KERNEL void transform(float *x, uint32_t n) {
  const v128_t odd = wasm_f32x4_const(0, -0.0f, 0, -0.0f);
  const v128_t high = wasm_f32x4_const(0, 0, -0.0f, -0.0f);
  const v128_t scale = wasm_f32x4_splat(1 / sqrtf((float)n));
  for (uint32_t t = 0; t < n; t += 4) {
    v128_t v = wasm_f32x4_mul(wasm_v128_load(x + t), scale);
    v = wasm_f32x4_add(wasm_i32x4_shuffle(v, v, 1, 0, 3, 2),
                       wasm_v128_xor(v, odd));
    v = wasm_f32x4_add(wasm_i32x4_shuffle(v, v, 2, 3, 0, 1),
                       wasm_v128_xor(v, high));
    wasm_v128_store(x + t, v);
  }
  for (uint32_t h = 4; h < n; h *= 2)
    for (uint32_t i = 0; i < n; i += 2 * h)
      for (float *a = x + i, *b = a + h; a < x + i + h; a += 4, b += 4) {
        const v128_t v = wasm_v128_load(a), w = wasm_v128_load(b);
        wasm_v128_store(a, wasm_f32x4_add(v, w));
        wasm_v128_store(b, wasm_f32x4_sub(v, w));
      }
}

#else

static void transform(float *x, uint32_t n) {
  const float scale = 1 / sqrtf((float)n);
  for (uint32_t t = 0; t < n; t++) x[t] *= scale;
  for (uint32_t h = 1; h < n; h *= 2)
    for (uint32_t i = 0; i < n; i += 2 * h)
      for (float *a = x + i, *b = a + h; a < x + i + h; a++, b++) {
        const float sum = *a + *b;
        *b = *a - *b;
        *a = sum;
      }
}

#endif

void turn(float *x, const uint32_t *flips, uint32_t dim) {
  uint32_t n = 8;
  while (n * 2 <= dim) n *= 2;
  flip(x, flips, dim);
  transform(x, n);
  if (n < dim) transform(x + dim - n, n);
}
