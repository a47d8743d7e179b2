// Random calls under right, wrong and expired keys, at load and per call, against a model that
// knows who has which key: nothing is allowed that it forbids, and nothing refused that it allows.
// OPERATIONS=100000 is `make users`; SEED=n repeats a run, but for the bytes of random keys.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { Client, generateKey } from '../../build/js/index.js';
import { itemOf } from './support/model.js';
import { random } from './support/oracle.js';
import { mapStorage } from './support/stores.js';

const OPERATIONS = Number(process.env.OPERATIONS ?? 4000);
const SEED = Number(process.env.SEED ?? randomInt(2 ** 31));
const DIMENSION = 2;
const IDS = 40;
const MOST_HANDLES = 12;
const MOST_PAST = 20;
const OK = 'allowed';

const USERS = Array.from({ length: 6 }, (_, i) => ({
  userId: new Uint8Array(16).fill(i + 1),
  keys: Array.from({ length: 2 }, () => generateKey()),
}));

class Model {
  items = new Map();
  /** By the number of the user: which of their keys, and what it permits. */
  users = new Map();
  indexKey = generateKey();
  oldKeys = [];

  /** Whether a key opens the index now. */
  opens({ user, key }) {
    if (user === undefined) return key === this.indexKey;
    return this.users.get(user)?.key === key;
  }

  /** What becomes of a call: `kind` is 'read', 'write' or 'manage'; `held` of a key given at load. */
  verdict(principal, kind, held) {
    // That a handle is a user's needs no look at who is one now.
    if (held && kind === 'manage' && principal.user !== undefined) return 'PERMISSION_DENIED';
    if (!this.opens(principal)) return 'WRONG_KEY';
    if (principal.user === undefined || kind === 'read') return OK;
    const may = kind === 'write' && this.users.get(principal.user).write;
    return may ? OK : 'PERMISSION_DENIED';
  }

  copy() {
    const { indexKey } = this;
    return { items: new Map(this.items), users: new Map(this.users), indexKey };
  }
}

class Run {
  model = new Model();
  map = new Map();
  handles = [];
  past = [];
  version = 1;
  tally = new Map();

  constructor(seed) {
    this.next = random(seed);
    const logger = { warn: (message) => assert.fail(message) };
    this.options = { worker: false, minTrainVectors: 4, logger };
    this.client = new Client({ storage: mapStorage(this.map), ...this.options });
  }

  async begin() {
    const { indexKey } = this.model;
    const index = await this.client.createIndex({ indexName: 'm', indexKey, dimension: DIMENSION });
    await index.close();
    this.keyless = await this.client.loadIndex({ indexName: 'm' });
  }

