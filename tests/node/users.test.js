// Users of an index: what each key opens, at load and for one call, and what a deleted one loses.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { MANAGES, READS, WRITES } from './support/calls.js';
import { assertCode, dump, randomVectors, toItems } from './support/oracle.js';
import { Wrapped } from './support/stores.js';

const SILENT = { warn() {} };
const bytes = (length, fill) => new Uint8Array(length).fill(fill);
const CATS = { userId: bytes(16, 1), userKey: bytes(32, 101) };
const DOGS = { userId: bytes(16, 2), userKey: bytes(32, 102) };
const asKey = ({ userId, userKey }) => ({ userId, indexKey: userKey });

const open = (storage) =>
  new Client({ storage, worker: false, minTrainVectors: 10, logger: SILENT });

/** An index of 40 items with a reader and a writer. */
async function filled() {
  const storage = memoryStorage();
  const client = open(storage);
  const indexKey = generateKey();
  const index = await client.createIndex({ indexName: 'test', indexKey, dimension: 2 });
  await index.upsert({ items: toItems(randomVectors(40, 2, 1)) });
  await index.createUserKeys({ ...CATS, permissions: ['read'] });
  await index.createUserKeys({ ...DOGS, permissions: ['read', 'write'] });
  return { storage, client, indexKey, index };
}

describe('a user', () => {
  for (const [name, call] of Object.entries(READS)) {
    test(`may ${name}, with read permission, at load and per call`, async () => {
      const { client, index } = await filled();
      for (const user of [CATS, DOGS]) {
        await call(await client.loadIndex({ indexName: 'test', ...asKey(user) }), {});
        await call(await client.loadIndex({ indexName: 'test' }), asKey(user));
        await call(index, asKey(user));
      }
    });
  }

  for (const [name, call] of Object.entries(WRITES)) {
    test(`may not ${name} without write permission, and may with it`, async () => {
      const { client, storage, index } = await filled();
      const before = await dump(storage);
      const theirs = await client.loadIndex({ indexName: 'test', ...asKey(CATS) });
      await assertCode(call(theirs, {}), 'PERMISSION_DENIED');
      const keyless = await client.loadIndex({ indexName: 'test' });
      await assertCode(call(keyless, asKey(CATS)), 'PERMISSION_DENIED');
      await assertCode(call(index, asKey(CATS)), 'PERMISSION_DENIED');
      assert.equal(await dump(storage), before);
      await call(keyless, asKey(DOGS));
      await call(await client.loadIndex({ indexName: 'test', ...asKey(DOGS) }), {});
    });
  }

  for (const [name, call] of Object.entries(MANAGES)) {
    test(`may never call ${name}`, async () => {
      const { client, storage } = await filled();
      const before = await dump(storage);
      for (const user of [CATS, DOGS]) {
        const theirs = await client.loadIndex({ indexName: 'test', ...asKey(user) });
        await assertCode(call(theirs), 'PERMISSION_DENIED', /index key/);
      }
      assert.equal(await dump(storage), before);
    });
  }

  test('sees what others write, and others what they write', async () => {
    const { client, index } = await filled();
    const cats = await client.loadIndex({ indexName: 'test', ...asKey(CATS) });
    const dogs = await client.loadIndex({ indexName: 'test', ...asKey(DOGS) });
    await dogs.upsert({ ids: ['woof'], vectors: [[0.5, 0.5]] });
    assert.equal((await index.get({ ids: ['woof'] })).length, 1);
    assert.equal((await cats.get({ ids: ['woof'] })).length, 1);
    await index.delete({ ids: ['woof'] });
    assert.equal((await dogs.get({ ids: ['woof'] })).length, 0);
  });

  test('is listed with what they may do', async () => {
    const { index } = await filled();
    assert.deepEqual(await index.listUserKeys(), [
      { userId: CATS.userId, permissions: ['read'] },
      { userId: DOGS.userId, permissions: ['read', 'write'] },
    ]);
  });

  test('cannot be made twice, and can be made anew once deleted', async () => {
    const { index, client } = await filled();
    const again = { ...CATS, userKey: generateKey(), permissions: ['read', 'write'] };
    await assertCode(index.createUserKeys(again), 'ALREADY_EXISTS', /0101/);
    assert.equal((await index.deleteUserKeys({ userId: CATS.userId })).count, 1);
    assert.equal((await index.deleteUserKeys({ userId: CATS.userId })).count, 0);
    await index.createUserKeys(again);
    const theirs = await client.loadIndex({ indexName: 'test', ...asKey(again) });
    await theirs.upsert({ ids: ['now'], vectors: [[1, 1]] });
    await assertCode(client.loadIndex({ indexName: 'test', ...asKey(CATS) }), 'WRONG_KEY');
  });
});

describe('a key that opens nothing', () => {
  test('is WRONG_KEY whoever it says it is of, and alike for all of them', async () => {
    const { client, index, indexKey } = await filled();
    await index.deleteUserKeys({ userId: DOGS.userId });
    const wrong = [
      { indexKey: generateKey() },
      { indexKey: CATS.userKey },
      { indexKey, userId: CATS.userId },
      { indexKey: DOGS.userKey, userId: CATS.userId },
      { indexKey: CATS.userKey, userId: DOGS.userId },
      { indexKey: DOGS.userKey, userId: DOGS.userId },
      { indexKey: generateKey(), userId: bytes(16, 55) },
    ];
    const keyless = await client.loadIndex({ indexName: 'test' });
    const said = new Set();
    for (const key of wrong) {
      await assertCode(client.loadIndex({ indexName: 'test', ...key }), 'WRONG_KEY');
      await assertCode(keyless.count(key), 'WRONG_KEY');
      if (key.userId) said.add((await keyless.count(key).catch((error) => error)).message);
    }
    assert.equal(said.size, 1);
  });
});

