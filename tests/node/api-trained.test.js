// Queries of a trained index, and filters before and after training.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  assertNearest,
  DISTANCES,
  ids,
  openIndex,
  randomVectors,
  rank,
  toItems,
} from './support/oracle.js';

const METRICS = Object.keys(DISTANCES);

describe('filters', () => {
  const vectors = randomVectors(2000, 4, 4);
  const items = vectors.map((vector, i) => ({
    id: `id${i}`,
    vector,
    metadata: { i, mod: i % 100, tags: [`t${i % 7}`, 'all'] },
  }));
  const queries = randomVectors(30, 4, 99);
  const cases = [
    [{ mod: 3 }, ({ mod }) => mod === 3],
    [{ i: { $gte: 50, $lt: 60 } }, ({ i }) => i >= 50 && i < 60],
    [
      { tags: 't3', mod: { $in: [3, 17, 31] } },
      ({ tags, mod }) => tags[0] === 't3' && [3, 17, 31].includes(mod),
    ],
    [{ $or: [{ i: 7 }, { i: 1999 }] }, ({ i }) => i === 7 || i === 1999],
    [{ i: { $lt: 0 } }, () => false],
    [{ tags: 'all' }, () => true],
    [{}, () => true],
    [{ missing: { $exists: false } }, () => true],
  ];

  test('are applied before top-k, trained or not', async () => {
    const { index } = await openIndex({ dimension: 4 }, { minTrainVectors: 100 });
    await index.upsert({ items });
    for (const trained of [false, true]) {
      if (trained) await index.train({ nLists: 32, seed: 1, workers: 1 });
      for (const [filters, matches] of cases) {
        const left = items.filter(({ metadata }) => matches(metadata));
        const { results } = await index.query({ queryVectors: vectors[0], topK: 20, filters });
        assert.equal(results.length, Math.min(20, left.length), JSON.stringify(filters));
        const known = new Set(ids(left));
        assert.ok(results.every(({ id }) => known.has(id)));
        if (!trained) assertNearest(results, left, vectors[0], 'euclidean', 20);
        const few = await index.query({ queryVectors: vectors[0], topK: 20, filters, nProbes: 1 });
        assert.equal(few.results.length, Math.min(20, left.length), `${trained} with one probe`);
        const all = await index.query({ queryVectors: vectors[0], topK: 20, filters, nProbes: 32 });
        assertNearest(all.results, left, vectors[0], 'euclidean', 20);
        assert.equal(all.exact, true);
        if (left.length > 100) continue;
        // So few that all of them are looked at, whatever recall is asked for.
        const low = { queryVectors: queries, topK: 3, filters, targetRecall: 0.01 };
        const answers = (await index.query(low)).results;
        answers.forEach((found, q) => assertNearest(found, left, queries[q], 'euclidean', 3));
      }
    }
  });

  test('see items without metadata as empty ones', async () => {
    const { index } = await openIndex();
    await index.upsert({
      ids: ['bare', 'full'],
      vectors: [[1], [2]],
      metadata: [null, { a: null }],
    });
    const query = async (filters) =>
      ids((await index.query({ queryVectors: [0], filters })).results);
    assert.deepEqual(await query({ a: null }), ['bare', 'full']);
    assert.deepEqual(await query({ a: { $exists: true } }), ['full']);
  });
});

describe('a trained query', () => {
  const vectors = randomVectors(4000, 8, 11);
  const items = toItems(vectors);
  const queries = randomVectors(20, 8, 12);

  for (const metric of METRICS) {
    test(`equals brute force under ${metric} when it probes every list`, async () => {
      const { index } = await openIndex({ metric }, { minTrainVectors: 100 });
      await index.upsert({ items });
      const { nLists } = await index.train({ nLists: 40, seed: 5, workers: 1 });
      assert.equal(nLists, 40);
      for (const nProbes of [40, 1000]) {
        for (const query of queries.slice(0, 5)) {
          const result = await index.query({ queryVectors: query, topK: 30, nProbes });
          assertNearest(result.results, items, query, metric, 30);
          assert.deepEqual([result.exact, result.rowsScanned], [true, 4000]);
        }
      }
    });
  }

  test('still gives topK results with few probes, and more of the nearest with more', async () => {
    const { index } = await openIndex({}, { minTrainVectors: 100 });
    await index.upsert({ items });
    await index.train({ nLists: 64, seed: 5, workers: 1 });
    for (const topK of [1, 100, 3000, 5000]) {
      const { results } = await index.query({ queryVectors: queries[0], topK, nProbes: 1 });
      assert.equal(results.length, Math.min(topK, 4000));
    }
    const recall = async (options) => {
      const { results, rowsScanned } = await index.query({
        queryVectors: queries,
        topK: 10,
        ...options,
      });
      const found = queries.map((query, q) => {
        const truth = new Set(ids(rank(items, query, 'euclidean').slice(0, 10)));
        return results[q].filter(({ id }) => truth.has(id)).length / 10;
      });
      return { recall: found.reduce((sum, r) => sum + r) / queries.length, rowsScanned };
    };
    const [few, some, most] = [
      await recall({ nProbes: 1 }),
      await recall({ nProbes: 8 }),
      await recall({ nProbes: 60 }),
    ];
    assert.ok(few.recall < some.recall && some.recall < most.recall);
    assert.ok(few.rowsScanned < some.rowsScanned && some.rowsScanned < most.rowsScanned);
    const [low, high] = [await recall({ targetRecall: 0.3 }), await recall({ targetRecall: 1 })];
    assert.ok(low.rowsScanned < high.rowsScanned && high.recall >= 0.99);
    assert.equal(
      (await index.query({ queryVectors: queries[0], nProbes: 1, topK: 5 })).exact,
      false,
    );
  });

  test('finds what was written, replaced and deleted after training', async () => {
    const { index } = await openIndex({}, { minTrainVectors: 100 });
    await index.upsert({ items });
    await index.train({ nLists: 40, seed: 5, workers: 1 });
    const model = new Map(items.map((item) => [item.id, item]));
    const late = toItems(randomVectors(50, 8, 77), 'late');
    const moved = items.slice(0, 50).map((item, i) => ({ ...item, vector: late[i].vector }));
    await index.upsert({ items: late });
    await index.upsert({ items: moved });
    await index.delete({ ids: ids(items.slice(100, 300)) });
    for (const item of [...late, ...moved]) model.set(item.id, item);
    for (const { id } of items.slice(100, 300)) model.delete(id);
    for (const query of queries.slice(0, 5)) {
      const { results } = await index.query({ queryVectors: query, topK: 50, nProbes: 40 });
      assertNearest(results, [...model.values()], query, 'euclidean', 50);
    }
    const { results } = await index.query({ queryVectors: late[3].vector, topK: 2 });
    assert.deepEqual(results, [
      { id: 'id3', distance: 0 },
      { id: 'late3', distance: 0 },
    ]);
  });
});
