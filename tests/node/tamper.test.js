// Whoever can write to the storage can break an index, but never make it answer wrongly.
// `TAMPER=all` (make tamper) tries every bit and every length; else a seeded sample of them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Core } from '../../build/js/core.js';
import { Client, SealvecError } from '../../build/js/index.js';
import { loadModule } from '../../build/js/loader.js';
import { namedObjects } from '../../build/js/manifest.js';
import { IndexStore } from '../../build/js/store.js';
import { random } from './support/oracle.js';
import { mapStorage } from './support/stores.js';

const ALL = process.env.TAMPER === 'all';
const SEED = Number(process.env.SEED ?? 20261120);
const KEY = new Uint8Array(32).fill(9);
const ROWS = 620;
const SILENT = { warn() {} };

const open = (map) => new Client({
  storage: mapStorage(map), worker: false, minTrainVectors: 16, logger: SILENT,
});

async function fill(map, indexName, seed) {
  const next = random(seed);
  const client = open(map);
  const index = await client.createIndex({ indexName, indexKey: KEY, dimension: 2, metric: 'cosine' });
  const item = (i) => ({
    id: `${indexName}-${i}`, vector: [next() - 0.5, next() - 0.5], contents: `text ${i}`,
    metadata: { i, even: i % 2 === 0 },
  });
  await index.upsert({ items: Array.from({ length: ROWS }, (_, i) => item(i)) });
  await index.train({ nLists: 5, seed });
  await index.upsert({ items: [item(1), item(2), item(ROWS)] });
  // More dead rows than the manifest itself holds, and fewer than half: a bitmap of tombstones.
  await index.delete({ ids: Array.from({ length: 280 }, (_, i) => `${indexName}-${2 * i + 3}`) });
  // Objects that no commit names would be left alone by every reader.
  await new Promise((resolve) => { setTimeout(resolve, 50); });
  await client.close();
}

/** All that the index answers, or the code of the typed error it gives. */
async function answers(map) {
  const client = open(map);
  const work = async () => {
    const index = await client.loadIndex({ indexName: 'v', indexKey: KEY });
    const { ids } = await index.listIds();
    ids.sort();
    return JSON.stringify([
      ids,
      await index.get({ ids }),
      await index.query({ queryVectors: [0.3, -0.4], topK: 12, nProbes: 9, include: ['distance', 'metadata', 'contents', 'vector'] }),
      await index.query({ queryVectors: [[1, 1], [-1, 0.2]], topK: 5, filters: { even: true } }),
      await index.query({ queryVectors: [-0.1, 0.4], topK: 10, targetRecall: 0.9 }),
      await index.count(),
    ]);
  };
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error('it hangs')), 20_000); });
  try {
    return await Promise.race([work(), late]);
  } catch (error) {
    if (error instanceof SealvecError) return error.code;
    throw error;
  } finally {
    clearTimeout(timer);
    await client.close();
  }
}

/** Lengths of the sections of every object that the newest commit names, by id. */
async function readRefs(map) {
  const core = await Core.instantiate(await loadModule(undefined));
  const store = await IndexStore.open(core, mapStorage(map), 'v', KEY, { logger: SILENT });
  return new Map(namedObjects(store.manifest)
    .map(({ id, lengths }) => [Buffer.from(id).toString('hex'), lengths]));
}

let pristine;
let refs;
let right;
const seen = new Map();

before(async () => {
  pristine = new Map();
  await fill(pristine, 'v', SEED);
  await fill(pristine, 'w', SEED + 1);
  refs = await readRefs(pristine);
  right = await answers(pristine);
  assert.equal(JSON.parse(right)[0].length, ROWS + 1 - 280);
});

after(() => console.log(`# outcomes: ${[...seen].map(([code, n]) => `${code} ${n}`).join(', ')} (seed ${SEED})`));

/** Keys of the index that is asked, but for objects that no commit names any more. */
function victims() {
  const header = pristine.get('index/v');
  const id = Buffer.from(header.slice(16, 32)).toString('hex');
  return [...pristine.keys()].filter((key) => key === 'index/v' ||
    (key.includes(id) && (!key.includes('/object/') || refs.has(key.slice(key.lastIndexOf('/') + 1)))));
}

