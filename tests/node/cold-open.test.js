// What opening an index and its first answer take: which reads, in which order, and of how much.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { readRuns, readStarts } from '../../build/js/blocks.js';
import { Core } from '../../build/js/core.js';
import { Secret } from '../../build/js/crypto.js';
import { GatheredReader } from '../../build/js/gathered.js';
import { withHead } from '../../build/js/head.js';
import { loadModule } from '../../build/js/loader.js';
import { Cache } from '../../build/js/cache.js';
import { ObjectReader, objectKey, readBytes } from '../../build/js/object.js';
import {
  HASH, ObjectLayout, objectSize, OVERHEAD, PAGE, PART_CHUNK,
} from '../../build/js/object-layout.js';
import { PagedReader } from '../../build/js/paged-reader.js';
import { sealObject } from '../../build/js/seal-object.js';
import { assertCode, random } from './support/oracle.js';
import { mapStorage, Wrapped } from './support/stores.js';

const module = await loadModule(undefined);
const indexKey = generateKey();
const ROWS = 6000;
const DIMENSION = 48;

/** Notes every call, and how many had been answered before it. */
class Noting extends Wrapped {
  calls = [];
  #answered = 0;

  async #note(name, key, range, answer) {
    const call = { name, key, range, after: this.#answered };
    this.calls.push(call);
    const found = await answer;
    // As on a disk: never in the turn that asked.
    await new Promise((resolve) => { setImmediate(resolve); });
    call.bytes = found?.length;
    this.#answered++;
    return found;
  }

  read(key, range) {
    return this.#note('read', key, range, super.read(key, range));
  }

  list(prefix) {
    return this.#note('list', prefix, undefined, super.list(prefix));
  }
}

const kind = ({ name, key }) => `${name} ${key.match(/^index|slots|manifest|object/)[0]}`;

function vectorsOf(rows, dimension, seed = 1) {
  const next = random(seed);
  return Float32Array.from({ length: rows * dimension }, () => next());
}

/** A trained index in a storage. */
async function trained(storage) {
  const client = new Client({ storage, minTrainVectors: 1, worker: false });
  const index = await client.createIndex({ indexName: 'test', indexKey, dimension: DIMENSION });
  const ids = Array.from({ length: ROWS }, (_, i) => `id${i}`);
  const vectors = vectorsOf(ROWS, DIMENSION);
  await index.upsert({ ids, vectors });
  await index.train({ nLists: 32, seed: 1 });
  await index.compact();
  await index.delete({ ids: ids.filter((_, i) => i % 10 === 0) });
  const { results } = await index.query({ queryVectors: vectors.slice(DIMENSION, DIMENSION * 2) });
  await index.close();
  return { vectors, results };
}

