// Filters by columns of distinct values against the test of each row's metadata.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { compileFilter } from '../../build/js/filter.js';

const ROWS = 900;
let state = Number(process.env.SEED ?? 1);
const below = (n) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
};

function metadataOf(row) {
  if (row % 17 === 0) return undefined;
  return {
    ...(row % 5 && { year: 2000 + below(20) }),
    ...(row % 3 && { tag: ['red', 'green', '1', 1, null, true][below(6)] }),
    list: Array.from({ length: below(3) }, () => below(4)),
    author: { name: 'Ada'.repeat(below(2)), ...(below(2) && { age: below(5) }) },
  };
}

const FILTERS = [
  {}, { year: 2003 }, { year: { $gte: 2005, $lt: 2010 } }, { tag: 1 }, { tag: '1' }, { tag: null },
  { tag: { $in: ['red', null] } }, { tag: { $nin: ['red'] } }, { tag: { $exists: false } },
  { list: 2 }, { list: { $size: 0 } }, { list: [1, 2] }, { 'list.0': 3 }, { 'author.name': 'Ada' },
  { 'author.age': { $gt: 2 } }, { author: { name: '' } }, { year: { $not: { $gt: 2004 } } },
  { $or: [{ tag: 'red' }, { year: 2001 }] }, { $nor: [{ tag: 'red' }, { year: 2001 }] },
  { $and: [{ list: { $ne: 1 } }, { $or: [{ tag: true }, { 'author.age': 1 }] }], year: { $ne: 2002 } },
  { missing: { $exists: true } },
];

test('a filter finds the rows it matches one by one, the second time too', async () => {
  const client = new Client({ storage: memoryStorage(), minTrainVectors: 100 });
  const index = await client.createIndex({ indexName: 'f', indexKey: generateKey(), dimension: 2 });
  const all = new Map();
  const write = async (from, to) => {
    const items = Array.from({ length: to - from }, (_, i) => {
      const metadata = metadataOf(from + i);
      return { id: `i${from + i}`, vector: [from + i, 1], ...(metadata && { metadata }) };
    });
    for (const { id, metadata } of items) all.set(id, metadata);
    await index.upsert({ items });
  };
  await write(0, 301);
  await write(301, ROWS);
  await write(290, 310);
  for (const trained of [false, true]) {
    if (trained) await index.train({ nLists: 4, workers: 1 });
    await index.delete({ ids: [`i${below(ROWS)}`, 'i7'] }).then(async () => {
      const { ids } = await index.listIds();
      for (const id of all.keys()) if (!ids.includes(id)) all.delete(id);
    });
    for (const filters of [...FILTERS, ...FILTERS]) {
      const matches = compileFilter(filters);
      const expected = [...all].filter(([, metadata]) => matches(metadata)).map(([id]) => id);
      const { results } = await index.query({ queryVectors: [5, 1], topK: ROWS, filters });
      assert.deepEqual(results.map(({ id }) => id).sort(), expected.sort(), JSON.stringify(filters));
    }
  }
  await client.close();
});
