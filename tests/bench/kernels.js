// The core's inner loops by themselves, through the exports of the shipped wasm: assigning rows to
// centroids, and sealing and opening chunks, beside what Node has natively.
import crypto from 'node:crypto';
import fs from 'node:fs';
import { median, seconds } from './measure.js';

const WASM = new URL('../../dist/sealvec.wasm', import.meta.url);
const SHAPES = [[256, 128], [512, 128], [1024, 384], [1024, 768]];
const ROWS = 2048;
const [CHUNK, OVERHEAD, CHUNKS] = [4_056, 40, 1024];
const MESSAGE = 65_536;
const [REPEATS, LEAST] = [7, 0.1];
/** Pairs of runs, and how long each run is (ms). */
const [TURNS, TURN] = [41, 20];

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
    sv.sv_sieve_pack(core.put(numbers(k * dim, 2)), 0, k, dim, sieve);
    const scratch = core.put(sv.sv_sieve_scratch_size(k, dim));
    const [lists, distances] = [core.put(ROWS * 4), core.put(ROWS * 4)];
    const perSecond = await rate(ROWS * k * dim, () =>
      core.check(sv.sv_assign(rows, ROWS, dim, sieve, k, scratch, lists, distances)));
    line(`sv_assign, ${k} lists, ${dim} components`, `${(perSecond / 1e9).toFixed(1)} GMAC/s`);
  }
}

/**
 * Two that do the same amount of work, in turn: how much of it per second each does, and the
 * median of how many times faster the first is.
 */
function side(amount, first, second) {
  const run = (work) => {
    const start = performance.now();
    let done = 0;
    while (performance.now() - start < TURN) {
      work();
      done += amount;
    }
    return done * 1000 / (performance.now() - start);
  };
  run(first);
  run(second);
  const turns = Array.from({ length: TURNS }, () => [run(first), run(second)]);
  return {
    first: median(turns.map(([x]) => x)), second: median(turns.map(([, y]) => y)),
    ratio: median(turns.map(([x, y]) => x / y)),
  };
}

function lineBeside(name, amount, first, second) {
  const { first: own, second: native, ratio } = side(amount, first, second);
  const inGigabytes = (perSecond) => `${(perSecond / 1e9).toFixed(2)} GB/s`;
  line(name, `${inGigabytes(own)}, ${ratio.toFixed(2)} of node:crypto's ${inGigabytes(native)}`);
}

/** One message, beside the same in node:crypto: the cipher alone. */
async function benchCipher() {
  const core = await Core.load();
  const { sv_seal: seal, sv_open: open } = core.exports;
  const [key, nonce, aad] = [32, 24, 64].map((size) => core.put(crypto.randomBytes(size)));
  const [plain, sealed, opened] =
    [crypto.randomBytes(MESSAGE), MESSAGE + OVERHEAD, MESSAGE].map((data) => core.put(data));
  const native = nativeCipher(MESSAGE);
  lineBeside('sealing one message of 64 KiB', MESSAGE,
    () => core.check(seal(key, nonce, aad, 64, plain, MESSAGE, sealed)), native.seal);
  lineBeside('opening it', MESSAGE,
    () => core.check(open(key, aad, 64, sealed, MESSAGE + OVERHEAD, opened)), native.open);
}

/** Chunks as objects are made of them. */
async function benchChunks() {
  const core = await Core.load();
  const { sv_seal_chunks: seal, sv_open_chunks: open } = core.exports;
  const length = CHUNK * CHUNKS;
  const sealedLength = length + OVERHEAD * CHUNKS;
  const key = core.put(crypto.randomBytes(32));
  const aad = core.put(crypto.randomBytes(64));
  const nonces = core.put(crypto.randomBytes(24 * CHUNKS));
  const [plain, sealed] = [core.put(crypto.randomBytes(length)), core.put(sealedLength)];
  const [opened, hashes] = [core.put(length), core.put(32 * CHUNKS)];
  const native = nativeCipher(CHUNK);
  const all = (work) => () => { for (let i = 0; i < CHUNKS; i++) work(); };
  lineBeside('sealing and hashing chunks of 4 KiB', length, () =>
    core.check(seal(key, aad, 64, 0, length, CHUNK, 0, CHUNKS, nonces, plain, sealed, hashes)),
  all(native.seal));
  lineBeside('hashing and opening them', length, () =>
    core.check(open(key, aad, 64, 0, length, CHUNK, 0, CHUNKS, sealed, sealedLength, hashes, opened)),
  all(native.open));
  console.log('  (node:crypto encrypts only. Its OpenSSL takes vectors as wide as the processor has;\n' +
    '  OPENSSL_ia32cap=:~0xd0230000 leaves it AVX2, ~0x1000000000000000:0 SSE, as wide as wasm\'s)');
}

/** OpenSSL's ChaCha20-Poly1305 on one message. */
function nativeCipher(length) {
  const [key, nonce, plain] = [32, 12, length].map((size) => crypto.randomBytes(size));
  const start = (make) => make('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  const seal = () => {
    const cipher = start(crypto.createCipheriv);
    const sealed = cipher.update(plain);
    cipher.final();
    return { sealed, tag: cipher.getAuthTag() };
  };
  const { sealed, tag } = seal();
  const open = () => {
    const decipher = start(crypto.createDecipheriv);
    decipher.setAuthTag(tag);
    decipher.update(sealed);
    decipher.final();
  };
  return { seal, open };
}

export async function benchKernels() {
  await benchAssign();
  await benchCipher();
  await benchChunks();
}

if (process.argv[1] === new URL(import.meta.url).pathname) await benchKernels();
