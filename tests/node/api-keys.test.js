// Keys: given at creation, at load or with each call; wrong ones open nothing.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { generateKey } from '../../build/js/index.js';
import { MANAGES, READS, WRITES } from './support/calls.js';
import { assertCode, dump, openIndex, randomVectors, toItems } from './support/oracle.js';

const CALLS = { ...READS, ...WRITES, ...MANAGES };
/** Whether users may make a call, or are told that they may not. */
const takesUsers = (name) => !(name in MANAGES) || name === 'deleteIndex';

async function filled() {
  const opened = await openIndex({}, { minTrainVectors: 10 });
  await opened.index.upsert({ items: toItems(randomVectors(40, 2, 1)) });
  return opened;
}

describe('generateKey', () => {
  test('gives 32 bytes, new ones each time', () => {
    const keys = Array.from({ length: 100 }, () => Buffer.from(generateKey()).toString('hex'));
    assert.equal(new Set(keys).size, 100);
    assert.ok(keys.every((key) => /^[0-9a-f]{64}$/.test(key)));
  });
});

describe('a handle without a key', () => {
  for (const [name, call] of Object.entries(CALLS)) {
    test(`refuses ${name} without a key or with a wrong one, not with the right one`, async () => {
      const { client, indexKey, storage } = await filled();
      const index = await client.loadIndex({ indexName: 'test' });
      const before = await dump(storage);
      await assertCode(call(index), 'WRONG_KEY', /indexKey/);
      await assertCode(call(index, { indexKey: generateKey() }), 'WRONG_KEY');
      const userId = new Uint8Array(16).fill(7);
      if (takesUsers(name)) {
        await assertCode(call(index, { indexKey, userId }), 'WRONG_KEY', /userId/);
      }
      assert.equal(await dump(storage), before);
      await call(index, { indexKey });
    });
  }

  test('keeps the number of segments small over many writes, as others do', async () => {
    const { client, indexKey } = await filled();
    const index = await client.loadIndex({ indexName: 'test' });
    for (let i = 0; i < 100; i++) {
      await index.upsert({ ids: [`more${i}`], vectors: [[i, 1]], indexKey });
    }
    const { segments, count } = await index.stats({ indexKey });
    assert.equal(count, 140);
    assert.ok(segments < 30, `${segments} segments`);
  });
});

describe('a handle with a key', () => {
  for (const [name, call] of Object.entries(CALLS)) {
    test(`refuses ${name} under a wrong key of that call alone`, async () => {
      const { index, storage } = await filled();
      const before = await dump(storage);
      await assertCode(call(index, { indexKey: generateKey() }), 'WRONG_KEY');
      assert.equal(await dump(storage), before);
      await call(index, {});
    });
  }

  test('sees at once what a call under a key of its own has written', async () => {
    const { index, indexKey } = await filled();
    assert.equal((await index.query({ queryVectors: [9, 9], topK: 1 })).results.length, 1);
    await index.upsert({ ids: ['far'], vectors: [[9, 9]], indexKey });
    const { results } = await index.query({ queryVectors: [9, 9], topK: 1 });
    assert.deepEqual(results, [{ id: 'far', distance: 0 }]);
  });
});

describe('loadIndex', () => {
  test('tells a wrong key, an unknown user and an index that is not there', async () => {
    const { client, indexKey } = await filled();
    const load = (options) => client.loadIndex({ indexName: 'test', ...options });
    await assertCode(load({ indexKey: generateKey() }), 'WRONG_KEY');
    await assertCode(load({ indexKey, userId: new Uint8Array(16) }), 'WRONG_KEY', /userId/);
    await assertCode(load({ indexName: 'none', indexKey }), 'NOT_FOUND', /none/);
    await assertCode(load({ indexName: 'none' }), 'NOT_FOUND', /none/);
    assert.equal(await (await load({ indexKey })).count(), 40);
  });

  test('refuses a store older than minGeneration, with a key and without', async () => {
    const { client, indexKey, index } = await filled();
    const { generation } = await index.stats();
    for (const key of [{}, { indexKey }]) {
      await client.loadIndex({ indexName: 'test', minGeneration: generation, ...key });
      const newer = client.loadIndex({ indexName: 'test', minGeneration: generation + 1, ...key });
      await assertCode(newer, 'ROLLED_BACK', /generation 2.*3/);
    }
  });

  test('keeps the indexes of one storage apart, each under its own key', async () => {
    const { client, indexKey, index } = await filled();
    const otherKey = generateKey();
    const other = await client.createIndex({ indexName: 'other', indexKey: otherKey });
    await other.upsert({ ids: ['id1'], vectors: [[1, 2, 3]] });
    await assertCode(client.loadIndex({ indexName: 'other', indexKey }), 'WRONG_KEY');
    await assertCode(index.count({ indexKey: otherKey }), 'WRONG_KEY');
    assert.deepEqual([await index.count(), await other.count()], [40, 1]);
    await other.deleteIndex();
    assert.equal(await index.count(), 40);
  });
});