  below(n) {
    return Math.floor(this.next() * n);
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  /** Somebody who may or may not have a right key. */
  principal() {
    const roll = this.next();
    if (roll < 0.35) return { key: this.model.indexKey };
    if (roll < 0.4) return { key: this.pick([...this.model.oldKeys, generateKey()]) };
    const user = this.below(USERS.length);
    const right = this.model.users.get(user)?.key;
    if (right && roll < 0.85) return { user, key: right };
    const others = [this.model.indexKey, ...USERS[(user + 1) % USERS.length].keys];
    return { user, key: this.pick([...USERS[user].keys, ...others]) };
  }

  keyOf({ user, key }) {
    return user === undefined ? { indexKey: key } : { userId: USERS[user].userId, indexKey: key };
  }

  /** A handle to call, the key to give with the call, and whom that makes it. */
  caller() {
    if (this.handles.length > 0 && this.next() < 0.4) {
      const { index, principal } = this.pick(this.handles);
      return { index, key: {}, principal, held: true };
    }
    // A key given with the call replaces the one of the handle, whatever that may do.
    const hosts = [this.keyless, this.keyless, ...this.handles.map(({ index }) => index)];
    const principal = this.principal();
    return { index: this.pick(hosts), key: this.keyOf(principal), principal, held: false };
  }

  /** Makes a call and holds what becomes of it against the model. */
  async expect(what, verdict, call) {
    const name = `${what}: ${verdict}`;
    this.tally.set(name, (this.tally.get(name) ?? 0) + 1);
    let result;
    try {
      result = await call();
    } catch (error) {
      assert.equal(error.code, verdict, `${what} is ${verdict}: ${error.stack}`);
      return undefined;
    }
    assert.equal(OK, verdict, `${what} went through`);
    return { result };
  }

  ids(most) {
    return [...new Set(Array.from({ length: 1 + this.below(most) }, () => `i${this.below(IDS)}`))];
  }

  async count({ index, key, principal, held }, { items } = this.model, model = this.model) {
    const done = await this.expect('count', model.verdict(principal, 'read', held),
      () => index.count(key));
    if (done) assert.equal(done.result, items.size);
  }

  async get({ index, key, principal, held }) {
    const ids = this.ids(6);
    const done = await this.expect('get', this.model.verdict(principal, 'read', held),
      () => index.get({ ids, ...key }));
    if (!done) return;
    const expected = ids.filter((id) => this.model.items.has(id))
      .map((id) => itemOf(id, this.model.items.get(id), DIMENSION));
    assert.deepEqual(done.result.map(({ id, contents, metadata }) => ({ id, contents, metadata })),
      expected.map(({ id, contents, metadata }) => ({ id, contents, metadata })));
  }

  async query({ index, key, principal, held }) {
    const query = { queryVectors: [this.next(), this.next()], topK: IDS, nProbes: 99 };
    const done = await this.expect('query', this.model.verdict(principal, 'read', held),
      () => index.query({ ...query, ...key }));
    if (!done) return;
    const ids = done.result.results.map(({ id }) => id).sort();
    assert.deepEqual(ids, [...this.model.items.keys()].sort());
  }

  async listIds({ index, key, principal, held }) {
    const done = await this.expect('listIds', this.model.verdict(principal, 'read', held),
      () => index.listIds(key));
    if (done) assert.deepEqual(done.result.ids.sort(), [...this.model.items.keys()].sort());
  }

  async upsert({ index, key, principal, held }) {
    const put = this.ids(5);
    const version = this.version++;
    const items = put.map((id) => itemOf(id, version, DIMENSION));
    const done = await this.expect('upsert', this.model.verdict(principal, 'write', held),
      () => index.upsert({ items, ...key }));
    if (done) for (const id of put) this.model.items.set(id, version);
  }

  async delete({ index, key, principal, held }) {
    const ids = this.ids(5);
    const done = await this.expect('delete', this.model.verdict(principal, 'write', held),
      () => index.delete({ ids, ...key }));
    if (!done) return;
    const dropped = ids.filter((id) => this.model.items.delete(id)).length;
    assert.equal(done.result.count, dropped);
  }

  async compact({ index, key, principal, held }) {
    await this.expect('compact', this.model.verdict(principal, 'write', held),
      () => index.compact(key));
  }

  async train({ index, key, principal, held }) {
    const verdict = this.model.verdict(principal, 'write', held);
    const few = verdict === OK && this.model.items.size < 4;
    await this.expect('train', few ? 'NOT_ENOUGH_VECTORS' : verdict,
      () => index.train({ nLists: 2, maxIters: 2, ...key }));
  }

  /** Calls that change keys take the index key only: for a user, at load alone. */
  manager() {
    const caller = this.caller();
    if (caller.held || caller.principal.user === undefined) return caller;
    const held = this.handles.filter(({ principal }) => principal.user !== undefined);
    if (held.length === 0) return { ...caller, principal: { key: generateKey() }, key: undefined };
    const { index, principal } = this.pick(held);
    return { index, key: {}, principal, held: true };
  }

  async manage(what, name, options, allowed = OK) {
    const { index, principal, held, key = this.keyOf(principal) } = this.manager();
    const may = this.model.verdict(principal, 'manage', held);
    const verdict = may === OK ? allowed : may;
    const done = await this.expect(what, verdict, () => index[name]({ ...options, ...key }));
    return done && { ...done, index, principal, held };
  }

  async createUser() {
    const user = this.below(USERS.length);
    const key = this.pick(USERS[user].keys);
    const write = this.next() < 0.5;
    const exists = this.model.users.has(user) ? 'ALREADY_EXISTS' : OK;
    const { userId } = USERS[user];
    const permissions = write ? ['read', 'write'] : ['read'];
    const options = { userId, userKey: key, permissions };
    const done = await this.manage('createUserKeys', 'createUserKeys', options, exists);
    if (done) this.model.users.set(user, { key, write });
  }

  async deleteUser() {
    const user = this.below(USERS.length);
    const { userId } = USERS[user];
    const done = await this.manage('deleteUserKeys', 'deleteUserKeys', { userId });
    if (done) assert.equal(done.result.count, this.model.users.delete(user) ? 1 : 0);
  }

  async listUsers() {
    const done = await this.manage('listUserKeys', 'listUserKeys', {});
    if (!done) return;
    const expected = [...this.model.users].map(([user, { write }]) => `${user + 1} ${write}`);
    const got = done.result.map(({ userId, permissions }) =>
      `${userId[0]} ${permissions.includes('write')}`);
    assert.deepEqual(got.sort(), expected.sort());
  }

  async rotate() {
    const newIndexKey = generateKey();
    const done = await this.manage('rotateIndexKey', 'rotateIndexKey', { newIndexKey });
    if (!done) return;
    const old = this.model.indexKey;
    this.model.oldKeys = [...this.model.oldKeys, old].slice(-4);
    this.model.indexKey = newIndexKey;
    // The handle that rotated goes on under the new key; all others of the old one do not.
    const own = this.handles.find(({ index }) => done.held && index === done.index);
    if (own) own.principal = { key: newIndexKey };
  }

  async rekey() {
    await this.manage('rekey', 'rekey', {});
  }

  async load() {
    const principal = this.principal();
    const client = this.client;
    const done = await this.expect('loadIndex', this.model.verdict(principal, 'read', false),
      () => client.loadIndex({ indexName: 'm', ...this.keyOf(principal), ...this.anchored() }));
    if (!done) return;
    this.handles.push({ index: done.result, principal });
    if (this.handles.length > MOST_HANDLES) await this.close();
  }

  anchored() {
    const known = this.past.length > 0 && this.next() < 0.5 ? this.pick(this.past) : undefined;
    return known ? { anchor: known.anchor } : {};
  }

  async close() {
    const [{ index }] = this.handles.splice(this.below(this.handles.length), 1);
    await index.close();
  }

  /** Several calls at once on one handle, under keys of their own. */
  async together() {
    const index = this.keyless;
    const calls = ['count', 'get', 'query', 'listIds', 'count', 'get'];
    await Promise.all(calls.map((name) => {
      const principal = this.principal();
      return this[name]({ index, key: this.keyOf(principal), principal, held: false });
    }));
  }

  /** Remembers a moment: what was stored then, and its anchor. */
  async remember() {
    const key = { indexKey: this.model.indexKey };
    const anchor = await this.keyless.anchor(key);
    const { generation } = await this.keyless.stats(key);
    this.past.push({ map: new Map(this.map), model: this.model.copy(), anchor, generation });
    if (this.past.length > MOST_PAST) this.past.splice(this.below(MOST_PAST), 1);
  }

  /** A store put back to an earlier moment: ROLLED_BACK for those who know better. */
  async putBack() {
    if (this.past.length < 2) return;
    const [x, y] = [this.pick(this.past), this.pick(this.past)];
    const [old, now] = x.generation <= y.generation ? [x, y] : [y, x];
    const client = new Client({ storage: mapStorage(new Map(old.map)), ...this.options });
    const known = { indexName: 'm', anchor: now.anchor };
    const same = old.generation === now.generation;
    const verdict = same ? OK : 'ROLLED_BACK';
    const key = { indexKey: old.model.indexKey };
    await this.expect('a store put back', verdict, () => client.loadIndex({ ...known, ...key }));
    await this.expect('a store put back', verdict, () => client.loadIndex(known));
    const index = await client.loadIndex({ indexName: 'm', ...key });
    assert.equal(await index.count(), old.model.items.size);
    await client.close();
  }
}

const CALLS = ['count', 'get', 'query', 'listIds', 'upsert', 'delete', 'compact', 'train'];
const WEIGHTS = {
  count: 12, get: 14, query: 10, listIds: 6, upsert: 16, delete: 8, compact: 1, train: 1,
  createUser: 6, deleteUser: 4, listUsers: 3, rotate: 2, rekey: 1, load: 10, close: 3,
  together: 4, remember: 1, putBack: 2,
};

test('no call is allowed that the model forbids, and none refused that it allows', async (t) => {
  t.diagnostic(`SEED=${SEED}`);
  const run = new Run(SEED);
  await run.begin();
  const names = Object.entries(WEIGHTS).flatMap(([name, weight]) => new Array(weight).fill(name));
  let made = 0;
  const count = () => [...run.tally.values()].reduce((sum, n) => sum + n, 0);
  while ((made = count()) < OPERATIONS) {
    const name = run.pick(names);
    try {
      if (CALLS.includes(name)) await run[name](run.caller());
      else if (name !== 'close' || run.handles.length > 0) await run[name]();
    } catch (error) {
      error.message = `after ${made} operations of seed ${SEED}, in ${name}: ${error.message}`;
      throw error;
    }
  }
  for (const [what, n] of [...run.tally].sort()) t.diagnostic(`${what} ${n}`);
  const refused = [...run.tally].filter(([what]) => !what.endsWith(OK))
    .reduce((sum, [, n]) => sum + n, 0);
  assert.ok(refused > made / 20 && refused < made * 0.7, `${refused} of ${made} were refused`);
  await run.client.close();
});
