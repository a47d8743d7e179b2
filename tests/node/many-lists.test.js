// So many lists that queries rank them by the codes of their centroids first (js/list-codes.ts).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { randomNumbers } from '../bench/measure-recall.js';

const [ROWS, DIM, LISTS, K, QUERIES] = [6000, 48, 1500, 10, 40];
const METRICS = ['euclidean', 'cosine', 'inner_product'];

/** Rows in clumps. */
function clumps(count, seed) {
  const random = randomNumbers(seed);
  const centers = Float32Array.from({ length: 200 * DIM }, () => random() * 2 - 1);
  return Float32Array.from({ length: count * DIM }, (_, i) => {
    const center = Math.imul(Math.floor(i / DIM), 7919) >>> 0;
    return centers[center % 200 * DIM + i % DIM] + (random() - 0.5) * 0.6;
  });
}

function distance(metric, x, y) {
  let [dot, xx, yy, l2] = [0, 0, 0, 0];
  for (let i = 0; i < DIM; i++) {
    dot += x[i] * y[i];
    xx += x[i] * x[i];
    yy += y[i] * y[i];
    l2 += (x[i] - y[i]) ** 2;
  }
  if (metric === 'euclidean') return Math.sqrt(l2);
  return metric === 'cosine' ? 1 - dot / Math.sqrt(xx * yy) : -dot;
}

function nearest(metric, rows, query) {
  const all = Array.from({ length: ROWS }, (_, row) =>
    [distance(metric, rows.subarray(row * DIM, (row + 1) * DIM), query), String(row)]);
  return all.sort((x, y) => x[0] - y[0]).slice(0, K).map(([, id]) => id);
}

for (const metric of METRICS) {
  test(`many lists, ${metric}: all of them are exact, few find most, many at once the same`, async () => {
    const client = new Client({ storage: memoryStorage(), minTrainVectors: 1, worker: false });
    const index = await client.createIndex({ indexName: 'many', indexKey: generateKey(), metric });
    const rows = clumps(ROWS, 1);
    const ids = Array.from({ length: ROWS }, (_, row) => String(row));
    await index.upsert({ ids, vectors: rows });
    await index.train({ nLists: LISTS, seed: 1, maxIters: 3 });
    const random = randomNumbers(2);
    const queries = Array.from({ length: QUERIES }, () => {
      const row = Math.floor(random() * ROWS) * DIM;
      return rows.slice(row, row + DIM).map((x) => x + (random() - 0.5) * 0.2);
    });
    const truth = queries.map((query) => nearest(metric, rows, query));
    const found = ({ results }) => results.map((items) => items.map(({ id }) => id));
    const ask = (how) => index.query({ queryVectors: queries, topK: K, ...how });
    assert.deepEqual(found(await ask({ nProbes: LISTS })), truth);
    let before = 0;
    for (const nProbes of [1, 4, 16, 64, 256]) {
      const answer = await ask({ nProbes });
      const right = found(answer).flatMap((some, q) => some.filter((id) => truth[q].includes(id)));
      assert.ok(right.length >= before, `${nProbes}: ${right.length} after ${before}`);
      before = right.length;
      let scanned = 0;
      for (const [q, queryVectors] of queries.entries()) {
        const alone = await index.query({ queryVectors, topK: K, nProbes });
        assert.deepEqual(alone.results, answer.results[q]);
        scanned += alone.rowsScanned;
      }
      assert.equal(scanned, answer.rowsScanned);
    }
    assert.ok(before >= 0.95 * QUERIES * K, `${before} of ${QUERIES * K}`);
    await client.close();
  });
}
