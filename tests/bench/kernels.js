// The core's inner loops by themselves, through the exports of the shipped wasm: assigning rows to
// centroids, and sealing and opening chunks, beside what Node has natively.
import crypto from 'node:crypto';
import fs from 'node:fs';
import { median, seconds } from './measure.js';

const WASM = new URL('../../dist/sealvec.wasm', import.meta.url);
const SHAPES = [[256, 128], [512, 128], [1024, 384], [1024, 768]];
const ROWS = 2048;
const [CHUNK, OVERHEAD, CHUNKS] = [16_344, 40, 1024];
const [REPEATS, LEAST] = [7, 0.1];

const line = (name, text) => console.log(`  ${name.padEnd(40)}${text}`);

class Core {
  static async load() {
    const env = { emscripten_notify_memory_growth: () => undefined };
    const { instance } = await WebAssembly.instantiate(fs.readFileSync(WASM), { env });
    instance.exports._initialize?.();
    return new Core(instance.exports);
  }

  constructor(exports) {
    this.exports = exports;
  }

  /** Room for bytes, or a copy of some. */
  put(data) {
    const bytes = typeof data === 'number' ? data : data.byteLength;
    const pointer = this.exports.sv_alloc(bytes) >>> 0;
    if (pointer === 0) throw new Error('out of wasm memory');
    if (typeof data === 'number') return pointer;
    const source = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    new Uint8Array(this.exports.memory.buffer).set(source, pointer);
    return pointer;
  }

  check(code) {
    if (code < 0) throw new Error(`core error ${code}`);
  }
}

/** Work per second: the median of several runs of a tenth of a second each. */
async function rate(amount, work) {
  const runs = [];
  for (let i = 0; i < REPEATS; i++) {
    let [done, spent] = [0, 0];
    while (spent < LEAST) {
      const [took] = await seconds(work);
      spent += took;
      done += amount;
    }
    runs.push(done / spent);
  }
  return median(runs);
}

/** Numbers between 0 and 1 that are the same every time. */
function numbers(count, seed) {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  });
}

async function benchAssign() {
  for (const [k, dim] of SHAPES) {
    const core = await Core.load();
    const sv = core.exports;
    const rows = core.put(numbers(ROWS * dim, 1));
    const sieve = core.put(sv.sv_sieve_size(k, dim));
    core.check(sv.sv_sieve_pack(core.put(numbers(k * dim, 2)), 0, k, dim, sieve));
    const scratch = core.put(sv.sv_sieve_scratch_size(k, dim));
    const [lists, distances] = [core.put(ROWS * 4), core.put(ROWS * 4)];
    const perSecond = await rate(ROWS * k * dim, () =>
      core.check(sv.sv_assign(rows, ROWS, dim, sieve, k, scratch, lists, distances)));
    line(`sv_assign, ${k} lists, ${dim} components`, `${(perSecond / 1e9).toFixed(1)} GMAC/s`);
  }
}

async function benchSealing() {
  const core = await Core.load();
  const { sv_seal_chunks: seal, sv_open_chunks: open } = core.exports;
  const length = CHUNK * CHUNKS;
  const sealedLength = length + OVERHEAD * CHUNKS;
  const key = core.put(crypto.randomBytes(32));
  const aad = core.put(crypto.randomBytes(64));
  const nonces = core.put(crypto.randomBytes(24 * CHUNKS));
  const [plain, sealed] = [core.put(crypto.randomBytes(length)), core.put(sealedLength)];
  const [opened, hashes] = [core.put(length), core.put(32 * CHUNKS)];
  const sealing = await rate(length, () =>
    core.check(seal(key, aad, 64, 0, length, 0, CHUNKS, nonces, plain, sealed, hashes)));
  const opening = await rate(length, () =>
    core.check(open(key, aad, 64, 0, length, 0, CHUNKS, sealed, sealedLength, hashes, opened)));
  const native = await benchNative();
  line('sv_seal_chunks', inGigabytes(sealing, native.sealing));
  line('sv_open_chunks', inGigabytes(opening, native.opening));
  line('node:crypto, sealing chunks', inGigabytes(native.sealing));
  line('node:crypto, opening chunks', inGigabytes(native.opening));
  console.log('  (chunks of 16 KiB; sv_ also hashes each with BLAKE2b, node:crypto here does not)');
}

function inGigabytes(perSecond, native) {
  const beside = native ? `, ${(perSecond / native).toFixed(2)} of node:crypto` : '';
  return `${(perSecond / 1e9).toFixed(2)} GB/s${beside}`;
}

/** OpenSSL's ChaCha20-Poly1305 on the same chunks. */
async function benchNative() {
  const [key, nonce, plain] = [32, 12, CHUNK].map((size) => crypto.randomBytes(size));
  const create = (make) => make('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  const first = create(crypto.createCipheriv);
  const sealed = Buffer.concat([first.update(plain), first.final()]);
  const tag = first.getAuthTag();
  const sealing = await rate(CHUNK * CHUNKS, () => {
    for (let i = 0; i < CHUNKS; i++) {
      const cipher = create(crypto.createCipheriv);
      cipher.update(plain);
      cipher.final();
      cipher.getAuthTag();
    }
  });
  const opening = await rate(CHUNK * CHUNKS, () => {
    for (let i = 0; i < CHUNKS; i++) {
      const decipher = create(crypto.createDecipheriv);
      decipher.setAuthTag(tag);
      decipher.update(sealed);
      decipher.final();
    }
  });
  return { sealing, opening };
}

export async function benchKernels() {
  await benchAssign();
  await benchSealing();
}

if (process.argv[1] === new URL(import.meta.url).pathname) await benchKernels();
