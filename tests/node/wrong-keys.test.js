// A wrong key, whyever it is wrong: one error, after the same work, and before any data is read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { MANAGES, READS, WRITES } from './support/calls.js';
import { itemOf } from './support/model.js';
import { watchCores } from './support/spies.js';
import { Wrapped } from './support/stores.js';

const DIMENSION = 2;
const user = (n) => ({ userId: new Uint8Array(16).fill(n), userKey: new Uint8Array(32).fill(n) });
const asKey = ({ userId, userKey }) => ({ userId, indexKey: userKey });
const open = (storage) =>
  new Client({ storage, worker: false, minTrainVectors: 20, logger: { warn() {} } });

/** Every storage call and every call of the core that work makes, in order, and its error. */
async function watched(storage, work) {
  const seen = [];
  const spy = new Wrapped(storage);
  spy.read = (key, range) => {
    seen.push(`read ${key} ${range ? `${range.offset} ${range.length}` : ''}`);
    return storage.read(key, range);
  };
  spy.list = (prefix) => (seen.push(`list ${prefix}`), storage.list(prefix));
  const restore = watchCores((exports) => {
    for (const [name, call] of Object.entries(exports)) {
      if (typeof call !== 'function') continue;
      exports[name] = (...args) => (seen.push(name), call(...args));
    }
  });
  try {
    return { seen, code: await work(open(spy)).then(() => 'none', ({ code }) => code) };
  } finally {
    restore();
  }
}

/** Ways to come with a key: at load, and with a call; those that take no user apart. */
const load = (key) => (client) => client.loadIndex({ indexName: 't', ...key });
const withCall = (call) => (key) => async (client) =>
  call(await client.loadIndex({ indexName: 't' }), key);
const WAYS = [load, ...Object.values({ ...READS, ...WRITES }).map(withCall)];
const ROOT_WAYS = [...WAYS, ...Object.values(MANAGES).map(withCall)];

async function assertSameWork(storage, ways, wrong) {
  for (const way of ways) {
    const works = [];
    for (const [why, key] of Object.entries(wrong)) {
      const { seen, code } = await watched(storage, way(key));
      assert.equal(code, 'WRONG_KEY', why);
      assert.ok(seen.includes('sv_derive') && seen.some((call) => /slots/.test(call)), why);
      assert.ok(!seen.some((call) => /\/object\//.test(call)), `${why}: no data is read`);
      works.push(seen);
    }
    for (const work of works) assert.deepEqual(work, works[0]);
  }
}

/** An index whose keys changed: users came and went, and the index key. */
async function changed() {
  const storage = memoryStorage();
  const indexKey = generateKey();
  const index = await open(storage).createIndex({ indexName: 't', indexKey });
  const items = Array.from({ length: 40 }, (_, i) => itemOf(`id${i}`, 1, DIMENSION));
  await index.upsert({ items });
  await index.train({ nLists: 2 });
  for (let n = 1; n <= 9; n++) await index.createUserKeys({ ...user(n), permissions: ['read'] });
  for (const n of [8, 9]) await index.deleteUserKeys({ userId: user(n).userId });
  await index.createUserKeys({ ...user(8), userKey: generateKey(), permissions: ['read'] });
  const newIndexKey = generateKey();
  await index.rotateIndexKey({ newIndexKey });
  return { storage, expired: indexKey, indexKey: newIndexKey };
}

test('keys of users take the same calls of storage and core, whyever they are wrong', async () => {
  const { storage, indexKey } = await changed();
  await assertSameWork(storage, WAYS, {
    'an unknown user': asKey(user(77)),
    'a deleted user': asKey(user(9)),
    'a user who was deleted and made again': asKey(user(8)),
    'a key of another user': asKey({ ...user(1), userKey: user(2).userKey }),
    'a random key': asKey({ ...user(1), userKey: generateKey() }),
    'the index key': { userId: user(1).userId, indexKey },
  });
  const right = [];
  for (const n of [1, 4, 7]) {
    const { seen, code } = await watched(storage, withCall(READS.count)(asKey(user(n))));
    assert.equal(code, 'none');
    right.push(seen.filter((call) => call === 'sv_derive' || call === 'sv_equal').length);
  }
  assert.equal(new Set(right).size, 1, 'nor does it tell whose a right one is');
});

test('index keys take the same calls of storage and core, whyever they are wrong', async () => {
  const { storage, expired } = await changed();
  await assertSameWork(storage, ROOT_WAYS, {
    'a random key': { indexKey: generateKey() },
    'the key of an epoch that is over': { indexKey: expired },
    'the key of a user': { indexKey: user(1).userKey },
  });
});
