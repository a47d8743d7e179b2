/* seal.c: what is sealed opens again, and nothing else does. The published
 * vectors are checked on the shipped wasm (tests/node/known-answers.test.js);
 * here the bounds and the rejections run under the sanitizers, every buffer
 * exactly as long as it has to be. */
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

#define CHUNK 4056u
#define CHUNK_SEALED (CHUNK + SV_CHUNK_OVERHEAD)
#define AAD_LENGTH 40u
#define SECTION 7u

static uint64_t random_state = 0x5ea17ec5ea17ec01u;

/* fill writes repeatable bytes (xorshift64*; Vigna 2016). */
static void fill(uint8_t *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    bytes[i] = (uint8_t)((random_state * 0x2545f4914f6cdd1du) >> 56);
  }
}

static int is_zero(const uint8_t *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (bytes[i] != 0) return 0;
  return 1;
}

/* One sealed section, each buffer of its own so that a byte too far is seen. */
struct sealed {
  uint8_t key[32];
  uint8_t aad[AAD_LENGTH];
  uint8_t *nonces, *plain, *bytes, *hashes, *out;
  size_t length, sealed_length;
  uint32_t n_chunks;
};

static int sealed_new(struct sealed *s, size_t length) {
  s->length = length;
  s->n_chunks = (uint32_t)((length + CHUNK - 1) / CHUNK);
  s->sealed_length = length + s->n_chunks * (size_t)SV_CHUNK_OVERHEAD;
  s->nonces = sv_alloc((size_t)s->n_chunks * SV_NONCE_BYTES);
  s->plain = sv_alloc(length);
  s->bytes = sv_alloc(s->sealed_length);
  s->hashes = sv_alloc((size_t)s->n_chunks * SV_HASH_BYTES);
  s->out = sv_alloc(length);
  fill(s->key, sizeof s->key);
  fill(s->aad, sizeof s->aad);
  fill(s->nonces, (size_t)s->n_chunks * SV_NONCE_BYTES);
  fill(s->plain, length);
  CHECK(sv_seal_chunks(s->key, s->aad, AAD_LENGTH, SECTION, length, CHUNK, 0,
                       s->n_chunks, s->nonces, s->plain, s->bytes,
                       s->hashes) == 0);
  return 0;
}

static void sealed_free(struct sealed *s) {
  sv_free(s->nonces);
  sv_free(s->plain);
  sv_free(s->bytes);
  sv_free(s->hashes);
  sv_free(s->out);
}

/* open_all opens the whole section; out is dirty before. */
static int32_t open_all(struct sealed *s) {
  memset(s->out, 0xee, s->length);
  return sv_open_chunks(s->key, s->aad, AAD_LENGTH, SECTION, s->length, CHUNK,
                        0, s->n_chunks, s->bytes, s->sealed_length, s->hashes,
                        s->out);
}

static int opens_what_it_sealed(void) {
  for (uint32_t length = 0; length <= 300; length++) {
    uint8_t key[32], nonce[24], aad[AAD_LENGTH];
    uint8_t *plain = sv_alloc(length), *out = sv_alloc(length);
    uint8_t *bytes = sv_alloc(length + SV_CHUNK_OVERHEAD);
    fill(key, 32), fill(nonce, 24), fill(aad, AAD_LENGTH), fill(plain, length);
    uint32_t aad_length = length % (AAD_LENGTH + 1);
    CHECK(sv_seal(key, nonce, aad, aad_length, plain, length, bytes) == 0);
    CHECK(memcmp(bytes, nonce, SV_NONCE_BYTES) == 0);
    CHECK(sv_open(key, aad, aad_length, bytes, length + SV_CHUNK_OVERHEAD,
                  out) == 0);
    CHECK(memcmp(out, plain, length) == 0);
    sv_free(plain), sv_free(out), sv_free(bytes);
  }
  return 0;
}

static int opens_sections_of_lengths_around_chunk_borders(void) {
  for (uint32_t chunks = 0; chunks <= 3; chunks++) {
    for (int64_t delta = -2; delta <= 2; delta++) {
      int64_t length = (int64_t)chunks * CHUNK + delta;
      struct sealed s;
      if (length < 0) continue;
      CHECK(sealed_new(&s, (size_t)length) == 0);
      CHECK(s.sealed_length == s.length + s.n_chunks * SV_CHUNK_OVERHEAD);
      CHECK(open_all(&s) == 0);
      CHECK(memcmp(s.out, s.plain, s.length) == 0);
      sealed_free(&s);
    }
  }
  return 0;
}

