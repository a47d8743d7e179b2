// A process may die, and a disk may fail, between any two calls to the storage.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, SealvecError } from '../../build/js/index.js';
import { randomVectors } from './support/oracle.js';
import { failingStorage, mapStorage } from './support/stores.js';

const KEY = new Uint8Array(32).fill(5);
const DIMENSION = 4;
const VECTORS = randomVectors(400, DIMENSION, 11);
const SILENT = { warn() {} };

const client = (storage) => new Client({ storage, worker: false, minTrainVectors: 16, logger: SILENT });

/** Items `from` to `to`, in a version that tells one write of an id from the next. */
const items = (from, to, version) => Array.from({ length: to - from }, (_, i) => ({
  id: `id-${from + i}`, vector: VECTORS[from + i], metadata: { version }, contents: `${from + i}/${version}`,
}));
const put = (from, to, version) => ({
  run: (index) => index.upsert({ items: items(from, to, version) }),
  model: (state) => {
    for (const item of items(from, to, version)) state.set(item.id, item.contents);
  },
});
const remove = (from, to) => ({
  run: (index) => index.delete({ ids: items(from, to, 0).map(({ id }) => id) }),
  model: (state) => {
    for (const { id } of items(from, to, 0)) state.delete(id);
  },
});
const keep = (run) => ({ run, model: () => {} });

/** Every kind of write, with tombstones in bitmaps, merging, retraining and compaction. */
const WORK = [
  put(0, 40, 1), put(30, 60, 2), remove(5, 10), put(60, 64, 3),
  keep((index) => index.train({ nLists: 4, seed: 1 })),
  put(0, 20, 4), remove(12, 30), put(64, 380, 5), remove(64, 330),
  ...Array.from({ length: 9 }, (_, i) => put(390 + i, 391 + i, 6)),
  keep((index) => index.train({ nLists: 5, seed: 2 })),
  keep((index) => index.compact()), put(1, 3, 7),
];

/** What an index holds: id to contents, each row's parts agreeing with each other. */
async function read(index) {
  const { ids } = await index.listIds();
  const state = new Map();
  if (ids.length === 0) return state;
  for (const item of await index.get({ ids })) {
    const [number, version] = item.contents.split('/').map(Number);
    assert.equal(item.id, `id-${number}`);
    assert.equal(item.metadata.version, version);
    assert.deepEqual([...item.vector], VECTORS[number]);
    state.set(item.id, item.contents);
  }
  assert.equal(state.size, ids.length, 'every id that is listed can be had');
  const { results } = await index.query({ queryVectors: VECTORS[0], topK: 500, targetRecall: 1 });
  assert.deepEqual(new Set(results.map(({ id }) => id)), new Set(ids));
  return state;
}

const same = (x, y) => x.size === y.size && [...x].every(([id, contents]) => y.get(id) === contents);

/** What is there when the storage is opened anew: a state, or undefined for no index. */
async function reopen(map) {
  const fresh = client(mapStorage(map));
  try {
    return await read(await fresh.loadIndex({ indexName: 'a', indexKey: KEY }));
  } catch (error) {
    if (error instanceof SealvecError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  } finally {
    await fresh.close();
  }
}

/** Works until a call fails; the states before and after the write that did. */
async function workUntilDeath(storage) {
  const at = client(storage);
  let before;
  let after = new Map();
  try {
    const index = await at.createIndex({ indexName: 'a', indexKey: KEY, dimension: DIMENSION, metric: 'euclidean' });
    for (const { run, model } of WORK) {
      before = after;
      after = new Map(before);
      model(after);
      await run(index);
    }
    before = after;
    await index.close();
  } catch (error) {
    assert.equal(error.code, 'STORAGE', error.stack);
  } finally {
    await at.close().catch(() => undefined);
  }
  return { before, after };
}

async function countCalls() {
  const storage = failingStorage(mapStorage(), { at: Infinity });
  await workUntilDeath(storage);
  return storage.calls();
}

for (const after of [false, true]) {
  test(`a process that dies at any storage call, ${after ? 'after' : 'before'} it took effect, leaves the state before or after its last write`, async () => {
    const calls = await countCalls();
    assert.ok(calls > 60, `${calls} calls`);
    for (let at = 0; at < calls; at++) {
      const map = new Map();
      const states = await workUntilDeath(failingStorage(mapStorage(map), { at, after }));
      const found = await reopen(map);
      const fits = [states.before, states.after].some((state) => (
        state === undefined || found === undefined ? state === found : same(state, found)));
      // Creating fails before there is an index; an empty one may or may not exist.
      const creating = states.before === undefined && (found === undefined || found.size === 0);
      assert.ok(fits || creating, `call ${at}: ${found?.size} items, expected ${states.before?.size} or ${states.after.size}`);
    }
  });
}

test('a storage call that fails once loses nothing that was acknowledged, and the handle goes on', async () => {
  const calls = await countCalls();
  for (let at = 3; at < calls; at++) {
    const map = new Map();
    const storage = failingStorage(mapStorage(map), { at, after: at % 2 === 1, once: true });
    const one = client(storage);
    const index = await one.createIndex({ indexName: 'a', indexKey: KEY, dimension: DIMENSION });
    let state = new Map();
    for (const { run, model } of WORK) {
      const done = new Map(state);
      model(done);
      try {
        await run(index);
        state = done;
      } catch (error) {
        assert.match(error.code, /^(STORAGE|QUOTA_EXCEEDED)$/, error.stack);
        const now = await read(index);
        assert.ok(same(now, state) || same(now, done), `call ${at}: neither before nor after`);
        state = now;
      }
    }
    assert.ok(same(await read(index), state), `call ${at}: the handle`);
    await one.close();
    assert.ok(same(await reopen(map), state), `call ${at}: reopened`);
  }
});

test('an index whose removal was cut short is gone, and its name can be used again', async () => {
  for (let at = 0; ; at++) {
    const map = new Map();
    const first = client(mapStorage(map));
    const made = await first.createIndex({ indexName: 'a', indexKey: KEY, dimension: DIMENSION });
    await made.upsert({ items: items(0, 30, 1) });
    await first.close();
    const storage = failingStorage(mapStorage(map), { at });
    const dying = client(storage);
    const index = await dying.loadIndex({ indexName: 'a', indexKey: KEY });
    const failed = await index.deleteIndex().then(() => false, () => true);
    await dying.close().catch(() => undefined);
    const left = await reopen(map);
    if (left) assert.ok(at === 0 && left.size === 30, `call ${at}`);
    if (!left) {
      const again = client(mapStorage(map));
      const fresh = await again.createIndex({ indexName: 'a', indexKey: KEY, dimension: DIMENSION });
      assert.equal(await fresh.count(), 0);
      await again.close();
    }
    if (!failed) return assert.ok(at > 2);
  }
});
