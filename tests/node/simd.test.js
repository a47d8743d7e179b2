// The shipped sealvec.wasm against the same sources built without SIMD: every result must have the
// same bits, at every tail of every kernel and at every alignment of its rows. What the portable
// build computes is itself held against brute force by tests/c.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';

const ARENA = 8 << 20;
const GUARD = 32;
const NO_ROW = 0xffffffff;
const SHIFTS = [0, 1, 2, 3, 4];
const END = 4;
const METRICS = [0, 1, 2]; // squared L2, cosine, inner product
const DIMS = Array.from({ length: 67 }, (_, i) => i + 1);
const SEED = Number(process.env.SEED ?? 1);

// Struct layouts, as C lays them out for wasm32: pointers and u32 take 4 bytes, f64 and u64 begin
// at multiples of 8.
const BLOCK = {
  vectors: 0, norms: 4, codes: 8, signs: 12, nRows: 16, firstRow: 20, origin: 24, size: 28,
};
const SCAN = {
  query: 0, blocks: 4, listStarts: 8, live: 20, origins: 24, probes: 28, candidates: 32,
  topK: 36, topCount: 40, topDistances: 44, topRows: 48,
  boundsK: 52, boundsCount: 56, boundsDistances: 60, boundsRows: 64,
  signScratch: 88, queryNorm: 96, scale: 104, stopRatio: 124, z: 128, metric: 132, dim: 136,
  nOrigins: 152, room: 156, nCandidates: 160, position: 164, rowsScanned: 176, size: 192,
};
const KMEANS = {
  n: 0, dim: 4, k: 8, nGroups: 12, maxIters: 16, tolerance: 20, stall: 24, balance: 28,
  seed: 32, random: 40, iteration: 48, nextRow: 52, group: 56, compareAll: 60, repaired: 64,
  balances: 68, balancedAt: 72, ending: 76, stop: 80, objective: 88, sum: 96, history: 104,
  size: 128,
};

/** One build, with an arena that each case fills from its start, in the same order in both. */
class Core {
  constructor(name, file) {
    const bytes = fs.readFileSync(new URL(`../../build/${file}`, import.meta.url));
    const env = { emscripten_notify_memory_growth() {} };
    this.name = name;
    this.exports = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env }).exports;
    this.exports._initialize?.();
    this.base = this.exports.sv_alloc(ARENA);
    assert.notEqual(this.base, 0);
    this.exports.memory.grow(16); // beyond the heap, for END
  }

  begin() {
    this.next = this.base;
    this.outs = [];
  }

  /** Reserves bytes, `shift` floats past a multiple of 16, followed by a guard. */
  reserve(bytes, shift = 0) {
    const pointer = this.next + 4 * shift;
    this.next = (pointer + bytes + GUARD + 15) & ~15;
    assert.ok(this.next <= this.base + ARENA, 'the arena is too small for this case');
    return pointer;
  }

  /** Copies in, `shift` floats off; at END it is followed by no memory: reading beyond it traps. */
  put(array, shift) {
    const end = this.exports.memory.buffer.byteLength;
    const { byteLength } = array;
    const pointer = shift === END ? end - byteLength : this.reserve(byteLength, shift);
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    new Uint8Array(this.exports.memory.buffer).set(bytes, pointer);
    return pointer;
  }

  /** Room for a result that is added to. */
  zeros(bytes) {
    const pointer = this.out(bytes);
    new Uint8Array(this.exports.memory.buffer, pointer, bytes).fill(0);
    return pointer;
  }

  /** Room for a result; it and its guard are compared when the case ends. */
  out(bytes, shift) {
    const pointer = this.reserve(bytes, shift === END ? 0 : shift);
    new Uint8Array(this.exports.memory.buffer, pointer, bytes + GUARD).fill(0xee);
    this.outs.push([pointer, bytes]);
    return pointer;
  }

  results() {
    return this.outs.map(([pointer, bytes]) => {
      const memory = Buffer.from(this.exports.memory.buffer, pointer, bytes + GUARD);
      assert.ok(memory.subarray(bytes).every((b) => b === 0xee), `${this.name} wrote past its end`);
      return Buffer.from(memory.subarray(0, bytes));
    });
  }

  view() {
    return new DataView(this.exports.memory.buffer);
  }
}

