// The raw exports of a core, and XChaCha20-Poly1305 by OpenSSL to compare them with.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';

export const AUTH_FAILED = -2;

/** A core with copies in and out: bytes go in as Uint8Array, out(n) makes room for a result. */
export class Core {
  constructor(file) {
    const bytes = fs.readFileSync(new URL(`../../../${file}`, import.meta.url));
    this.module = new WebAssembly.Module(bytes);
    const env = { emscripten_notify_memory_growth() {} };
    this.exports = new WebAssembly.Instance(this.module, { env }).exports;
    this.exports._initialize?.();
  }

  /** Calls an export with numbers, byte arrays and one { out: n }; returns [code, out bytes]. */
  call(name, ...args) {
    const { sv_alloc, sv_free } = this.exports;
    const pointers = [];
    let result;
    const values = args.map((arg) => {
      if (typeof arg === 'number') return arg;
      const size = arg.out ?? arg.length;
      const pointer = sv_alloc(size);
      pointers.push(pointer);
      const view = new Uint8Array(this.exports.memory.buffer, pointer, size);
      if (arg.out === undefined) view.set(arg);
      else result = [view.fill(0xee).byteOffset, size];
      return pointer;
    });
    const code = this.exports[name](...values);
    const out = result && new Uint8Array(this.exports.memory.buffer, ...result).slice();
    pointers.forEach((pointer) => sv_free(pointer));
    return [code, out];
  }

  /** The out bytes of a call that must succeed. */
  get(name, ...args) {
    const [code, out] = this.call(name, ...args);
    assert.equal(code, 0, `${name} returned ${code}`);
    return out;
  }

  seal(key, nonce, aad, plain) {
    const out = { out: plain.length + 40 };
    return this.get('sv_seal', key, nonce, aad, aad.length, plain, plain.length, out);
  }

  open(key, aad, sealed) {
    const out = { out: Math.max(0, sealed.length - 40) };
    return this.call('sv_open', key, aad, aad.length, sealed, sealed.length, out);
  }
}

export const hex = (bytes) => Buffer.from(bytes).toString('hex');
export const unhex = (text) => new Uint8Array(Buffer.from(text.replace(/\s/g, ''), 'hex'));

/** HChaCha20, draft-irtf-cfrg-xchacha-03 section 2.2. */
export function hchacha20(secret, nonce16) {
  const words = new Uint32Array(16);
  words.set([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]);
  const read = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0; i < 8; i++) words[4 + i] = read(secret).getUint32(4 * i, true);
  for (let i = 0; i < 4; i++) words[12 + i] = read(nonce16).getUint32(4 * i, true);
  const mix = (x, y, z, by) => {
    words[x] += words[y];
    const mixed = words[z] ^ words[x];
    words[z] = (mixed << by) | (mixed >>> (32 - by));
  };
  const quarter = (a, b, c, d) => {
    mix(a, b, d, 16);
    mix(c, d, b, 12);
    mix(a, b, d, 8);
    mix(c, d, b, 7);
  };
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 4; i++) quarter(i, 4 + i, 8 + i, 12 + i);
    for (let i = 0; i < 4; i++) {
      quarter(i, 4 + ((i + 1) % 4), 8 + ((i + 2) % 4), 12 + ((i + 3) % 4));
    }
  }
  const out = new Uint8Array(32);
  [0, 1, 2, 3, 12, 13, 14, 15].forEach((word, i) => read(out).setUint32(4 * i, words[word], true));
  return out;
}

/** XChaCha20-Poly1305 by OpenSSL, as sv_seal lays it out. */
export function sealReference(secret, nonce, aad, plain) {
  const iv = Buffer.concat([Buffer.alloc(4), nonce.subarray(16)]);
  const subkey = hchacha20(secret, nonce.subarray(0, 16));
  const cipher = crypto.createCipheriv('chacha20-poly1305', subkey, iv, { authTagLength: 16 });
  cipher.setAAD(aad, { plaintextLength: plain.length });
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}
