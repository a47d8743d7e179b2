// Small writes stay cheap and leave little behind. GROWTH=10000 on a directory is `make growth`.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Client, fileStorage, generateKey } from '../../build/js/index.js';
import { randomVectors } from './support/oracle.js';
import { mapStorage } from './support/stores.js';

const COUNT = Number(process.env.GROWTH ?? 1500);
const ON_DISK = process.env.GROWTH !== undefined;

/** Counts the calls that reach a storage. */
function counting(inner) {
  const counts = { calls: 0 };
  const counted = Object.fromEntries(['read', 'create', 'delete', 'list'].map((name) => [
    name, (...args) => {
      counts.calls++;
      return inner[name](...args);
    },
  ]));
  return { ...counted, counts, close: () => inner.close() };
}

test(`${COUNT} upserts of one vector leave few objects and take bounded work each`, async () => {
  const directory = ON_DISK ? fs.mkdtempSync(path.join(os.tmpdir(), 'sealvec-growth-')) : undefined;
  const storage = counting(directory ? fileStorage(directory) : mapStorage());
  const client = new Client({ storage, logger: { warn() {} } });
  const index = await client.createIndex({ indexName: 'a', indexKey: generateKey(), dimension: 8 });
  const vectors = randomVectors(COUNT, 8, 3);
  const calls = [];
  const times = [];
  let most = 0;
  for (let i = 0; i < COUNT; i++) {
    const before = storage.counts.calls;
    const started = performance.now();
    await index.upsert({ ids: [`id-${i}`], vectors: [vectors[i]], metadata: [{ i }] });
    times.push(performance.now() - started);
    calls.push(storage.counts.calls - before);
    if (i % 50 === 49) most = Math.max(most, (await storage.list('')).length);
  }
  const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length;
  const tenth = Math.floor(COUNT / 10);
  const [early, late] = [mean(calls.slice(tenth, 2 * tenth)), mean(calls.slice(-tenth))];
  // Eight segments a tier at the most, tiers of 1, 8, 64, ..., and what is about to be removed.
  const tiers = Math.ceil(Math.log(COUNT) / Math.log(8));
  assert.ok(most <= 8 * tiers * 3, `${most} objects at the most`);
  assert.ok(late <= 2 * early + 10, `${early} storage calls per upsert early on, ${late} at the end`);
  assert.equal(await index.count(), COUNT);
  const { results } = await index.query({ queryVectors: vectors[COUNT >> 1], topK: 1 });
  assert.equal(results[0].id, `id-${COUNT >> 1}`);
  await index.compact();
  const left = (await storage.list('')).length;
  assert.ok(left <= 6, `${left} objects after compact`);
  const speed = `${mean(times.slice(tenth, 2 * tenth)).toFixed(2)} ms early, ${mean(times.slice(-tenth)).toFixed(2)} ms late`;
  console.log(`# ${COUNT} upserts${ON_DISK ? ' on disk' : ''}: at most ${most} objects, ${left} after compact; ${early.toFixed(1)} storage calls each early, ${late.toFixed(1)} late; ${speed}`);
  await client.close();
  if (directory) fs.rmSync(directory, { recursive: true });
});

test('deleting half the rows and compacting halves the bytes', async () => {
  for (const trained of [false, true]) {
    const map = new Map();
    const client = new Client({ storage: mapStorage(map), minTrainVectors: 100, worker: false, logger: { warn() {} } });
    const index = await client.createIndex({ indexName: 'a', indexKey: generateKey(), dimension: 64 });
    const vectors = randomVectors(4000, 64, 4);
    const ids = vectors.map((_, i) => `id-${i}`);
    await index.upsert({ ids, vectors, contents: ids.map((id) => id.repeat(20)) });
    if (trained) await index.train({ nLists: 16, seed: 1 });
    await index.compact();
    const bytes = () => [...map.values()].reduce((sum, object) => sum + object.length, 0);
    const full = bytes();
    await index.delete({ ids: ids.filter((_, i) => i % 2 === 0) });
    await index.compact();
    const ratio = bytes() / full;
    assert.ok(ratio > 0.4 && ratio < 0.55, `${ratio} of the bytes are left, trained: ${trained}`);
    assert.equal((await index.stats()).deadRows, 0);
    await client.close();
  }
});

test('what a killed writer left behind is removed by compact', async () => {
  const map = new Map();
  const client = new Client({ storage: mapStorage(map) });
  const index = await client.createIndex({ indexName: 'a', indexKey: generateKey(), dimension: 4 });
  await index.upsert({ ids: ['a'], vectors: [[1, 2, 3, 4]] });
  const object = [...map.keys()].find((key) => key.includes('/object/'));
  const orphan = `${object.slice(0, object.lastIndexOf('/') + 1)}${'ab'.repeat(16)}`;
  map.set(orphan, new Uint8Array(1000));
  await index.compact();
  assert.ok(!map.has(orphan));
  assert.equal(await index.count(), 1);
  await client.close();
});
