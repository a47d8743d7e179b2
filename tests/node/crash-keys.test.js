// A process that dies, or a storage that fails, at any one call while users come and go, the index
// key changes and everything is re-encrypted: the keys are those before the call or those after it,
// what was written is there, and re-encryption goes on from where it was.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { apply, difference, itemOf, readState, sameState } from './support/model.js';
import { Failing, Stopping } from './support/stores.js';

const DIMENSION = 8;
const SILENT = { warn() {} };
/** Every how many-th call fails, or is where a process dies; all of them with SEALVEC_FULL. */
const STEP = process.env.SEALVEC_FULL ? 1 : 7;
const KEYS = [generateKey(), generateKey(), generateKey()];
const USERS = [1, 2, 3].map((n) => ({
  userId: new Uint8Array(16).fill(n), indexKey: new Uint8Array(32).fill(n),
}));

const ids = (from, to) => Array.from({ length: to - from }, (_, i) => `id${from + i}`);
const put = (from, to, version) => ({ put: ids(from, to).map((id) => [id, version]) });

const SCRIPT = [
  { name: 'createIndex' },
  { name: 'upsert', ...put(0, 330, 1) },
  { name: 'createUser', user: 0 },
  { name: 'createUser', user: 1, write: true },
  { name: 'train' },
  { name: 'deleteUser', user: 1 },
  { name: 'delete', drop: ids(0, 270) },
  { name: 'upsert', ...put(260, 280, 2) },
  { name: 'rotate', key: 1 },
  { name: 'upsert', ...put(400, 405, 3) },
  { name: 'rekey' },
  { name: 'createUser', user: 2, write: true },
  { name: 'upsert', ...put(400, 402, 4) },
  { name: 'rekey' },
  { name: 'rotate', key: 2 },
  { name: 'deleteUser', user: 0 },
];

const START = { items: new Map(), key: 0, users: new Map() };

/** The state after a step; undefined where there is no index. */
function after(state, step) {
  if (step.name === 'createIndex') return START;
  const users = new Map(state.users);
  if (step.name === 'createUser') users.set(step.user, step.write === true);
  if (step.name === 'deleteUser') users.delete(step.user);
  return { items: apply(state.items, step), key: step.key ?? state.key, users };
}

function same(x, y) {
  if (x === undefined || y === undefined) return x === y;
  return x.key === y.key && sameState(x.items, y.items) &&
    JSON.stringify([...x.users]) === JSON.stringify([...y.users]);
}

function describe(got, expected) {
  if (got === undefined || expected === undefined) return `got ${got}, expected ${expected}`;
  const keys = `key ${got.key}, expected ${expected.key}; users ${[...got.users]}, expected ` +
    [...expected.users];
  return `${keys}; ${difference(got.items, expected.items)}`;
}

/** One process: a client of its own, and the index once it is open. */
class Process {
  constructor(storage) {
    this.client = new Client({ storage, worker: false, minTrainVectors: 30, logger: SILENT });
  }

  async run(step, state) {
    const { client } = this;
    const known = { indexName: 'crash', indexKey: KEYS[state?.key ?? 0] };
    if (step.name === 'createIndex') {
      this.index = await client.createIndex({ ...known, dimension: DIMENSION });
      return;
    }
    this.index ??= await client.loadIndex(known);
    const { index } = this;
    const { userId, indexKey: userKey } = USERS[step.user] ?? {};
    const calls = {
      upsert: () =>
        index.upsert({ items: step.put.map(([id, version]) => itemOf(id, version, DIMENSION)) }),
      delete: () => index.delete({ ids: step.drop }),
      train: () => index.train({ nLists: 4, seed: 1, maxIters: 3 }),
      createUser: () => index.createUserKeys({
        userId, userKey, permissions: step.write ? ['read', 'write'] : ['read'],
      }),
      deleteUser: () => index.deleteUserKeys({ userId }),
      rotate: () => index.rotateIndexKey({ newIndexKey: KEYS[step.key] }),
      rekey: () => index.rekey(),
    };
    await calls[step.name]();
  }
}

/** Opens an index under a key; undefined when that is the wrong one or there is no index. */
async function tryLoad(client, key) {
  try {
    return await client.loadIndex({ indexName: 'crash', ...key });
  } catch (error) {
    assert.match(error.code, /^(WRONG_KEY|NOT_FOUND)$/, error.stack);
    return undefined;
  }
}

/** What a new process finds; undefined where there is no index. */
async function found(storage) {
  const { client } = new Process(storage);
  const opened = await Promise.all(KEYS.map((indexKey) => tryLoad(client, { indexKey })));
  const key = opened.findIndex((index) => index !== undefined);
  if (key < 0) {
    assert.deepEqual(await client.listIndexes(), []);
    return undefined;
  }
  assert.equal(opened.filter((index) => index !== undefined).length, 1, 'one key opens it');
  const index = opened[key];
  const items = await readState(index, DIMENSION);
  const users = new Map();
  for (const { userId, permissions } of await index.listUserKeys()) {
    users.set(userId[0] - 1, permissions.includes('write'));
  }
  for (const [n, user] of USERS.entries()) {
    const theirs = await tryLoad(client, user);
    assert.equal(theirs !== undefined, users.has(n), `user ${n}`);
    if (theirs) assert.ok(sameState(await readState(theirs, DIMENSION), items));
  }
  return { key, items, users };
}

