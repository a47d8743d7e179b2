// Known secrets are looked for where they must not be: in everything that is ever stored, in
// errors and warnings, in messages to training workers, and in wasm memory once an index is
// closed. STORES=1000 (make canary) makes as many stores of random shape; SEED repeats one run.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { blake2b } from '@noble/hashes/blake2.js';
import { Core } from '../../build/js/core.js';
import { Client, deriveKey } from '../../build/js/index.js';
import { folderOf } from '../reader/keys.js';
import { openManifests } from '../reader/manifest.js';
import { secretsOf } from '../reader/reader.js';
import {
  bytesOf, countComponents, Finder, keyForms, makeSecrets, needles, said,
} from './support/canaries.js';
import { assertCode, random } from './support/oracle.js';
import { watchCores } from './support/spies.js';
import { Failing, mapStorage, Wrapped } from './support/stores.js';

const STORES = Number(process.env.STORES ?? 15);
const SEED = Number(process.env.SEED ?? 1);
const METRICS = ['euclidean', 'squared_euclidean', 'cosine', 'inner_product'];
const WORKER = new URL('../../build/js/training-worker-node.js', import.meta.url);
const CONSOLE = ['log', 'info', 'warn', 'error', 'debug', 'trace'];

/** Remembers all that was ever written. */
class Remembering extends Wrapped {
  constructor(inner, past) {
    super(inner);
    this.past = past;
  }

  create(key, bytes) {
    this.past.push([key, Buffer.from(bytes)]);
    return super.create(key, bytes);
  }
}

/** All that can be seen of what the library does, until `restore`. */
function watch() {
  const seen = { memories: [], lines: [], errors: [], messages: [], past: [] };
  const undo = [watchCores(({ memory }) => seen.memories.push(memory))];
  for (const name of CONSOLE) {
    const write = console[name];
    console[name] = (...args) => seen.lines.push(args.map(String).join(' '));
    undo.push(() => { console[name] = write; });
  }
  const restore = () => undo.forEach((one) => one());
  return { ...seen, restore };
}

/** A training worker whose messages are looked at. */
function tappedWorker(messages) {
  const thread = new Worker(WORKER);
  thread.unref();
  return {
    postMessage: (message, transfer) => {
      messages.push([`to a worker: ${message.type}`, bytesOf(message)]);
      thread.postMessage(message, transfer);
    },
    addEventListener: (type, listener) => thread.on(type, (data) => {
      messages.push([`from a worker: ${data?.type}`, bytesOf(data)]);
      listener(type === 'message' ? { data } : data);
    }),
    terminate: () => thread.terminate(),
  };
}

/** What the store at hand is like. */
function shapeOf(next, number) {
  const below = (n) => Math.floor(next() * n);
  const one = (list) => list[below(list.length)];
  return {
    metric: one(METRICS), precision: one(['float32', 'float16']), dimension: 4 + below(20),
    count: 24 + below(120), trained: next() < 0.6, lists: 1 + below(6),
    cacheBytes: one([undefined, undefined, 0, 1, 3000, 100_000]),
    worker: number % 20 === 3, passphrase: number % 100 === 4,
  };
}

/** One store: everything an index does, in random order, and everything it refuses. */
class Life {
  map = new Map();

  constructor(seen, secrets, shape, next) {
    Object.assign(this, { seen, secrets, shape, next });
    this.known = { indexName: 'public', indexKey: secrets.key };
  }

  below(n) {
    return Math.floor(this.next() * n);
  }

  client(storage, cacheBytes = this.shape.cacheBytes) {
    const { seen, shape } = this;
    return new Client({
      storage: new Remembering(storage, seen.past), cacheBytes, minTrainVectors: 8,
      worker: shape.worker ? () => tappedWorker(seen.messages) : false,
      logger: { warn: (message) => seen.lines.push(message) },
    });
  }

