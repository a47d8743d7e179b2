/* error.c: every code has a meaning, and the allocator keeps its contract. */
#include <stdio.h>
#include <string.h>

#include "sv.h"

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      return 1;                                                       \
    }                                                                 \
  } while (0)

static int tells_what_every_code_means(void) {
#define MEANS(name, code, meaning) \
  CHECK(strcmp(sv_error_meaning(code), meaning) == 0);
  SV_ERROR_LIST(MEANS)
#undef MEANS
  CHECK(strcmp(sv_error_meaning(0), "no error") == 0);
  CHECK(strcmp(sv_error_meaning(INT32_MAX), "no error") == 0);
  CHECK(strcmp(sv_error_meaning(-1000), "an unknown error") == 0);
  CHECK(strcmp(sv_error_meaning(INT32_MIN), "an unknown error") == 0);
  return 0;
}

static int gives_each_code_its_own_number(void) {
  const int codes[] = {
#define CODE(name, code, meaning) SV_ERROR_##name,
      SV_ERROR_LIST(CODE)
#undef CODE
  };
  size_t n = sizeof codes / sizeof codes[0];
  for (size_t i = 0; i < n; i++) {
    CHECK(codes[i] < 0);
    for (size_t j = 0; j < i; j++) CHECK(codes[i] != codes[j]);
  }
  return 0;
}

static int aligns_every_size_to_16(void) {
  for (size_t size = 0; size < 300; size++) {
    unsigned char *memory = sv_alloc(size);
    CHECK(memory != NULL);
    CHECK((uintptr_t)memory % 16 == 0);
    memset(memory, 0xa5, size);
    sv_free(memory);
  }
  return 0;
}

static int refuses_sizes_that_cannot_be(void) {
  CHECK(sv_alloc(SIZE_MAX) == NULL);
  CHECK(sv_alloc(SIZE_MAX - 15) == NULL);
  CHECK(sv_alloc(SIZE_MAX - 4095) == NULL);
  sv_free(NULL);
  return 0;
}

int main(void) {
  if (tells_what_every_code_means() || gives_each_code_its_own_number() ||
      aligns_every_size_to_16() || refuses_sizes_that_cannot_be())
    return 1;
  puts("test_error: ok");
  return 0;
}
