// Rows that workers keep decrypted from the sample to the lists come out as they went in.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Core } from '../../build/js/core.js';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { loadModule } from '../../build/js/loader.js';
import { ObjectReader, readBytes } from '../../build/js/object.js';
import { IndexStore } from '../../build/js/store.js';
import { cutLists } from '../../build/js/training-assign.js';
import { random } from './support/oracle.js';
import { clustered, names, rowOf } from './support/training.js';

// Some windows of sealed vectors to a segment, which end neither with them nor with chunks.
const DIMENSION = 301;
const SEGMENT = 3_001;
const COUNT = 3 * SEGMENT;
const rows = clustered(COUNT, DIMENSION, 7);
const ids = names(0, COUNT);

/** An index of segments of SEGMENT rows each, which only training rewrites. */
async function segmented(precision) {
  const [storage, indexKey] = [memoryStorage(), generateKey()];
  const client = new Client({ storage, minTrainVectors: 100 });
  const index = await client.createIndex({
    indexName: 'test', indexKey, dimension: DIMENSION, precision,
  });
  for (let from = 0; from < COUNT; from += SEGMENT) {
    await index.upsert({
      ids: ids.slice(from, from + SEGMENT),
      vectors: rows.subarray(from * DIMENSION, (from + SEGMENT) * DIMENSION),
    });
  }
  return { client, index, storage, indexKey };
}

/** In how many segments each list has rows. */
async function segmentsOfLists(storage, indexKey, nLists) {
  const core = await Core.instantiate(await loadModule(undefined));
  const store = await IndexStore.open(core, storage, 'test', { indexKey }, { logger: console });
  const counts = new Array(nLists).fill(0);
  for (const { object } of store.manifest.segments) {
    const bytes = await readBytes(new ObjectReader(store, object), 0, 0, object.lengths[0]);
    // Behind the point about which codes lie.
    const pairs = new Uint32Array(bytes.slice(DIMENSION * 4).buffer);
    for (let at = 0; at < pairs.length; at += 2) if (pairs[at + 1] > 0) counts[pairs[at]]++;
  }
  return { counts, segments: store.manifest.segments.length };
}

/** Vectors out of all windows, each of their components compared. */
async function expectVectors(index, left, tolerance) {
  const some = left.filter((_, i) => i % 13 === 0 || i % SEGMENT < 2);
  const found = await index.get({ ids: some, include: ['vector'] });
  assert.deepEqual(found.map(({ id }) => id), some);
  for (const { id, vector } of found) {
    const worst = rowOf(rows, DIMENSION, id)
      .reduce((most, x, i) => Math.max(most, Math.abs(x - vector[i])), 0);
    assert.ok(worst <= tolerance, `${id} is off by ${worst}`);
  }
}

for (const [precision, tolerance] of [['float32', 0], ['float16', 0.02]]) {
  test(`all vectors of ${precision} are kept by any number of workers, the dead left out`, async () => {
    const { client, index } = await segmented(precision);
    for (const workers of [1, 2, 3]) {
      const { assigned } = await index.train({ nLists: 16, workers, seed: workers });
      assert.equal(assigned, COUNT);
      await expectVectors(index, ids, tolerance);
    }
    const dead = new Set(ids.filter((_, i) => i % 1000 === 17));
    await index.delete({ ids: [...dead] });
    const left = ids.filter((id) => !dead.has(id));
    for (const workers of [1, 3]) {
      const { assigned } = await index.train({ nLists: 16, workers, seed: workers });
      assert.equal(assigned, left.length);
      await expectVectors(index, left, tolerance);
    }
    await client.close();
  });
}

test('a list lies in one segment of each worker, however many segments there are', async () => {
  const { client, index, storage, indexKey } = await segmented('float32');
  for (const workers of [1, 2]) {
    await index.train({ nLists: 24, workers, seed: workers });
    const { counts, segments } = await segmentsOfLists(storage, indexKey, 24);
    assert.ok(segments >= 2, `${segments} segments`);
    assert.ok(counts.every((count) => count >= 1 && count <= workers), counts.join());
  }
  await client.close();
});

test('lists are cut into ranges that have them all, none of them empty, of about as many rows', () => {
  const next = random(9);
  for (let round = 0; round < 500; round++) {
    const counts = Uint32Array.from({ length: 1 + Math.floor(next() * 40) }, () =>
      (next() < 0.3 ? 0 : Math.floor(next() * 50)));
    counts[Math.floor(next() * counts.length)] = 7;
    const total = counts.reduce((sum, count) => sum + count, 0);
    const largest = counts.reduce((most, count) => Math.max(most, count), 0);
    const most = 1 + Math.floor(next() * total * 1.5);
    const ranges = cutLists(counts, most);
    assert.equal(ranges[0].from, 0);
    assert.equal(ranges.at(-1).to, counts.length);
    ranges.forEach(({ from, to }, i) => {
      if (i > 0) assert.equal(from, ranges[i - 1].to);
      const rows = counts.slice(from, to).reduce((sum, count) => sum + count, 0);
      assert.ok(rows > 0 && rows <= most + largest, `${rows} of ${most}`);
    });
  }
});
