/*
 * seal.c: everything that touches a key. XChaCha20-Poly1305-IETF
 * (draft-irtf-cfrg-xchacha-03), BLAKE2b (RFC 7693), SipHash-2-4 (Aumasson and
 * Bernstein 2012), Ed25519 (RFC 8032), Argon2id (RFC 9106), all of them
 * libsodium's. No other file includes sodium.h.
 *
 * 1. sodium_init is never called. It wants randomness and detects the CPU;
 *    libsodium's portable code needs neither, and the shipped module imports
 *    no source of randomness. Nonces and seeds are the caller's.
 * 2. The nonce is stored before the ciphertext and never derived from content
 *    or position: two writers, or one restored from a backup, would repeat it.
 * 3. A chunk is bound to its place (section, chunk number, number of chunks,
 *    length) by its additional data, so chunks cannot be moved, cut off or
 *    spliced even by someone who can compute the hashes.
 * 4. The hash of a sealed chunk is compared before anything is decrypted: the
 *    hashes come from a signed manifest, and Poly1305 alone does not commit to
 *    a key (Len, Grubbs, Ristenpart 2021).
 * 5. Failure is AUTH_FAILED whatever failed, and leaves zeros: a caller that
 *    forgets to check sees no plaintext that was not authenticated.
 * 6. libsodium's SSSE3 ChaCha20, compiled to SIMD128, encrypts twice as fast
 *    as its portable one, and its SSSE3 Argon2 a fifth faster. Its SSSE3
 *    BLAKE2b does 0.92 times what the portable one does once an engine's
 *    optimising compiler has seen both, but until then hashes four times as
 *    fast (V8's baseline compiler calls a function for each rotation of 64
 *    bits), and an index is opened by then. They are chosen at start-up by
 *    what this file was compiled for, since wasm has no CPU to ask. Its
 *    Poly1305 for SSE2 is left out: it does 0.75 times what the portable one
 *    does, since wasm has no pmuludq, and that in limbs of 44 bits 0.3 times,
 *    since it wants products of 128 bits.
 * 7. libsodium allocates nowhere but in Argon2, with malloc, and wipes little
 *    of that: the last block, from which the key is one hash away, stays in
 *    the heap and on the stack. Only wiping both whole gets all of it.
 */
#include <sodium.h>

#include "internal.h"

#define PLACE_BYTES 16u
#define SEAL_MAX \
  (crypto_aead_xchacha20poly1305_ietf_MESSAGEBYTES_MAX - SV_CHUNK_OVERHEAD)

_Static_assert(SV_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
               "key");
_Static_assert(SV_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
               "nonce");
_Static_assert(SV_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES,
               "tag");
_Static_assert(SV_CHUNK_OVERHEAD == SV_NONCE_BYTES + SV_TAG_BYTES, "overhead");

/* What libsodium asks of its host. Its key generators, which are never
 * called, refer to randombytes_buf, and its checks of arguments to
 * sodium_misuse; reaching either is a defect, and stops the program. */
void randombytes_buf(void *const buffer, const size_t size) {
  (void)buffer;
  (void)size;
  __builtin_trap();
}

void sodium_misuse(void) { __builtin_trap(); }

int sodium_runtime_has_ssse3(void) { return SV_SIMD; }

/* Of libsodium's private headers. */
int _crypto_generichash_blake2b_pick_best_implementation(void);
int _crypto_pwhash_argon2_pick_best_implementation(void);
int _crypto_stream_chacha20_pick_best_implementation(void);

__attribute__((constructor)) static void pick_implementation(void) {
  _crypto_generichash_blake2b_pick_best_implementation();
  _crypto_pwhash_argon2_pick_best_implementation();
  _crypto_stream_chacha20_pick_best_implementation();
}

int32_t sv_hash(const uint8_t *bytes, size_t length, uint8_t out[32]) {
  crypto_generichash_blake2b(out, SV_HASH_BYTES, bytes, length, NULL, 0);
  return 0;
}

int32_t sv_derive(const uint8_t key[32], const uint8_t *context,
                  size_t context_length, uint8_t *out, size_t out_length) {
  if (out_length < crypto_generichash_blake2b_BYTES_MIN ||
      out_length > crypto_generichash_blake2b_BYTES_MAX)
    return SV_ERROR_ARGUMENT;
  crypto_generichash_blake2b(out, out_length, context, context_length, key,
                             SV_KEY_BYTES);
  return 0;
}

