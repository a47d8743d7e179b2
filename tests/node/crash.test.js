// A process that dies, or a storage that fails, at any one call of a scripted day in the life of an
// index: what was acknowledged is there, what was not is there whole or not at all.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { apply, assertQueries, difference, itemOf, readState, sameState } from './support/model.js';
import { Failing, Stopping } from './support/stores.js';

const DIMENSION = 8;
const indexKey = generateKey();
const SILENT = { warn() {} };
const FULL = Boolean(process.env.SEALVEC_FULL);
/** Every how many-th call fails; all of them with SEALVEC_FULL. */
const STEP = FULL ? 1 : 5;

const ids = (from, to) => Array.from({ length: to - from }, (_, i) => `id${from + i}`);
const put = (from, to, version) => ({ put: ids(from, to).map((id) => [id, version]) });
const crowd = Array.from({ length: 320 }, (_, i) => `crowd${i}`);

/** Enough rows for tombstones of their own, segments to merge, lists to split, and removal. */
const SCRIPT = [
  { name: 'createIndex' },
  { name: 'upsert', ...put(0, 330, 1) },
  { name: 'delete', drop: ids(0, 270) },
  { name: 'upsert', ...put(260, 280, 2) },
  { name: 'train' },
  ...Array.from({ length: 9 }, (_, i) => ({ name: 'upsert', ...put(400 + i, 401 + i, 3) })),
  { name: 'delete', drop: [...ids(290, 300), 'never there'] },
  { name: 'train' },
  { name: 'upsert', ...put(280, 290, 4) },
  { name: 'upsert', put: crowd.map((id) => [id, 5]) },
  { name: 'delete', drop: crowd.slice(5) },
  { name: 'compact' },
  { name: 'deleteIndex' },
  { name: 'createIndex' },
  { name: 'upsert', ...put(0, 5, 5) },
];

/** One process: a client of its own, and the index once it is open. */
class Process {
  constructor(storage) {
    this.client = new Client({ storage, worker: false, minTrainVectors: 30, logger: SILENT });
  }

  async open() {
    this.index ??= await this.client.loadIndex({ indexName: 'crash', indexKey });
    return this.index;
  }

  async run(step) {
    const { client } = this;
    if (step.name === 'createIndex') {
      this.index = await client.createIndex({ indexName: 'crash', indexKey, dimension: DIMENSION });
      return;
    }
    const index = await this.open();
    if (step.name === 'upsert') {
      const items = step.put.map(([id, version]) => itemOf(id, version, DIMENSION));
      await index.upsert({ items });
    }
    if (step.name === 'delete') await index.delete({ ids: step.drop });
    if (step.name === 'train') await index.train({ nLists: 4, seed: 1, maxIters: 3 });
    if (step.name === 'compact') await index.compact();
    if (step.name === 'deleteIndex') {
      await index.deleteIndex();
      this.index = undefined;
    }
  }
}

/** The state after a step; undefined where there is no index. */
function after(state, step) {
  if (step.name === 'createIndex') return new Map();
  if (step.name === 'deleteIndex') return undefined;
  return apply(state, step);
}

/** What a new process finds; undefined where there is no index. */
async function found(storage) {
  const { client } = new Process(storage);
  let index;
  try {
    index = await client.loadIndex({ indexName: 'crash', indexKey });
  } catch (error) {
    assert.equal(error.code, 'NOT_FOUND', error.stack);
    return undefined;
  }
  const state = await readState(index, DIMENSION);
  await assertQueries(index, state, DIMENSION, 1, 1);
  await index.close();
  return state;
}

function same(x, y) {
  return x === undefined || y === undefined ? x === y : sameState(x, y);
}

function describe(got, expected) {
  if (got === undefined || expected === undefined) return `got ${got}, expected ${expected}`;
  return difference(got, expected);
}

/** Runs the script from a step on; what was acknowledged, and the step that failed, if one did. */
async function runFrom(process, first, state, begin = () => undefined) {
  for (let at = first; at < SCRIPT.length; at++) {
    const step = SCRIPT[at];
    begin();
    try {
      await process.run(step);
    } catch (error) {
      return { at, state, error };
    }
    state = after(state, step);
  }
  return { at: SCRIPT.length, state };
}

