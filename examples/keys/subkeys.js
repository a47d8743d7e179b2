// One secret for many indexes and users: HKDF (RFC 5869) by WebCrypto, in Node and in pages. The
// secret is imported as a CryptoKey that is not extractable; keep its bytes offline, or nowhere.
const { subtle } = globalThis.crypto;

/** Imports 32 or more secret bytes, and overwrites them. */
export async function importSecret(bytes) {
  const secret = await subtle.importKey('raw', bytes, 'HKDF', false, ['deriveBits']);
  bytes.fill(0);
  return secret;
}

/** Bytes for one purpose: another purpose, even by a letter, gives others. */
export async function subkey(secret, purpose, length = 32) {
  const info = new TextEncoder().encode(purpose);
  const hkdf = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info };
  return new Uint8Array(await subtle.deriveBits(hkdf, secret, length * 8));
}