int32_t sv_stretch(const uint8_t *passphrase, size_t length,
                   const uint8_t salt[16], uint32_t memory_kib,
                   uint32_t passes, uint8_t *out, size_t out_length) {
  if (length > crypto_pwhash_argon2id_PASSWD_MAX ||
      memory_kib < crypto_pwhash_argon2id_MEMLIMIT_MIN / 1024 ||
      memory_kib > crypto_pwhash_argon2id_MEMLIMIT_MAX / 1024 ||
      passes < crypto_pwhash_argon2id_OPSLIMIT_MIN ||
      out_length < crypto_pwhash_argon2id_BYTES_MIN ||
      out_length > crypto_pwhash_argon2id_BYTES_MAX)
    return SV_ERROR_ARGUMENT;
  /* With arguments in their ranges, only memory can be wanting. */
  if (crypto_pwhash_argon2id(out, out_length, (const char *)passphrase, length,
                             salt, passes, (size_t)memory_kib * 1024,
                             crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
    return SV_ERROR_NO_MEMORY;
  return 0;
}

int32_t sv_seal(const uint8_t key[32], const uint8_t nonce[24],
                const uint8_t *aad, size_t aad_length, const uint8_t *plain,
                size_t length, uint8_t *out) {
  if (length > SEAL_MAX) return SV_ERROR_ARGUMENT;
  for (size_t i = 0; i < SV_NONCE_BYTES; i++) out[i] = nonce[i];
  crypto_aead_xchacha20poly1305_ietf_encrypt(out + SV_NONCE_BYTES, NULL, plain,
                                             length, aad, aad_length, NULL,
                                             nonce, key);
  return 0;
}

int32_t sv_open(const uint8_t key[32], const uint8_t *aad, size_t aad_length,
                const uint8_t *sealed, size_t length, uint8_t *out) {
  if (length < SV_CHUNK_OVERHEAD || length - SV_CHUNK_OVERHEAD > SEAL_MAX)
    return SV_ERROR_AUTH_FAILED;
  /* libsodium compares the tag before it decrypts, and zeroes out when the
   * tag is wrong. */
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          out, NULL, NULL, sealed + SV_NONCE_BYTES, length - SV_NONCE_BYTES,
          aad, aad_length, sealed, key) != 0)
    return SV_ERROR_AUTH_FAILED;
  return 0;
}

/* A section as its chunks see it, and the additional data that binds a chunk
 * to its place: the caller's aad, then section | chunk | n_chunks | length,
 * u32 each. */
struct place {
  uint8_t aad[SV_AAD_MAX];
  size_t aad_length;
  size_t section_length;
  uint32_t section, chunk_bytes, n_chunks;
};

static int32_t place_init(struct place *place, const uint8_t *aad,
                          size_t aad_length, uint32_t section,
                          size_t section_length, uint32_t chunk_bytes) {
  if (aad_length > SV_AAD_MAX - PLACE_BYTES) return SV_ERROR_ARGUMENT;
  if (chunk_bytes == 0 || chunk_bytes > SV_CHUNK_MAX) return SV_ERROR_ARGUMENT;
  const uint64_t n_chunks = (uint64_t)(section_length / chunk_bytes) +
                            (section_length % chunk_bytes != 0);
  /* So that sealed lengths fit in a size. */
  if (n_chunks > UINT32_MAX ||
      n_chunks > (SIZE_MAX - section_length) / SV_CHUNK_OVERHEAD)
    return SV_ERROR_ARGUMENT;
  for (size_t i = 0; i < aad_length; i++) place->aad[i] = aad[i];
  place->aad_length = aad_length + PLACE_BYTES;
  place->section_length = section_length;
  place->section = section;
  place->chunk_bytes = chunk_bytes;
  place->n_chunks = (uint32_t)n_chunks;
  return 0;
}

/* place_chunk completes the additional data for one chunk and returns the
 * chunk's plain length. */
static uint32_t place_chunk(struct place *place, uint32_t chunk) {
  const size_t before = (size_t)chunk * place->chunk_bytes;
  const size_t left = place->section_length - before;
  const uint32_t length =
      left < place->chunk_bytes ? (uint32_t)left : place->chunk_bytes;
  uint8_t *end = place->aad + place->aad_length - PLACE_BYTES;
  store_u32(end, place->section);
  store_u32(end + 4, chunk);
  store_u32(end + 8, place->n_chunks);
  store_u32(end + 12, length);
  return length;
}

int32_t sv_seal_chunks(const uint8_t key[32], const uint8_t *aad,
                       size_t aad_length, uint32_t section,
                       size_t section_length, uint32_t chunk_bytes,
                       uint32_t first_chunk, uint32_t n,
                       const uint8_t *nonces, const uint8_t *plain,
                       uint8_t *out, uint8_t *hashes) {
  struct place place;
  int32_t code = place_init(&place, aad, aad_length, section, section_length,
                            chunk_bytes);
  if (code < 0) return code;
  if (first_chunk > place.n_chunks || n > place.n_chunks - first_chunk)
    return SV_ERROR_ARGUMENT;
  for (uint32_t chunk = first_chunk; chunk < first_chunk + n; chunk++) {
    const uint32_t length = place_chunk(&place, chunk);
    code = sv_seal(key, nonces, place.aad, place.aad_length, plain, length,
                   out);
    if (code < 0) return code;
    sv_hash(out, length + SV_CHUNK_OVERHEAD, hashes);
    nonces += SV_NONCE_BYTES;
    plain += length;
    out += length + SV_CHUNK_OVERHEAD;
    hashes += SV_HASH_BYTES;
  }
  return 0;
}