  /** Waits for a call; what it fails of is kept. */
  async attempt(call) {
    try {
      return await call();
    } catch (error) {
      this.seen.errors.push(error);
      return undefined;
    }
  }

  async refuse(call) {
    await call().then(() => assert.fail(`not refused: ${call}`), (e) => this.seen.errors.push(e));
  }

  some(most) {
    const { items } = this.secrets;
    const from = this.below(items.length);
    return items.slice(from, from + 1 + this.below(most));
  }

  /** One call of any kind. */
  call(index, options = {}) {
    const { items } = this.secrets;
    const ids = this.some(20).map(({ id }) => id);
    const include = ['metadata', 'contents', 'vector'];
    const query = { queryVectors: items[this.below(items.length)].vector, topK: 9, include };
    const [{ metadata }] = this.some(1);
    const calls = [
      () => index.upsert({ items: this.some(40), ...options }),
      () => index.upsert({ items: this.some(1), ...options }),
      () => index.delete({ ids: ids.slice(0, 5), ...options }),
      () => index.query({ ...query, ...options }),
      () => index.query({ ...query, nProbes: 99, filters: metadata ?? {}, ...options }),
      () => index.get({ ids, include, ...options }),
      () => index.compact(options),
      () => index.train({ nLists: this.shape.lists, seed: 1, workers: 1, ...options }),
    ];
    return calls[this.below(calls.length - (this.shape.trained ? 0 : 1))]();
  }

  /** An index that works; it stays open. */
  async work() {
    const { metric, precision, dimension, trained, lists } = this.shape;
    const { items } = this.secrets;
    const client = this.client(mapStorage(this.map));
    const index = await client.createIndex({ ...this.known, metric, precision, dimension });
    await index.upsert({ items });
    if (trained) await index.train({ nLists: lists, seed: 1, workers: 1 });
    for (let i = 0; i < 8; i++) await this.attempt(() => this.call(index));
    await Promise.all([0, 1, 2].map(() => this.attempt(() => this.call(index))));
    await this.attempt(() => index.listIds());
    return { client, index };
  }

  /** Calls that are aborted, or cut off by closing; calls that carry a key of their own. */
  async interrupt() {
    const client = this.client(mapStorage(this.map));
    const index = await client.loadIndex(this.known);
    for (let i = 0; i < 4; i++) {
      const controller = new AbortController();
      const call = this.attempt(() => this.call(index, { signal: controller.signal }));
      setTimeout(() => controller.abort(), this.below(3));
      await call;
    }
    const late = [0, 1].map(() => this.attempt(() => this.call(index)));
    await index.close();
    await Promise.all(late);
    const open = await client.loadIndex({ indexName: 'public' });
    await this.attempt(() => this.call(open, { indexKey: this.secrets.key }));
    await this.attempt(() => this.call(open, { indexKey: this.secrets.wrongKey }));
    await this.attempt(() => this.call(open));
    await client.close();
  }

  /** A storage that fails now and then, and one in which bytes were changed. */
  async harm() {
    for (let i = 0; i < 3; i++) {
      const failing = new Failing(
        mapStorage(new Map(this.map)), 1 + this.below(25), ['before', 'after'][i % 2], 'EIO');
      await this.use(failing);
      const damaged = new Map([...this.map].map(([key, bytes]) => {
        const copy = bytes.slice();
        for (let n = 0; n < 3; n++) copy[this.below(copy.length)] ^= 1 << this.below(8);
        return [key, i === 0 && !key.includes('/object/') ? bytes : copy];
      }));
      await this.use(mapStorage(damaged));
    }
  }

  async use(storage) {
    const client = this.client(storage);
    const index = await this.attempt(() => client.loadIndex(this.known));
    for (let i = 0; index && i < 4; i++) await this.attempt(() => this.call(index));
    await this.attempt(() => client.close());
  }

