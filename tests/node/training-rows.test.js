// Rows that workers keep decrypted from the sample to the lists come out as they went in.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { clustered, names, rowOf } from './support/training.js';

// Some windows of sealed vectors to a segment, which end neither with them nor with chunks.
const DIMENSION = 301;
const SEGMENT = 3_001;
const COUNT = 3 * SEGMENT;
const rows = clustered(COUNT, DIMENSION, 7);
const ids = names(0, COUNT);

/** An index of segments of SEGMENT rows each, which only training rewrites. */
async function segmented(precision) {
  const client = new Client({ storage: memoryStorage(), minTrainVectors: 100 });
  const index = await client.createIndex({
    indexName: 'test', indexKey: generateKey(), dimension: DIMENSION, precision,
  });
  for (let from = 0; from < COUNT; from += SEGMENT) {
    await index.upsert({
      ids: ids.slice(from, from + SEGMENT),
      vectors: rows.subarray(from * DIMENSION, (from + SEGMENT) * DIMENSION),
    });
  }
  return { client, index };
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
