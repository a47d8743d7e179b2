/* In place of libsodium's XChaCha20-Poly1305, for build/null.wasm alone: it
 * encrypts nothing and refuses nothing, to tell what encryption costs. */
#include <sodium.h>
#include <string.h>

int crypto_aead_xchacha20poly1305_ietf_encrypt(
    unsigned char *out, unsigned long long *out_length,
    const unsigned char *plain, unsigned long long length,
    const unsigned char *aad, unsigned long long aad_length,
    const unsigned char *unused, const unsigned char *nonce,
    const unsigned char *key) {
  (void)aad, (void)aad_length, (void)unused, (void)nonce, (void)key;
  memcpy(out, plain, (size_t)length);
  memset(out + length, 0, crypto_aead_xchacha20poly1305_ietf_ABYTES);
  if (out_length)
    *out_length = length + crypto_aead_xchacha20poly1305_ietf_ABYTES;
  return 0;
}

int crypto_aead_xchacha20poly1305_ietf_decrypt(
    unsigned char *out, unsigned long long *out_length, unsigned char *unused,
    const unsigned char *sealed, unsigned long long length,
    const unsigned char *aad, unsigned long long aad_length,
    const unsigned char *nonce, const unsigned char *key) {
  (void)aad, (void)aad_length, (void)unused, (void)nonce, (void)key;
  length -= crypto_aead_xchacha20poly1305_ietf_ABYTES;
  memcpy(out, sealed, (size_t)length);
  if (out_length) *out_length = length;
  return 0;
}
