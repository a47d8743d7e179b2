/* internal.h: what the .c files share and no caller sees. */
#ifndef SV_INTERNAL_H
#define SV_INTERNAL_H

#include "sv.h"

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#define SV_SIMD 1
#else
#define SV_SIMD 0
#endif

/* Allocation goes through sv_alloc and sv_free alone (error.c), so that a
 * test can count and fail it. */
#ifndef SV_ALLOCATOR
#pragma GCC poison malloc calloc realloc free
#endif

static inline uint32_t load_u32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
         (uint32_t)p[3] << 24;
}

static inline void store_u32(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)v;
  p[1] = (uint8_t)(v >> 8);
  p[2] = (uint8_t)(v >> 16);
  p[3] = (uint8_t)(v >> 24);
}

static inline uint64_t pad16(uint64_t bytes) {
  return (bytes + 15) / 16 * 16;
}

/* sv_split puts a centroid beside another: `to` and `from` move apart by
 * 1/1024, up and down on alternating components (balance.c). */
void sv_split(float *from, float *to, uint32_t dim);

/* sv_balance splits lists of more than limit times the mean rows / k, in
 * place of lists that it spares, as long as there are both (balance.c). counts
 * becomes what is expected of the next pass; used is scratch, k bytes. Returns
 * how many centroids were moved. */
uint32_t sv_balance(uint32_t *counts, uint8_t *used, uint32_t k, uint32_t dim,
                    double rows, double limit, float *centroids);

static inline uint32_t round_up(uint32_t n, uint32_t unit) {
  return (n + unit - 1) / unit * unit;
}

#endif
