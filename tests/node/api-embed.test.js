// An index that embeds: texts in place of vectors.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertCode, dump, ids, openIndex } from './support/oracle.js';

/** A text as counts of three letters. */
const vectorOf = (text) => [...'abc'].map((letter) => text.split(letter).length - 1);
const embed = async (texts) => texts.map(vectorOf);

describe('embed', () => {
  test('stands in for the vectors of items that have none', async () => {
    const calls = [];
    const { index } = await openIndex({ embed: (texts) => (calls.push(texts), embed(texts)) });
    await index.upsert({
      items: [
        { id: 'x', contents: 'aab' },
        { id: 'y', vector: [9, 9, 9], contents: 'not embedded' },
        { id: 'z', contents: 'c', metadata: { m: 1 } },
      ],
    });
    assert.deepEqual(calls, [['aab', 'c']]);
    assert.deepEqual(await index.get({ ids: ['x', 'y', 'z'] }), [
      { id: 'x', vector: Float32Array.of(2, 1, 0), contents: 'aab' },
      { id: 'y', vector: Float32Array.of(9, 9, 9), contents: 'not embedded' },
      { id: 'z', vector: Float32Array.of(0, 0, 1), contents: 'c', metadata: { m: 1 } },
    ]);
    await index.upsert({ items: [{ id: 'bytes', vector: [1, 2, 3], contents: Uint8Array.of(1) }] });
    assert.equal(calls.length, 1, 'nothing to embed, no call');
  });

  test('stands in for vectors beside ids', async () => {
    const { index } = await openIndex({ embed });
    await index.upsert({ ids: ['x', 'y'], contents: ['a', 'bb'] });
    await index.upsert({ ids: ['z'], vectors: [[5, 5, 5]], contents: ['cc'] });
    const items = await index.get({ ids: ['x', 'y', 'z'], include: ['vector'] });
    assert.deepEqual(
      items.map(({ vector }) => [...vector]),
      [
        [1, 0, 0],
        [0, 2, 0],
        [5, 5, 5],
      ],
    );
  });

  test('may return any form of vectors, at once or later', async () => {
    const forms = [
      (texts) => texts.map(vectorOf),
      (texts) => texts.map((text) => Float32Array.from(vectorOf(text))),
      (texts) => Float32Array.from(texts.flatMap(vectorOf)),
      async (texts) => texts.map(vectorOf),
    ];
    for (const form of forms) {
      const { index } = await openIndex({ embed: form });
      await index.upsert({ ids: ['x', 'y'], contents: ['a', 'bb'] });
      const one = await index.query({ queryContents: 'bb' });
      assert.deepEqual(one.results[0], { id: 'y', distance: 0 });
      const listed = await index.query({ queryContents: ['a'] });
      assert.deepEqual(listed.results.map(ids), [['x', 'y']]);
      const many = await index.query({ queryContents: ['a', 'bb', 'bbb'] });
      assert.deepEqual(many.results.map(ids), [
        ['x', 'y'],
        ['y', 'x'],
        ['y', 'x'],
      ]);
    }
  });

  test('works on a loaded handle, and for queries of an index filled without it', async () => {
    const { index, client, indexKey } = await openIndex();
    await index.upsert({
      ids: ['x', 'y'],
      vectors: [
        [1, 0, 0],
        [0, 2, 0],
      ],
    });
    const loaded = await client.loadIndex({ indexName: 'test', indexKey, embed });
    assert.equal((await loaded.query({ queryContents: 'bb' })).results[0].id, 'y');
    const keyless = await client.loadIndex({ indexName: 'test', embed });
    assert.equal((await keyless.query({ queryContents: 'a', indexKey })).results[0].id, 'x');
    await keyless.upsert({ ids: ['z'], contents: ['c'], indexKey });
    assert.equal(await index.count(), 3);
  });

  test('that fails fails its call with its own error, and nothing is written', async () => {
    const error = new Error('the model is gone');
    for (const failing of [
      () => {
        throw error;
      },
      async () => {
        throw error;
      },
    ]) {
      const { index, storage } = await openIndex({ embed: failing });
      const before = await dump(storage);
      await assert.rejects(index.upsert({ ids: ['x'], contents: ['a'] }), error);
      await assert.rejects(index.query({ queryContents: 'a' }), error);
      assert.equal(await dump(storage), before);
      await index.upsert({ ids: ['y'], vectors: [[1, 2, 3]] });
    }
  });

  test('that returns something else is at fault by name', async () => {
    const cases = [
      [undefined, /embed: expected an array.*got undefined/],
      [null, /embed.*null/],
      ['text', /embed.*got a string of 4/],
      [[], /embed: expected 2 vectors.*got 0/],
      [[[1, 2, 3]], /embed: expected 2 vectors, one per text, got 1/],
      [
        [
          [1, 2, 3],
          [1, 2],
        ],
        /embed\[1\]: expected 3 components, got 2/,
      ],
      [
        [
          [1, 2, 3],
          [1, 2, NaN],
        ],
        /embed\[1\]\[2\]: expected a finite number, got NaN/,
      ],
      [
        [
          [1, 2, 3],
          ['a', 2, 3],
        ],
        /embed\[1\]\[0\].*got a string of 1/,
      ],
      [[1, 2], /embed\[0\].*got 1/],
      [new Float32Array(7), /embed.*7 numbers/],
      [Float32Array.of(1, 2, 3, 4, 5, NaN), /embed\[1\]\[2\].*NaN/],
      [new Float32Array(), /embed.*Float32Array\(0\)/],
    ];
    for (const [answer, message] of cases) {
      const { index, storage } = await openIndex({ embed: () => answer, dimension: undefined });
      const before = await dump(storage);
      await assert.rejects(index.upsert({ ids: ['x', 'y'], contents: ['a', 'b'] }), (error) => {
        assert.match(error.code, /^(INVALID_ARGUMENT|DIMENSION_MISMATCH)$/);
        assert.match(error.message, message);
        return true;
      });
      await assert.rejects(index.query({ queryContents: ['a', 'b'] }), { message });
      assert.equal(await dump(storage), before);
    }
    const { index } = await openIndex({ embed, dimension: 5 });
    await assertCode(
      index.upsert({ ids: ['x'], contents: ['a'] }),
      'DIMENSION_MISMATCH',
      /embed\[0\].*5 components, got 3/,
    );
    const { index: cosine } = await openIndex({ embed, metric: 'cosine' });
    await assertCode(
      cosine.upsert({ ids: ['x', 'y'], contents: ['a', 'd'] }),
      'INVALID_ARGUMENT',
      /embed\[1\].*direction/,
    );
  });

  test('is not called for arguments that are refused, nor after closing', async () => {
    let calls = 0;
    const { index } = await openIndex({ embed: (texts) => (calls++, embed(texts)) });
    await assertCode(index.query({ queryContents: 'a', topK: 0 }), 'INVALID_ARGUMENT', /topK/);
    await assertCode(
      index.query({ queryContents: 'a', filters: 5 }),
      'INVALID_ARGUMENT',
      /filters/,
    );
    await assertCode(
      index.upsert({ items: [{ id: 'a', contents: 'a', metadata: 5 }] }),
      'INVALID_ARGUMENT',
      /metadata/,
    );
    await assertCode(
      index.upsert({ items: [{ id: 'a' }] }),
      'INVALID_ARGUMENT',
      /items\[0\]\.contents/,
    );
    await assertCode(index.upsert({ ids: ['a'] }), 'INVALID_ARGUMENT', /contents\[0\]/);
    await index.close();
    await assertCode(index.upsert({ ids: ['a'], contents: ['a'] }), 'CLOSED');
    await assertCode(index.query({ queryContents: 'a' }), 'CLOSED');
    assert.equal(calls, 0);
  });

  test('is what queryContents needs', async () => {
    const { index } = await openIndex({ dimension: 3 });
    const message = /queryContents: expected.*embed.*got/;
    await assertCode(index.query({ queryContents: 'a' }), 'INVALID_ARGUMENT', message);
    const { index: embeds } = await openIndex({ embed });
    const both = { queryContents: 'a', queryVectors: [1, 2, 3] };
    await assertCode(embeds.query(both), 'INVALID_ARGUMENT', /queryContents.*queryVectors.*both/);
  });
});
