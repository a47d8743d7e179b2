// What goes in comes out: upsert in all its forms, both precisions.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  assertCode,
  ids,
  openIndex,
  random,
  randomVectors,
  toHalf,
  toItems,
} from './support/oracle.js';

const get = async (index, id) => (await index.get({ ids: [id] }))[0];

describe('upsert', () => {
  const vectors = randomVectors(3, 4, 1);
  const names = ['a', 'b', 'c'];
  const forms = {
    'number[][]': vectors,
    'Float32Array[]': vectors.map((vector) => Float32Array.from(vector)),
    'Float64Array[]': vectors.map((vector) => Float64Array.from(vector)),
    'one flat Float32Array': Float32Array.from(vectors.flat()),
    'a view into a larger buffer': new Float32Array([9, 9, ...vectors.flat(), 9]).subarray(2, 14),
    'shared memory': new Float32Array(new SharedArrayBuffer(48)),
  };
  forms['shared memory'].set(vectors.flat());

  for (const [name, given] of Object.entries(forms)) {
    test(`takes vectors as ${name}`, async () => {
      const { index } = await openIndex();
      const result = await index.upsert({ ids: names, vectors: given });
      assert.deepEqual(result, { count: 3, generation: 2 });
      const items = await index.get({ ids: names });
      assert.deepEqual(
        items,
        names.map((id, i) => ({ id, vector: Float32Array.from(vectors[i]) })),
      );
    });
  }

  test('takes items, and gives back vector, metadata and contents as they were', async () => {
    const { index } = await openIndex();
    const [first] = vectors.map((vector) => Float32Array.from(vector));
    const metadata = {
      n: -1.5,
      s: 'ä\ud83d\ude00',
      lone: '\ud800',
      b: true,
      nil: null,
      list: [1, [2, { x: 'y' }]],
      deep: { a: { b: {} } },
      gone: undefined,
      '': 0,
      $dollar: 1,
      'a.b': 2,
    };
    const items = [
      { id: 'text', vector: vectors[0], contents: 'grüße\0\n', metadata },
      { id: 'bytes', vector: vectors[1], contents: Uint8Array.of(0, 255, 7) },
      { id: 'empty', vector: vectors[2], contents: '', metadata: {} },
      { id: 'no bytes', vector: vectors[2], contents: new Uint8Array() },
      { id: 'bare', vector: vectors[2] },
    ];
    await index.upsert({ items });
    const { gone, ...kept } = metadata;
    assert.deepEqual(await index.get({ ids: items.map(({ id }) => id) }), [
      { id: 'text', vector: first, contents: 'grüße\0\n', metadata: kept },
      { id: 'bytes', vector: Float32Array.from(vectors[1]), contents: Uint8Array.of(0, 255, 7) },
      { id: 'empty', vector: Float32Array.from(vectors[2]), contents: '', metadata: {} },
      { id: 'no bytes', vector: Float32Array.from(vectors[2]), contents: new Uint8Array() },
      { id: 'bare', vector: Float32Array.from(vectors[2]) },
    ]);
    assert.equal(gone, undefined);
  });

  test('takes metadata and contents beside ids, with holes where there is none', async () => {
    const { index } = await openIndex();
    await index.upsert({
      ids: names,
      vectors,
      metadata: [{ m: 1 }, null, undefined],
      contents: [undefined, 'text', null],
    });
    const items = await index.get({ ids: names, include: ['metadata', 'contents'] });
    assert.deepEqual(items, [
      { id: 'a', metadata: { m: 1 } },
      { id: 'b', contents: 'text' },
      { id: 'c' },
    ]);
  });

  test('takes every id of 1 to 1,024 bytes, whatever characters it has', async () => {
    const { index } = await openIndex();
    const odd = [
      '__proto__',
      'constructor',
      'toString',
      '\0',
      ' ',
      '../../etc',
      'a'.repeat(1024),
      'ä'.repeat(512),
      '\ud83d\ude00'.repeat(256),
      'e\u0301',
      '\u00e9',
      '\ufeff',
      '\ufeffx',
      '0',
    ];
    await index.upsert({ ids: odd, vectors: odd.map((_, i) => [i, 1]) });
    assert.deepEqual(ids(await index.get({ ids: odd })), odd);
    assert.deepEqual((await index.listIds()).ids.sort(), [...odd].sort());
    for (const [i, id] of odd.entries()) {
      const { results } = await index.query({ queryVectors: [i, 1], topK: 1 });
      assert.equal(results[0].id, id);
    }
  });

  test('replaces everything of an id that exists', async () => {
    const { index } = await openIndex();
    await index.upsert({
      items: [{ id: 'a', vector: [1, 2], contents: 'old', metadata: { m: 1 } }],
    });
    await index.upsert({ items: [{ id: 'a', vector: [3, 4] }] });
    assert.deepEqual(await index.get({ ids: ['a'] }), [{ id: 'a', vector: Float32Array.of(3, 4) }]);
    assert.equal(await index.count(), 1);
    const { results } = await index.query({ queryVectors: [1, 2] });
    assert.deepEqual(results, [{ id: 'a', distance: Math.hypot(2, 2) }]);
  });

  test('takes the dimension of the first upsert and holds later ones to it', async () => {
    const { index } = await openIndex();
    assert.equal((await index.stats()).dimension, undefined);
    await index.upsert({ ids: ['a'], vectors: [[1, 2, 3]] });
    assert.equal((await index.stats()).dimension, 3);
    for (const bad of [[[1, 2]], [[1, 2, 3, 4]], new Float32Array(4)]) {
      await assertCode(index.upsert({ ids: ['b'], vectors: bad }), 'DIMENSION_MISMATCH', /vectors/);
    }
    await assertCode(index.query({ queryVectors: [1, 2] }), 'DIMENSION_MISMATCH', /3.*2/);
    assert.equal(await index.count(), 1);
  });

  test('refuses the second of two first upserts that differ in dimension', async () => {
    const { index, client, indexKey } = await openIndex();
    const other = await client.loadIndex({ indexName: 'test', indexKey });
    const first = index.upsert({ ids: ['a'], vectors: [[1, 2]] });
    const second = index.upsert({ ids: ['b'], vectors: [[1, 2, 3]] });
    await first;
    await assertCode(second, 'DIMENSION_MISMATCH');
    await assertCode(other.upsert({ ids: ['b'], vectors: [[1]] }), 'DIMENSION_MISMATCH');
    assert.deepEqual((await other.listIds()).ids, ['a']);
  });

  test('takes vectors of dimension 1 and of 16,384', async () => {
    for (const dimension of [1, 16_384]) {
      const { index } = await openIndex({ dimension });
      const vector = Float32Array.from({ length: dimension }, (_, i) => i / dimension - 0.5);
      await index.upsert({ ids: ['a'], vectors: [vector] });
      assert.deepEqual((await get(index, 'a')).vector, vector);
      const { results } = await index.query({ queryVectors: vector });
      assert.deepEqual(results, [{ id: 'a', distance: 0 }]);
    }
  });

  test('keeps 30,000 rows with documents of one call apart, over several segments', async () => {
    const { index } = await openIndex();
    const items = toItems(randomVectors(30_000, 2, 5)).map((item) => ({
      ...item,
      contents: item.contents.repeat(40),
    }));
    await index.upsert({ items });
    const next = random(9);
    const picks = Array.from({ length: 50 }, () => items[Math.floor(next() * items.length)]);
    const unique = [...new Set(picks)];
    const found = await index.get({ ids: ids(unique) });
    assert.deepEqual(
      found,
      unique.map((item) => ({ ...item, vector: Float32Array.from(item.vector) })),
    );
    assert.equal((await index.listIds()).count, items.length);
  });
});

