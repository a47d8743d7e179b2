// The independent reader of tests/reader opens what the library wrote, and finds in it what was
// put in: the formats are what their descriptions say, and nothing of the library is needed to get
// at one's data.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { Client, fileStorage, generateKey } from '../../build/js/index.js';
import { estimate } from '../reader/codes.js';
import { readFolder } from '../reader/folder.js';
import { FormatError, halfToNumber } from '../reader/primitives.js';
import { readIndex } from '../reader/reader.js';
import { random, toHalf } from './support/oracle.js';
import { mapStorage, Wrapped } from './support/stores.js';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'sealvec-reader-'));
after(() => fs.rmSync(root, { recursive: true }));

const LOGGER = { warn() {} };

/** Never removes a manifest, so that the whole chain is there to be read. */
class KeepingManifests extends Wrapped {
  delete(keys) {
    return super.delete(keys.filter((key) => !key.includes('/manifest/')));
  }
}

/** An item of any shape. */
function itemOf(i, next, dimension) {
  const vector = Array.from({ length: dimension }, () => Math.fround(4 * next() - 2));
  const kinds = [undefined, '', `text ${i} \u{1f512} ÿ`, '\ufefftext', Uint8Array.of(),
    Uint8Array.of(0, 255, i & 255)];
  const contents = i === 7 ? 'long '.repeat(40_000) : kinds[i % kinds.length];
  const plain = [undefined, {}, { i, nested: [{ odd: i % 2 === 1 }, null, -1.5e-300] }];
  return { id: `id ${i} ${'é'.repeat(i % 5)}`, vector, contents, metadata: plain[i % 3] };
}

/** A store in a folder, and what should be in it. */
async function write(name, options, steps, wrap = (storage) => storage) {
  const folder = fs.mkdtempSync(path.join(root, 'store-'));
  const indexKey = generateKey();
  const storage = wrap(fileStorage(folder));
  const client = new Client({ storage, minTrainVectors: 16, worker: false, logger: LOGGER });
  const index = await client.createIndex({ indexName: name, indexKey, ...options });
  const expected = new Map();
  const next = random(name.length + 3);
  let made = 0;
  await steps({
    index,
    async upsert(n, again = 0) {
      const first = made - again;
      const { dimension = 6 } = options;
      const items = Array.from({ length: n }, (_, i) => itemOf(first + i, next, dimension));
      made = first + n;
      const { generation } = await index.upsert({ items });
      for (const { id, ...item } of items) expected.set(id, item);
      return generation;
    },
    async drop(every) {
      const ids = [...expected.keys()].filter((_, i) => i % every === 0);
      await index.delete({ ids });
      ids.forEach((id) => expected.delete(id));
    },
  });
  const { generation } = await index.stats();
  await client.close();
  return { folder, indexKey, expected, generation };
}

/** That the reader finds what was put in. */
function assertRead(read, { expected, generation }, precision = 'float32') {
  assert.equal(read.generation, generation);
  assert.deepEqual([...read.items.keys()].sort(), [...expected.keys()].sort());
  const stored = precision === 'float16' ? toHalf : (x) => x;
  for (const [id, { vector, metadata, contents }] of expected) {
    const got = read.items.get(id);
    assert.deepEqual(got.vector, vector.map(stored), `the vector of ${id}`);
    assert.deepEqual(got.metadata, metadata, `the metadata of ${id}`);
    assert.deepEqual(got.contents, contents, `the contents of ${id}`);
  }
}

/** The share of rows that are in the list of their nearest centroid. */
function shareInNearest({ items, clustering: { centroids } }) {
  const squared = (x, y) => x.reduce((sum, a, i) => sum + (a - y[i]) ** 2, 0);
  const rows = [...items.values()];
  const right = rows.filter(({ vector, list }) => {
    const distances = centroids.map((centroid) => squared(vector, centroid));
    return distances[list] <= Math.min(...distances) * (1 + 1e-3);
  });
  return right.length / rows.length;
}

