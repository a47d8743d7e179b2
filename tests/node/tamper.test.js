// Whoever can write to the storage can break an index, but never make it answer wrongly, crash or
// hang. `TAMPER=all` (make tamper) tries every bit and every length, else a seeded sample of them;
// SHARD=1/2 takes every second one.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Core } from '../../build/js/core.js';
import { Client, SealvecError } from '../../build/js/index.js';
import { loadModule } from '../../build/js/loader.js';
import { namedObjects } from '../../build/js/manifest.js';
import { ObjectReader, readBytes } from '../../build/js/object.js';
import { sealObject } from '../../build/js/seal-object.js';
import { IndexStore } from '../../build/js/store.js';
import { assertCode, random } from './support/oracle.js';
import { endIfItHangs, reuseCores } from './support/many-cases.js';
import { mapStorage } from './support/stores.js';

const ALL = process.env.TAMPER === 'all';
const [SHARD, SHARDS] = (process.env.SHARD ?? '0/1').split('/').map(Number);
const SEED = Number(process.env.SEED ?? 20261120);
const KEY = new Uint8Array(32).fill(9);
const user = (n) => ({ userId: new Uint8Array(16).fill(n), indexKey: new Uint8Array(32).fill(n) });
const READER = user(1);
const WRITER = user(2);
/** Whose answers are looked at, in turn. */
const KEYS = [{ indexKey: KEY }, READER, WRITER];
/** Enough for more dead rows than a manifest holds itself, with fewer than half of all dead. */
const ROWS = 540;
const DEAD = 262;
/** The fewest components that have codes. */
const DIMENSION = 32;
/** Every so many rows have a text, of so many characters. */
const TEXTS = 20;
const TEXT = 1300;
const LEAST_BYTES = 128 * 1024;
const SILENT = { warn() {} };
/** Bytes at the head of every kind of object. */
const HEADER = 64;
/** Milliseconds after which a case counts as hanging. */
const PATIENCE = 60_000;

const open = (storage) => new Client({
  storage, worker: false, minTrainVectors: 16, logger: SILENT,
});

/** A storage that remembers all it ever held. */
function remembering(map, past) {
  const storage = mapStorage(map);
  return {
    ...storage,
    create: (key, bytes) => {
      past.set(key, Uint8Array.from(bytes));
      return storage.create(key, bytes);
    },
  };
}

/**
 * An index with segments in lists, one that came later, centroids, and a bitmap of tombstones; with
 * two users, and two epochs since a third was deleted.
 */
async function fill(map, past, indexName, seed) {
  const next = random(seed);
  const client = open(remembering(map, past));
  const options = { indexName, indexKey: KEY, dimension: DIMENSION, metric: 'cosine' };
  const index = await client.createIndex(options);
  const item = (i) => ({
    id: `${indexName}${i}`, vector: Array.from({ length: DIMENSION }, () => next() - 0.5),
    ...(i % TEXTS === 0 && {
      contents: `text ${i} `.padEnd(TEXT, `${i}, `), metadata: { i, even: i % 40 === 0 },
    }),
  });
  const add = ({ userId, indexKey: userKey }, permissions) =>
    index.createUserKeys({ userId, userKey, permissions });
  await add(READER, ['read']);
  await add(WRITER, ['read', 'write']);
  await add(user(3), ['read', 'write']);
  await index.upsert({ items: Array.from({ length: ROWS }, (_, i) => item(i)) });
  await index.train({ nLists: 5, seed });
  await index.deleteUserKeys({ userId: user(3).userId });
  await index.upsert({ items: [item(0), item(2), item(ROWS)] });
  const dead = Array.from({ length: DEAD }, (_, i) => `${indexName}${2 * i + 3}`);
  await index.delete({ ids: dead });
  await client.close();
}

/** A question that is put to the index, and its right answer. */
class Question {
  constructor(put) {
    this.put = put;
  }

  async answer(index) {
    return JSON.stringify(await this.put(index));
  }
}