async function runFrom(process, first, state) {
  for (let at = first; at < SCRIPT.length; at++) {
    const step = SCRIPT[at];
    try {
      await process.run(step, state);
    } catch (error) {
      return { at, state, error };
    }
    state = after(state, step);
  }
  return { at: SCRIPT.length, state };
}

/** The step to go on with: the one that failed, unless all of it was done. */
function next(at, now) {
  const step = SCRIPT[at];
  const done = step && ['createIndex', 'createUser', 'rotate'].includes(step.name);
  if (!done) return at;
  if (step.name === 'createIndex') return now ? at + 1 : at;
  return (step.name === 'rotate' ? now.key === step.key : now.users.has(step.user)) ? at + 1 : at;
}

const END = SCRIPT.reduce(after, undefined);

/** That a store at the end of the script holds nothing but the last commit, in one epoch. */
async function assertTidy(storage) {
  const { client } = new Process(storage);
  const index = await client.loadIndex({ indexName: 'crash', indexKey: KEYS[END.key] });
  await index.rekey();
  // A process that died while it made the index left the beginnings of another.
  const header = await storage.read('index/crash');
  const keys = await storage.list(`data/${Buffer.from(header.slice(16, 32)).toString('hex')}/`);
  const objects = keys.filter((key) => key.includes('/object/'));
  assert.equal(keys.filter((key) => key.includes('/slots/')).length, 1);
  assert.equal(keys.filter((key) => key.includes('/manifest/')).length, 1);
  const epochs = new Set();
  let bytes = 0;
  for (const key of objects) {
    const object = await storage.read(key);
    bytes += object.length;
    epochs.add(new DataView(object.buffer, object.byteOffset).getUint32(48, true));
  }
  assert.equal(epochs.size, 1, 'all is sealed in one epoch');
  assert.equal((await index.stats()).storedBytes, bytes, 'nothing is left over');
  await index.close();
}

async function goOn(storage, at, now, place) {
  const rest = await runFrom(new Process(storage), next(at, now), now);
  assert.equal(rest.error, undefined, `${place}, then: ${rest.error?.stack}`);
  const last = await found(storage);
  assert.ok(same(last, END), `${place}: ${describe(last, END)}`);
  await assertTidy(storage);
}

function assertEither(now, state, step, place) {
  const allowed = step ? [state, after(state, step)] : [state];
  assert.ok(allowed.some((one) => same(now, one)),
    `${place}: ${allowed.map((one) => describe(now, one)).join(' | ')}`);
}

async function countOf(storage, what) {
  const { error, state } = await runFrom(new Process(storage), 0, undefined);
  assert.equal(error, undefined, error?.stack);
  assert.ok(same(state, END));
  return storage[what];
}

for (const [offset, where] of ['before', 'after', 'amid'].entries()) {
  test(`a process that dies ${where} any change leaves the keys and items before or after the call`,
    async (t) => {
      const changes = await countOf(new Stopping(memoryStorage(), Infinity, 'before'), 'changes');
      for (let n = 1 + 2 * offset; n <= changes; n += STEP) {
        const inner = memoryStorage();
        const process = new Process(new Stopping(inner, n, where));
        const { at, state, error } = await runFrom(process, 0, undefined);
        const step = SCRIPT[at];
        const place = `change ${n} of ${changes}, in ${step?.name}: ${error?.message}`;
        const now = await found(inner);
        assertEither(now, state, step, place);
        await goOn(inner, at, now, place);
      }
      t.diagnostic(`${changes} places`);
    });
}

for (const [offset, where] of [[0, 'before'], [1, 'after']]) {
  test(`a storage that fails once, ${where} any call, fails one call at most, and keeps its keys`,
    async (t) => {
      const calls = await countOf(new Failing(memoryStorage(), Infinity), 'calls');
      let rejected = 0;
      for (let n = 1 + offset; n <= calls; n += STEP) {
        const inner = memoryStorage();
        const process = new Process(new Failing(inner, n, where, 'EIO'));
        let { at, state, error } = await runFrom(process, 0, undefined);
        const place = `call ${n} of ${calls}, in ${SCRIPT[at]?.name}`;
        if (error) {
          rejected++;
          assert.equal(error.code, 'STORAGE', `${place}: ${error.stack}`);
          const now = await found(inner);
          assertEither(now, state, SCRIPT[at], place);
          // The same process goes on with the same handle, whichever key is in force.
          ({ at, state, error } = await runFrom(process, next(at, now), now));
          assert.equal(error, undefined, `${place}, then: ${error?.stack}`);
        }
        const last = await found(inner);
        assert.ok(same(last, END), `${place}: ${describe(last, END)}`);
        await assertTidy(inner);
      }
      assert.ok(rejected > 0);
      t.diagnostic(`${calls} calls, ${rejected} rejected`);
    });
}