static int opens_any_run_of_chunks(void) {
  struct sealed s;
  CHECK(sealed_new(&s, 3 * (size_t)CHUNK + 1000) == 0);
  for (uint32_t first = 0; first <= s.n_chunks; first++) {
    for (uint32_t n = 0; n <= s.n_chunks - first; n++) {
      size_t begin = (size_t)first * CHUNK_SEALED;
      size_t end = (size_t)(first + n) * CHUNK_SEALED;
      if (end > s.sealed_length) end = s.sealed_length;
      if (begin > end) begin = end;
      size_t plain = end - begin - n * SV_CHUNK_OVERHEAD;
      uint8_t *bytes = sv_alloc(end - begin), *out = sv_alloc(plain);
      memcpy(bytes, s.bytes + begin, end - begin);
      CHECK(sv_open_chunks(s.key, s.aad, AAD_LENGTH, SECTION, s.length, CHUNK,
                           first, n, bytes, end - begin,
                           s.hashes + first * SV_HASH_BYTES, out) == 0);
      CHECK(memcmp(out, s.plain + (size_t)first * CHUNK, plain) == 0);
      sv_free(bytes), sv_free(out);
    }
  }
  sealed_free(&s);
  return 0;
}

/* With the hash of what was changed, so that the tag alone has to notice. */
static int rejects_a_chunk_with_any_bit_flipped(void) {
  struct sealed s;
  uint8_t hash[SV_HASH_BYTES];
  CHECK(sealed_new(&s, 50) == 0);
  memcpy(hash, s.hashes, sizeof hash);
  for (size_t bit = 0; bit < s.sealed_length * 8; bit++) {
    s.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    CHECK(open_all(&s) == SV_ERROR_AUTH_FAILED && is_zero(s.out, s.length));
    sv_hash(s.bytes, s.sealed_length, s.hashes);
    CHECK(open_all(&s) == SV_ERROR_AUTH_FAILED && is_zero(s.out, s.length));
    memcpy(s.hashes, hash, sizeof hash);
    s.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  CHECK(open_all(&s) == 0);
  sealed_free(&s);
  return 0;
}

static int rejects_a_flipped_bit_in_key_aad_or_hash(void) {
  struct sealed s;
  CHECK(sealed_new(&s, 50) == 0);
  uint8_t *const inputs[] = {s.key, s.aad, s.hashes};
  const size_t lengths[] = {sizeof s.key, AAD_LENGTH, SV_HASH_BYTES};
  for (size_t i = 0; i < 3; i++) {
    for (size_t bit = 0; bit < lengths[i] * 8; bit++) {
      inputs[i][bit / 8] ^= (uint8_t)(1u << bit % 8);
      CHECK(open_all(&s) == SV_ERROR_AUTH_FAILED);
      CHECK(is_zero(s.out, s.length));
      inputs[i][bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
  }
  CHECK(open_all(&s) == 0);
  sealed_free(&s);
  return 0;
}

static int rejects_every_truncation(void) {
  struct sealed s;
  CHECK(sealed_new(&s, 100) == 0);
  for (size_t length = 0; length < s.sealed_length; length++) {
    uint8_t *bytes = sv_alloc(length);
    size_t plain = length < SV_CHUNK_OVERHEAD ? 0 : length - SV_CHUNK_OVERHEAD;
    uint8_t *out = sv_alloc(plain);
    memcpy(bytes, s.bytes, length);
    memset(out, 0xee, plain);
    CHECK(sv_open(s.key, s.aad, AAD_LENGTH, bytes, length, out) ==
          SV_ERROR_AUTH_FAILED);
    CHECK(is_zero(out, plain));
    CHECK(sv_open_chunks(s.key, s.aad, AAD_LENGTH, SECTION, s.length, CHUNK, 0,
                         1, bytes, length, s.hashes,
                         s.out) == SV_ERROR_MALFORMED);
    sv_free(bytes), sv_free(out);
  }
  sealed_free(&s);
  return 0;
}

/* A section cut after a whole chunk, its length changed to fit. */
static int rejects_a_section_cut_at_a_chunk(void) {
  struct sealed s;
  CHECK(sealed_new(&s, 2 * (size_t)CHUNK) == 0);
  memset(s.out, 0xee, s.length);
  CHECK(sv_open_chunks(s.key, s.aad, AAD_LENGTH, SECTION, CHUNK, CHUNK, 0, 1,
                       s.bytes, CHUNK_SEALED, s.hashes,
                       s.out) == SV_ERROR_AUTH_FAILED);
  CHECK(is_zero(s.out, CHUNK));
  sealed_free(&s);
  return 0;
}

static int rejects_chunks_in_another_place(void) {
  struct sealed s;
  CHECK(sealed_new(&s, 2 * (size_t)CHUNK) == 0);
  const struct {
    uint32_t section, first;
    size_t length;
  } wrong[] = {
      {SECTION + 1, 0, 2 * (size_t)CHUNK}, /* section */
      {SECTION, 1, 3 * (size_t)CHUNK},     /* chunk, and count */
      {SECTION, 0, 3 * (size_t)CHUNK},     /* count */
      {SECTION, 0, 2 * (size_t)CHUNK + 1}, /* count, by length */
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    memset(s.out, 0xee, s.length);
    CHECK(sv_open_chunks(s.key, s.aad, AAD_LENGTH, wrong[i].section,
                         wrong[i].length, CHUNK, wrong[i].first, 2,
                         s.bytes, s.sealed_length, s.hashes,
                         s.out) == SV_ERROR_AUTH_FAILED);
    CHECK(is_zero(s.out, s.length));
  }
  sealed_free(&s);
  return 0;
}

/* Hashes swapped with the chunks: only the chunk number can tell. */
static int rejects_chunks_that_changed_places(void) {
  struct sealed s;
  CHECK(sealed_new(&s, 2 * (size_t)CHUNK) == 0);
  for (size_t i = 0; i < CHUNK_SEALED; i++) {
    uint8_t byte = s.bytes[i];
    s.bytes[i] = s.bytes[CHUNK_SEALED + i];
    s.bytes[CHUNK_SEALED + i] = byte;
  }
  sv_hash(s.bytes, CHUNK_SEALED, s.hashes);
  sv_hash(s.bytes + CHUNK_SEALED, CHUNK_SEALED, s.hashes + SV_HASH_BYTES);
  CHECK(open_all(&s) == SV_ERROR_AUTH_FAILED && is_zero(s.out, s.length));
  sealed_free(&s);
  return 0;
}

static int zeroes_the_whole_run_when_its_last_chunk_fails(void) {
  struct sealed s;
  CHECK(sealed_new(&s, 2 * (size_t)CHUNK + 10) == 0);
  s.bytes[s.sealed_length - 1] ^= 1;
  CHECK(open_all(&s) == SV_ERROR_AUTH_FAILED && is_zero(s.out, s.length));
  sealed_free(&s);
  return 0;
}

static int32_t seal_claiming(const struct sealed *s, size_t aad_length,
                             uint32_t first_chunk, uint32_t n) {
  return sv_seal_chunks(s->key, s->aad, aad_length, SECTION, s->length,
                        CHUNK, first_chunk, n, s->nonces, s->plain, s->bytes,
                        s->hashes);
}

static int32_t open_claiming(const struct sealed *s, size_t aad_length,
                             size_t section_length, uint32_t first, uint32_t n,
                             size_t length) {
  return sv_open_chunks(s->key, s->aad, aad_length, SECTION, section_length,
                        CHUNK, first, n, s->bytes, length, s->hashes, s->out);
}

static int rejects_numbers_that_contradict_each_other(void) {
  struct sealed s;
  const uint32_t max = UINT32_MAX;
  CHECK(sealed_new(&s, CHUNK) == 0);
  const size_t sealed = s.sealed_length;
  CHECK(open_claiming(&s, AAD_LENGTH, s.length, 0, 2, sealed) ==
        SV_ERROR_MALFORMED);
  CHECK(open_claiming(&s, AAD_LENGTH, s.length, 0, 2,
                      sealed + SV_CHUNK_OVERHEAD) == SV_ERROR_MALFORMED);
  CHECK(open_claiming(&s, AAD_LENGTH, s.length, 2, 1,
                      sealed - 2 * (size_t)CHUNK) ==
        SV_ERROR_MALFORMED);
  CHECK(open_claiming(&s, AAD_LENGTH, s.length, 1, 1, sealed) ==
        SV_ERROR_MALFORMED);
  CHECK(open_claiming(&s, AAD_LENGTH, s.length, max, 1, sealed) ==
        SV_ERROR_MALFORMED);
  CHECK(open_claiming(&s, AAD_LENGTH, s.length, 1, max, sealed) ==
        SV_ERROR_MALFORMED);
  CHECK(open_claiming(&s, AAD_LENGTH, s.length, 0, 1, sealed + 1) ==
        SV_ERROR_MALFORMED);
  CHECK(open_claiming(&s, AAD_LENGTH, s.length - 1, 0, 1, sealed) ==
        SV_ERROR_MALFORMED);
  CHECK(open_claiming(&s, AAD_LENGTH, 0, 0, 1, sealed) == SV_ERROR_MALFORMED);
  CHECK(open_claiming(&s, AAD_LENGTH, SIZE_MAX, 0, 1, sealed) ==
        SV_ERROR_ARGUMENT);
  CHECK(open_claiming(&s, SV_AAD_MAX - 15, s.length, 0, 1, sealed) ==
        SV_ERROR_ARGUMENT);
  CHECK(seal_claiming(&s, SV_AAD_MAX - 15, 0, 1) == SV_ERROR_ARGUMENT);
  CHECK(seal_claiming(&s, AAD_LENGTH, 0, s.n_chunks + 1) ==
        SV_ERROR_ARGUMENT);
  CHECK(seal_claiming(&s, AAD_LENGTH, s.n_chunks + 1, 0) ==
        SV_ERROR_ARGUMENT);
  CHECK(seal_claiming(&s, AAD_LENGTH, 1, max) == SV_ERROR_ARGUMENT);
  CHECK(seal_claiming(&s, AAD_LENGTH, s.n_chunks, 0) == 0);
  sealed_free(&s);
  return 0;
}

static int seals_chunks_one_by_one_as_together(void) {
  struct sealed s;
  CHECK(sealed_new(&s, 2 * (size_t)CHUNK + 7) == 0);
  uint8_t *bytes = sv_alloc(s.sealed_length), hashes[3 * SV_HASH_BYTES];
  for (uint32_t chunk = s.n_chunks; chunk-- > 0;)
    CHECK(sv_seal_chunks(
              s.key, s.aad, AAD_LENGTH, SECTION, s.length, CHUNK, chunk, 1,
              s.nonces + (size_t)chunk * SV_NONCE_BYTES,
              s.plain + (size_t)chunk * CHUNK,
              bytes + (size_t)chunk * (CHUNK + SV_CHUNK_OVERHEAD),
              hashes + (size_t)chunk * SV_HASH_BYTES) == 0);
  CHECK(memcmp(bytes, s.bytes, s.sealed_length) == 0);
  CHECK(memcmp(hashes, s.hashes, sizeof hashes) == 0);
  sv_free(bytes);
  sealed_free(&s);
  return 0;
}

/* seal_and_open does both to a section in chunks of some size. */
static int32_t seal_and_open(uint8_t *plain, size_t length,
                             uint32_t chunk_bytes) {
  const uint32_t n = (uint32_t)((length + chunk_bytes - 1) / chunk_bytes);
  const size_t sealed_length = length + (size_t)n * SV_CHUNK_OVERHEAD;
  uint8_t key[32], aad[AAD_LENGTH], *out = sv_alloc(length);
  uint8_t *nonces = sv_alloc((size_t)n * SV_NONCE_BYTES);
  uint8_t *bytes = sv_alloc(sealed_length);
  uint8_t *hashes = sv_alloc((size_t)n * SV_HASH_BYTES);
  fill(key, 32), fill(aad, AAD_LENGTH);
  fill(nonces, (size_t)n * SV_NONCE_BYTES), fill(plain, length);
  CHECK(sv_seal_chunks(key, aad, AAD_LENGTH, SECTION, length, chunk_bytes, 0,
                       n, nonces, plain, bytes, hashes) == 0);
  CHECK(sv_open_chunks(key, aad, AAD_LENGTH, SECTION, length, chunk_bytes, 0,
                       n, bytes, sealed_length, hashes, out) == 0);
  CHECK(memcmp(out, plain, length) == 0);
  sv_free(nonces), sv_free(bytes), sv_free(hashes), sv_free(out);
  return 0;
}

static int takes_chunks_of_1_to_65496_bytes(void) {
  const uint32_t sizes[] = {1, 39, 40, 2048, 3136, SV_CHUNK_MAX};
  const uint32_t wrong[] = {0, SV_CHUNK_MAX + 1, UINT32_MAX};
  uint8_t *plain = sv_alloc(3 * (size_t)SV_CHUNK_MAX);
  uint8_t key[32] = {0}, out[48], hash[SV_HASH_BYTES];
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
    for (size_t more = 0; more < 2; more++)
      CHECK(seal_and_open(plain, 2 * (size_t)sizes[i] + more, sizes[i]) == 0);
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    CHECK(sv_seal_chunks(key, key, 32, SECTION, 8, wrong[i], 0, 1, key, plain,
                         out, hash) == SV_ERROR_ARGUMENT);
    CHECK(sv_open_chunks(key, key, 32, SECTION, 8, wrong[i], 0, 1, out, 48,
                         hash, plain) == SV_ERROR_ARGUMENT);
  }
  sv_free(plain);
  return 0;
}

static int accepts_the_longest_additional_data(void) {
  uint8_t aad[SV_AAD_MAX - 16], key[32], nonce[24], hash[SV_HASH_BYTES];
  uint8_t plain[3] = {1, 2, 3}, bytes[3 + SV_CHUNK_OVERHEAD], out[3];
  fill(aad, sizeof aad), fill(key, 32), fill(nonce, 24);
  CHECK(sv_seal_chunks(key, aad, sizeof aad, SECTION, 3, CHUNK, 0, 1, nonce,
                       plain, bytes, hash) == 0);
  CHECK(sv_open_chunks(key, aad, sizeof aad, SECTION, 3, CHUNK, 0, 1, bytes,
                       sizeof bytes, hash, out) == 0);
  CHECK(memcmp(out, plain, 3) == 0);
  return 0;
}

static int derives_16_to_64_bytes_and_nothing_else(void) {
  uint8_t key[32], context[9], out[65], other[64];
  fill(key, 32), fill(context, 9);
  for (size_t length = 0; length <= 65; length++) {
    memset(out, 0xee, sizeof out);
    int32_t code = sv_derive(key, context, 9, out, length);
    CHECK(code == (length < 16 || length > 64 ? SV_ERROR_ARGUMENT : 0));
    CHECK(out[code == 0 ? length : 0] == 0xee || length == 65);
  }
  CHECK(sv_derive(key, context, 9, out, 32) == 0);
  context[0] ^= 1;
  CHECK(sv_derive(key, context, 9, other, 32) == 0);
  CHECK(memcmp(out, other, 32) != 0);
  CHECK(sv_derive(key, NULL, 0, other, 32) == 0);
  return 0;
}

struct stretching {
  uint8_t passphrase[9], salt[16];
  uint32_t memory, passes;
  size_t length, out_length;
};

static int32_t stretch(const struct stretching *s, uint8_t *out) {
  return sv_stretch(s->passphrase, s->length, s->salt, s->memory, s->passes,
                    out, s->out_length);
}

static int stretches_every_argument_to_another_key(void) {
  const struct stretching s = {"correct", "0123456789abcde", 8, 1, 7, 32};
  struct stretching others[] = {s, s, s, s, s, s};
  uint8_t out[33] = {0}, other[34];
  CHECK(stretch(&s, out) == 0 && !is_zero(out, 32) && out[32] == 0);
  CHECK(stretch(&s, other) == 0 && memcmp(out, other, 32) == 0);
  others[0].passphrase[6] ^= 1;
  others[1].salt[15] ^= 1;
  others[2].memory = 12;
  others[3].passes = 2;
  others[4].length = 8;
  others[5].out_length = 33;
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    CHECK(stretch(&others[i], other) == 0);
    CHECK(memcmp(out, other, 32) != 0);
  }
  others[0].length = 0;
  CHECK(stretch(&others[0], out) == 0 && memcmp(out, other, 32) != 0);
  return 0;
}

static int stretches_nothing_out_of_range(void) {
  const struct stretching s = {"correct", "0123456789abcde", 8, 1, 7, 16};
  struct stretching wrong[] = {s, s, s, s, s, s};
  uint8_t out[16];
  memset(out, 0xee, sizeof out);
  wrong[0].memory = 7;
  wrong[1].passes = 0;
  wrong[2].out_length = 15;
  wrong[3].out_length = (size_t)UINT32_MAX + 1;
  wrong[4].length = (size_t)UINT32_MAX + 1;
  wrong[5].memory = 0;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    CHECK(stretch(&wrong[i], out) == SV_ERROR_ARGUMENT);
  for (size_t i = 0; i < sizeof out; i++) CHECK(out[i] == 0xee);
  CHECK(stretch(&s, out) == 0);
  return 0;
}

#if __has_feature(address_sanitizer)
/* No more than 32 MB at once, and NULL beyond. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
  return "max_allocation_size_mb=32:allocator_may_return_null=1";
}

static int says_that_memory_is_wanting_when_stretching(void) {
  const struct stretching s = {"correct", "0123456789abcde", 65536, 1, 7, 32};
  uint8_t out[32];
  memset(out, 0xee, sizeof out);
  CHECK(stretch(&s, out) == SV_ERROR_NO_MEMORY && is_zero(out, 32));
  return 0;
}
#else
static int says_that_memory_is_wanting_when_stretching(void) { return 0; }
#endif

static int signs_and_rejects_any_flipped_bit(void) {
  uint8_t seed[32], public_key[32], signature[64], message[20];
  fill(seed, 32), fill(message, 20);
  CHECK(sv_sign_public(seed, public_key) == 0);
  CHECK(sv_sign(seed, message, 20, signature) == 0);
  CHECK(sv_verify(public_key, message, 20, signature) == 0);
  CHECK(sv_verify(public_key, message, 19, signature) == SV_ERROR_AUTH_FAILED);
  uint8_t *const inputs[] = {public_key, message, signature};
  const size_t lengths[] = {32, 20, 64};
  for (size_t i = 0; i < 3; i++) {
    for (size_t bit = 0; bit < lengths[i] * 8; bit++) {
      inputs[i][bit / 8] ^= (uint8_t)(1u << bit % 8);
      CHECK(sv_verify(public_key, message, 20, signature) ==
            SV_ERROR_AUTH_FAILED);
      inputs[i][bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
  }
  memset(public_key, 0, 32); /* a point of small order */
  CHECK(sv_verify(public_key, message, 20, signature) == SV_ERROR_AUTH_FAILED);
  return 0;
}

