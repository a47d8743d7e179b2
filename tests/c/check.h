/* check.h: the test harness. A test is a function with a sentence; the first
 * check that fails prints the sentence, the seed and what was expected, and
 * ends the program. SEED=... in the environment repeats a run, ONLY=... runs
 * the tests whose sentence contains it. */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *check_sentence = "";
static uint64_t check_seed = 20260101;
static uint64_t check_state;

#define CHECK(condition)                                               \
  do {                                                                 \
    if (!(condition)) check_fail(__FILE__, __LINE__, #condition);      \
  } while (0)

static inline void check_fail(const char *file, int line,
                              const char *condition) {
  fprintf(stderr, "not ok: %s\n  %s:%d: %s\n  SEED=%llu\n", check_sentence,
          file, line, condition, (unsigned long long)check_seed);
  _Exit(1);
}

static inline void run(const char *sentence, void (*test)(void)) {
  const char *seed = getenv("SEED"), *only = getenv("ONLY");
  if (only && !strstr(sentence, only)) return;
  if (seed) check_seed = strtoull(seed, NULL, 10);
  check_state = check_seed | 1;
  check_sentence = sentence;
  test();
}

/* random_u64 is xorshift64*. */
static inline uint64_t random_u64(void) {
  check_state ^= check_state >> 12;
  check_state ^= check_state << 25;
  check_state ^= check_state >> 27;
  return check_state * 0x2545f4914f6cdd1du;
}

/* random_below returns a number below n, or 0 when n is 0. */
static inline uint32_t random_below(uint32_t n) {
  return (uint32_t)((random_u64() >> 32) * n >> 32);
}

/* random_float is uniform in [-1, 1). */
static inline float random_float(void) {
  return (float)((double)(random_u64() >> 40) * 0x1p-23 - 1);
}

static inline void random_floats(float *out, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = random_float();
}

/* make returns memory of exactly that size, so that the sanitizer sees the
 * first byte beyond it; never NULL, also for 0. */
static inline void *make(size_t bytes) {
  void *memory = malloc(bytes ? bytes : 1);
  if (!memory) check_fail(__FILE__, __LINE__, "out of memory");
  return memory;
}

static inline int same_bits(const void *x, const void *y, size_t bytes) {
  return bytes == 0 || memcmp(x, y, bytes) == 0;
}

#endif