/** Distances as c/codes.c has them, with squares for the euclidean metrics. */
const DISTANCES = {
  euclidean: (x, y) => x.reduce((sum, a, t) => sum + (a - y[t]) ** 2, 0),
  squared_euclidean: (x, y) => DISTANCES.euclidean(x, y),
  inner_product: (x, y) => -x.reduce((sum, a, t) => sum + a * y[t], 0),
  cosine: (x, y) => 1 + DISTANCES.inner_product(x, y) /
    Math.sqrt(DISTANCES.inner_product(x, x) * DISTANCES.inner_product(y, y)),
};

/** That the codes of items bound the distances to queries, and are close to them. */
function assertEstimates(items, metric, dimension) {
  const next = random(dimension);
  const queries = Array.from({ length: 20 }, () =>
    Array.from({ length: dimension }, () => 4 * next() - 2));
  const pairs = queries.flatMap((query) => items.map(({ code, vector }) => {
    const exact = DISTANCES[metric](vector, query);
    const { value, margin } = estimate(code, query, metric);
    return { exact, off: Math.abs(value - exact), margin };
  }));
  // Beyond the margin is what 32-bit floats lose of shift and step.
  const worst = pairs.filter(({ off, margin, exact }) => off > margin + 1e-6 * Math.abs(exact));
  assert.deepEqual(worst, []);
  const sum = (of) => pairs.reduce((total, pair) => total + of(pair), 0);
  const mean = sum(({ exact }) => exact) / pairs.length;
  const explained = sum(({ off }) => off ** 2) / sum(({ exact }) => (exact - mean) ** 2);
  assert.ok(explained < 0.01, `what is left of the variance of distances: ${explained}`);
  // The margin of z = 1 (c/codes.c), which scans use that may miss a row now and then.
  const scale = 2 / Math.sqrt(dimension);
  const beyond = sum(({ off, margin }) => Number(off > margin * scale)) / pairs.length;
  assert.ok(beyond < 0.01, `${beyond} of the estimates are off by more than z = 1`);
}

