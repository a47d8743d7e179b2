/** Secrets that stay in wasm memory, and sealing under them. */
import { randomNonce } from './bytes.js';
import type { Core } from './core.js';
import { SealvecError } from './errors.js';

const KEY = 32;
export const OVERHEAD = 40;
export const COMMITMENT = 32;
export const SALT = 24;
export const SIGNATURE = 64;

/** Bytes of the stack, with which wasm memory begins (`stack_bytes` in the Makefile). */
const STACK = 262_144;

const utf8 = /* @__PURE__ */ new TextEncoder();

/** 32 secret bytes in wasm memory, wiped by `wipe`. */
export class Secret {
  readonly core: Core;
  #pointer: number;

  constructor(core: Core, bytes?: Uint8Array) {
    this.core = core;
    this.#pointer = core.alloc(KEY);
    if (bytes) core.write(this.#pointer, bytes);
  }

  get pointer(): number {
    if (this.#pointer === 0) throw new SealvecError('CLOSED', 'the key is gone');
    return this.#pointer;
  }

  wipe(): void {
    this.core.release(this.#pointer, KEY);
    this.#pointer = 0;
  }
}

/** A copy in JavaScript memory, to be sealed or handed to a worker; fill it with 0 after use. */
export function exposed({ core, pointer }: Secret): Uint8Array {
  return core.bytes(pointer, KEY);
}

/** Zeroes what calls have left on the stack: parts of keys among other things. */
export function wipeStack(core: Core): void {
  core.clear(0, STACK);
}

function context(label: string, data: Uint8Array): Uint8Array {
  const prefix = utf8.encode(`sealvec/1 ${label}\0`);
  const out = new Uint8Array(prefix.length + data.length);
  out.set(prefix);
  out.set(data, prefix.length);
  return out;
}

/** A subkey for one purpose: BLAKE2b-256, keyed. */
export function deriveSubkey(
  key: Secret, label: string, data: Uint8Array = new Uint8Array(),
): Secret {
  const { core } = key;
  const secret = new Secret(core);
  core.withScratch((s) => {
    const text = context(label, data);
    const code = core.exports.sv_derive(key.pointer, s.put(text), text.length, secret.pointer, KEY);
    core.check(code, label);
  });
  return secret;
}

/** A subkey and the commitment that tells a wrong key from damaged bytes: BLAKE2b-512, keyed. */
export function deriveCommitted(
  key: Secret, label: string, data: Uint8Array,
): { secret: Secret; commitment: Uint8Array } {
  const { core } = key;
  const secret = new Secret(core);
  const commitment = core.withScratch((s) => {
    const text = context(label, data);
    const out = s.take(KEY + COMMITMENT);
    const code = core.exports.sv_derive(
      key.pointer, s.put(text), text.length, out, KEY + COMMITMENT,
    );
    core.check(code, label);
    core.move(secret.pointer, out, KEY);
    return core.bytes(out + KEY, COMMITMENT);
  });
  return { secret, commitment };
}

/**
 * Which of the commitments is the key's, each with data of its own, all of one length; undefined
 * when none is. All are tried, whichever it is.
 */
export function findCommitment(
  key: Secret, label: string,
  all: readonly { readonly data: Uint8Array; readonly commitment: Uint8Array }[],
): number | undefined {
  const { core } = key;
  const { sv_derive: derive, sv_equal: same } = core.exports;
  return core.withScratch((s) => {
    const prefix = context(label, new Uint8Array());
    const length = prefix.length + (all[0]?.data.length ?? 0);
    const text = s.take(length);
    core.write(text, prefix);
    const [out, given] = [s.take(KEY + COMMITMENT), s.take(COMMITMENT)];
    let found: number | undefined;
    all.forEach(({ data, commitment }, i) => {
      core.write(text + prefix.length, data);
      core.write(given, commitment);
      core.check(derive(key.pointer, text, length, out, KEY + COMMITMENT), label);
      if (same(out + KEY, given, COMMITMENT) === 1) found = i;
    });
    return found;
  });
}

/** nonce | ciphertext | tag under a fresh random nonce. */
export function seal(key: Secret, aad: Uint8Array, plain: Uint8Array): Uint8Array {
  const { core } = key;
  return core.withScratch((s) => {
    const out = s.take(plain.length + OVERHEAD);
    const code = core.exports.sv_seal(
      key.pointer, s.put(randomNonce()), s.put(aad), aad.length, s.put(plain), plain.length,
      out,
    );
    core.check(code, 'sealing');
    return core.bytes(out, plain.length + OVERHEAD);
  });
}

/** Reverses seal; CORRUPTED, naming `what`, when it does not authenticate. */
export function open(key: Secret, aad: Uint8Array, sealed: Uint8Array, what: string): Uint8Array {
  const { core } = key;
  return core.withScratch((s) => {
    const length = Math.max(sealed.length - OVERHEAD, 0);
    const out = s.take(length);
    const code = core.exports.sv_open(
      key.pointer, s.put(aad), aad.length, s.put(sealed), sealed.length, out,
    );
    core.check(code, what);
    return core.bytes(out, length);
  });
}

/** BLAKE2b-256. */
export function hash(core: Core, bytes: Uint8Array): Uint8Array {
  return core.withScratch((s) => {
    const out = s.take(32);
    core.check(core.exports.sv_hash(s.put(bytes), bytes.length, out), 'hashing');
    return core.bytes(out, 32);
  });
}

/** The Ed25519 public key of a seed. */
export function publicKey(seed: Secret): Uint8Array {
  const { core } = seed;
  return core.withScratch((s) => {
    const out = s.take(32);
    core.check(core.exports.sv_sign_public(seed.pointer, out), 'signing key');
    return core.bytes(out, 32);
  });
}

export function sign(seed: Secret, message: Uint8Array): Uint8Array {
  const { core } = seed;
  return core.withScratch((s) => {
    const out = s.take(SIGNATURE);
    core.check(
      core.exports.sv_sign(seed.pointer, s.put(message), message.length, out), 'signing',
    );
    return core.bytes(out, SIGNATURE);
  });
}

/** CORRUPTED, naming `what`, unless the signature is that key's over message. */
export function verify(
  core: Core, key: Uint8Array, message: Uint8Array, signature: Uint8Array, what: string,
): void {
  core.withScratch((s) => {
    const code = core.exports.sv_verify(
      s.put(key), s.put(message), message.length, s.put(signature),
    );
    core.check(code, `${what} signature`);
  });
}

/** Whether two byte strings are equal, in time that depends on length only. */
export function equal(core: Core, x: Uint8Array, y: Uint8Array): boolean {
  if (x.length !== y.length) return false;
  return core.withScratch((s) => core.exports.sv_equal(s.put(x), s.put(y), x.length) === 1);
}
