// What was written is found by id, listed and counted: get, delete, listIds, count, stats.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertCode, ids, openIndex, randomVectors, toItems } from './support/oracle.js';

const get = async (index, id) => (await index.get({ ids: [id] }))[0];

describe('get', () => {
  test('gives items in the order asked and leaves out ids that do not exist', async () => {
    const { index } = await openIndex();
    await index.upsert({ items: toItems(randomVectors(20, 2, 1)) });
    const asked = ['id7', 'none', 'id0', 'id19', 'id', 'id3'];
    assert.deepEqual(ids(await index.get({ ids: asked })), ['id7', 'id0', 'id19', 'id3']);
    assert.deepEqual(await index.get({ ids: ['none'] }), []);
  });

  test('gives what include names, and only ids when it is empty', async () => {
    const { index } = await openIndex();
    await index.upsert({ items: toItems([[1, 2]]) });
    const keys = async (include) =>
      Object.keys((await index.get({ ids: ['id0'], include }))[0]).sort();
    assert.deepEqual(await keys(undefined), ['contents', 'id', 'metadata', 'vector']);
    assert.deepEqual(await keys([]), ['id']);
    assert.deepEqual(await keys(['metadata', 'metadata']), ['id', 'metadata']);
    assert.deepEqual(await keys(['vector', 'contents']), ['contents', 'id', 'vector']);
  });

  test("hands out arrays that are the caller's own", async () => {
    const { index } = await openIndex();
    const bytes = Uint8Array.of(1, 2, 3);
    await index.upsert({
      items: [{ id: 'a', vector: [1, 2], contents: bytes, metadata: { m: [1] } }],
    });
    const first = await get(index, 'a');
    first.vector.fill(9);
    first.contents.fill(9);
    first.metadata.m.push(2);
    assert.deepEqual(await get(index, 'a'), {
      id: 'a',
      vector: Float32Array.of(1, 2),
      contents: bytes,
      metadata: { m: [1] },
    });
    const include = ['metadata', 'vector', 'contents'];
    const query = async (filters) =>
      (await index.query({ queryVectors: [1, 2], include, filters })).results[0];
    (await query({ m: 1 })).metadata.m.push(3);
    (await query({ m: 1 })).vector.fill(3);
    assert.deepEqual(await query({ m: 1 }), {
      id: 'a',
      vector: Float32Array.of(1, 2),
      contents: bytes,
      metadata: { m: [1] },
    });
  });
});

describe('delete, listIds and count', () => {
  test('count what existed, once', async () => {
    const { index } = await openIndex();
    await index.upsert({ items: toItems(randomVectors(30, 2, 1)) });
    const before = (await index.stats()).generation;
    assert.deepEqual(await index.delete({ ids: ['none', 'nor this'] }), {
      count: 0,
      generation: before,
    });
    assert.equal((await index.delete({ ids: ['id1', 'none', 'id2'] })).count, 2);
    assert.equal((await index.delete({ ids: ['id1', 'id2', 'id3'] })).count, 1);
    assert.equal(await index.count(), 27);
    const { ids: left, count } = await index.listIds();
    assert.equal(count, 27);
    assert.deepEqual(
      left.sort(),
      ids(toItems(new Array(30).fill()))
        .filter((id) => !['id1', 'id2', 'id3'].includes(id))
        .sort(),
    );
    assert.deepEqual(await index.get({ ids: ['id1', 'id4'], include: [] }), [{ id: 'id4' }]);
  });

  test('leave an empty index that can be filled again', async () => {
    const { index } = await openIndex();
    const items = toItems(randomVectors(600, 2, 1));
    await index.upsert({ items });
    await index.delete({ ids: ids(items).slice(0, 599) });
    await index.delete({ ids: ids(items) });
    assert.equal(await index.count(), 0);
    assert.deepEqual(await index.listIds(), { ids: [], count: 0 });
    assert.deepEqual((await index.query({ queryVectors: [0, 0] })).results, []);
    await index.upsert({ items: [items[5]] });
    assert.deepEqual((await index.listIds()).ids, ['id5']);
  });
});

describe('stats', () => {
  test('says what the index is and holds', async () => {
    const { index } = await openIndex({ metric: 'cosine', precision: 'float16', autoTrain: true });
    await index.upsert({ items: toItems(randomVectors(10, 8, 1)) });
    await index.delete({ ids: ['id0', 'id1'] });
    const { storedBytes, cachedBytes, memoryBytes, ...rest } = await index.stats();
    assert.deepEqual(rest, {
      indexName: 'test',
      dimension: 8,
      metric: 'cosine',
      precision: 'float16',
      autoTrain: true,
      count: 8,
      nLists: 0,
      trainingState: 'untrained',
      generation: 3,
      segments: 1,
      deadRows: 2,
      recovered: false,
    });
    assert.ok(storedBytes > 10 * 16 && storedBytes < 10_000);
    assert.ok(cachedBytes >= 0 && memoryBytes >= cachedBytes);
  });

  test('names of all indexes are listed, whatever characters they have', async () => {
    const { client, indexKey } = await openIndex();
    const names = [
      'ä/..%2f',
      'Notes',
      'notes',
      'x'.repeat(80),
      ' ',
      '__proto__',
      '\ud83d\ude00',
      '.',
    ];
    for (const indexName of names) await client.createIndex({ indexName, indexKey });
    assert.deepEqual(await client.listIndexes(), [...names, 'test'].sort());
    for (const indexName of names) {
      assert.equal((await client.loadIndex({ indexName, indexKey })).indexName, indexName);
    }
    await assertCode(
      client.createIndex({ indexName: 'notes', indexKey }),
      'ALREADY_EXISTS',
      /notes/,
    );
    await assertCode(client.loadIndex({ indexName: 'NOTES', indexKey }), 'NOT_FOUND', /NOTES/);
  });
});
