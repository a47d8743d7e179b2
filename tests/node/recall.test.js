// That targetRecall is kept: a small version of `make recall`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readNpy } from '../../examples/read-npy.js';
import { broken, measureRecall } from '../bench/measure-recall.js';

const DATA = new URL('../../examples/data/', import.meta.url);

test('targetRecall is what a query gets, for rows held out and for queries from elsewhere', async (context) => {
  const [base, queries] = await Promise.all(
    ['image-descriptors-20k', 'image-descriptors-queries'].map((name) =>
      readNpy(new URL(`${name}.npy.gz`, DATA))));
  const set = { metric: 'euclidean', base, queries };
  const options = { seed: 1, heldOut: 300, topKs: [10], targets: [0.9, 0.95, 0.99] };
  const { lines } = await measureRecall(set, options);
  assert.equal(lines.length, 6);
  for (const line of lines) {
    const { who, target, recall, rows, ratio } = line;
    context.diagnostic(`${who}, ${target}: recall ${recall.toFixed(4)}, ${rows.toFixed(0)} rows, ` +
      `${ratio.toFixed(2)} of the best fixed nProbes`);
    assert.equal(broken(line), undefined, `${who}, ${target}`);
  }
});