static int hashes_the_ids_of_a_blob_section(void) {
  /* "", "a", "bc": offsets 0 0 1 3, then the bytes. */
  const uint8_t blobs[] = {0, 0, 0, 0, 0, 0, 0,   0,   1,  0,
                           0, 0, 3, 0, 0, 0, 'a', 'b', 'c'};
  const uint8_t single[] = {0, 0, 0, 0, 2, 0, 0, 0, 'b', 'c'};
  uint8_t key[16], other[16];
  uint64_t hashes[3], hash;
  fill(key, 16), fill(other, 16);
  CHECK(sv_id_hashes(key, blobs, 3, hashes) == 0);
  CHECK(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
  CHECK(sv_id_hashes(key, single, 1, &hash) == 0 && hash == hashes[2]);
  CHECK(sv_id_hashes(other, single, 1, &hash) == 0 && hash != hashes[2]);
  CHECK(sv_id_hashes(key, blobs, 0, NULL) == 0);
  return 0;
}

static int compares_and_wipes(void) {
  for (size_t length = 0; length < 70; length++) {
    uint8_t *x = sv_alloc(length), *y = sv_alloc(length);
    fill(x, length);
    if (length > 0) memcpy(y, x, length);
    CHECK(sv_equal(x, y, length) == 1);
    for (size_t bit = 0; bit < length * 8; bit++) {
      y[bit / 8] ^= (uint8_t)(1u << bit % 8);
      CHECK(sv_equal(x, y, length) == 0);
      y[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    sv_wipe(x, length);
    CHECK(is_zero(x, length));
    sv_free(x), sv_free(y);
  }
  return 0;
}

int main(void) {
  if (opens_what_it_sealed() ||
      opens_sections_of_lengths_around_chunk_borders() ||
      opens_any_run_of_chunks() || rejects_a_chunk_with_any_bit_flipped() ||
      rejects_a_flipped_bit_in_key_aad_or_hash() ||
      rejects_every_truncation() || rejects_a_section_cut_at_a_chunk() ||
      rejects_chunks_in_another_place() ||
      rejects_chunks_that_changed_places() ||
      zeroes_the_whole_run_when_its_last_chunk_fails() ||
      rejects_numbers_that_contradict_each_other() ||
      seals_chunks_one_by_one_as_together() ||
      takes_chunks_of_1_to_65496_bytes() ||
      accepts_the_longest_additional_data() ||
      derives_16_to_64_bytes_and_nothing_else() ||
      stretches_every_argument_to_another_key() ||
      stretches_nothing_out_of_range() ||
      says_that_memory_is_wanting_when_stretching() ||
      signs_and_rejects_any_flipped_bit() ||
      hashes_the_ids_of_a_blob_section() || compares_and_wipes())
    return 1;
  puts("test_seal: ok");
  return 0;
}