const QUERY = {
  queryVectors: Array.from({ length: DIMENSION }, (_, i) => Math.sin(i)), topK: 12,
  include: ['distance', 'metadata', 'contents', 'vector'],
};
/** All that can be known of the index. */
const QUESTIONS = [
  (index) => index.listIds().then(({ ids }) => ids.sort()),
  (index) => index.count(),
  (index) => index.listIds().then(({ ids }) => index.get({ ids: ids.sort() })),
  (index) => index.query({ ...QUERY, nProbes: 9 }),
  (index) => index.query({ ...QUERY, targetRecall: 0.9 }),
  (index) => index.query({ ...QUERY, filters: { even: true } }),
].map((put) => new Question(put));

/** Questions that read little: one row each. */
function smallQuestions(ids) {
  return ids.filter((_, i) => i % 5 === 0).flatMap((id) =>
    [['vector'], ['metadata'], ['contents']].map((include) =>
      new Question((index) => index.get({ ids: [id], include }))));
}

/** What `use` makes of the index under a key, which is closed again. */
function withIndex(storage, key, use) {
  return lend(async () => {
    const client = open(storage);
    try {
      return await use(await client.loadIndex({ indexName: 'v', ...key }));
    } finally {
      await client.close();
    }
  });
}

let asked = 0;

/**
 * Puts questions to the store under one of the keys, until one gets an error: its code, or 'same'
 * when all answers were right.
 */
async function put(storage, questions, what, key = KEYS[asked++ % KEYS.length]) {
  hanging.notYet();
  try {
    return await withIndex(storage, key, async (index) => {
      for (const question of questions) {
        assert.ok(await question.answer(index) === question.right, `${what}: a wrong answer`);
      }
      return 'same';
    });
  } catch (error) {
    if (error instanceof SealvecError) return error.code;
    throw error;
  }
}

/** Sets the right answer of a question; what it read, as [key, from, to], and how much. */
async function learn(question, map) {
  const ranges = [];
  const storage = mapStorage(map);
  const { read } = storage;
  storage.read = async (key, range) => {
    const bytes = await read(key, range);
    if (bytes) ranges.push([key, range?.offset ?? 0, (range?.offset ?? 0) + bytes.length]);
    return bytes;
  };
  question.right = await withIndex(storage, KEYS[0], (index) => question.answer(index));
  return { question, ranges, bytes: ranges.reduce((sum, [, from, to]) => sum + to - from, 0) };
}

/** For every byte of the victims, the question that reads it and least else; null where none. */
async function findReaders(map) {
  const learnt = [];
  for (const question of QUESTIONS) learnt.push(await learn(question, map));
  for (const question of smallQuestions(JSON.parse(QUESTIONS[0].right))) {
    learnt.push(await learn(question, map));
  }
  learnt.sort((x, y) => y.bytes - x.bytes);
  const readers = new Map(victims.map((key) => [key, Array(map.get(key).length).fill(null)]));
  for (const { question, ranges } of learnt) {
    for (const [key, from, to] of ranges) readers.get(key)?.fill(question, from, to);
  }
  return readers;
}

/** Lengths and chunks of the sections of every object that the newest commit names, by id. */
async function readRefs(map) {
  const core = await Core.instantiate(await loadModule(undefined));
  const store = await IndexStore.open(core, mapStorage(map), 'v', KEYS[0], { logger: SILENT });
  return new Map(namedObjects(store.manifest)
    .map(({ id, lengths, chunkBytes }) => [Buffer.from(id).toString('hex'),
      lengths.map((length, section) => ({ length, chunk: chunkBytes[section] }))]));
}

const pristine = new Map();
/** Everything that was ever written, of this index and of another under the same key. */
const past = new Map();
const outcomes = new Map();
const lend = reuseCores();
const hanging = endIfItHangs(PATIENCE);
let refs;
let victims;
let readers;

