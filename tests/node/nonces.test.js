// No nonce comes twice, and a generator that fails or repeats itself stops what needs it.
// NONCES=10000000 (make nonces) draws as many; by default some.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Core } from '../../build/js/core.js';
import { Secret } from '../../build/js/crypto.js';
import { Client, generateKey } from '../../build/js/index.js';
import { loadModule } from '../../build/js/loader.js';
import { sealObject } from '../../build/js/seal-object.js';
import { folderOf } from '../reader/keys.js';
import { readIndex } from '../reader/reader.js';
import { assertCode, random, randomVectors, toItems } from './support/oracle.js';
import { NonceSet, replaceRandom, watchNonces } from './support/spies.js';
import { mapStorage, Wrapped } from './support/stores.js';

const NONCES = Number(process.env.NONCES ?? 200_000);
const CHUNKS = 250;

/** Seals objects of small chunks until `most` nonces were told of. */
async function sealMany(nonces, most) {
  const core = await Core.instantiate(await loadModule(undefined));
  const objects = new Secret(core, new Uint8Array(32).fill(1));
  const keyring = { epoch: 1, keys: () => ({ objects, ids: objects }) };
  const context = { core, keyring, indexId: new Uint8Array(16) };
  const sections = Array.from({ length: CHUNKS }, () => ({ pointer: core.alloc(16), length: 1 }));
  while (nonces.size + nonces.repeated < most) sealObject(context, 'segment', sections);
}

/** Everything that seals: a new index, upserts, deletions, merges, training, compaction. */
async function useAll() {
  const client = new Client({ storage: mapStorage(), minTrainVectors: 16, worker: false });
  const known = { indexName: 'v', indexKey: generateKey() };
  const index = await client.createIndex(known);
  const items = toItems(randomVectors(900, 4, 1));
  for (let at = 0; at < 600; at += 30) await index.upsert({ items: items.slice(at, at + 30) });
  await index.delete({ ids: items.slice(0, 290).map(({ id }) => id) });
  await index.train({ nLists: 4, seed: 1 });
  await index.upsert({ items: items.slice(600) });
  await index.compact();
  await client.close();
}

test(`of ${NONCES} nonces none comes twice`, async (t) => {
  const nonces = new NonceSet(NONCES + 100_000);
  const restore = watchNonces((bytes) => nonces.add(bytes));
  try {
    await useAll();
    assert.ok(nonces.size > 100);
    await sealMany(nonces, NONCES);
  } finally {
    restore();
  }
  assert.equal(nonces.repeated, 0);
  assert.ok(nonces.size >= NONCES);
  t.diagnostic(`${nonces.size} nonces`);
});

/** A generator that gives the same `period` bytes again and again. */
function circle(period) {
  const next = random(5);
  const bytes = Uint8Array.from({ length: period }, () => Math.floor(256 * next()));
  let at = 0;
  return (array) => {
    for (let i = 0; i < array.length; i++) array[i] = bytes[at++ % period];
  };
}

test('the count notices a nonce that comes again after a long time', async () => {
  const nonces = new NonceSet(60_000);
  const restore = [replaceRandom(circle(24 * 20_000)), watchNonces((bytes) => nonces.add(bytes))];
  try {
    await sealMany(nonces, 60_000);
  } finally {
    restore.forEach((undo) => undo());
  }
  assert.ok(nonces.repeated > 0, `${nonces.size} nonces, none of them twice`);
});

/** Generators that do not work, by what they do. */
const BROKEN = {
  'gives zeros': (array) => array.fill(0),
  'gives one byte': (array) => array.fill(0xa5),
  'gives nothing': () => undefined,
  'gives 8 bytes again and again': circle(8),
  'gives 24 bytes again and again': circle(24),
  'gives 1,001 bytes again and again': circle(1001),
  'gives 30,000 bytes again and again': circle(30_000),
  'begins anew at each call': (array) => circle(70_000)(array),
  'fails': () => { throw new Error('no entropy'); },
  'forgets the end of what it should fill': (array, real) => real(array.subarray(0, 8)),
};

/** A storage from which nothing is ever removed. */
class Keeping extends Wrapped {
  async delete() {}
}

