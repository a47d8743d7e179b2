/*
 * error.c: what error codes mean, and the only allocator.
 *
 * 1. Meanings come from SV_ERROR_LIST, so a code without one cannot exist.
 * 2. Wasm memory grows by a part of itself at least (sv_alloc). Each time it
 *    grows its host makes a new buffer of all of it, and such a buffer counts
 *    against what the host may hold before it collects garbage: 780 times for
 *    200 MB, when it grew by 300 kB each.
 * 3. Everything that is allocated here, libsodium's Argon2 apart, goes through
 *    sv_alloc, so that alignment for v128 loads is settled once and tests can
 *    count and fail it.
 */
#define SV_ALLOCATOR 1
#define _POSIX_C_SOURCE 200112L
#include <stdlib.h>

#ifdef __wasm__
#include <malloc.h>
#endif

#include "internal.h"

#define ALIGNMENT 16u
#define PAGE 65536u /* of wasm memory */
#define STEPS 64u

const char *sv_error_meaning(int32_t code) {
  if (code >= 0) return "no error";
  switch (code) {
#define CASE(name, value, meaning) \
  case value:                      \
    return meaning;
    SV_ERROR_LIST(CASE)
#undef CASE
    default:
      return "an unknown error";
  }
}

#ifdef __wasm__

/* grow_in_steps sets what the memory grows by at least. */
static void grow_in_steps(void) {
  static size_t known;
  const size_t pages = __builtin_wasm_memory_size(0);
  size_t step = 1;
  if (pages == known) return;
  known = pages;
  while (step < pages / STEPS) step *= 2;
  mallopt(M_GRANULARITY, (int)(step * PAGE));
}

#endif

void *sv_alloc(size_t size) {
  void *memory = NULL;
  /* The allocator adds its own header: a size that only just fits would wrap
   * around there. */
  if (size > SIZE_MAX - 4096u) return NULL;
  /* Nothing at all still gets an address, so that NULL always means failure. */
  if (size == 0) size = 1;
#ifdef __wasm__
  grow_in_steps();
#endif
  if (posix_memalign(&memory, ALIGNMENT, size) != 0) return NULL;
  return memory;
}

void sv_free(void *memory) { free(memory); }