describe('opening an index', async () => {
  const inner = memoryStorage();
  const { vectors, results } = await trained(inner);
  const queryVectors = vectors.slice(DIMENSION, DIMENSION * 2);

  test('reads header, manifest and slots once each, and looks for commits once', async () => {
    const storage = new Noting(inner);
    const client = new Client({ storage });
    const index = await client.loadIndex({ indexName: 'test', indexKey });
    const opening = ['read index', 'list manifest', 'read manifest', 'read slots'];
    assert.deepEqual(storage.calls.map(kind), opening);
    assert.deepEqual((await index.query({ queryVectors })).results, results);
    const rest = storage.calls.slice(4).map(kind);
    assert.deepEqual([...new Set(rest)], ['read object']);
    await client.close();
  });

  test('reads of each object its head at first, and of all at once', async () => {
    const storage = new Noting(inner);
    const client = new Client({ storage });
    const index = await client.loadIndex({ indexName: 'test', indexKey });
    await index.query({ queryVectors });
    const reads = storage.calls.slice(4);
    const objects = new Set(reads.map(({ key }) => key));
    // Segments, centroids and tombstones.
    assert.ok(objects.size >= 3);
    const heads = reads.slice(0, objects.size);
    assert.deepEqual(new Set(heads.map(({ key }) => key)), objects);
    assert.ok(heads.every(({ range }) => range.offset === 0));
    assert.equal(reads.filter(({ range }) => range.offset === 0).length, objects.size);
    await client.close();
  });

  test('reads ids at once with where they begin, and right where that misleads', async () => {
    const lengths = { alike: () => 30, astray: (row) => (row < 8000 ? 4 : 60) };
    for (const [name, length] of Object.entries(lengths)) {
      const storage = new Noting(memoryStorage());
      const client = new Client({ storage });
      const index = await client.createIndex({ indexName: 'test', indexKey, dimension: 2 });
      const ids = Array.from({ length: 10_000 }, (_, i) => String(i).padStart(length(i), 'x'));
      await index.upsert({ ids, vectors: Float32Array.from({ length: 20_000 }, (_, i) => i >> 1) });
      const again = await new Client({ storage }).loadIndex({ indexName: 'test', indexKey });
      storage.calls = [];
      for (const row of [6000, 9999]) {
        const { results } = await again.query({ queryVectors: [row, row], topK: 1 });
        assert.deepEqual(results.map(({ id }) => id), [ids[row]]);
        const turns = new Set(storage.calls.splice(0).map(({ after }) => after)).size;
        // The head, the vectors, and the ids.
        if (row === 6000) assert.equal(turns, name === 'alike' ? 3 : 4);
      }
      await client.close();
    }
  });

  test('reads what it takes while the module is still being compiled', async () => {
    const storage = new Noting(inner);
    let compiled;
    const wasm = new Promise((resolve) => { compiled = resolve; });
    const client = new Client({ storage, wasm });
    const loading = client.loadIndex({ indexName: 'test', indexKey });
    for (let i = 0; i < 100 && storage.calls.length < 4; i++) {
      await new Promise((resolve) => { setTimeout(resolve, 10); });
    }
    assert.equal(storage.calls.length, 4);
    compiled(module);
    assert.deepEqual((await (await loading).query({ queryVectors })).results, results);
    await client.close();
  });

  test('fails by what is wrong, be it the module, the index or the key', async () => {
    const load = (options, more) => new Client({ storage: inner, ...options })
      .loadIndex({ indexName: 'test', indexKey, ...more });
    const failing = () => ({ wasm: Promise.reject(new TypeError('offline')) });
    await assert.rejects(load(failing()), { message: 'offline' });
    await assert.rejects(load(failing(), { indexName: 'none' }), { message: 'offline' });
    await assertCode(load({}, { indexName: 'none' }), 'NOT_FOUND');
    await assertCode(load({}, { indexKey: generateKey() }), 'WRONG_KEY');
    await assertCode(load(failing(), { anchor: 'nonsense' }), 'INVALID_ARGUMENT');
  });
});

/** An object of two sections, and what is needed to read it. */
async function sealedObject(lengths) {
  const core = await Core.instantiate(module);
  const secret = new Secret(core, generateKey());
  const storage = mapStorage();
  const keyring = { epoch: 1, keys: () => ({ objects: secret, ids: secret }) };
  const context = { core, keyring, storage, indexId: generateKey().slice(0, 16) };
  const next = random(2);
  const plains = lengths.map((length) => Uint8Array.from({ length }, () => next() * 256));
  const { ref, bytes } = core.withScratch((s) => sealObject(context, 'centroids',
    plains.map((plain) => ({ pointer: s.put(plain), length: plain.length }))));
  const key = objectKey(context.indexId, ref.id);
  storage.map.set(key, bytes);
  return { context, ref, plains, key, bytes };
}

