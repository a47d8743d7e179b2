// Anchors: a storage that was put back, or went on from an earlier state, is told from the right one.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, generateKey } from '../../build/js/index.js';
import { assertCode } from './support/oracle.js';
import { mapStorage } from './support/stores.js';

const indexKey = generateKey();
const options = { indexName: 'test', indexKey };
const open = (map) => new Client({ storage: mapStorage(map), logger: { warn() {} } });

async function fresh() {
  const map = new Map();
  const client = open(map);
  const index = await client.createIndex({ ...options, dimension: 2 });
  return { map, client, index };
}

/** A copy of a storage that goes on by itself for some commits. */
async function fork(map, commits) {
  const copy = new Map(map);
  const index = await open(copy).loadIndex(options);
  for (let i = 0; i < commits; i++) await index.upsert({ ids: [`f${i}`], vectors: [[i, 1]] });
  return copy;
}

async function write(index, commits) {
  for (let i = 0; i < commits; i++) await index.upsert({ ids: [`i${i}`], vectors: [[i, 1]] });
}

describe('an anchor', () => {
  test('lets its own state and all that descends from it pass, with a key and without', async () => {
    const { client, index } = await fresh();
    const first = await index.anchor();
    for (const commits of [0, 1, 3, 70]) {
      await write(index, commits);
      const anchor = await index.anchor();
      for (const known of [first, anchor]) {
        await (await client.loadIndex({ ...options, anchor: known })).close();
        const keyless = await client.loadIndex({ indexName: 'test', anchor: known });
        assert.ok((await keyless.count({ indexKey })) >= 0);
      }
    }
  });

  test('is the same text for the same commit, whoever asks', async () => {
    const { client, index } = await fresh();
    const userId = new Uint8Array(16).fill(5);
    const userKey = generateKey();
    await index.createUserKeys({ userId, userKey, permissions: ['read'] });
    const theirs = await client.loadIndex({ indexName: 'test', userId, indexKey: userKey });
    assert.equal(await theirs.anchor(), await index.anchor());
    assert.match(await index.anchor(), /^sealvec-anchor-1:[0-9a-f]{128}$/);
  });

  test('refuses an older state, with a key and without, and the calls of such a handle', async () => {
    const { map, client, index } = await fresh();
    const old = new Map(map);
    await write(index, 1);
    const anchor = await index.anchor();
    await assertCode(open(old).loadIndex({ ...options, anchor }), 'ROLLED_BACK');
    await assertCode(open(old).loadIndex({ indexName: 'test', anchor }), 'ROLLED_BACK');
    const keyless = await client.loadIndex({ indexName: 'test', anchor });
    assert.equal(await keyless.count({ indexKey }), 1);
    map.clear();
    for (const [key, bytes] of old) map.set(key, bytes);
    await assertCode(keyless.count({ indexKey }), 'ROLLED_BACK');
  });

  for (const [commits, what] of [[1, 'as many'], [4, 'more'], [40, 'many more']]) {
    test(`refuses a copy that went on by itself, with ${what} commits`, async () => {
      const { map, client, index } = await fresh();
      await write(index, 2);
      const other = await fork(map, commits);
      await write(index, 1);
      const anchor = await index.anchor();
      await assertCode(open(other).loadIndex({ ...options, anchor }), 'ROLLED_BACK');
      await client.loadIndex({ ...options, anchor });
    });
  }

  test('refuses a state from before a user was deleted, however far that went on', async () => {
    const { map, index } = await fresh();
    const userId = new Uint8Array(16).fill(5);
    await index.createUserKeys({ userId, userKey: generateKey(), permissions: ['read', 'write'] });
    const other = await fork(map, 90);
    await index.deleteUserKeys({ userId });
    const anchor = await index.anchor();
    await assertCode(open(other).loadIndex({ ...options, anchor }), 'ROLLED_BACK');
    await assertCode(open(other).loadIndex({ indexName: 'test', anchor }), 'ROLLED_BACK');
  });

  test('refuses another index of the same name', async () => {
    const { index } = await fresh();
    const other = await fresh();
    await write(other.index, 3);
    const anchor = await index.anchor();
    await assertCode(other.client.loadIndex({ ...options, anchor }), 'ROLLED_BACK');
    await assertCode(other.client.loadIndex({ indexName: 'test', anchor }), 'ROLLED_BACK');
  });

  test('is refused when it is no anchor: any character changed, cut or added', async () => {
    const { client, index } = await fresh();
    const anchor = await index.anchor();
    const load = (text) => client.loadIndex({ ...options, anchor: text });
    for (let at = 0; at < anchor.length; at++) {
      const other = anchor[at] === '0' ? '1' : '0';
      await assertCode(load(anchor.slice(0, at) + other + anchor.slice(at + 1)), 'INVALID_ARGUMENT');
    }
    for (const text of ['', 'x', anchor.slice(1), anchor.slice(0, -1), `${anchor}0`, `${anchor}\n`]) {
      await assertCode(load(text), 'INVALID_ARGUMENT', /anchor/);
    }
  });
});

test('an open handle refuses a storage that was put back and went on by itself', async () => {
  const { map, index } = await fresh();
  await write(index, 2);
  const other = await fork(map, 5);
  await write(index, 1);
  for (const key of [...map.keys()]) map.delete(key);
  for (const [key, bytes] of other) map.set(key, bytes);
  await assertCode(index.stats(), 'ROLLED_BACK');
  await assertCode(index.upsert({ ids: ['x'], vectors: [[1, 2]] }), 'ROLLED_BACK');
});