/** Every nonce in a storage, by where it stands. */
function noncesIn(map, { indexName, indexKey }) {
  const all = new Map();
  const { folder } = folderOf(map, indexName);
  const manifests = [...map.keys()].filter((key) => key.startsWith(`${folder}/manifest/`)).sort();
  // An object is named by several commits, one after another: not each has to be read.
  for (let end = manifests.length; end > 0; end -= 4) {
    const older = new Map(map);
    manifests.slice(end).forEach((key) => older.delete(key));
    readIndex(older, indexName, indexKey).nonces.forEach((nonce, where) => all.set(where, nonce));
  }
  return [...all.values()];
}

/** Calls that must fail as long as the generator does; a circle must be gone round first. */
async function fails(what) {
  let failed;
  for (let i = 0; i < 3000 && !failed; i++) {
    try {
      await what(i);
    } catch (error) {
      failed = error;
    }
  }
  assert.ok(failed, 'nothing failed');
  assert.equal(`${failed.name} ${failed.code}`, 'SealvecError UNSUPPORTED', failed.stack);
  assert.match(failed.message, /crypto\.getRandomValues (is missing or fails|repeats itself)/);
  return failed;
}

describe('a generator that', () => {
  for (const [what, fill] of Object.entries(BROKEN)) {
    test(`${what} is noticed by each call that draws, and nothing is written wrongly`, async () => {
      const map = new Map();
      const storage = new Keeping(mapStorage(map));
      const client = new Client({ storage, minTrainVectors: 16, worker: false });
      const known = { indexName: 'v', indexKey: generateKey() };
      const index = await client.createIndex(known);
      const items = toItems(randomVectors(40, 4, 2));
      await index.upsert({ items });
      const next = (i) => ({ ...items[i % 40], id: `new ${i}` });
      const restore = replaceRandom(fill);
      let written = 0;
      try {
        await fails(() => generateKey());
        await fails((i) => client.createIndex({ ...known, indexName: `other ${i}` }));
        await fails(async (i) => {
          await index.upsert({ items: [next(i)] });
          written++;
        });
        await fails((i) => index.train({ nLists: 2, seed: i }));
      } finally {
        restore();
      }
      const nonces = noncesIn(map, known);
      assert.ok(nonces.length > 6);
      assert.equal(new Set(nonces).size, nonces.length, 'nothing was written under one twice');
      // The last commit stands, and with a generator that works all goes on.
      assert.equal(await index.count(), 40 + written);
      await index.upsert({ items: [next(5000)] });
      assert.equal(await index.count(), 41 + written);
      await client.close();
    });
  }

  test('is missing is noticed, whether it is the function or all of crypto', async () => {
    const whole = Object.getOwnPropertyDescriptor(globalThis, 'crypto');
    for (const value of [undefined, {}, { getRandomValues: 1 }]) {
      Object.defineProperty(globalThis, 'crypto', { value, configurable: true });
      try {
        const client = new Client({ storage: mapStorage() });
        const indexKey = new Uint8Array(32).fill(1);
        const error = await fails(() => client.createIndex({ indexName: 'v', indexKey }));
        assert.ok(error.cause instanceof TypeError);
        assert.throws(() => generateKey(), { code: 'UNSUPPORTED' });
      } finally {
        Object.defineProperty(globalThis, 'crypto', whole);
      }
    }
  });

  test('begins anew at each call, in a training worker, ends the training', async () => {
    const broken = () => {
      const worker = new Worker(new URL('./support/broken-random-worker.js', import.meta.url));
      worker.unref();
      return {
        postMessage: (message, transfer) => worker.postMessage(message, transfer),
        addEventListener: (type, listener) => worker.on(type, (data) => (
          listener(type === 'message' ? { data } : data))),
        terminate: () => worker.terminate(),
      };
    };
    const storage = mapStorage();
    const client = new Client({ storage, minTrainVectors: 16, worker: broken });
    const index = await client.createIndex({ indexName: 'v', indexKey: generateKey() });
    await index.upsert({ items: toItems(randomVectors(400, 4, 3)) });
    await assertCode(index.train({ nLists: 2 }), 'UNSUPPORTED', /repeats itself/);
    assert.equal(await index.isTrained(), false);
    assert.equal(await index.count(), 400);
    await client.close();
  });
});