describe('the independent reader', () => {
  test('reads an index without rows, and one without a dimension', async () => {
    for (const options of [{}, { dimension: 6, metric: 'cosine', autoTrain: true }]) {
      const store = await write('empty', options, async () => undefined);
      const read = readIndex(readFolder(store.folder), 'empty', store.indexKey);
      assertRead(read, store);
      assert.deepEqual(read.config, {
        metric: 'euclidean', precision: 'float32', dimension: 0, autoTrain: false, ...options,
      });
    }
  });

  test('reads an untrained index with dead rows, and contents of many chunks', async () => {
    const store = await write('untrained', {}, async ({ upsert, drop }) => {
      await upsert(40);
      await upsert(25, 5);
      await drop(9);
    });
    const read = readIndex(readFolder(store.folder), 'untrained', store.indexKey);
    assertRead(read, store);
    assert.equal(read.clustering, undefined);
    assert.ok(read.segments === 2 && read.items.get('id 7 éé').contents.length > 3 * 16_344);
  });

  for (const metric of ['euclidean', 'squared_euclidean', 'cosine', 'inner_product']) {
    for (const precision of ['float32', 'float16']) {
      test(`reads a trained index of ${precision}, ${metric}, with a bitmap of dead rows`,
        async () => {
          const store = await write(metric, { metric, precision }, async (by) => {
            await by.upsert(900);
            await by.index.train({ nLists: 9, seed: 1 });
            await by.upsert(80, 40);
            await by.drop(3);
          });
          const read = readIndex(readFolder(store.folder), metric, store.indexKey);
          assertRead(read, store, precision);
          assert.equal(read.nLists, 9);
          assert.deepEqual(read.config, { metric, precision, dimension: 6, autoTrain: false });
          assert.ok([...read.items.values()].every(({ list }) => list < 9));
          // Centroids are moved to the means of their rows once these are in their lists.
          if (metric.includes('euclidean')) assert.ok(shareInNearest(read) > 0.8);
          const { points } = read.clustering;
          assert.ok(points.length > 3 && points.every(({ recall }, i) => recall <= 1 &&
            (i === 0 || recall > points[i - 1].recall)));
        });
    }
  }

  for (const metric of ['euclidean', 'squared_euclidean', 'cosine', 'inner_product']) {
    for (const [dimension, precision] of [[33, 'float32'], [75, 'float16']]) {
      test(`decodes codes of ${dimension} components of ${precision}, which bound ${metric}`,
        async () => {
          const store = await write(metric, { metric, precision, dimension }, async (by) => {
            await by.upsert(900);
            await by.index.train({ nLists: 2, seed: 1 });
            await by.upsert(80, 40);
          });
          const read = readIndex(readFolder(store.folder), metric, store.indexKey);
          assertRead(read, store, precision);
          assertEstimates([...read.items.values()], metric, dimension);
        });
    }
  }

  test('decodes codes of rows in no lists', async () => {
    const store = await write('codes', { dimension: 64 }, ({ upsert }) => upsert(700));
    const read = readIndex(readFolder(store.folder), 'codes', store.indexKey);
    assertRead(read, store);
    assertEstimates([...read.items.values()], 'euclidean', 64);
  });

  test('follows the chain of all commits, and reads names of any kind', async () => {
    for (const name of ['nul', 'Ünï/cødé %', '\u{1f512}'.repeat(20), 'a.']) {
      const store = await write(name, {}, async ({ index, upsert, drop }) => {
        await upsert(30);
        await drop(4);
        await upsert(10, 2);
        await index.train({ nLists: 2, seed: 1 });
        await index.compact();
      }, (storage) => new KeepingManifests(storage));
      const read = readIndex(readFolder(store.folder), name, store.indexKey);
      assertRead(read, store);
      assert.equal(read.manifests, read.generation);
      assert.ok(read.generation >= 5);
    }
  });

  test('reads what was exported', async () => {
    const copy = new Map();
    const store = await write('exported', {}, async ({ index, upsert, drop }) => {
      await upsert(60);
      await drop(5);
      await index.export({ to: mapStorage(copy) });
    });
    assertRead(readIndex(copy, 'exported', store.indexKey), store);
  });

  test('reads an index of users and two epochs, as each of them; then of one', async () => {
    const users = [1, 2, 3].map((n) => ({
      userId: new Uint8Array(16).fill(n), userKey: new Uint8Array(32).fill(n),
    }));
    const rekeyed = new Map();
    const newIndexKey = generateKey();
    const store = await write('users', {}, async ({ index, upsert }) => {
      await upsert(30);
      for (const [i, user] of users.entries()) {
        await index.createUserKeys({ ...user, permissions: i ? ['read', 'write'] : ['read'] });
      }
      await index.deleteUserKeys({ userId: users[2].userId });
      await upsert(10, 3);
      await index.rotateIndexKey({ newIndexKey });
      await index.export({ to: mapStorage(rekeyed) });
      await new Client({ storage: mapStorage(rekeyed), logger: LOGGER })
        .loadIndex({ indexName: 'users', indexKey: newIndexKey }).then((one) => one.rekey());
    });
    const map = readFolder(store.folder);
    const [reader, writer, gone] = users;
    for (const [userId, key] of [
      [undefined, newIndexKey], [reader.userId, reader.userKey], [writer.userId, writer.userKey],
    ]) {
      assertRead(readIndex(map, 'users', key, userId), store);
      const { items, epochs } = readIndex(rekeyed, 'users', key, userId);
      assert.deepEqual(epochs, [4]);
      assert.deepEqual([...items.keys()].sort(), [...store.expected.keys()].sort());
    }
    assert.deepEqual(readIndex(map, 'users', newIndexKey).epochs, [1, 2, 3]);
    for (const [userId, key] of [
      [undefined, store.indexKey], [gone.userId, gone.userKey], [reader.userId, writer.userKey],
    ]) {
      assert.throws(() => readIndex(map, 'users', key, userId), /does not open/);
    }
  });

  test('finds no nonce twice', async () => {
    const store = await write('n', {}, async ({ upsert }) => {
      for (let i = 0; i < 5; i++) await upsert(50);
    });
    const { nonces } = readIndex(readFolder(store.folder), 'n', store.indexKey);
    assert.ok(nonces.size > 10);
    assert.equal(new Set(nonces.values()).size, nonces.size);
  });

  test('uses nothing of the library', () => {
    const folder = new URL('../reader/', import.meta.url);
    const files = fs.readdirSync(folder);
    assert.ok(files.length >= 8);
    for (const file of files) {
      const source = fs.readFileSync(new URL(file, folder), 'utf8');
      const from = [...source.matchAll(/(?:from |import |import\()'([^']+)'/g)];
      assert.ok(from.length > 0);
      for (const [, name] of from) assert.match(name, /^(node:|@noble\/|\.\/[\w-]+\.js$)/, file);
    }
  });
});

/** Small stores in memory, which the checks below tamper with. */
async function small(map, indexKey, seed) {
  const client = new Client({
    storage: new KeepingManifests(mapStorage(map)), minTrainVectors: 16, worker: false,
    logger: LOGGER,
  });
  const known = { indexName: 'v', indexKey };
  const index = map.size ? await client.loadIndex(known) : await client.createIndex(known);
  const next = random(seed);
  const items = Array.from({ length: 40 }, (_, i) => itemOf(8 + i, next, 6));
  await index.upsert({ items });
  if (!(await index.isTrained())) await index.train({ nLists: 2, seed: 1 });
  await index.delete({ ids: [items[1].id] });
  await client.close();
}

describe('the independent reader refuses', () => {
  const indexKey = generateKey();
  const refused = (map, key = indexKey) =>
    assert.throws(() => readIndex(map, 'v', key), FormatError);

  test('another key, another name and a store with any byte changed', async () => {
    const map = new Map();
    await small(map, indexKey, 1);
    readIndex(map, 'v', indexKey);
    refused(map, generateKey());
    const renamed = new Map([...map, ['index/w', map.get('index/v')]]);
    assert.throws(() => readIndex(renamed, 'w', indexKey), /of another name/);
    const next = random(2);
    // Objects that the newest commit does not name are not read.
    const isRead = (key) => {
      const without = new Map(map);
      without.delete(key);
      try {
        readIndex(without, 'v', indexKey);
        return false;
      } catch {
        return true;
      }
    };
    const named = [...map].filter(([key]) => key.includes('/manifest/') || isRead(key));
    const kinds = named.map(([key]) => key.split('/').at(2) ?? 'index');
    assert.ok(['index', 'slots', 'manifest', 'object'].every((kind) => kinds.includes(kind)));
    for (const [key, bytes] of named) {
      for (let i = 0; i < 40; i++) {
        const changed = bytes.slice();
        const at = i < 16 ? i * 4 : Math.floor(next() * bytes.length);
        changed[at] ^= 1 << (i % 8);
        refused(new Map([...map, [key, changed]]));
      }
      refused(new Map([...map, [key, bytes.slice(0, -1)]]));
      refused(new Map([...map, [key, Buffer.concat([bytes, Buffer.alloc(1)])]]));
    }
  });

  test('a commit that does not follow the one before it', async () => {
    const one = new Map();
    await small(one, indexKey, 1);
    const other = new Map(one);
    await small(one, indexKey, 2);
    await small(other, indexKey, 3);
    readIndex(one, 'v', indexKey);
    readIndex(other, 'v', indexKey);
    const newest = (map) => [...map.keys()].filter((key) => key.includes('/manifest/')).sort();
    const [last, before] = newest(one).reverse();
    assert.ok(newest(other).includes(before) && newest(other).at(-1) === last);
    const mixed = new Map([...one, [before, other.get(before)]]);
    assert.throws(() => readIndex(mixed, 'v', indexKey), /does not follow the one before/);
  });
});

test('all halves are decoded as the oracle rounds', () => {
  for (let bits = 0; bits < 65_536; bits++) {
    const value = halfToNumber(bits);
    if (Number.isFinite(value)) assert.equal(toHalf(value), value);
  }
  assert.deepEqual([0x3c00, 0xc000, 0x0001, 0x7bff].map(halfToNumber), [1, -2, 2 ** -24, 65_504]);
});