/** The script to its end by other processes; the index is then as if nothing had happened. */
async function goOn(storage, at, state, expected) {
  // The step that failed is done again, but for what it had done already.
  const again = SCRIPT[at]?.name === 'createIndex' && state !== undefined ? at + 1
    : SCRIPT[at]?.name === 'deleteIndex' && state === undefined ? at + 1 : at;
  const rest = await runFrom(new Process(storage), again, state);
  assert.equal(rest.error, undefined, rest.error?.stack);
  const last = await found(storage);
  assert.ok(same(last, expected), describe(last, expected));
}

const END = SCRIPT.reduce(after, undefined);

/** How many changes the script makes, and the numbers of those that are the first of a step. */
async function countChanges() {
  const storage = new Stopping(memoryStorage(), Infinity, 'before');
  const firsts = new Set();
  const { error, state } = await runFrom(new Process(storage), 0, undefined, () =>
    firsts.add(storage.changes + 1));
  assert.equal(error, undefined, error?.stack);
  assert.ok(same(state, END));
  return { changes: storage.changes, firsts };
}

for (const where of ['before', 'after', 'amid']) {
  test(`a process that dies ${where} any change leaves the state before or after the call`,
    async (t) => {
      const { changes, firsts } = await countChanges();
      let places = 0;
      for (let n = 1; n <= changes; n++) {
        // Within a step the storage is before a change as it is after the one before it.
        if (where === 'before' && !FULL && !firsts.has(n)) continue;
        places++;
        const inner = memoryStorage();
        const { at, state, error } = await runFrom(
          new Process(new Stopping(inner, n, where)), 0, undefined,
        );
        // Merging behind the last call may be what died.
        const step = SCRIPT[at];
        const place = `change ${n} of ${changes}, in ${step?.name}: ${error?.message}`;
        const now = await found(inner);
        const allowed = step ? [state, after(state, step)] : [state];
        assert.ok(allowed.some((one) => same(now, one)),
          `${place}: ${allowed.map((one) => describe(now, one)).join(' | ')}`);
        await goOn(inner, at, now, END);
      }
      t.diagnostic(`${places} places of ${changes}`);
    });
}

/** How many calls of any kind the script makes. */
async function countCalls() {
  const storage = new Failing(memoryStorage(), Infinity);
  await runFrom(new Process(storage), 0, undefined);
  return storage.calls;
}

for (const [offset, where, code, expected] of [
  [0, 'before', 'EIO', 'STORAGE'], [1, 'after', 'EIO', 'STORAGE'],
  [2, 'before', 'ENOSPC', 'QUOTA_EXCEEDED'],
]) {
  test(`a storage that fails once, ${code} ${where} any call, fails one call of the index at most`,
    async (t) => {
      const calls = await countCalls();
      let rejected = 0;
      for (let n = 1 + offset; n <= calls; n += STEP) {
        const inner = memoryStorage();
        const storage = new Failing(inner, n, where, code);
        const process = new Process(storage);
        let { at, state, error } = await runFrom(process, 0, undefined);
        if (error) {
          rejected++;
          assert.ok(storage.failed);
          const place = `call ${n} of ${calls}, in ${SCRIPT[at].name}`;
          assert.equal(error.code, expected, `${place}: ${error.stack}`);
          const now = await found(inner);
          const allowed = [state, after(state, SCRIPT[at])];
          assert.ok(allowed.some((one) => same(now, one)),
            `${place}: ${allowed.map((one) => describe(now, one)).join(' | ')}`);
          // The same process goes on with the same handle.
          const skip = ['createIndex', 'deleteIndex'].includes(SCRIPT[at].name) &&
            same(now, after(state, SCRIPT[at]));
          if (skip && SCRIPT[at].name === 'deleteIndex') process.index = undefined;
          ({ at, state, error } = await runFrom(process, skip ? at + 1 : at, now));
          assert.equal(error, undefined, `${place}, then: ${error?.stack}`);
        }
        const last = await found(inner);
        assert.ok(same(last, END), `call ${n}: ${describe(last, END)}`);
      }
      assert.ok(rejected > 0);
      t.diagnostic(`${calls} calls, ${rejected} rejected`);
    });
}