before(async () => {
  await fill(pristine, past, 'v', SEED);
  await fill(pristine, past, 'w', SEED + 1);
  refs = await readRefs(pristine);
  const id = Buffer.from(pristine.get('index/v').slice(16, 32)).toString('hex');
  // Objects that no commit names any more are read by nobody.
  const isNamed = (key) => !key.includes('/object/') || refs.has(key.slice(-32));
  victims = [...pristine.keys()].filter((key) => key === 'index/v' ||
    (key.includes(id) && isNamed(key)));
  readers = await findReaders(pristine);
  for (const key of KEYS) {
    assert.equal(await put(mapStorage(pristine), QUESTIONS, 'nothing', key), 'same');
  }
  assert.equal(Number(QUESTIONS[1].right), ROWS + 1 - DEAD);
});

after(async () => {
  await hanging.end();
  const counts = [...outcomes].map(([outcome, count]) => `${outcome} ${count}`);
  console.log(`# ${counts.join(', ')} (seed ${SEED})`);
});

/** Asks a store that was tampered with; 'same' or the code of the error it gives. */
async function ask(map, what, first = []) {
  const outcome = await put(mapStorage(map), [...first, ...QUESTIONS], what);
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  return outcome;
}

/**
 * Puts other bytes (or none) in place of an object's, and asks: first what reads the byte `at`,
 * so that most cases are over soon.
 */
async function replace(key, bytes, what, at) {
  const map = new Map(pristine);
  if (bytes) map.set(key, bytes);
  else map.delete(key);
  return ask(map, `${what} of ${key}`, at === undefined ? [] : [readers.get(key)[at]]);
}

function flipped(bytes, bit) {
  const copy = bytes.slice();
  copy[bit >> 3] ^= 1 << (bit & 7);
  return copy;
}

/** All numbers below n; or the first ones, and a seeded sample of the others. */
function pick(n, first, some, next) {
  const all = Array.from({ length: n }, (_, i) => i);
  if (ALL) return all.filter((i) => i % SHARDS === SHARD);
  const sample = Array.from({ length: some }, () => Math.floor(next() * n));
  return [...new Set([...all.slice(0, first), ...sample])];
}

test('the store has a header, slots, a manifest, centroids, segments and tombstones', (t) => {
  const objects = victims.filter((key) => key.includes('/object/'));
  assert.deepEqual(objects.map((key) => pristine.get(key)[12]).sort(), [1, 1, 2, 3]);
  assert.equal(victims.length, 7);
  const epochs = objects.map((key) => new DataView(pristine.get(key).buffer).getUint32(48, true));
  assert.deepEqual(epochs.sort(), [1, 1, 2, 2]);
  const size = victims.reduce((sum, key) => sum + pristine.get(key).length, 0);
  assert.ok(size > LEAST_BYTES, `${size} bytes`);
  t.diagnostic(`${size} bytes`);
});

test('every byte is read by some question, every section of segments among them', () => {
  for (const key of victims) {
    const unread = readers.get(key).indexOf(null);
    assert.equal(unread, -1, `byte ${unread} of ${key}`);
  }
  const sections = [...refs.values()].filter((one) => one.length > 2);
  assert.equal(sections.length, 2);
  for (const one of sections) assert.ok(one.length === 7 && one.every(({ length }) => length > 0));
});

/**
 * An object of the same id and sections, with one bit changed, as a reader can seal it; or, under
 * the keys of another epoch, someone who has those alone.
 */
async function resealed(store, ref, section, epoch) {
  const reader = new ObjectReader(store, ref);
  const plain = [];
  for (const [at, length] of ref.lengths.entries()) plain.push(await readBytes(reader, at, 0, length));
  plain[section][0] ^= 1;
  const draw = crypto.getRandomValues;
  crypto.getRandomValues = (into) => {
    draw.call(crypto, into);
    if (into.length === 16) into.set(ref.id);
    return into;
  };
  const { core, storage, indexId } = store;
  const keyring = { epoch: ref.epoch, keys: () => store.keyring.keys(epoch) };
  try {
    return core.withScratch((s) => sealObject(
      { core, storage, indexId, keyring }, ref.type,
      plain.map((bytes, at) => (
        { pointer: s.put(bytes), length: bytes.length, chunkBytes: reader.chunkBytes(at) })),
    )).bytes;
  } finally {
    crypto.getRandomValues = draw;
  }
}