describe('float16', () => {
  test('gives back each component as the nearest half-precision number', async () => {
    const { index } = await openIndex({ precision: 'float16', metric: 'squared_euclidean' });
    const next = random(3);
    const edges = [
      65_504,
      -65_519,
      2 ** -24,
      2 ** -25,
      1.5 * 2 ** -24,
      6.1e-5,
      1,
      1 + 2 ** -11,
      -0,
    ];
    const vectors = [
      edges,
      ...Array.from({ length: 40 }, () =>
        Array.from(edges, () => (next() - 0.5) * 2 ** Math.round(next() * 30 - 20)),
      ),
    ];
    const names = vectors.map((_, i) => `v${i}`);
    await index.upsert({ ids: names, vectors });
    const items = await index.get({ ids: names, include: ['vector'] });
    items.forEach(({ vector }, i) =>
      assert.deepEqual(
        [...vector],
        vectors[i].map((x) => toHalf(Math.fround(x))),
      ),
    );
  });

  test('refuses what half precision cannot hold, naming the component', async () => {
    const { index } = await openIndex({ precision: 'float16' });
    const vectors = [
      [1, 2],
      [3, -65_520],
    ];
    await assertCode(
      index.upsert({ ids: ['a', 'b'], vectors }),
      'INVALID_ARGUMENT',
      /vectors\[1\]\[1\].*65504.*-65520/,
    );
    assert.equal(await index.count(), 0);
  });
});
