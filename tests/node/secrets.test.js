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

function makeSecrets(next) {
  const word = () => Array.from({ length: 24 }, () => 'abcdefghijklmnopqrstuvwxyz'[Math.floor(next() * 26)]).join('');
  return {
    key: Uint8Array.from({ length: 32 }, () => Math.floor(next() * 256)),
    items: Array.from({ length: 160 }, () => ({
      id: `id-${word()}`, vector: Array.from({ length: DIMENSION }, () => Math.fround(next() - 0.5)),
      metadata: { secret: `metadata-${word()}` }, contents: `contents-${word()}`,
    })),
  };
}

/** Byte strings that give an item away, by name. */
function needles({ key, items }) {
  const all = [['the key', Buffer.from(key)], ['the key in hexadecimal', bytesOf(Buffer.from(key).toString('hex'))]];
  for (const { id, vector, metadata, contents } of items) {
    all.push([`id ${id}`, bytesOf(id)], ['metadata', bytesOf(metadata.secret)], ['contents', bytesOf(contents)]);
    all.push(['a vector', floatsOf(vector.slice(0, 4))], ['the end of a vector', floatsOf(vector.slice(-4))]);
  }
  return all;
}

const found = (haystack, all) => all.find(([, needle]) => haystack.includes(needle))?.[0];

async function work(map, secrets, warnings, errors) {
  const storage = mapStorage(map);
  const logger = { warn: (message) => warnings.push(message) };
  const client = new Client({ storage, minTrainVectors: 8, worker: false, logger });
  const index = await client.createIndex({ indexName: 'public', indexKey: secrets.key, dimension: DIMENSION });
  const { items } = secrets;
  await index.upsert({ items: items.slice(0, 140) });
  await index.train({ nLists: 3, seed: 1 });
  await index.upsert({ items: items.slice(120) });
  await index.query({ queryVectors: items[0].vector, topK: 5, include: ['metadata', 'contents', 'vector'], filters: { secret: { $ne: 'x' } } });
  await index.get({ ids: [items[3].id, items[35].id] });
  await index.delete({ ids: [items[1].id, items[2].id] });
  await index.compact();
  const refused = async (call) => call().then(() => assert.fail('nothing was refused'), (error) => errors.push(error));
  await refused(() => index.upsert({ items: [{ ...items[0], vector: items[0].vector.slice(1) }] }));
  await refused(() => index.upsert({ items: [{ ...items[0], contents: 5 }] }));
  await refused(() => client.loadIndex({ indexName: 'public', indexKey: secrets.key.map((byte) => byte ^ 1) }));
  const broken = new Map([...map].map(([key, bytes]) => [key, key.includes('/object/') ? bytes.map((byte, i) => (i > 3000 ? byte ^ 1 : byte)) : bytes]));
  const reader = new Client({ storage: mapStorage(broken), logger });
  const damaged = await reader.loadIndex({ indexName: 'public', indexKey: secrets.key });
  await damaged.get({ ids: items.slice(3).map(({ id }) => id) }).catch((error) => errors.push(error));
  await reader.close();
  await client.close();
}

test(`no secret is in the stored bytes, warnings or errors of ${STORES} stores, nor in wasm memory after close`, async () => {
  const { memories, drawn, restore } = watch();
  const next = random(77);
  try {
    for (let store = 0; store < STORES; store++) {
      const [map, warnings, errors] = [new Map(), [], []];
      const secrets = makeSecrets(next);
      await work(map, secrets, warnings, errors);
      const all = [...needles(secrets), ...drawn.splice(0)];
      assert.equal(all.filter(([name]) => name === 'a key or seed').length, 3);
      for (const [key, bytes] of map) {
        assert.equal(found(Buffer.concat([bytesOf(key), bytes]), all), undefined, `in ${key}`);
      }
      const said = bytesOf([...warnings, ...errors.map((error) => `${error.stack} ${error.message} ${JSON.stringify(error)}`)].join('\n'));
      assert.ok(errors.length >= 3);
      assert.equal(found(said, all), undefined, `in what was said: ${said.toString().slice(0, 300)}`);
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
  const index = await client.createIndex({ indexName: 'a', indexKey: secrets.key, dimension: DIMENSION });
  await index.upsert({ items: secrets.items });
  await index.query({ queryVectors: vector, topK: 1 });
  restore();
  const inMemory = (memory) => found(Buffer.from(memory.buffer), all) !== undefined;
  assert.ok(memories.some(inMemory), 'an open index keeps vectors');
  const most = Math.max(...memories.map((memory) => countComponents(memory, secrets.items)));
  assert.equal(most, secrets.items.length * DIMENSION);
  await client.close();
});
