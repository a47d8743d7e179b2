/** Names of objects; random bytes. */
import { SealvecError } from './errors.js';

/** Lower-case hexadecimal. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Whether two byte strings that are not secret are equal. */
export function sameBytes(x: Uint8Array, y: Uint8Array): boolean {
  return x.length === y.length && x.every((byte, i) => byte === y[i]);
}

interface RandomSource {
  getRandomValues(bytes: Uint8Array): unknown;
}

/** Bytes of the platform's generator, which nobody has looked at yet. */
export function drawBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const { crypto } = globalThis as unknown as { crypto: RandomSource };
  try {
    for (let at = 0; at < length; at += 65_536) {
      crypto.getRandomValues(bytes.subarray(at, at + 65_536));
    }
  } catch (cause) {
    throw new SealvecError('UNSUPPORTED', 'crypto.getRandomValues is missing or fails', { cause });
  }
  return bytes;
}

/** Words of the nonces seen last, some 32 kB of them. */
const kept = new Set<bigint>();
const KEPT = 4096;

/**
 * UNSUPPORTED if any word of these nonces came before: a generator that is stuck, begins anew at
 * each call or goes round in a circle stops all that needs it. (A good one gives a word of 8 bytes
 * again once in 2^52.)
 */
export function expectFresh(nonces: Uint8Array): void {
  if (kept.size > KEPT) kept.clear();
  const words = new BigUint64Array(nonces.slice().buffer);
  if (words.every((word) => kept.size < kept.add(word).size)) return;
  throw new SealvecError('UNSUPPORTED', 'crypto.getRandomValues repeats itself');
}

/** A fresh nonce of 24 bytes. */
export function randomNonce(): Uint8Array<ArrayBuffer> {
  const nonce = drawBytes(24);
  expectFresh(nonce);
  return nonce;
}

/**
 * Fresh bytes. They may become a secret and are not remembered; a nonce drawn after them, and
 * thrown away, tells whether the generator works.
 */
export function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = drawBytes(length);
  randomNonce();
  return bytes;
}