describe('reads of one object that are asked for in one turn', () => {
  const LENGTHS = [200 * PART_CHUNK + 77, 5000];
  const SEALED = PART_CHUNK + OVERHEAD;

  /** A reader whose table is read, and all pages or none, and the reads it makes from there on. */
  async function reader({ pages = true } = {}) {
    const made = await sealedObject(LENGTHS);
    const storage = new Noting(made.context.storage);
    const cache = new Cache(Infinity);
    const object = new PagedReader({ ...made.context, storage }, made.ref, cache.scope());
    await object.table();
    if (pages) await readBytes(object, 0, 0, LENGTHS[0]);
    storage.calls = [];
    return { ...made, storage, gathered: new GatheredReader(object) };
  }
  const at = (chunk, more = 0) => chunk * PART_CHUNK + more;

  test('get the bytes they asked for, whatever they share', async () => {
    const next = random(3);
    for (let round = 0; round < 80; round++) {
      const { gathered, plains } = await reader({ pages: round % 2 === 0 });
      const asked = Array.from({ length: 1 + Math.floor(next() * 20) }, () => {
        const section = next() < 0.8 ? 0 : 1;
        const from = Math.floor(next() * LENGTHS[section]);
        const most = Math.min(LENGTHS[section] - from, next() < 0.5 ? 300 : 3 * PART_CHUNK);
        return [section, from, from + Math.floor(next() * (most + 1))];
      });
      const parts = await Promise.all(asked.map((one) => gathered.read(...one)));
      parts.forEach((part, i) => {
        const [section, from, to] = asked[i];
        assert.deepEqual(part, plains[section].slice(from, to), `round ${round}, ${asked[i]}`);
      });
    }
  });

  test('read a chunk once, and up to 16 KiB between two along', async () => {
    const { gathered, storage } = await reader();
    const chunksOf = () => storage.calls.splice(0).map(({ bytes }) => bytes / SEALED);
    const read = (...froms) => Promise.all(froms.map((from) => gathered.read(0, from, from + 9)));
    await read(at(3), at(3, 100), at(3, 7));
    assert.deepEqual(chunksOf(), [1]);
    await read(at(12), at(4), at(5), at(7));
    assert.deepEqual(chunksOf(), [9]);
    await read(at(4), at(10));
    assert.deepEqual(chunksOf(), [1, 1]);
    await Promise.all([gathered.read(0, at(2), at(5)), gathered.read(0, at(4, 9), at(6))]);
    assert.deepEqual(chunksOf(), [4]);
  });

  test('read a page with the chunks that are near it, or beside them, and only once', async () => {
    const { gathered, storage } = await reader({ pages: false });
    const read = async (chunk) => {
      await gathered.read(0, at(chunk), at(chunk, 9));
      return storage.calls.splice(0).map(({ bytes }) => bytes).sort((x, y) => x - y);
    };
    const page = PAGE * HASH;
    assert.deepEqual(await read(3), [page + 4 * SEALED]);
    assert.deepEqual(await read(60), [SEALED]);
    assert.deepEqual(await read(PAGE + 40), [page, SEALED]);
    assert.deepEqual(await read(PAGE + 2), [SEALED]);
    await gathered.read(0, at(2 * PAGE - 1), at(2 * PAGE, 9));
    assert.deepEqual(storage.calls.splice(0).map(({ bytes }) => bytes), [page + 2 * SEALED]);
    assert.deepEqual(await read(2 * PAGE + 50), [SEALED]);
  });

  test('are one call of a storage that reads parts, of what lies apart', async () => {
    const { context, ref, plains } = await sealedObject(LENGTHS);
    const calls = [];
    const storage = {
      read: (key, range) => {
        assert.equal(range.offset, 0, 'all but the head is read in parts');
        return context.storage.read(key, range);
      },
      readParts: async (key, parts) => {
        calls.push(parts);
        return Promise.all(parts.map((part) => context.storage.read(key, part)));
      },
    };
    const object = new PagedReader({ ...context, storage }, ref, new Cache(Infinity).scope());
    const gathered = new GatheredReader(object);
    await object.table();
    const chunks = [3, PAGE + 40, PAGE + 41, 3 * PAGE];
    const read = async () => {
      const ranges = chunks.map((chunk) => ({ from: at(chunk, 7), to: at(chunk, 99) }));
      const found = [];
      await gathered.openAll(0, ranges, (i, pointer) => {
        found[i] = context.core.bytes(pointer, 92);
      });
      assert.deepEqual(found, ranges.map(({ from, to }) => plains[0].slice(from, to)));
      assert.equal(calls.length, 1);
      return calls.pop().map(({ length }) => length);
    };
    const page = PAGE * HASH;
    const last = Math.ceil(LENGTHS[0] / PART_CHUNK) % PAGE * HASH;
    assert.deepEqual(await read(), [page + 4 * SEALED, page, 2 * SEALED, last + SEALED]);
    assert.deepEqual(await read(), [SEALED, 2 * SEALED, SEALED]);
    await gathered.openAll(0, [], () => assert.fail());
    assert.equal(calls.length, 0);
  });

  test('are over when none of them is at work, though one has failed', async () => {
    const { gathered, context, ref, key, bytes } = await reader();
    const broken = Uint8Array.from(bytes);
    broken[new ObjectLayout(ref).runs(0, 4, 5)[0].at + 99] ^= 1;
    context.storage.map.set(key, broken);
    const taken = new Set();
    const ranges = [2, 4, 30, 60, 4, 199].map((chunk) => ({ from: at(chunk), to: at(chunk, 9) }));
    await assertCode(gathered.openAll(0, ranges, (i) => taken.add(i)), 'CORRUPTED');
    assert.deepEqual([...taken].sort(), [0, 2, 3, 5]);
  });

  test('fail where a page is damaged, whichever of its chunks is asked for', async () => {
    const { gathered, context, plains, key, bytes, ref } = await reader({ pages: false });
    const { pageAt } = new ObjectLayout(ref).runs(0, PAGE, PAGE + 1)[0];
    const broken = Uint8Array.from(bytes);
    broken[pageAt + 5] ^= 1;
    context.storage.map.set(key, broken);
    for (const chunk of [PAGE, PAGE + 50]) {
      await assertCode(gathered.read(0, at(chunk), at(chunk, 9)), 'CORRUPTED');
    }
    assert.deepEqual(await gathered.read(0, at(3), at(3, 9)), plains[0].slice(at(3), at(3, 9)));
  });

  test('fail alone where a chunk of theirs is damaged', async () => {
    const made = await reader();
    const { gathered, plains, context, key, bytes } = made;
    const broken = Uint8Array.from(bytes);
    const { ref } = made;
    broken[new ObjectLayout(ref).runs(0, 4, 5)[0].at + 99] ^= 1;
    context.storage.map.set(key, broken);
    const asked = Array.from({ length: 8 }, (_, chunk) => [0, at(chunk, 5), at(chunk, 50)]);
    const settled = await Promise.allSettled(asked.map((one) => gathered.read(...one)));
    settled.forEach(({ reason, value }, chunk) => {
      if (chunk === 4) assert.equal(reason.code, 'CORRUPTED');
      else assert.deepEqual(value, plains[0].slice(at(chunk, 5), at(chunk, 50)));
    });
  });

  test('fail all where the object is gone or cut short, and alone past its end', async () => {
    const { gathered, plains, context, key, bytes } = await reader();
    const past = gathered.read(1, 4000, 5001);
    const fine = gathered.read(1, 4000, 5000);
    await assertCode(past, 'CORRUPTED');
    assert.deepEqual(await fine, plains[1].slice(4000));
    const both = () => Promise.allSettled([gathered.read(0, 0, 9), gathered.read(0, 10, 19)]);
    for (const [stored, code] of [[bytes.slice(0, 3000), 'CORRUPTED'], [undefined, 'NOT_FOUND']]) {
      if (stored) context.storage.map.set(key, stored);
      else context.storage.map.delete(key);
      assert.deepEqual((await both()).map(({ reason }) => reason?.code), [code, code]);
    }
  });

  test('fail alone where what they do with their bytes fails', async () => {
    const { gathered, plains } = await reader();
    const failing = gathered.open(0, 0, 9, () => { throw new RangeError('mine'); });
    const fine = gathered.read(0, 0, 9);
    await assert.rejects(failing, RangeError);
    assert.deepEqual(await fine, plains[0].slice(0, 9));
  });
});

