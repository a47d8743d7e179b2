// What the tests compare with: plain JavaScript, which shares no code with the library.
import assert from 'node:assert/strict';
import { Client, generateKey, memoryStorage } from '../../../build/js/index.js';

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `count` vectors with components in [-1, 1), as float32 holds them. */
export function randomVectors(count, dimension, seed) {
  const next = random(seed);
  return Array.from({ length: count }, () =>
    Array.from({ length: dimension }, () => Math.fround(2 * next() - 1)),
  );
}

/** The number nearest to x that half precision holds, ties to even. */
export function toHalf(x) {
  const size = Math.abs(x);
  if (size === 0) return x;
  const exponent = Math.max(Math.floor(Math.log2(size)), -14);
  const step = 2 ** (exponent - 10);
  const steps = size / step;
  let whole = Math.floor(steps);
  const rest = steps - whole;
  if (rest > 0.5 || (rest === 0.5 && whole % 2 === 1)) whole++;
  return Math.sign(x) * whole * step;
}

const dot = (x, y) => x.reduce((sum, a, i) => sum + a * y[i], 0);
const squared = (x, y) => x.reduce((sum, a, i) => sum + (a - y[i]) ** 2, 0);

export const DISTANCES = {
  euclidean: (x, y) => Math.sqrt(squared(x, y)),
  squared_euclidean: squared,
  cosine: (x, y) => 1 - dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y)),
  inner_product: (x, y) => -dot(x, y),
};

/** All items ({ id, vector }) by distance and then by id. */
export function rank(items, query, metric) {
  const distance = DISTANCES[metric];
  return items
    .map(({ id, vector }) => ({ id, distance: distance(query, vector) }))
    .sort((x, y) => x.distance - y.distance || (x.id < y.id ? -1 : 1));
}

/** How far a distance may be from the oracle's: relative, or of 1 where it is smaller. */
export const TOLERANCE = 1e-12;

export function assertClose(got, expected, message) {
  const error = Math.abs(got - expected);
  assert.ok(
    error <= TOLERANCE * Math.max(Math.abs(expected), 1),
    `${message}: ${got}, ${expected}`,
  );
}

/** Results equal the oracle's topK: ids in order, but those of equal distance in any. */
export function assertNearest(results, items, query, metric, topK) {
  const expected = rank(items, query, metric).slice(0, topK);
  assert.equal(results.length, expected.length);
  const distances = new Map(items.map(({ id, vector }) => [id, DISTANCES[metric](query, vector)]));
  assert.equal(new Set(results.map(({ id }) => id)).size, results.length, 'no id comes twice');
  results.forEach(({ id, distance }, i) => {
    assert.ok(distances.has(id), `${id} exists`);
    assertClose(distance, distances.get(id), `the distance of ${id}`);
    assertClose(distance, expected[i].distance, `the distance at rank ${i}`);
  });
}

export const ids = (items) => items.map(({ id }) => id);

/** A client in memory with one index, and what made them. */
export async function openIndex(options = {}, clientOptions = {}) {
  const storage = clientOptions.storage ?? memoryStorage();
  const client = new Client({ storage, ...clientOptions });
  const indexKey = generateKey();
  const index = await client.createIndex({ indexName: 'test', indexKey, ...options });
  return { storage, client, indexKey, index };
}

/** Items `id`, `vector` with the number i in their metadata and contents. */
export function toItems(vectors, prefix = 'id') {
  return vectors.map((vector, i) => ({
    id: `${prefix}${i}`,
    vector,
    metadata: { i, odd: i % 2 === 1 },
    contents: `contents ${i}`,
  }));
}

/** A storage of which each create first passes the gate. */
export function gated(gate) {
  const storage = memoryStorage();
  return {
    read: (key, range) => storage.read(key, range),
    create: async (key, bytes) => {
      await gate(key);
      return storage.create(key, bytes);
    },
    delete: (keys) => storage.delete(keys),
    list: (prefix) => storage.list(prefix),
    close: () => storage.close(),
  };
}

/** Every object of a storage, byte for byte. */
export async function dump(storage) {
  const keys = (await storage.list('')).sort();
  const objects = await Promise.all(keys.map((key) => storage.read(key)));
  return keys.map((key, i) => `${key} ${Buffer.from(objects[i]).toString('base64')}`).join('\n');
}

/** Whether a promise rejects with a SealvecError of this code, whose message matches. */
export async function assertCode(promise, code, message = /./) {
  await assert.rejects(promise, (error) => {
    assert.equal(`${error.name} ${error.code}`, `SealvecError ${code}`, String(error.stack));
    assert.match(error.message, message);
    return true;
  });
}
