// maxMemory bounds what training takes, whatever the shape of the data, or says what it would need.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertCode } from './support/oracle.js';
import { answers, clustered, filled } from './support/training.js';

const MB = 2 ** 20;

/** [rows, dimension, nLists, MB, options of the index, bytes of contents] */
const SHAPES = [
  [20_000, 128, 128, 20, {}, 0],
  [20_000, 128, 128, 48, {}, 0],
  [20_000, 128, 128, 128, {}, 0],
  [8_000, 784, 64, 40, { metric: 'cosine' }, 0],
  [8_000, 784, 512, 48, { metric: 'inner_product' }, 0],
  [60_000, 2, 256, 12, {}, 0],
  [20_000, 96, 100, 24, { precision: 'float16' }, 0],
  [10_000, 16, 32, 24, {}, 2000],
];

for (const [count, dimension, nLists, maxMemory, indexOptions, contents] of SHAPES) {
  const what = `${count} x ${dimension}, ${nLists} lists` +
    `${contents ? `, ${contents} bytes of contents` : ''}, ${Object.values(indexOptions).join()}`;
  test(`maxMemory ${maxMemory} holds for ${what}`, async (context) => {
    const rows = clustered(count, dimension, 1, 100, 0.5);
    const { index } = await filled(contents ? new Float32Array() : rows, dimension, {}, indexOptions);
    if (contents) {
      const items = Array.from({ length: count }, (_, i) => ({
        id: `v${i}`, vector: rows.subarray(i * dimension, (i + 1) * dimension),
        contents: `${i}`.padEnd(contents),
      }));
      for (let at = 0; at < count; at += 2000) await index.upsert({ items: items.slice(at, at + 2000) });
    }
    const queries = rows.subarray(0, 5 * dimension);
    const exact = await answers(index, queries);
    const results = [];
    for (const workers of [1, 2]) {
      const result = await index.train({ nLists, maxMemory, workers, maxIters: 3, seed: 1 });
      const { peakBytes, trainedOn, batchSize } = result;
      context.diagnostic(`${result.workers} workers: ${(peakBytes / MB).toFixed(1)} MB, ` +
        `trained on ${trainedOn}, batches of ${batchSize}`);
      assert.ok(peakBytes <= maxMemory * MB, `${(peakBytes / MB).toFixed(1)} of ${maxMemory} MB`);
      assert.equal(result.maxMemory, maxMemory);
      results.push(trainedOn);
    }
    assert.equal(results[0], results[1], 'the sample does not depend on the number of workers');
    assert.deepEqual(await answers(index, queries, { nProbes: nLists }), exact);
  });
}

test('maxMemory that is too small is refused with the least there must be, which then holds', async () => {
  for (const [count, dimension, nLists, , indexOptions] of SHAPES.filter(([, , , , , bytes]) => !bytes)) {
    const { index } = await filled(clustered(count, dimension, 1), dimension, {}, indexOptions);
    let least;
    await assert.rejects(index.train({ nLists, maxMemory: 1 }), (error) => {
      assert.equal(error.code, 'INVALID_ARGUMENT');
      least = Number(/^maxMemory: expected at least (\d+) MB for \d+ lists of \d+ components, got 1$/
        .exec(error.message)[1]);
      return true;
    });
    await assertCode(index.train({ nLists, maxMemory: least - 1 }), 'INVALID_ARGUMENT', /maxMemory/);
    const { peakBytes } = await index.train({ nLists, maxMemory: least, maxIters: 1 });
    assert.ok(peakBytes <= least * MB, `${(peakBytes / MB).toFixed(1)} of ${least} MB`);
    await index.close();
  }
});

test('maxMemory makes the sample and the batches as small as it must', async () => {
  const { index } = await filled(clustered(20_000, 128, 1), 128);
  const free = await index.train({ nLists: 200, maxIters: 1, workers: 1 });
  const tight = await index.train({ nLists: 200, maxIters: 1, workers: 1, maxMemory: 20 });
  assert.deepEqual([free.trainedOn, tight.maxMemory], [84 * 200, 20]);
  assert.ok(tight.trainedOn < free.trainedOn && tight.trainedOn >= 512, `${tight.trainedOn}`);
  assert.ok(tight.batchSize < free.batchSize, `${tight.batchSize}`);
  assert.ok(tight.peakBytes < free.peakBytes);
});
