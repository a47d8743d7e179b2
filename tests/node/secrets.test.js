// Known secrets are looked for where they must not be: in stored bytes, errors, warnings, and in
// wasm memory once an index is closed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '../../build/js/index.js';
import { random } from './support/oracle.js';
import { mapStorage } from './support/stores.js';

const STORES = Number(process.env.STORES ?? 12);
const DIMENSION = 12;

const bytesOf = (text) => Buffer.from(text);
const floatsOf = (vector) => Buffer.from(Float32Array.from(vector).buffer);

/** Every wasm memory that is made from here on, and the seeds and keys that are drawn. */
function watch() {
  const [memories, drawn] = [[], []];
  const { instantiate } = WebAssembly;
  const generate = crypto.getRandomValues;
  WebAssembly.instantiate = async (...args) => {
    const result = await instantiate(...args);
    memories.push((result.instance ?? result).exports.memory);
    return result;
  };
  crypto.getRandomValues = (bytes) => {
    generate.call(crypto, bytes);
    // Three times 32: the admin seed, the writer seed and the data key. Ids, salts and the nonces
    // of objects as small as these are shorter.
    for (let at = 0; bytes.length === 96 && at < bytes.length; at += 32) {
      drawn.push(['a key or seed', Buffer.from(bytes.slice(at, at + 32))]);
    }
    return bytes;
  };
  const restore = () => {
    WebAssembly.instantiate = instantiate;
    crypto.getRandomValues = generate;
  };
  return { memories, drawn, restore };
}