describe('the head of an object', () => {
  test('is read once for all that lies in it, and what lies behind it apart', async () => {
    const { context, ref, plains } = await sealedObject([30_000, 50_000]);
    for (const sections of [1, 2]) {
      const storage = new Noting(context.storage);
      const kept = await withHead({ ...context, storage }, ref, sections, async (near) => {
        const object = new ObjectReader(near, ref);
        assert.deepEqual(await readBytes(object, 0, 0, 30_000), plains[0]);
        assert.deepEqual(await readBytes(object, 0, 100, 200), plains[0].slice(100, 200));
        assert.equal(storage.calls.length, 1);
        assert.deepEqual(await readBytes(object, 1, 0, 50_000), plains[1]);
        return object;
      });
      assert.equal(storage.calls.length, sections === 1 ? 2 : 1);
      assert.equal(storage.calls[0].bytes, sections === 2 ? objectSize(ref)
        : objectSize(ref) - 50_000 - 13 * (OVERHEAD + HASH));
      // Nothing of it stays.
      await readBytes(kept, 0, 0, 9);
      assert.equal(storage.calls.at(-1).range.offset > 0, true);
    }
  });
});

describe('the lists of a segment', () => {
  const bytesOf = (pairs) => new Uint8Array(Uint32Array.from(pairs.flat()).buffer);
  const refused = (pairs, rows, more = 0) => assert.throws(
    () => readStarts(Uint8Array.of(...bytesOf(pairs), ...new Array(more).fill(0)), rows, 4),
    { code: 'CORRUPTED' });

  test('begin where the rows of those before them end', () => {
    const next = random(5);
    for (let round = 0; round < 200; round++) {
      const counts = Array.from({ length: 1 + round % 9 }, () => Math.floor(next() * 3));
      const pairs = counts.map((count, list) => [list, count]).filter(([, count]) => count > 0);
      const sums = counts.map((_, list) => counts.slice(0, list).reduce((sum, n) => sum + n, 0));
      const rows = counts.reduce((sum, n) => sum + n, 0);
      assert.deepEqual([...readStarts(bytesOf(pairs), rows, counts.length)], [...sums, rows]);
      if (rows === 0) continue;
      const runs = sums.filter((_, list) => counts[list] > 0);
      assert.deepEqual([...readRuns(bytesOf(pairs), rows)], [...runs, rows]);
    }
    assert.deepEqual([...readRuns(new Uint8Array(), 7)], [0, 7]);
  });

  test('are refused out of order, past the last, cut short, or with other sums', () => {
    refused([[1, 5], [0, 5]], 10);
    refused([[1, 5], [1, 5]], 10);
    refused([[4, 5]], 5);
    refused([[0, 5]], 6);
    refused([[0, 5]], 5, 4);
    refused([[0, 0xffffffff], [1, 6]], 5);
    assert.throws(() => readRuns(bytesOf([[0, 0xffffffff], [0, 6]]), 5), { code: 'CORRUPTED' });
    assert.throws(() => readRuns(bytesOf([[0, 5]]).slice(0, 4), 5), { code: 'CORRUPTED' });
  });
});