const simd = new Core('sealvec.wasm', 'js/sealvec.wasm');
const portable = new Core('portable.wasm', 'portable.wasm');

/** Runs a case in both builds; what it returns and what it wrote must be the same. */
function both(what, run) {
  const [a, b] = [simd, portable].map((core) => {
    core.begin();
    return { value: run(core, core.exports), outs: core.results() };
  });
  assert.deepEqual(a.value, b.value, `${what}, SEED=${SEED}`);
  a.outs.forEach((bytes, i) => {
    assert.ok(bytes.equals(b.outs[i]), `result ${i} of ${what}, SEED=${SEED}`);
  });
  return a;
}

let state = SEED;
function random() {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}
const below = (n) => Math.floor(random() * n);
const floats = (n) => Float32Array.from({ length: n }, () => random() * 2 - 1);

/** Floats of very different magnitude, where another order of sums shows at once. */
const uneven = (n) => floats(n).map((x) => x * 2 ** (below(60) - 30));
const routeDim = (metric, dim) => (metric === 2 ? dim + 1 : dim);
const rowsOf = (n) => (below(2) ? floats(n) : uneven(n));

/** Packs rows in a core without comparing. */
function pack(core, rows, k, dim) {
  const packed = core.reserve(core.exports.sv_pack_size(k, dim) * 4);
  const halfNorms = core.reserve(Math.ceil(k / 8) * 32);
  core.exports.sv_pack(core.put(rows), k, dim, packed, halfNorms);
  return [packed, halfNorms];
}

test('packs the same matrix', () => {
  for (const dim of DIMS) {
    const k = 1 + below(19);
    const rows = rowsOf(k * dim);
    both(`sv_pack k=${k} dim=${dim}`, (core, sv) => sv.sv_pack(
      core.put(rows), k, dim,
      core.out(sv.sv_pack_size(k, dim) * 4), core.out(Math.ceil(k / 8) * 32),
    ));
    both(`sv_unpack k=${k} dim=${dim}`, (core, sv) => {
      const [packed] = pack(core, rows, k, dim);
      sv.sv_unpack(packed, k, dim, core.out(k * dim * 4));
    });
  }
});

/** Builds the sieve of some rows in a core without comparing. */
function sift(core, rows, k, dim) {
  const { exports: sv } = core;
  const sieve = core.reserve(sv.sv_sieve_size(k, dim));
  sv.sv_sieve_pack(core.put(rows), 0, k, dim, sieve);
  return [sieve, k, core.reserve(sv.sv_sieve_scratch_size(k, dim))];
}

test('assigns to the same lists at the same distances', () => {
  for (const dim of DIMS) {
    for (let n = 1; n <= 13; n++) {
      const [k, shift] = [1 + below(19), below(5)];
      const [rows, centroids] = [rowsOf(n * dim), rowsOf(k * dim)];
      both(`sv_assign n=${n} k=${k} dim=${dim} shift=${shift}`, (core, sv) => {
        const sieve = sift(core, centroids, k, dim);
        const at = core.put(rows, shift);
        return sv.sv_assign(at, n, dim, ...sieve, core.out(4 * n), core.out(4 * n, shift));
      });
    }
  }
});

test('assigns more rows than a block and more centroids than a tile', () => {
  for (const [n, k, dim] of [[131, 200, 24], [64, 19, 7], [33, 8, 129]]) {
    const [rows, centroids] = [rowsOf(n * dim), rowsOf(k * dim)];
    both(`sv_assign n=${n} k=${k} dim=${dim}`, (core, sv) => {
      const sieve = sift(core, centroids, k, dim);
      return sv.sv_assign(core.put(rows), n, dim, ...sieve, core.out(4 * n), core.out(4 * n));
    });
  }
});