  /** Arguments that are wrong, of data that is secret. */
  async misuse(client, index) {
    const { key, wrongKey, passphrase, items } = this.secrets;
    const [one, two] = items;
    const { id, vector } = one;
    const texts = [id, passphrase, Buffer.from(key).toString('hex')];
    for (const text of texts) {
      await this.refuse(() => client.loadIndex({ ...this.known, indexKey: text }));
      await this.refuse(() => client.loadIndex({ ...this.known, userId: text }));
      await this.refuse(() => index.upsert({ items: text }));
      await this.refuse(() => index.upsert({ items: [text] }));
      await this.refuse(() => index.upsert({ items: [{ ...one, vector: text }] }));
      await this.refuse(() => index.upsert({ items: [{ ...one, metadata: text }] }));
      await this.refuse(() => index.upsert({ ids: text, vectors: [vector] }));
      await this.refuse(() => index.upsert({ ids: [id], vectors: text }));
      await this.refuse(() => index.query({ queryVectors: text }));
      for (const filters of [text, { a: { $mod: text } }, { a: { $in: text } }]) {
        await this.refuse(() => index.query({ queryVectors: vector, filters }));
      }
      await this.refuse(() => index.query({ queryVectors: vector, topK: text }));
      await this.refuse(() => index.get({ ids: text }));
      await this.refuse(() => index.delete({ ids: text }));
      await this.refuse(() => deriveKey({ passphrase: text, salt: text }));
      await this.refuse(() => deriveKey(text));
    }
    await this.refuse(() => client.loadIndex({ ...this.known, indexKey: wrongKey }));
    await this.refuse(() => client.loadIndex({ ...this.known, indexKey: key.slice(1) }));
    await this.refuse(() => client.loadIndex({ ...this.known, indexKey: [...key] }));
    await this.refuse(() => client.createIndex(this.known));
    await this.refuse(() => index.upsert({ items: [{ ...one, vector: vector.slice(1) }] }));
    await this.refuse(() => index.upsert({ items: [{ ...one, contents: 5 }] }));
    await this.refuse(() => index.upsert({ items: [{ ...one, id: vector }] }));
    await this.refuse(() => index.upsert({ items: [one, two, one] }));
    await this.refuse(() => index.get({ ids: [id, id] }));
    await this.refuse(() => index.query({ queryVectors: [...vector, 1] }));
  }

  async run() {
    const { client, index } = await this.work();
    await this.interrupt();
    await this.harm();
    await this.misuse(client, index);
    if (this.shape.passphrase) {
      const { passphrase } = this.secrets;
      const options = { passphrase, salt: new Uint8Array(16), passes: 2, worker: false };
      this.secrets.derived = await deriveKey(options);
    }
    await client.close();
  }
}

/** Every key of the store, and of all manifests that ever were, by the independent reader. */
function keysOf({ map, seen, known }) {
  const index = folderOf(map, 'public');
  const without = [...map].filter(([key]) => !key.includes('/manifest/'));
  const manifests = seen.past.filter(([key]) => key.startsWith(`${index.folder}/manifest/`));
  const secrets = manifests.flatMap((manifest) =>
    openManifests(new Map([...without, manifest]), index, 'public', known)
      .flatMap(secretsOf));
  const distinct = new Map(secrets.map(([name, secret]) => [String(secret), [name, secret]]));
  assert.ok(distinct.size > 7 + manifests.length / 2);
  return [...distinct.values()].flatMap(([name, secret]) => keyForms(name, secret));
}