/** Puts other bytes (or none) in place of an object's, and asks. */
async function check(key, bytes, what) {
  const map = new Map(pristine);
  if (bytes) map.set(key, bytes);
  else map.delete(key);
  const got = await answers(map);
  const outcome = got === right ? 'same' : got;
  assert.ok(outcome === 'same' || /^[A-Z_]+$/.test(outcome), `${what} of ${key}: a wrong answer`);
  seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
  return outcome;
}

function flipped(bytes, bit) {
  const copy = bytes.slice();
  copy[bit >> 3] ^= 1 << (bit & 7);
  return copy;
}

/** All numbers below n, or a seeded sample of about `some` of them, the first 64 bytes' always. */
function pick(n, some, always, next) {
  if (ALL) return Array.from({ length: n }, (_, i) => i);
  return [...new Set([
    ...Array.from({ length: Math.min(n, always) }, (_, i) => i),
    ...Array.from({ length: some }, () => Math.floor(next() * n)),
  ])];
}

test('a store holds a header, slots, a manifest, centroids, segments and tombstones', () => {
  const types = victims().filter((key) => key.includes('/object/')).map((key) => pristine.get(key)[12]);
  for (const type of [1, 2, 3]) assert.ok(types.includes(type), `an object of type ${type}`);
});

test('a flipped bit is a typed error or changes nothing', async () => {
  const next = random(SEED + 2);
  for (const key of victims()) {
    const bytes = pristine.get(key);
    for (const bit of pick(bytes.length * 8, 60, 40, next)) {
      const outcome = await check(key, flipped(bytes, bit), `bit ${bit}`);
      assert.notEqual(outcome, 'same', `bit ${bit} of ${key} is not authenticated`);
    }
  }
});

test('an object cut at any length, or lengthened, is a typed error or changes nothing', async () => {
  const next = random(SEED + 3);
  for (const key of victims()) {
    const bytes = pristine.get(key);
    for (const length of pick(bytes.length, 12, 2, next)) {
      assert.notEqual(await check(key, bytes.slice(0, length), `the first ${length} bytes`), 'same');
    }
    for (const more of [1, 40, 65_536]) {
      await check(key, Buffer.concat([bytes, Buffer.alloc(more)]), `${more} bytes more`);
    }
    assert.notEqual(await check(key, undefined, 'the absence'), 'same');
  }
});

test('an object in the place of another, of this index or of another under the same key, is a typed error', async () => {
  const keys = victims();
  for (const key of keys) {
    for (const [other, bytes] of pristine) {
      if (other === key || (key.startsWith('index/') !== other.startsWith('index/'))) continue;
      const outcome = await check(key, bytes, other);
      if (!key.startsWith('index/')) assert.notEqual(outcome, 'same', `${other} in place of ${key}`);
    }
  }
});

/** Where the sealed chunks of an object lie, by the lengths of its sections. */
function chunksOf(key) {
  const lengths = refs.get(key.slice(key.lastIndexOf('/') + 1)) ?? [];
  const sizes = lengths.flatMap((length) => {
    const full = Array.from({ length: Math.floor(length / 65_496) }, () => 65_536);
    return length % 65_496 ? [...full, length % 65_496 + 40] : full;
  });
  let at = 64 + 32 * sizes.length;
  return sizes.map((size) => [at, at += size]);
}

test('chunks that changed places, within an object or between two, are a typed error', async () => {
  const keys = victims().filter((key) => key.includes('/object/'));
  const all = [];
  for (const key of keys) for (const range of chunksOf(key)) all.push({ key, range });
  assert.ok(all.length > 10, 'there are chunks to swap');
  for (const [i, x] of all.entries()) {
    for (const y of all.slice(i + 1)) {
      const map = new Map(pristine);
      const cut = ({ key, range: [from, to] }) => pristine.get(key).slice(from, to);
      const put = (at, bytes) => {
        const whole = map.get(at.key);
        map.set(at.key, Buffer.concat([whole.slice(0, at.range[0]), bytes, whole.slice(at.range[1])]));
      };
      // The later one first, so that within one object the earlier range still fits.
      put(y, cut(x));
      put(x, cut(y));
      const got = await answers(map);
      assert.match(got, /^[A-Z_]+$/, `${x.key} ${x.range} and ${y.key} ${y.range}`);
    }
  }
});