test('sieves as exactly as comparing all, where int16 cannot tell centroids apart', () => {
  const [n, k, dim] = [200, 90, 40];
  const near = (x) => Float32Array.from(x, (y, i) => (i % dim) / 64 + y * 2 ** -17);
  const [rows, centroids] = [near(floats(n * dim)), near(floats(k * dim))];
  const { outs } = both('sv_assign of tight rows', (core, sv) => {
    const sieve = sift(core, centroids, k, dim);
    return sv.sv_assign(core.put(rows), n, dim, ...sieve, core.out(4 * n), core.out(4 * n));
  });
  for (let i = 0; i < n; i++) {
    const squares = Array.from({ length: k }, (_, j) => {
      let sum = 0;
      for (let t = 0; t < dim; t++) sum += (rows[i * dim + t] - centroids[j * dim + t]) ** 2;
      return sum;
    });
    const least = Math.min(...squares);
    const list = outs[0].readUInt32LE(4 * i);
    assert.ok(Math.abs(squares[list] - least) <= 1e-6 * least, `row ${i}`);
    assert.ok(Math.abs(outs[1].readFloatLE(4 * i) - least) <= 1e-6 * least, `row ${i}`);
  }
});

test('gives ties to the same, the lower, list', () => {
  for (let k = 2; k <= 19; k++) {
    const dim = 1 + below(9);
    const row = floats(dim);
    const first = below(k - 1);
    const centroids = new Float32Array(k * dim);
    for (let j = 0; j < k; j++) centroids.set(j < first ? row.map((x) => -x) : row, j * dim);
    const { outs } = both(`ties k=${k}`, (core, sv) => {
      const sieve = sift(core, centroids, k, dim);
      return sv.sv_assign(core.put(row), 1, dim, ...sieve, core.out(4), core.out(4));
    });
    assert.equal(outs[0].readUInt32LE(0), first);
  }
});

test('computes the same norms, distances and checks', () => {
  for (const dim of DIMS) {
    for (const shift of SHIFTS) {
      const n = 1 + below(13);
      const rows = rowsOf(n * dim);
      both(`sv_norms n=${n} dim=${dim}`, (core, sv) => (
        sv.sv_norms(core.put(rows, shift), n, dim, core.out(4 * n))
      ));
      for (const metric of METRICS) {
        both(`sv_distance metric=${metric} dim=${dim} shift=${shift}`, (core, sv) => {
          const at = core.put(rows, shift);
          return Array.from({ length: n }, (_, i) => (
            sv.sv_distance(metric, at, at + 4 * dim * i, dim)
          ));
        });
        const bad = rows.slice();
        bad[below(n * dim)] = [NaN, Infinity, 2e18, 0][below(4)];
        both(`sv_check_rows metric=${metric} dim=${dim}`, (core, sv) => (
          sv.sv_check_rows(metric, core.put(bad, shift), n, dim, core.out(4))
        ));
      }
    }
  }
});

test('routes rows and queries to the same bits', () => {
  for (const dim of DIMS) {
    for (const metric of METRICS) {
      const [n, shift, maxNorm] = [1 + below(13), below(5), random() * 8];
      const rows = rowsOf(n * dim);
      both(`sv_route_rows metric=${metric} n=${n} dim=${dim}`, (core, sv) => {
        const bytes = 4 * n * routeDim(metric, dim);
        return sv.sv_route_rows(metric, core.put(rows, shift), n, dim, maxNorm, core.out(bytes));
      });
      both(`sv_route_query metric=${metric} dim=${dim}`, (core, sv) => sv.sv_route_query(
        metric, core.put(rows, shift), dim, maxNorm,
        core.out(4 * routeDim(metric, dim)), core.out(8), core.out(8),
      ));
    }
  }
});