/** That nothing of a store's secrets is anywhere. */
function assertSilent(life) {
  const { seen, secrets } = life;
  const all = needles(secrets);
  if (secrets.derived) all.push(...keyForms('the derived key', secrets.derived));
  all.push(...keysOf(life));
  const finder = new Finder(all);
  const check = (bytes, where) => assert.equal(finder.find(bytes), undefined, where);
  for (const [key, bytes] of seen.past) {
    check(Buffer.concat([Buffer.from(key), bytes]), `in ${key}`);
  }
  for (const line of seen.lines) check(Buffer.from(line), `in a line: ${line}`);
  for (const text of seen.errors.map((error) => said(error))) {
    check(Buffer.from(text), `in an error: ${text}`);
  }
  for (const memory of seen.memories) {
    assert.equal(finder.findInMemory(memory), undefined, 'in wasm memory');
    const components = countComponents(memory, secrets.items);
    assert.ok(components < 3, `${components} components of vectors in wasm memory`);
  }
  assertNeedToKnow(life, all);
}

const OBJECT_KEYS = ['key of objects', 'key of ids'];

/** A worker is told the keys of objects and ids when it starts, and gets rows; nothing else. */
function assertNeedToKnow({ seen }, all) {
  const secret = all.filter(([name]) => name !== 'a vector');
  const [never, later] = [
    new Finder(secret.filter(([name]) => !OBJECT_KEYS.includes(name))), new Finder(secret)];
  for (const [what, bytes] of seen.messages) {
    const finder = what === 'to a worker: start' ? never : later;
    assert.equal(finder.find(bytes), undefined, what);
  }
}

test(`no secret is in what ${STORES} stores write, say, tell workers or leave in memory`,
  async (t) => {
    const next = random(SEED);
    let calls = 0;
    for (let number = 0; number < STORES; number++) {
      const seen = watch();
      const shape = shapeOf(next, number);
      const life = new Life(seen, makeSecrets(next, shape), shape, next);
      try {
        await life.run();
      } finally {
        seen.restore();
      }
      calls += seen.errors.length;
      assert.ok(seen.past.length > 5 && seen.errors.length > 30 && seen.memories.length > 5);
      assert.ok(!shape.worker || !shape.trained || seen.messages.length > 5);
      assertSilent(life);
    }
    t.diagnostic(`${calls} errors`);
  });

/** An index of items that stays open, what is seen of it, and a finder of its secrets. */
async function openOne(options = {}, count = 120) {
  const next = random(3);
  const secrets = makeSecrets(next, { count, dimension: 12 });
  const seen = watch();
  const shape = { worker: true, ...options };
  const life = new Life(seen, secrets, shape, next);
  const client = life.client(mapStorage(life.map));
  const index = await client.createIndex({ ...life.known, dimension: 12 });
  await index.upsert({ items: secrets.items });
  return { life, seen, secrets, client, index };
}

describe('the search finds', () => {
  test('each secret in each of its forms, wherever it stands', () => {
    const secrets = makeSecrets(random(8), { count: 40, dimension: 6 });
    const all = needles(secrets);
    const finder = new Finder(all);
    assert.ok(all.length > 400);
    for (const [i, [name, bytes]] of all.entries()) {
      const around = Buffer.concat([Buffer.alloc(i % 9, 1), bytes, Buffer.alloc(i % 7, 1)]);
      assert.ok(finder.find(around), name);
      const changed = Buffer.from(bytes);
      changed[i % bytes.length] ^= 0x80;
      assert.equal(finder.find(changed), undefined, name);
    }
    const [{ id, vector }] = secrets.items;
    const named = `x${Buffer.from(`ab${id}cd`).toString('base64')}`;
    assert.equal(finder.find(Buffer.from(named)), 'an id');
    const memory = { buffer: new ArrayBuffer(65_536) };
    new Float32Array(memory.buffer).set(vector, 901);
    assert.equal(finder.findInMemory(memory), 'a vector');
    assert.equal(countComponents(memory, secrets.items), 6);
    const cause = Object.assign(new Error(), { detail: id });
    const error = new Error('outside', { cause: new Error('inside', { cause }) });
    assert.equal(finder.find(Buffer.from(said(error))), 'an id');
  });

  test('keys and vectors in the memory of an index that is open, none once it is closed',
    async () => {
      const { life, seen, secrets, client, index } = await openOne();
      seen.restore();
      await index.query({ queryVectors: secrets.items[0].vector, topK: 1 });
      const finder = new Finder(keysOf(life));
      const open = seen.memories.filter((memory) => finder.findInMemory(memory));
      assert.equal(open.length, 1);
      assert.equal(countComponents(open[0], secrets.items), 120 * 12);
      await client.close();
      assertSilent(life);
    });

  test('the keys of objects in what starts a worker, and rows in what it is told', async () => {
    const { life, seen, secrets, client, index } = await openOne();
    await index.train({ nLists: 3, seed: 1, workers: 2 });
    await client.close();
    seen.restore();
    const keys = new Finder(keysOf(life).filter(([, bytes]) => bytes.length === 32));
    const withKeys = seen.messages.filter(([, bytes]) => keys.find(bytes));
    assert.ok(withKeys.length > 0);
    assert.ok(withKeys.every(([what]) => what === 'to a worker: start'));
    const vectors = new Finder(needles(secrets).filter(([name]) => name === 'a vector'));
    assert.ok(seen.messages.some(([, bytes]) => vectors.find(bytes)));
    assertSilent(life);
  });
});