/* run_length returns the plain bytes of chunks first .. first + n - 1, when
 * the section has them and the sealed length is theirs; else MALFORMED. */
static int64_t run_length(const struct place *place, uint32_t first, uint32_t n,
                          size_t sealed_length) {
  if (first > place->n_chunks || n > place->n_chunks - first)
    return SV_ERROR_MALFORMED;
  uint64_t end = ((uint64_t)first + n) * place->chunk_bytes;
  if (end > place->section_length) end = place->section_length;
  uint64_t plain = n == 0 ? 0 : end - (uint64_t)first * place->chunk_bytes;
  if (plain + (uint64_t)n * SV_CHUNK_OVERHEAD != sealed_length)
    return SV_ERROR_MALFORMED;
  return (int64_t)plain;
}

static int32_t open_chunk(const uint8_t key[32], const struct place *place,
                          const uint8_t *sealed, size_t length,
                          const uint8_t *expected, uint8_t *out) {
  uint8_t hash[SV_HASH_BYTES];
  sv_hash(sealed, length, hash);
  if (!sv_equal(hash, expected, SV_HASH_BYTES)) return SV_ERROR_AUTH_FAILED;
  return sv_open(key, place->aad, place->aad_length, sealed, length, out);
}

int32_t sv_open_chunks(const uint8_t key[32], const uint8_t *aad,
                       size_t aad_length, uint32_t section,
                       size_t section_length, uint32_t chunk_bytes,
                       uint32_t first_chunk, uint32_t n,
                       const uint8_t *sealed, size_t length,
                       const uint8_t *hashes, uint8_t *out) {
  struct place place;
  uint8_t *const begin = out;
  int32_t code = place_init(&place, aad, aad_length, section, section_length,
                            chunk_bytes);
  if (code < 0) return code;
  int64_t total = run_length(&place, first_chunk, n, length);
  if (total < 0) return (int32_t)total;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t plain = place_chunk(&place, first_chunk + i);
    size_t sealed_length = plain + SV_CHUNK_OVERHEAD;
    code = open_chunk(key, &place, sealed, sealed_length, hashes, out);
    if (code < 0) goto done;
    sealed += sealed_length;
    hashes += SV_HASH_BYTES;
    out += plain;
  }
done:
  /* What was opened before the failure is genuine, but half a run is not
   * what was asked for. */
  if (code < 0) sv_wipe(begin, (size_t)total);
  return code;
}

int32_t sv_id_hashes(const uint8_t key[16], const uint8_t *section, uint32_t n,
                     uint64_t *hashes) {
  const uint8_t *bytes = section + ((size_t)n + 1) * 4;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t begin = load_u32(section + (size_t)i * 4);
    uint32_t end = load_u32(section + ((size_t)i + 1) * 4);
    uint8_t hash[crypto_shorthash_siphash24_BYTES];
    crypto_shorthash_siphash24(hash, bytes + begin, end - begin, key);
    hashes[i] = load_u32(hash) | (uint64_t)load_u32(hash + 4) << 32;
  }
  return 0;
}

int32_t sv_sign_public(const uint8_t seed[32], uint8_t public_key[32]) {
  uint8_t secret[crypto_sign_ed25519_SECRETKEYBYTES];
  crypto_sign_ed25519_seed_keypair(public_key, secret, seed);
  sv_wipe(secret, sizeof secret);
  return 0;
}

int32_t sv_sign(const uint8_t seed[32], const uint8_t *message, size_t length,
                uint8_t signature[64]) {
  uint8_t public_key[crypto_sign_ed25519_PUBLICKEYBYTES];
  uint8_t secret[crypto_sign_ed25519_SECRETKEYBYTES];
  crypto_sign_ed25519_seed_keypair(public_key, secret, seed);
  crypto_sign_ed25519_detached(signature, NULL, message, length, secret);
  sv_wipe(secret, sizeof secret);
  return 0;
}

int32_t sv_verify(const uint8_t public_key[32], const uint8_t *message,
                  size_t length, const uint8_t signature[64]) {
  if (crypto_sign_ed25519_verify_detached(signature, message, length,
                                          public_key) != 0)
    return SV_ERROR_AUTH_FAILED;
  return 0;
}

int32_t sv_equal(const uint8_t *x, const uint8_t *y, size_t length) {
  return sodium_memcmp(x, y, length) == 0;
}

void sv_wipe(void *memory, size_t length) { sodium_memzero(memory, length); }