test('ranks lists in the same order', () => {
  for (const dim of DIMS) {
    for (const k of [1 + below(19), 20 + below(90)]) {
      const [row, centroids, shift] = [rowsOf(dim), rowsOf(k * dim), below(5)];
      both(`sv_rank_lists k=${k} dim=${dim}`, (core, sv) => {
        const matrix = pack(core, centroids, k, dim);
        const scratch = core.reserve(sv.sv_rank_scratch_size(k));
        const at = core.put(row, shift);
        const [order, distances] = [core.out(4 * k), core.out(4 * k)];
        sv.sv_rank_lists(at, dim, ...matrix, k, order, distances, scratch);
        sv.sv_list_gaps(order, distances, k, core.out(8 * k));
      });
    }
  }
});

/** Codes of all blocks, in as many segments, and what a scan by them takes. */
function addCodes(core, sv, { at, metric, dim, k, blocks, pointers, table }) {
  const room = 64 + blocks.reduce((sum, b) => sum + b.length / dim, 0);
  const probe = sv.sv_probe_size(dim);
  const parts = {
    origins: core.reserve(4 * blocks.length), probes: core.reserve(blocks.length * probe),
    candidates: core.out(16 * room), boundsDistances: core.out(8 * k), boundsRows: core.out(4 * k),
    room, boundsK: k, nOrigins: blocks.length,
    signScratch: core.reserve(sv.sv_signs_scratch_size(dim)),
  };
  blocks.forEach((b, i) => {
    const starts = core.put(Uint32Array.of(0, b.length / dim));
    const encode = (origin, out) =>
      sv.sv_codes_encode(metric, pointers[i], dim, starts, 1, origin, out);
    const codes = core.out(encode(0, 0));
    const origin = core.reserve(12 * dim + 512);
    sv.sv_codes_origin(metric, pointers[i], b.length / dim, dim, origin);
    encode(origin, codes);
    const size = sv.sv_signs_size(b.length / dim, dim);
    const signs = size > 0 ? core.zeros(size) : 0;
    const view = core.view();
    view.setUint32(table + BLOCK.size * i + BLOCK.codes, codes, true);
    view.setUint32(table + BLOCK.size * i + BLOCK.signs, signs, true);
    view.setUint32(table + BLOCK.size * i + BLOCK.origin, i, true);
    view.setUint32(parts.origins + 4 * i, origin, true);
    view.setInt32(parts.probes + i * probe, -1, true);
  });
  const view = core.view();
  for (const [name, value] of Object.entries(parts)) view.setUint32(at + SCAN[name], value, true);
  view.setFloat32(at + SCAN.z, below(2) ? 1 : 3, true);
}

