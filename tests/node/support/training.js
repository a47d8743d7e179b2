// What the tests of training share: clustered vectors, storages that hold up or fail, looks inside.
import { Client, generateKey, memoryStorage } from '../../../build/js/index.js';
import { random } from './oracle.js';

/** n rows around `centers` random points, as one flat array; the same for the same seed. */
export function clustered(n, dimension, seed, centers = 40, spread = 0.15) {
  const next = random(seed);
  const normal = () => next() + next() + next() + next() - 2;
  const points = Array.from({ length: centers }, () =>
    Float32Array.from({ length: dimension }, () => 2 * next() - 1));
  const rows = new Float32Array(n * dimension);
  for (let i = 0; i < n; i++) {
    const point = points[Math.floor(next() * centers)];
    for (let t = 0; t < dimension; t++) rows[i * dimension + t] = point[t] + spread * normal();
  }
  return rows;
}

export const names = (from, to) => Array.from({ length: to - from }, (_, i) => `v${from + i}`);

/** The row of an id that `names` gave. */
export const rowOf = (rows, dimension, id) =>
  rows.subarray(Number(id.slice(1)) * dimension, (Number(id.slice(1)) + 1) * dimension);

/** Writes rows [from, to) of a flat array, in calls of `batch`. */
export async function write(index, rows, dimension, from, to, batch = 5000) {
  for (let at = from; at < to; at += batch) {
    const end = Math.min(at + batch, to);
    const vectors = rows.subarray(at * dimension, end * dimension);
    await index.upsert({ ids: names(at, end), vectors });
  }
}

/** An index with these rows in it, and what made it. Warnings are kept. */
export async function filled(rows, dimension, options = {}, indexOptions = {}) {
  const storage = options.storage ?? memoryStorage();
  const warnings = [];
  const logger = { warn: (message) => warnings.push(message) };
  const client = new Client({ minTrainVectors: 100, logger, ...options, storage });
  const indexKey = generateKey();
  const index = await client.createIndex({ indexName: 'test', indexKey, dimension, ...indexOptions });
  await write(index, rows, dimension, 0, rows.length / dimension);
  return { storage, client, index, indexKey, warnings };
}

/**
 * A storage that asks `before(call, key, bytes)` ahead of every call and waits for its answer; what
 * it throws is what the call fails with.
 */
export function watched(inner, before) {
  const storage = {
    close: () => inner.close(),
    list: (prefix) => inner.list(prefix),
    delete: (keys) => inner.delete(keys),
    async read(key, range) {
      await before('read', key);
      return inner.read(key, range);
    },
    async create(key, bytes) {
      await before('create', key, bytes);
      return inner.create(key, bytes);
    },
  };
  return storage;
}

export const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Waits until `check` is true; a second at most. */
export async function eventually(check) {
  const end = performance.now() + 1000;
  while (performance.now() < end) {
    if (await check()) return true;
    await pause(5);
  }
  return false;
}

export const isObject = (key) => key.includes('/object/');
export const isManifest = (key) => /\/manifest\/\d+$/.test(key);

/** Every key of a storage, in order. */
export async function keys(storage) {
  return (await storage.list('')).sort();
}

/** What an index answers to some queries, exhaustively: ids and distances. */
export async function answers(index, queries, options = {}) {
  const { results, exact } = await index.query({ queryVectors: queries, topK: 10, ...options });
  return { results, exact };
}