/** How many of the components of the vectors are in memory, in whatever order they lie. */
function countComponents(memory, items) {
  const wordsOf = ({ vector }) => [...new Uint32Array(Float32Array.from(vector).buffer)];
  const bits = new Set(items.flatMap(wordsOf));
  return new Set(new Uint32Array(memory.buffer).filter((word) => bits.has(word))).size;
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

function makeSecrets(next) {
  const below = (n) => Math.floor(next() * n);
  const word = () => Array.from({ length: 24 }, () => LETTERS[below(26)]).join('');
  return {
    key: Uint8Array.from({ length: 32 }, () => below(256)),
    items: Array.from({ length: 160 }, () => ({
      id: `id-${word()}`,
      vector: Array.from({ length: DIMENSION }, () => Math.fround(next() - 0.5)),
      metadata: { secret: `metadata-${word()}` }, contents: `contents-${word()}`,
    })),
  };
}

/** Byte strings that give an item away, by name. */
function needles({ key, items }) {
  const inHex = bytesOf(Buffer.from(key).toString('hex'));
  const all = [['the key', Buffer.from(key)], ['the key in hexadecimal', inHex]];
  for (const { id, vector, metadata, contents } of items) {
    all.push([`id ${id}`, bytesOf(id)], ['metadata', bytesOf(metadata.secret)]);
    all.push(['contents', bytesOf(contents)], ['a vector', floatsOf(vector.slice(0, 4))]);
    all.push(['the end of a vector', floatsOf(vector.slice(-4))]);
  }
  return all;
}

const found = (haystack, all) => all.find(([, needle]) => haystack.includes(needle))?.[0];

/** A store of which the bytes behind the headers of all objects are changed. */
function damaged(map) {
  return new Map([...map].map(([key, bytes]) => [
    key, key.includes('/object/') ? bytes.map((byte, i) => (i > 3000 ? byte ^ 1 : byte)) : bytes,
  ]));
}

/** Everything an index does, and what it refuses. */
async function work(map, { key, items }, warnings, errors) {
  const logger = { warn: (message) => warnings.push(message) };
  const options = { minTrainVectors: 8, worker: false, logger };
  const client = new Client({ storage: mapStorage(map), ...options });
  const known = { indexName: 'public', indexKey: key };
  const index = await client.createIndex({ ...known, dimension: DIMENSION });
  await index.upsert({ items: items.slice(0, 140) });
  await index.train({ nLists: 3, seed: 1 });
  await index.upsert({ items: items.slice(120) });
  const include = ['metadata', 'contents', 'vector'];
  const filters = { secret: { $ne: 'x' } };
  await index.query({ queryVectors: items[0].vector, topK: 5, include, filters });
  await index.get({ ids: [items[3].id, items[35].id] });
  await index.delete({ ids: [items[1].id, items[2].id] });
  await index.compact();
  const [one, two] = items;
  const broken = new Client({ storage: mapStorage(damaged(map)), ...options });
  const reader = await broken.loadIndex(known);
  const refused = [
    () => index.upsert({ items: [{ ...one, vector: one.vector.slice(1) }] }),
    () => index.upsert({ items: [{ ...one, contents: 5 }] }),
    () => index.upsert({ items: [{ ...one, metadata: { ...one.metadata, number: NaN } }] }),
    () => index.upsert({ items: [one, two, one] }),
    () => index.get({ ids: [one.id, one.id] }),
    () => index.query({ queryVectors: [...one.vector, 1] }),
    () => index.query({ queryVectors: one.vector, filters: { secret: { $regex: 'x' } } }),
    () => client.loadIndex({ ...known, indexKey: key.map((byte) => byte ^ 1) }),
    () => client.loadIndex({ ...known, indexKey: key.slice(1) }),
    () => client.loadIndex({ ...known, indexKey: Buffer.from(key).toString('hex') }),
    () => client.createIndex(known),
    () => reader.get({ ids: items.slice(3).map(({ id }) => id) }),
    () => reader.query({ queryVectors: one.vector, include }),
    () => reader.train({ nLists: 4 }),
  ];
  for (const call of refused) {
    await call().then(() => assert.fail(`not refused: ${call}`), (error) => errors.push(error));
  }
  await broken.close();
  await client.close();
}

/** All that is said of an error, its causes included. */
function said(error) {
  const own = Object.getOwnPropertyNames(error).map((name) => `${name}: ${error[name]}`);
  return [String(error), ...own, JSON.stringify(error), ...error.cause ? [said(error.cause)] : []]
    .join('\n');
}

test(`no secret is in the bytes, warnings or errors of ${STORES} stores, nor in memory after close`,
  async () => {
    const { memories, drawn, restore } = watch();
    const next = random(77);
    try {
      for (let store = 0; store < STORES; store++) {
        const [map, warnings, errors] = [new Map(), [], []];
        const secrets = makeSecrets(next);
        await work(map, secrets, warnings, errors);
        const all = [...needles(secrets), ...drawn.splice(0)];
        assert.equal(all.filter(([name]) => name === 'a key or seed').length, 2 * 3);
        for (const [key, bytes] of map) {
          const object = Buffer.concat([bytesOf(key), bytes]);
          assert.equal(found(object, all), undefined, `in ${key}`);
        }
        for (const text of [...warnings, ...errors.map(said)]) {
          assert.equal(found(bytesOf(text), all), undefined, `in what was said: ${text}`);
        }
        for (const memory of memories.splice(0)) {
          assert.equal(found(Buffer.from(memory.buffer), all), undefined, 'in wasm memory');
          const components = countComponents(memory, secrets.items);
          assert.ok(components < 3, `${components} components of vectors in wasm memory`);
        }
      }
    } finally {
      restore();
    }
  });

test('the search finds a secret where there is one', async () => {
  const secrets = makeSecrets(random(5));
  const { id, vector } = secrets.items[7];
  const all = needles(secrets);
  assert.equal(found(Buffer.concat([Buffer.alloc(99), bytesOf(id)]), all), `id ${id}`);
  assert.equal(found(Buffer.concat([Buffer.alloc(4), floatsOf(vector)]), all), 'a vector');
  const { memories, restore } = watch();
  const client = new Client({ storage: mapStorage() });
  const known = { indexName: 'a', indexKey: secrets.key };
  const index = await client.createIndex({ ...known, dimension: DIMENSION });
  await index.upsert({ items: secrets.items });
  await index.query({ queryVectors: vector, topK: 1 });
  restore();
  const inMemory = (memory) => found(Buffer.from(memory.buffer), all) !== undefined;
  assert.ok(memories.some(inMemory), 'an open index keeps vectors');
  const most = Math.max(...memories.map((memory) => countComponents(memory, secrets.items)));
  assert.equal(most, secrets.items.length * DIMENSION);
  await client.close();
});