describe('a deleted user', () => {
  for (const user of [CATS, DOGS]) {
    test(`with a handle open is refused from the next look on (${user === CATS})`, async () => {
      const { storage, index } = await filled();
      // A client of its own: nothing in this process tells it of commits of others.
      const other = open(new Wrapped(storage));
      const theirs = await other.loadIndex({ indexName: 'test', ...asKey(user) });
      assert.equal(await theirs.count(), 40);
      await index.deleteUserKeys({ userId: user.userId });
      await assertCode(theirs.count(), 'WRONG_KEY');
      await assertCode(theirs.stats(), 'WRONG_KEY');
      await assertCode(theirs.upsert({ ids: ['a'], vectors: [[1, 1]] }), 'WRONG_KEY');
      await index.upsert({ ids: ['later'], vectors: [[1, 1]] });
      assert.equal(await index.count(), 41);
    });
  }
});

describe('rotateIndexKey', () => {
  test('puts the new key in force, keeps users, and writes two objects', async () => {
    const { client, storage, indexKey, index } = await filled();
    const newIndexKey = generateKey();
    const made = [];
    const spy = new Wrapped(storage);
    spy.create = (key, data) => (made.push(key), storage.create(key, data));
    const admin = await open(spy).loadIndex({ indexName: 'test', indexKey });
    await admin.rotateIndexKey({ newIndexKey });
    assert.equal(made.length, 2);
    await assertCode(client.loadIndex({ indexName: 'test', indexKey }), 'WRONG_KEY');
    await assertCode(index.count(), 'WRONG_KEY');
    assert.equal(await admin.count(), 40);
    await admin.upsert({ ids: ['later'], vectors: [[1, 1]] });
    const again = await client.loadIndex({ indexName: 'test', indexKey: newIndexKey });
    assert.equal(await again.count(), 41);
    const dogs = await client.loadIndex({ indexName: 'test', ...asKey(DOGS) });
    await dogs.upsert({ ids: ['woof'], vectors: [[1, 1]] });
    assert.equal(await again.count(), 42);
    assert.equal((await again.listUserKeys()).length, 2);
    assert.equal((await storage.list('data/')).filter((key) => key.includes('/slots/')).length, 1);
  });
});

describe('rekey', () => {
  test('seals everything anew, trained or not, and keeps answers and users', async () => {
    const { client, storage, index } = await filled();
    await index.train({ nLists: 4, seed: 1 });
    await index.upsert({ items: toItems(randomVectors(50, 2, 2)) });
    await index.delete({ ids: ['id3', 'id4'] });
    const query = { queryVectors: [0.1, 0.2], topK: 20, nProbes: 4 };
    const before = (await index.query(query)).results;
    const objects = new Set((await storage.list('data/')).filter((key) => /object/.test(key)));
    const fractions = [];
    await index.rekey({ onProgress: ({ fraction }) => fractions.push(fraction) });
    assert.deepEqual((await index.query(query)).results, before);
    for (const key of await storage.list('data/')) assert.ok(!objects.has(key), key);
    assert.equal(fractions.at(-1), 1);
    assert.deepEqual(fractions, [...fractions].sort((x, y) => x - y));
    const dogs = await client.loadIndex({ indexName: 'test', ...asKey(DOGS) });
    assert.deepEqual((await dogs.query(query)).results, before);
    await dogs.upsert({ ids: ['woof'], vectors: [[1, 1]] });
    assert.equal(await index.count(), 49);
  });
});

test('a copy of an index has its users, and an index without items can be re-encrypted', async () => {
  const { index, client } = await filled();
  const other = memoryStorage();
  await index.export({ to: other });
  const copy = open(other);
  for (const user of [CATS, DOGS]) {
    assert.equal(await (await copy.loadIndex({ indexName: 'test', ...asKey(user) })).count(), 40);
  }
  const indexKey = generateKey();
  const empty = await client.createIndex({ indexName: 'empty', indexKey });
  await empty.rekey();
  await empty.upsert({ ids: ['a'], vectors: [[1]] });
  assert.equal(await (await client.loadIndex({ indexName: 'empty', indexKey })).count(), 1);
});

test('a copy that is made while keys change has the slots of its commit', async () => {
  const { index, storage } = await filled();
  for (let i = 0; i < 8; i++) {
    const other = memoryStorage();
    const slow = new Wrapped(storage);
    let changed = false;
    slow.read = async (key, range) => {
      if (key.includes('/object/') && !changed) {
        changed = true;
        await (i % 2 ? index.rekey() : index.rotateIndexKey({ newIndexKey: bytes(32, i) }));
      }
      return storage.read(key, range);
    };
    const source = await open(slow).loadIndex({ indexName: 'test', ...asKey(CATS) });
    await source.export({ to: other });
    const copy = await open(other).loadIndex({ indexName: 'test', ...asKey(CATS) });
    assert.equal((await copy.query({ queryVectors: [0, 0], topK: 50 })).results.length, 40);
    assert.ok(changed);
  }
});