test('any object that a user sealed in the place of one is a typed error', async (t) => {
  const core = await Core.instantiate(await loadModule(undefined));
  const store = await IndexStore.open(core, mapStorage(pristine), 'v', READER, { logger: SILENT });
  let count = 0;
  for (const ref of namedObjects(store.manifest)) {
    for (const [section, length] of ref.lengths.entries()) {
      if (length === 0) continue;
      for (const epoch of [1, 2]) {
        const bytes = await resealed(store, ref, section, epoch);
        const key = victims.find((name) => name.endsWith(Buffer.from(ref.id).toString('hex')));
        assert.equal(bytes.length, pristine.get(key).length);
        assert.deepEqual(bytes.subarray(0, HEADER), pristine.get(key).subarray(0, HEADER));
        assert.equal(await replace(key, bytes, 'a forgery'), 'CORRUPTED');
        count++;
      }
    }
  }
  t.diagnostic(`${count} objects`);
});

test('a flipped bit is a typed error', async (t) => {
  const next = random(SEED + 2);
  let flips = 0;
  for (const key of victims) {
    const bytes = pristine.get(key);
    for (const bit of pick(bytes.length * 8, HEADER * 8, 150, next)) {
      const outcome = await replace(key, flipped(bytes, bit), `bit ${bit}`, bit >> 3);
      assert.notEqual(outcome, 'same', `bit ${bit} of ${key} is not authenticated`);
      flips++;
    }
    if (ALL) console.log(`# ${flips} bits, ${Math.round(performance.now() / 1000)} s`);
  }
  const total = victims.reduce((sum, key) => sum + pristine.get(key).length * 8, 0);
  t.diagnostic(`${flips} of ${total} bits`);
});

test('an object cut short at any length, or deleted, is a typed error', async (t) => {
  const next = random(SEED + 3);
  let cuts = 0;
  for (const key of victims) {
    const bytes = pristine.get(key);
    assert.notEqual(await replace(key, undefined, 'the absence'), 'same');
    for (const length of pick(bytes.length, 2, 20, next)) {
      const outcome = await replace(key, bytes.slice(0, length), `${length} bytes`, length);
      assert.notEqual(outcome, 'same');
      cuts++;
    }
  }
  t.diagnostic(`${cuts} lengths`);
});

test('an object with bytes after its end is a typed error or changes nothing', async () => {
  for (const key of victims) {
    const bytes = pristine.get(key);
    for (const more of [1, 40, HEADER, 65_536]) {
      await replace(key, Buffer.concat([bytes, Buffer.alloc(more)]), `${more} bytes more`);
      await replace(key, Buffer.concat([bytes, bytes.slice(0, more)]), `${more} bytes again`);
    }
  }
});

test('any object of today or before, or of another index, in the place of one is a typed error',
  async (t) => {
    let count = 0;
    for (const key of victims) {
      for (const [other, bytes] of past) {
        if (other === key) continue;
        const outcome = await replace(key, bytes, other);
        assert.notEqual(outcome, 'same', `${other} in place of ${key}`);
        count++;
      }
    }
    t.diagnostic(`${count} replacements`);
  });

test('older manifests beside the newest change nothing', async () => {
  const map = new Map([...past].filter(([key]) => key.includes('/manifest/')));
  for (const [key, bytes] of pristine) map.set(key, bytes);
  assert.ok(map.size > pristine.size);
  assert.equal(await ask(map, 'all manifests ever'), 'same');
});

