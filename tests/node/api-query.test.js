// Queries: metrics against brute force, batches, include, ties, filters, probes, recall.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  assertClose, assertCode, assertNearest, DISTANCES, ids, openIndex, random, randomVectors, rank,
  toHalf, toItems,
} from './support/oracle.js';

const METRICS = Object.keys(DISTANCES);
const EVERY = ['distance', 'metadata', 'contents', 'vector'];

describe('an exhaustive query', () => {
  for (const metric of METRICS) {
    for (const precision of ['float32', 'float16']) {
      test(`equals brute force under ${metric} in ${precision}`, async () => {
        const round = precision === 'float16' ? toHalf : (x) => x;
        const next = random(7);
        for (const dimension of [1, 3, 4, 17, 130]) {
          const { index } = await openIndex({ metric, precision });
          const scale = 10 ** (next() * 4 - 2);
          const vectors = randomVectors(300, dimension, dimension)
            .map((vector) => vector.map((x) => Math.fround(x * scale)));
          await index.upsert({ items: toItems(vectors) });
          const stored = toItems(vectors.map((vector) => vector.map(round)));
          for (const query of [...randomVectors(3, dimension, 99), vectors[5]]) {
            const { results, exact, rowsScanned } = await index.query({ queryVectors: query, topK: 25 });
            assertNearest(results, stored, query, metric, 25);
            assert.deepEqual([exact, rowsScanned], [true, 300]);
          }
        }
      });
    }
  }

  test('gives distances of very long and very short vectors without losing them', async () => {
    for (const metric of METRICS) {
      const { index } = await openIndex({ metric });
      const vectors = [[1e17, 2e17], [-3e17, 1e17], [1e-20, 2e-20], [1e-30, -1e-31], [5, 1]]
        .map((vector) => vector.map(Math.fround));
      await index.upsert({ items: toItems(vectors) });
      for (const query of vectors) {
        const { results } = await index.query({ queryVectors: query });
        const expected = new Map(rank(toItems(vectors), query, metric).map((r) => [r.id, r.distance]));
        assert.equal(results.length, vectors.length);
        for (const { id, distance } of results) {
          const truth = expected.get(id);
          const error = Math.abs(distance - truth);
          assert.ok(error <= 1e-12 * Math.max(Math.abs(truth), metric === 'cosine' ? 1 : 0), metric);
        }
      }
    }
  });
});

describe('the form of a query', () => {
  test('one vector gives a list, many give a list of lists, in the order given', async () => {
    const { index } = await openIndex({ dimension: 3 });
    const items = toItems(randomVectors(40, 3, 2));
    await index.upsert({ items });
    const queries = randomVectors(5, 3, 8);
    const expected = [];
    for (const queryVectors of queries) {
      const { results } = await index.query({ queryVectors, topK: 7 });
      expected.push(results);
      assert.deepEqual(ids(results), ids(rank(items, queryVectors, 'euclidean')).slice(0, 7));
    }
    const many = [
      queries, queries.map((q) => Float32Array.from(q)), queries.map((q) => Float64Array.from(q)),
      Float32Array.from(queries.flat()),
    ];
    for (const queryVectors of many) {
      const { results, rowsScanned, exact } = await index.query({ queryVectors, topK: 7 });
      assert.deepEqual(results, expected);
      assert.deepEqual([rowsScanned, exact], [200, true]);
    }
    for (const one of [Float32Array.from(queries[0]), Float64Array.from(queries[0])]) {
      assert.deepEqual((await index.query({ queryVectors: one, topK: 7 })).results, expected[0]);
    }
    const { results } = await index.query({ queryVectors: [queries[0]], topK: 7 });
    assert.deepEqual(results, [expected[0]]);
  });

  test('include says what comes with an id; nothing else does', async () => {
    const { index } = await openIndex();
    await index.upsert({ items: [...toItems([[1, 2]]), { id: 'bare', vector: [1, 3] }] });
    const query = async (include) => (await index.query({ queryVectors: [1, 2], include })).results;
    assert.deepEqual(await query(undefined), [{ id: 'id0', distance: 0 }, { id: 'bare', distance: 1 }]);
    assert.deepEqual(await query([]), [{ id: 'id0' }, { id: 'bare' }]);
    assert.deepEqual(await query(['metadata']), [
      { id: 'id0', metadata: { i: 0, odd: false } }, { id: 'bare' },
    ]);
    assert.deepEqual(await query(EVERY), [
      {
        id: 'id0', distance: 0, metadata: { i: 0, odd: false }, contents: 'contents 0',
        vector: Float32Array.of(1, 2),
      },
      { id: 'bare', distance: 1, vector: Float32Array.of(1, 3) },
    ]);
  });

  test('an empty index gives nothing, in the form asked, whatever the dimension', async () => {
    const { index } = await openIndex();
    assert.deepEqual(await index.query({ queryVectors: [1, 2] }), {
      results: [], exact: true, rowsScanned: 0,
    });
    const { results } = await index.query({ queryVectors: [[1], [2]], filters: { a: 1 } });
    assert.deepEqual(results, [[], []]);
  });

  test('topK above the count gives all there are, and nothing pads the rest', async () => {
    const { index } = await openIndex();
    await index.upsert({ items: toItems(randomVectors(5, 2, 1)) });
    for (const topK of [5, 6, 1_048_576]) {
      assert.equal((await index.query({ queryVectors: [0, 0], topK })).results.length, 5);
    }
    assert.equal((await index.query({ queryVectors: [0, 0], topK: 4 })).results.length, 4);
    const { index: many } = await openIndex();
    await many.upsert({ items: toItems(randomVectors(150, 2, 1)) });
    assert.equal((await many.query({ queryVectors: [0, 0] })).results.length, 100, 'the default');
  });

  test('equal distances come in the order of their ids', async () => {
    const { index } = await openIndex();
    const names = ['b', 'a', 'c10', 'c9', 'Z', '\u00e9', 'e\u0301'];
    await index.upsert({ ids: names, vectors: names.map(() => [1, 1]) });
    await index.upsert({ ids: ['near'], vectors: [[0, 0]] });
    await index.upsert({ ids: ['B'], vectors: [[-1, 1]] });
    const { results } = await index.query({ queryVectors: [0, 0] });
    assert.deepEqual(ids(results), ['near', ...[...names, 'B'].sort()]);
  });
});