describe('what is let go is wiped', () => {
  test('on the stack, which is as long as the core is built with', () => {
    const text = (file) => fs.readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
    const [, built] = text('Makefile').match(/^stack_bytes := (\d+)$/m);
    const [, wiped] = text('js/crypto.ts').match(/STACK = ([\d_]+);/);
    assert.equal(Number(wiped.replace('_', '')), Number(built));
  });

  test('from the memory of an index that stays open, when the cache drops it', async () => {
    const { seen, secrets, client, index } = await openOne({ cacheBytes: 2000 });
    const { items } = secrets;
    const include = ['vector', 'metadata', 'contents'];
    for (let i = 0; i < 20; i++) {
      await index.query({ queryVectors: items[i].vector, topK: 5, include });
      await index.get({ ids: [items[i].id] });
    }
    await new Promise((resolve) => { setTimeout(resolve, 20); });
    seen.restore();
    assert.ok((await index.stats()).cachedBytes <= 2000);
    // One block is all 120 rows here: none may be left.
    const left = Math.max(...seen.memories.map((memory) => countComponents(memory, items)));
    assert.ok(left < 3, `${left} components`);
    const finder = new Finder(needles(secrets));
    for (const memory of seen.memories) assert.equal(finder.findInMemory(memory), undefined);
    await client.close();
  });

  test('from the chunks of documents that the cache kept', async () => {
    const { seen, secrets, client, index } = await openOne();
    const finder = new Finder(needles(secrets));
    const { bytes } = Core.prototype;
    const kept = [];
    Core.prototype.bytes = function copy(...args) {
      const array = bytes.apply(this, args);
      // Of single ids, metadata and contents JavaScript has copies anyway.
      if (array.length > 1000 && finder.find(array)) kept.push(array);
      return array;
    };
    try {
      const include = ['metadata', 'contents'];
      await index.get({ ids: secrets.items.map(({ id }) => id), include });
      await index.query({ queryVectors: secrets.items[0].vector, topK: 5, include });
    } finally {
      Core.prototype.bytes = bytes;
    }
    assert.ok(kept.length >= 3 && kept.every((array) => finder.find(array)));
    await client.close();
    seen.restore();
    assert.deepEqual(kept.map((array) => finder.find(array)), kept.map(() => undefined));
  });

  test('with what a call has left on the stack, whichever was the last', async () => {
    const key = makeSecrets(random(9), { count: 1, dimension: 4 }).key;
    // libsodium wipes the key of a hash, and not its result.
    const left = blake2b(new Uint8Array(), { key, dkLen: 64 }).slice(0, 32);
    const finder = new Finder(keyForms('what is on the stack', left));
    const memories = [];
    const restore = watchCores((exports) => {
      memories.push(exports.memory);
      const { sv_alloc: alloc, sv_free: free, sv_wipe: wipe, sv_derive: derive } = exports;
      for (const name of ['sv_hash', 'sv_derive', 'sv_seal', 'sv_open', 'sv_sign', 'sv_verify']) {
        const call = exports[name];
        exports[name] = (...args) => {
          const code = call(...args);
          const at = alloc(96);
          new Uint8Array(exports.memory.buffer).set(key, at);
          derive(at, at, 0, at + 32, 64);
          wipe(at, 96);
          free(at);
          return code;
        };
      }
    });
    const client = new Client({ storage: mapStorage(), worker: false, minTrainVectors: 8 });
    const { items, key: indexKey } = makeSecrets(random(2), { count: 60, dimension: 4 });
    try {
      const known = { indexName: 'public', indexKey };
      const index = await client.createIndex(known);
      await assertCode(client.createIndex(known), 'ALREADY_EXISTS');
      await assertCode(client.loadIndex({ ...known, indexKey: key }), 'WRONG_KEY');
      await index.upsert({ items });
      assert.ok(memories.some((memory) => finder.findInMemory(memory)), 'it is left there');
      await index.train({ nLists: 2, seed: 1 });
      await (await client.loadIndex({ indexName: 'public' })).query({
        queryVectors: items[0].vector, indexKey });
    } finally {
      restore();
      await client.close();
    }
    assert.equal(memories.length, 6);
    for (const memory of memories) assert.equal(finder.findInMemory(memory), undefined);
  });

  test('when an index is made, or opened, and closed at once', async () => {
    const { life, seen, client } = await openOne();
    await client.close();
    for (let i = 0; i < 3; i++) {
      const again = life.client(mapStorage(life.map));
      await again.loadIndex(life.known);
      await again.close();
    }
    seen.restore();
    assert.equal(seen.memories.length, 5);
    assertSilent(life);
  });

  test('when a key does not open the index, or what it opens is damaged', async () => {
    const { life, seen, secrets, client } = await openOne();
    await client.close();
    seen.memories.length = 0;
    const slots = [...life.map.keys()].find((key) => key.includes('/slots/'));
    const manifest = [...life.map.keys()].find((key) => key.includes('/manifest/'));
    const attempts = [
      [life.map, secrets.wrongKey, 'WRONG_KEY'],
      // The end of the root slot, its signature; that of the manifest, and its body.
      ...[[slots, -70], [slots, -1], [manifest, -1], [manifest, -90]].map(([key, at]) => {
        const bytes = Uint8Array.from(life.map.get(key));
        bytes[bytes.length + at] ^= 1;
        return [new Map([...life.map, [key, bytes]]), secrets.key, 'CORRUPTED'];
      }),
    ];
    for (const [map, indexKey, code] of attempts) {
      const other = life.client(mapStorage(map));
      await assertCode(other.loadIndex({ ...life.known, indexKey }), code);
      await other.close();
    }
    seen.restore();
    assert.equal(seen.memories.length, attempts.length);
    assertSilent(life);
  });

  test('when a call with a key of its own is done, while the handle stays open', async () => {
    const { life, seen, secrets, client, index } = await openOne();
    await index.close();
    seen.memories.length = 0;
    const handle = await client.loadIndex({ indexName: 'public' });
    const query = { queryVectors: secrets.items[0].vector, topK: 3, include: ['contents'] };
    for (const indexKey of [secrets.key, secrets.wrongKey, secrets.key]) {
      const call = handle.query({ ...query, indexKey });
      if (indexKey === secrets.key) await call;
      else await assertCode(call, 'WRONG_KEY');
    }
    await handle.upsert({ items: secrets.items.slice(0, 3), indexKey: secrets.key });
    seen.restore();
    assert.equal(seen.memories.length, 4);
    assertSilent(life);
    await client.close();
  });
});