test('a store that was put back to an older state is ROLLED_BACK for those who know better',
  async () => {
    const mine = victims.find((key) => key.includes('/manifest/'));
    const folder = mine.slice(0, -16);
    const newest = Number(mine.slice(-16));
    const known = await open(mapStorage(pristine)).loadIndex({ indexName: 'v', indexKey: KEY });
    const anchor = await known.anchor();
    for (const [key, bytes] of past) {
      if (!key.startsWith(folder) || key === mine) continue;
      const map = new Map(past);
      for (const other of past.keys()) if (other.startsWith(folder)) map.delete(other);
      map.set(key, bytes);
      const client = open(mapStorage(map));
      const options = { indexName: 'v', indexKey: KEY };
      await assertCode(client.loadIndex({ ...options, minGeneration: newest }), 'ROLLED_BACK');
      await assertCode(client.loadIndex({ ...options, anchor }), 'ROLLED_BACK');
      assert.equal((await (await client.loadIndex(options)).stats()).generation,
        Number(key.slice(-16)));
    }
  });

test('an empty manifest of a number to come does not hide that the newest is too old', async () => {
  const mine = victims.find((key) => key.includes('/manifest/'));
  const next = Number(mine.slice(-16)) + 1;
  const map = new Map(pristine);
  map.set(mine.slice(0, -16) + String(next).padStart(16, '0'), new Uint8Array());
  const client = open(mapStorage(map));
  const options = { indexName: 'v', indexKey: KEY, minGeneration: next };
  await assertCode(client.loadIndex(options), 'ROLLED_BACK');
});

/** Where the sealed chunks of an object lie, and their hashes, by the lengths of its sections. */
function chunksOf(key) {
  const sections = refs.get(key.slice(-32)).map(({ length, chunk }) =>
    Array.from({ length: Math.ceil(length / chunk) }, (_, i) =>
      Math.min(chunk, length - i * chunk) + 40));
  const pages = sections.reduce((sum, { length }) => sum + Math.ceil(length / 64), 0);
  let at = HEADER + 32 * pages;
  const chunks = sections.flatMap((sizes) => sizes.map((size, i) => {
    const page = at;
    if (i % 64 === 0) at += 32 * Math.min(64, sizes.length - i);
    return { key, size, page, starts: i % 64 === 0, from: at, to: at += size };
  }));
  assert.equal(at, pristine.get(key).length);
  let hash = 0;
  return chunks.map(({ starts, page, from, to }) => {
    hash = starts ? page : hash + 32;
    return { key, from, to, hash: { from: hash, to: hash + 32 } };
  });
}

/** Other bytes in the place of a range. */
function splice(bytes, { from, to }, other) {
  return Buffer.concat([bytes.slice(0, from), other, bytes.slice(to)]);
}

test('two chunks that changed places, within an object or between two, are a typed error',
  async (t) => {
    const chunks = victims.filter((key) => key.includes('/object/')).flatMap(chunksOf);
    assert.ok(chunks.length > 10);
    const bytesOf = (chunk) => pristine.get(chunk.key).slice(chunk.from, chunk.to);
    const pairs = chunks.flatMap((x, i) => chunks.slice(i + 1).map((y) => [x, y]));
    let swaps = 0;
    for (const i of pick(pairs.length, 0, 1000, random(SEED + 4))) {
      const [x, y] = pairs[i];
      const map = new Map(pristine);
      // The later one first, so that within one object the earlier range still fits.
      map.set(y.key, splice(map.get(y.key), y, bytesOf(x)));
      map.set(x.key, splice(map.get(x.key), x, bytesOf(y)));
      const what = `${x.key} ${x.from} and ${y.key} ${y.from}`;
      assert.notEqual(await ask(map, what), 'same', what);
      // With what is to be their hashes, too.
      const hashes = [x, y].map(({ key, hash }) => pristine.get(key).slice(hash.from, hash.to));
      map.set(y.key, splice(map.get(y.key), y.hash, hashes[0]));
      map.set(x.key, splice(map.get(x.key), x.hash, hashes[1]));
      assert.notEqual(await ask(map, what), 'same', `${what}, with their hashes`);
      swaps++;
    }
    t.diagnostic(`${swaps} pairs of ${chunks.length} chunks`);
  });