/** Lays an index of one group of blocks out in memory and scans it to its end. */
function scan(core, sv, { metric, dim, k, blocks, query, live, shift, coded }) {
  const at = core.reserve(SCAN.size);
  const table = core.reserve(BLOCK.size * blocks.length);
  const distances = core.out(8 * k);
  const rows = core.out(4 * k);
  const last = blocks.length - 1;
  const pointers = blocks.map((b, i) => core.put(b, i < last ? shift % 4 : shift));
  const starts = core.put(Uint32Array.of(0, blocks.length));
  const queryAt = core.put(query, shift % 4);
  const liveAt = live ? core.put(live) : 0;
  const norms = blocks.map((b, i) => {
    const pointer = core.reserve(4 * (b.length / dim));
    sv.sv_norms(pointers[i], b.length / dim, dim, pointer);
    return metric === 0 ? 0 : pointer;
  });
  const view = core.view();
  const u32 = (offset, value) => view.setUint32(offset, value, true);
  let firstRow = 0;
  blocks.forEach((b, i) => {
    const block = table + BLOCK.size * i;
    u32(block + BLOCK.vectors, pointers[i]);
    u32(block + BLOCK.norms, norms[i]);
    u32(block + BLOCK.nRows, b.length / dim);
    u32(block + BLOCK.firstRow, firstRow);
    firstRow += b.length / dim;
  });
  new Uint8Array(core.exports.memory.buffer, at, SCAN.size).fill(0);
  if (coded) addCodes(core, sv, { at, metric, dim, k, blocks, pointers, table });
  const fields = {
    query: queryAt, blocks: table, listStarts: starts, live: liveAt, topK: k,
    topDistances: distances, topRows: rows, metric, dim,
  };
  for (const [name, value] of Object.entries(fields)) u32(at + SCAN[name], value);
  view.setFloat64(at + SCAN.queryNorm, Math.hypot(...query), true);
  view.setFloat64(at + SCAN.scale, 1, true);
  view.setFloat32(at + SCAN.stopRatio, Infinity, true);
  // Signs are made on the second visit, and used from then on.
  for (let visit = 1; coded && visit < 3; visit++) sv.sv_scan_begin(at);
  const code = coded ? sv.sv_scan_begin(at) : sv.sv_scan_next(at);
  const counters = ['topCount', 'rowsScanned', 'position', 'boundsCount', 'nCandidates'];
  return [code, ...counters.map((field) => view.getUint32(at + SCAN[field], true))];
}

test('finds the same rows at the same distances', () => {
  for (const dim of DIMS) {
    for (const metric of METRICS) {
      const blocks = Array.from({ length: 1 + below(4) }, () => rowsOf(dim * below(14)));
      const n = blocks.reduce((sum, b) => sum + b.length / dim, 0);
      const live = below(2) ? Uint8Array.from({ length: (n + 7) >> 3 }, () => below(256)) : null;
      const [k, query, shift] = [1 + below(12), rowsOf(dim), below(5)];
      const { value } = both(`sv_scan_run metric=${metric} dim=${dim}`, (core, sv) => (
        scan(core, sv, { metric, dim, k, blocks, query, live, shift })
      ));
      if (!live) assert.deepEqual(value.slice(0, 4), [0, Math.min(k, n), n, 1]);
    }
  }
});

test('codes rows alike, and finds the same by their codes', () => {
  for (const dim of [...Array.from({ length: 70 }, (_, i) => 32 + i), 784, 1025]) {
    for (const metric of METRICS) {
      const blocks = Array.from({ length: 1 + below(3) }, () => rowsOf(dim * (1 + below(30))));
      const n = blocks.reduce((sum, b) => sum + b.length / dim, 0);
      const live = below(2) ? Uint8Array.from({ length: (n + 7) >> 3 }, () => below(256)) : null;
      const [k, query, shift] = [1 + below(12), rowsOf(dim), below(5)];
      const before = state;
      const { value } = both(`sv_codes_encode metric=${metric} dim=${dim}`, (core, sv) => {
        state = before;
        return scan(core, sv, { metric, dim, k, blocks, query, live, shift, coded: true });
      });
      if (!live) assert.deepEqual(value.slice(0, 4), [0, Math.min(k, n), n, 1]);
    }
  }
});

test('finds the same neighbours', () => {
  for (const dim of DIMS) {
    const [n, nQueries, k, shift] = [1 + below(40), 1 + below(19), 1 + below(11), below(5)];
    const [rows, queries] = [rowsOf(n * dim), rowsOf(nQueries * dim)];
    const lists = Uint32Array.from({ length: n }, () => below(9));
    const skip = Uint32Array.from({ length: nQueries }, () => (below(2) ? 100 + below(n) : NO_ROW));
    const best = new Float32Array(nQueries * k).fill(Infinity);
    both(`sv_neighbors n=${n} queries=${nQueries} dim=${dim}`, (core, sv) => {
      const [sieve, , scratch] = sift(core, queries, nQueries, dim);
      const distances = core.out(best.byteLength);
      new Uint8Array(core.exports.memory.buffer).set(new Uint8Array(best.buffer), distances);
      return sv.sv_neighbors(
        core.put(rows, shift), core.put(lists), n, 100, dim, sieve, nQueries, core.put(skip), k,
        distances, core.out(best.byteLength), scratch,
      );
    });
  }
});

