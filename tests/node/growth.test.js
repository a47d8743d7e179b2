// Small writes stay cheap and leave little behind, and what is deleted frees its space.
// GROWTH=10000 on a directory is `make growth`.
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Client, fileStorage, generateKey } from '../../build/js/index.js';
import { randomVectors } from './support/oracle.js';
import { Counting, mapStorage } from './support/stores.js';

const COUNT = Number(process.env.GROWTH ?? 1500);
const ON_DISK = process.env.GROWTH !== undefined;
const SILENT = { warn() {} };
/** Segments of one tier before they are merged into the next. */
const FANOUT = 8;

const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length;

async function openStorage(t) {
  if (!ON_DISK) return mapStorage();
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'sealvec-growth-'));
  t.after(() => fs.rm(directory, { recursive: true }));
  return fileStorage(directory);
}

test(`${COUNT} upserts of one vector leave few objects and take bounded work each`, async (t) => {
  const storage = new Counting(await openStorage(t));
  const client = new Client({ storage, logger: SILENT });
  const options = { indexName: 'a', indexKey: generateKey(), dimension: 8 };
  const index = await client.createIndex(options);
  const vectors = randomVectors(COUNT, 8, 3);
  const [calls, times] = [[], []];
  let most = 0;
  const begun = performance.now();
  for (let i = 0; i < COUNT; i++) {
    const before = storage.total;
    const started = performance.now();
    await index.upsert({ ids: [`id-${i}`], vectors: [vectors[i]], metadata: [{ i }] });
    times.push(performance.now() - started);
    calls.push(storage.total - before);
    if (i % 50 === 49) most = Math.max(most, (await storage.inner.list('')).length);
  }
  const seconds = (performance.now() - begun) / 1000;
  const tenth = Math.floor(COUNT / 10);
  const early = mean(calls.slice(tenth, 2 * tenth));
  const late = mean(calls.slice(-tenth));
  // Tiers of 1, 8, 64, ...; in each its segments, and as many that are about to be removed.
  const tiers = Math.ceil(Math.log(COUNT) / Math.log(FANOUT));
  assert.ok(most <= FANOUT * tiers * 3, `${most} objects at the most`);
  assert.ok(late <= 2 * early + 10, `${early} storage calls per upsert early on, ${late} late`);
  assert.equal(await index.count(), COUNT);
  const { results } = await index.query({ queryVectors: vectors[COUNT >> 1], topK: 1 });
  assert.equal(results[0].id, `id-${COUNT >> 1}`);
  await index.compact();
  const left = (await storage.inner.list('')).length;
  // The header, the key slots, a manifest, and a segment.
  assert.equal(left, 4);
  const [first, last] = [times.slice(tenth, 2 * tenth), times.slice(-tenth)].map(mean);
  t.diagnostic(`${COUNT} upserts${ON_DISK ? ' on disk' : ''} in ${seconds.toFixed(1)} s: at most ` +
    `${most} objects, ${left} after compact; ${early.toFixed(1)} storage calls each early on, ` +
    `${late.toFixed(1)} late; ${first.toFixed(2)} ms each early on, ${last.toFixed(2)} late`);
  await client.close();
});

test('deleting half the rows and compacting halves the bytes', async (t) => {
  for (const trained of [false, true]) {
    const map = new Map();
    const options = { minTrainVectors: 100, worker: false, logger: SILENT };
    const client = new Client({ storage: mapStorage(map), ...options });
    const index = await client.createIndex({
      indexName: 'a', indexKey: generateKey(), dimension: 64,
    });
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
    assert.ok(ratio > 0.45 && ratio < 0.55, `${ratio} of the bytes are left, trained: ${trained}`);
    assert.equal((await index.stats()).deadRows, 0);
    t.diagnostic(`${ratio.toFixed(3)} of the bytes are left${trained ? ' of a trained index' : ''}`);
    await client.close();
  }
});

test('what a killed writer left behind is removed by compact', async () => {
  const map = new Map();
  const client = new Client({ storage: mapStorage(map) });
  const options = { indexName: 'a', indexKey: generateKey(), dimension: 4 };
  const index = await client.createIndex(options);
  await index.upsert({ ids: ['a'], vectors: [[1, 2, 3, 4]] });
  const object = [...map.keys()].find((key) => key.includes('/object/'));
  const orphan = `${object.slice(0, object.lastIndexOf('/') + 1)}${'ab'.repeat(16)}`;
  map.set(orphan, new Uint8Array(1000));
  await index.compact();
  assert.ok(!map.has(orphan));
  assert.equal(await index.count(), 1);
  await client.close();
});