describe('an index that is opened again', () => {
  for (const dimension of [1, 7, 31, 32, 33, 35, 36, 101]) {
    test(`finds its ${dimension}-dimensional rows, untrained and trained`, async () => {
      const storage = memoryStorage();
      const client = new Client({ storage, minTrainVectors: 1, worker: false });
      const index = await client.createIndex({ indexName: 'test', indexKey, dimension });
      const vectors = vectorsOf(500, dimension, dimension);
      const ids = Array.from({ length: 500 }, (_, i) => `id${i}`);
      await index.upsert({ ids: ids.slice(0, 300), vectors: vectors.slice(0, 300 * dimension) });
      const nearest = async () => {
        const again = await new Client({ storage }).loadIndex({ indexName: 'test', indexKey });
        const queryVectors = vectors.slice(7 * dimension, 8 * dimension);
        const { results } = await again.query({ queryVectors, topK: 1, targetRecall: 1 });
        assert.equal(results[0].distance, 0);
        assert.deepEqual((await again.get({ ids: ['id7'] }))[0].vector, queryVectors);
        return again.count();
      };
      assert.equal(await nearest(), 300);
      await index.train({ nLists: 3, seed: 1 });
      assert.equal(await nearest(), 300);
      await index.upsert({ ids: ids.slice(300), vectors: vectors.slice(300 * dimension) });
      assert.equal(await nearest(), 500);
    });
  }
});