test('trains the same centroids in the same number of iterations', () => {
  for (const dim of DIMS) {
    const k = 1 + below(19);
    const n = k + below(200);
    const [rows, shift] = [floats(n * dim), below(5)];
    for (let i = 0; i < n / 3; i++) rows.copyWithin(dim * below(n), 0, dim);
    both(`sv_kmeans n=${n} k=${k} dim=${dim}`, (core, sv) => {
      const at = core.reserve(KMEANS.size);
      const view = core.view();
      for (const [name, value] of Object.entries({ n, dim, k, nGroups: 0, maxIters: 8 })) {
        view.setUint32(at + KMEANS[name], value, true);
      }
      view.setFloat32(at + KMEANS.tolerance, 1e-6, true);
      view.setFloat32(at + KMEANS.stall, 0, true);
      view.setFloat32(at + KMEANS.balance, dim % 2 ? 1.2 : 0, true);
      view.setBigUint64(at + KMEANS.seed, BigInt(dim), true);
      const rowsAt = core.put(rows, shift);
      const centroids = core.out(4 * k * dim, shift);
      const scratch = core.reserve(sv.sv_kmeans_scratch_size(dim, k, 0));
      assert.equal(sv.sv_kmeans_start(at, rowsAt, 0, 0, centroids, scratch), 0);
      let code;
      do {
        while (sv.sv_kmeans_step(at, rowsAt, 1 + (dim % 50), centroids, scratch) === 1);
      } while ((code = sv.sv_kmeans_finish(at, centroids, scratch)) === 1);
      const counters = ['iteration', 'nextRow', 'repaired', 'balances', 'stop'];
      const values = counters.map((f) => view.getUint32(at + KMEANS[f], true));
      assert.ok(values[0] >= 1 && values[0] <= 8 && values[4] >= 1);
      return [code, ...values, view.getFloat64(at + KMEANS.objective, true)];
    });
  }
});

test('adds rows to the sums of lists', () => {
  for (const dim of DIMS) {
    const [n, k, shift] = [1 + below(40), 1 + below(9), below(5)];
    const rows = floats(n * dim);
    const lists = Uint32Array.from({ length: n }, () => below(k));
    both(`sv_add_rows n=${n} dim=${dim}`, (core, sv) => sv.sv_add_rows(
      core.put(rows, shift), core.put(lists), n, dim, 2 ** -20, core.zeros(8 * k * dim),
      core.zeros(4 * k),
    ));
  }
});

test('decodes all halves and encodes floats to the same bits', () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const { outs } = both('sv_f16_decode', (core, sv) => (
    sv.sv_f16_decode(core.put(halves), 65536, core.out(4 * 65536))
  ));
  assert.equal(outs[0].readFloatLE(4 * 0x3c00), 1);
  assert.equal(outs[0].readFloatLE(4 * 0x8001), -(2 ** -24));
  for (let n = 0; n <= 19; n++) {
    const values = floats(n).map((x) => x * 2 ** (below(32) - 17));
    const some = halves.slice(1000 * n, 1000 * n + n);
    for (const shift of SHIFTS) {
      both(`sv_f16_encode n=${n}`, (core, sv) => (
        sv.sv_f16_encode(core.put(values, shift), n, core.out(2 * n, shift))
      ));
      both(`sv_f16_decode n=${n}`, (core, sv) => (
        sv.sv_f16_decode(core.put(some, shift), n, core.out(4 * n, shift))
      ));
    }
  }
});
