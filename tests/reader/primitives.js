// The ciphers, hashes and signatures of suite 1, none of them libsodium's.
import crypto from 'node:crypto';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { blake2b } from '@noble/hashes/blake2.js';

/** What the reader says of bytes that are not what the format wants. */
export class FormatError extends Error {}

export function demand(condition, message) {
  if (!condition) throw new FormatError(message);
}

export const hexOf = (bytes) => Buffer.from(bytes).toString('hex');
export const same = (x, y) => Buffer.from(x).equals(Buffer.from(y));

export const blake2b256 = (bytes, key) => blake2b(bytes, { dkLen: 32, key });

const labelled = (label, parts) => Buffer.concat([Buffer.from(`sealvec/1 ${label}\0`), ...parts]);

/** BLAKE2b-256 under a key, of a label and what it is for. */
export const subkey = (key, label, ...parts) => blake2b256(labelled(label, parts), key);

/** BLAKE2b-512 under a key, of a label and what it is for: a key, and its commitment. */
export function committedKey(key, label, ...parts) {
  const both = blake2b(labelled(label, parts), { dkLen: 64, key });
  return { key: both.subarray(0, 32), commitment: both.subarray(32) };
}

/** Opens nonce 24 | ciphertext | tag 16. */
export function unseal(key, aad, sealed, what) {
  demand(sealed.length >= 40, `${what} is cut short`);
  const nonce = Uint8Array.from(sealed.subarray(0, 24));
  try {
    return xchacha20poly1305(key, nonce, Uint8Array.from(aad))
      .decrypt(Uint8Array.from(sealed.subarray(24)));
  } catch (cause) {
    throw new FormatError(`${what} does not authenticate`, { cause });
  }
}

/** The Ed25519 public key of a seed, as node:crypto has it. */
export function publicKeyOf(seed) {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  const secret = crypto.createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return crypto.createPublicKey(secret);
}

/** The 32 bytes of the public key of a seed. */
export const rawPublicOf = (seed) =>
  publicKeyOf(seed).export({ format: 'der', type: 'spki' }).subarray(-32);

/** A public key of its 32 bytes. */
export function publicKeyFrom(raw) {
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]);
  return crypto.createPublicKey({ key: der, format: 'der', type: 'spki' });
}

/** Cuts off and verifies the Ed25519 signature at the end. */
export function verifySigned(bytes, publicKey, what) {
  demand(bytes.length > 64, `${what} is cut short`);
  const signed = bytes.subarray(0, -64);
  const valid = crypto.verify(null, signed, publicKey, bytes.subarray(-64));
  demand(valid, `${what} is not signed by its key`);
  return signed;
}

/** SipHash-2-4 (Aumasson and Bernstein 2012). */
export function sipHash(key, bytes) {
  const mask = (1n << 64n) - 1n;
  const turn = (x, by) => ((x << by) | (x >> (64n - by))) & mask;
  const word = (from, at) => Buffer.from(from).readBigUInt64LE(at);
  const [k0, k1] = [word(key, 0), word(key, 8)];
  let [a, b, c, d] = [
    k0 ^ 0x736f6d6570736575n, k1 ^ 0x646f72616e646f6dn,
    k0 ^ 0x6c7967656e657261n, k1 ^ 0x7465646279746573n,
  ];
  const round = () => {
    a = (a + b) & mask; b = turn(b, 13n) ^ a; a = turn(a, 32n);
    c = (c + d) & mask; d = turn(d, 16n) ^ c;
    a = (a + d) & mask; d = turn(d, 21n) ^ a;
    c = (c + b) & mask; b = turn(b, 17n) ^ c; c = turn(c, 32n);
  };
  const padded = Buffer.alloc((Math.floor(bytes.length / 8) + 1) * 8);
  padded.set(bytes);
  padded[padded.length - 1] = bytes.length & 255;
  for (let at = 0; at < padded.length; at += 8) {
    const m = padded.readBigUInt64LE(at);
    d ^= m;
    round(); round();
    a ^= m;
  }
  c ^= 0xffn;
  round(); round(); round(); round();
  return a ^ b ^ c ^ d;
}

/** The number that a half (IEEE 754 binary16) stands for. */
export function halfToNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024)
    : sign * 2 ** -14 * (fraction / 1024);
}
