// Queries: metrics against brute force, batches, include, ties.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  assertClose,
  assertCode,
  assertNearest,
  ids,
  openIndex,
  random,
  randomVectors,
  rank,
  toHalf,
  toItems,
  DISTANCES,
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
          const vectors = randomVectors(300, dimension, dimension).map((vector) =>
            vector.map((x) => Math.fround(x * scale)),
          );
          await index.upsert({ items: toItems(vectors) });
          const stored = toItems(vectors.map((vector) => vector.map(round)));
          for (const query of [...randomVectors(3, dimension, 99), vectors[5]]) {
            const { results, exact, rowsScanned } = await index.query({
              queryVectors: query,
              topK: 25,
            });
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
      const vectors = [
        [1e17, 2e17],
        [-3e17, 1e17],
        [1e-20, 2e-20],
        [1e-30, -1e-31],
        [5, 1],
      ].map((vector) => vector.map(Math.fround));
      await index.upsert({ items: toItems(vectors) });
      for (const query of vectors) {
        const { results } = await index.query({ queryVectors: query });
        const expected = new Map(
          rank(toItems(vectors), query, metric).map((r) => [r.id, r.distance]),
        );
        assert.equal(results.length, vectors.length);
        for (const { id, distance } of results) {
          const truth = expected.get(id);
          const error = Math.abs(distance - truth);
          assert.ok(
            error <= 1e-12 * Math.max(Math.abs(truth), metric === 'cosine' ? 1 : 0),
            metric,
          );
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
      queries,
      queries.map((q) => Float32Array.from(q)),
      queries.map((q) => Float64Array.from(q)),
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
    assert.deepEqual(await query(undefined), [
      { id: 'id0', distance: 0 },
      { id: 'bare', distance: 1 },
    ]);
    assert.deepEqual(await query([]), [{ id: 'id0' }, { id: 'bare' }]);
    assert.deepEqual(await query(['metadata']), [
      { id: 'id0', metadata: { i: 0, odd: false } },
      { id: 'bare' },
    ]);
    assert.deepEqual(await query(EVERY), [
      {
        id: 'id0',
        distance: 0,
        metadata: { i: 0, odd: false },
        contents: 'contents 0',
        vector: Float32Array.of(1, 2),
      },
      { id: 'bare', distance: 1, vector: Float32Array.of(1, 3) },
    ]);
  });

  test('an empty index gives nothing, in the form asked, whatever the dimension', async () => {
    const { index } = await openIndex();
    assert.deepEqual(await index.query({ queryVectors: [1, 2] }), {
      results: [],
      exact: true,
      rowsScanned: 0,
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

describe('vectors under cosine', () => {
  test('need a direction', async () => {
    const { index } = await openIndex({ metric: 'cosine' });
    const message = /vectors\[1\].*direction.*zeros/;
    await assertCode(
      index.upsert({
        ids: ['a', 'b'],
        vectors: [
          [1, 0],
          [0, -0],
        ],
      }),
      'INVALID_ARGUMENT',
      message,
    );
    await index.upsert({ ids: ['a'], vectors: [[1e-38, 0]] });
    await assertCode(
      index.query({ queryVectors: [0, 0] }),
      'INVALID_ARGUMENT',
      /queryVectors.*direction/,
    );
    await assertCode(
      index.query({
        queryVectors: [
          [1, 0],
          [0, 0],
        ],
      }),
      'INVALID_ARGUMENT',
      /queryVectors\[1\].*direction/,
    );
    const [{ distance }] = (await index.query({ queryVectors: [-2, 0] })).results;
    assertClose(distance, 2, 'opposite');
  });
});
