/*
 * The native core at every length from 0 to 4096: what it seals, hashes,
 * derives and signs, as one digest. tests/node/known-answers.test.js makes
 * the same of the wasm, with SIMD and without, and of other implementations,
 * and reads here what it must be.
 */
#include "check.h"
#include "sv.h"

#define MAX_LENGTH 4096u

static const char expected[] =
    "89571a21bf8adda0ce96267337e59d6e4a097a65090c7077c11fc6f29c7f8a8f";

/* fill makes the bytes of a linear congruential generator. */
static void fill(uint8_t *out, size_t n, uint32_t state) {
  for (size_t i = 0; i < n; i++) {
    state = (uint32_t)(state * UINT64_C(1664525) + 1013904223);
    out[i] = (uint8_t)(state >> 24);
  }
}

static uint8_t bytes[MAX_LENGTH], nonces[MAX_LENGTH + 24], key[32];

/* make_all writes what is made of n bytes and returns where it ends. Signing
 * is slow under the sanitizers. */
static uint8_t *make_all(uint32_t n, uint8_t *to) {
  CHECK(sv_seal(key, nonces + n, bytes, n % 113, bytes, n, to) == 0);
  to += n + SV_CHUNK_OVERHEAD;
  CHECK(sv_hash(bytes, n, to) == 0);
  to += SV_HASH_BYTES;
  CHECK(sv_derive(key, bytes, n, to, 16 + n % 49) == 0);
  to += 16 + n % 49;
  if (n % 16 != 0) return to;
  CHECK(sv_sign(key, bytes, n, to) == 0);
  return to + SV_SIGNATURE_BYTES;
}

static void digest_lengths(void) {
  static uint8_t all[SV_HASH_BYTES + MAX_LENGTH + 256];
  fill(bytes, sizeof bytes, 1);
  fill(key, sizeof key, 2);
  fill(nonces, sizeof nonces, 3);
  for (uint32_t n = 0; n <= MAX_LENGTH; n++) {
    const uint8_t *end = make_all(n, all + SV_HASH_BYTES);
    uint8_t digest[SV_HASH_BYTES];
    CHECK(sv_hash(all, (size_t)(end - all), digest) == 0);
    memcpy(all, digest, sizeof digest);
  }
  char hex[2 * SV_HASH_BYTES + 1];
  for (int i = 0; i < (int)SV_HASH_BYTES; i++)
    snprintf(hex + 2 * i, 3, "%02x", (unsigned)all[i]);
  if (strcmp(hex, expected) != 0) fprintf(stderr, "it is %s\n", hex);
  CHECK(strcmp(hex, expected) == 0);
}

int main(void) {
  run("makes the same of every length as the wasm does", digest_lengths);
  puts("test_lengths: ok");
  return 0;
}