describe('filters', () => {
  const vectors = randomVectors(2000, 4, 4);
  const items = vectors.map((vector, i) => ({
    id: `id${i}`, vector, metadata: { i, mod: i % 100, tags: [`t${i % 7}`, 'all'] },
  }));
  const cases = [
    [{ mod: 3 }, ({ mod }) => mod === 3],
    [{ i: { $gte: 50, $lt: 60 } }, ({ i }) => i >= 50 && i < 60],
    [{ tags: 't3', mod: { $in: [3, 17, 31] } }, ({ tags, mod }) =>
      tags[0] === 't3' && [3, 17, 31].includes(mod)],
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
      }
    }
  });

  test('see items without metadata as empty ones', async () => {
    const { index } = await openIndex();
    await index.upsert({ ids: ['bare', 'full'], vectors: [[1], [2]], metadata: [null, { a: null }] });
    const query = async (filters) => ids((await index.query({ queryVectors: [0], filters })).results);
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
      const { results, rowsScanned } = await index.query({ queryVectors: queries, topK: 10, ...options });
      const found = queries.map((query, q) => {
        const truth = new Set(ids(rank(items, query, 'euclidean').slice(0, 10)));
        return results[q].filter(({ id }) => truth.has(id)).length / 10;
      });
      return { recall: found.reduce((sum, r) => sum + r) / queries.length, rowsScanned };
    };
    const [few, some, most] = [await recall({ nProbes: 1 }), await recall({ nProbes: 8 }),
      await recall({ nProbes: 60 })];
    assert.ok(few.recall < some.recall && some.recall < most.recall);
    assert.ok(few.rowsScanned < some.rowsScanned && some.rowsScanned < most.rowsScanned);
    const [low, high] = [await recall({ targetRecall: 0.3 }), await recall({ targetRecall: 1 })];
    assert.ok(low.rowsScanned < high.rowsScanned && high.recall >= 0.99);
    assert.equal((await index.query({ queryVectors: queries[0], nProbes: 1, topK: 5 })).exact, false);
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
    assert.deepEqual(results, [{ id: 'id3', distance: 0 }, { id: 'late3', distance: 0 }]);
  });
});

describe('vectors under cosine', () => {
  test('need a direction', async () => {
    const { index } = await openIndex({ metric: 'cosine' });
    const message = /vectors\[1\].*direction.*zeros/;
    await assertCode(index.upsert({ ids: ['a', 'b'], vectors: [[1, 0], [0, -0]] }), 'INVALID_ARGUMENT', message);
    await index.upsert({ ids: ['a'], vectors: [[1e-38, 0]] });
    await assertCode(index.query({ queryVectors: [0, 0] }), 'INVALID_ARGUMENT', /queryVectors.*direction/);
    await assertCode(
      index.query({ queryVectors: [[1, 0], [0, 0]] }), 'INVALID_ARGUMENT', /queryVectors\[1\].*direction/,
    );
    const [{ distance }] = (await index.query({ queryVectors: [-2, 0] })).results;
    assertClose(distance, 2, 'opposite');
  });
});
