/*
 * fuzz_seal.c: opening what an attacker wrote. Without the key nothing opens,
 * failure leaves zeros, and nothing is read or written outside the lengths
 * given.
 *
 * The first eight bytes of the input choose the section's length, the first
 * chunk and the number of chunks; the rest is taken for sealed bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "sv.h"

#define CHUNK 4056u
#define SEALED (CHUNK + SV_CHUNK_OVERHEAD)
#define MOST_BYTES (4 * (size_t)CHUNK)

static const uint8_t key[SV_KEY_BYTES] = {7, 7, 7};
static const uint8_t aad[64] = "SVOBJECT";

static void must(int truth) {
  if (!truth) abort();
}

static int is_zero(const uint8_t *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (bytes[i]) return 0;
  return 1;
}

static void opens_nothing(const uint8_t *sealed, size_t length) {
  const size_t plain =
      length < SV_CHUNK_OVERHEAD ? 0 : length - SV_CHUNK_OVERHEAD;
  uint8_t *out = malloc(plain + 1);
  memset(out, 0xaa, plain + 1);
  must(sv_open(key, aad, sizeof aad, sealed, length, out) ==
       SV_ERROR_AUTH_FAILED);
  must(is_zero(out, plain));
  must(out[plain] == 0xaa);
  free(out);
}

/* Right hashes let forged chunks through to the cipher, wrong ones do not. */
static void chunks(const uint8_t *choice, const uint8_t *sealed,
                   size_t length) {
  const size_t section = ((size_t)choice[0] | (size_t)choice[1] << 8 |
                          (size_t)choice[2] << 16) % MOST_BYTES;
  const uint32_t first = choice[3] % 8, n = choice[4] % 8;
  uint8_t hashes[8 * SV_HASH_BYTES] = {0};
  if (choice[5] & 1)
    for (uint32_t i = 0; i < n; i++) {
      const size_t at = (size_t)i * SEALED;
      if (at < length)
        sv_hash(sealed + at, length - at < SEALED ? length - at : SEALED,
                hashes + i * SV_HASH_BYTES);
    }
  uint8_t *out = malloc(8 * (size_t)CHUNK);
  const int32_t code =
      sv_open_chunks(key, aad, sizeof aad, choice[6], section, CHUNK, first, n,
                     sealed, length, hashes, out);
  must(code < 0 || (n == 0 && length == 0));
  free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 8) return 0;
  uint8_t *sealed = malloc(size - 8 + 1);
  memcpy(sealed, data + 8, size - 8);
  opens_nothing(sealed, size - 8);
  chunks(data, sealed, size - 8);
  uint8_t public_key[32] = {0}, signature[64] = {0};
  memcpy(signature, sealed, size - 8 < 64 ? size - 8 : 64);
  must(sv_verify(public_key, sealed, size - 8, signature) < 0 ||
       size - 8 < 64);
  free(sealed);
  return 0;
}
