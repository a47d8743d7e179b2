// What the tests call inside the page.
import * as sealvec from '/dist/browser.js';
import { storageSuite } from '/dist/storage-suite.js';

const { Client, indexedDBStorage } = sealvec;

/** Deletes a database; its connections have some time to give way. */
const deleteDatabase = (name) => new Promise((resolve, reject) => {
  const request = indexedDB.deleteDatabase(name);
  const tooLate = () => reject(new Error(`database ${name} is still open`));
  request.onsuccess = () => resolve();
  request.onerror = () => reject(request.error);
  request.onblocked = () => setTimeout(tooLate, 5_000);
});

/** What a request comes to. */
const finished = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

/** A database as it is, without the library. */
function idb(name, version, upgrade) {
  const request = indexedDB.open(name, version);
  request.onupgradeneeded = () => upgrade?.(request.result);
  return finished(request);
}

/** Puts another function in an object's place; returns what undoes it. */
function replace(object, name, make) {
  const original = object[name];
  object[name] = make(original);
  return () => { object[name] = original; };
}

const suite = new Map();
storageSuite({
  test: (name, body) => suite.set(name, body),
  async open() {
    const name = `suite-${crypto.randomUUID()}`;
    return {
      storage: indexedDBStorage(name),
      reopen: async () => indexedDBStorage(name),
      destroy: () => deleteDatabase(name),
    };
  },
});

/** The code and message of what a call rejects with. */
async function refusal(call) {
  try {
    await call();
  } catch (error) {
    const { code, message } = error;
    return { code, message, own: error instanceof sealvec.SealvecError };
  }
  return { code: 'none' };
}

/** Bytes that no browser can compress. */
function noise(length) {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) {
    crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  }
  return bytes;
}

/** Numbers from 0 to 1 that are the same for the same seed. */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** One vector per id, made of the id's number alone. */
function vectorOf(number, dimension) {
  const next = random(number + 1);
  return Float32Array.from({ length: dimension }, next);
}

/** Rows around 100 centres, so that there is something to cluster. */
function clustered(count, dimension, seed = 1) {
  const next = random(seed);
  const centres = Float32Array.from({ length: 100 * dimension }, next);
  const rows = new Float32Array(count * dimension);
  for (let i = 0; i < rows.length; i += dimension) {
    const centre = Math.floor(next() * 100) * dimension;
    for (let j = 0; j < dimension; j++) rows[i + j] = centres[centre + j] + 0.2 * next();
  }
  return rows;
}

/** Numbers of the rows nearest to a query, by brute force. */
function nearest(rows, query, topK) {
  const dimension = query.length;
  const distance = (row) =>
    query.reduce((sum, x, j) => sum + (rows[row * dimension + j] - x) ** 2, 0);
  const pairs = numbers(0, rows.length / dimension).map((row) => [distance(row), row]);
  return pairs.sort(([a], [b]) => a - b).slice(0, topK).map(([, row]) => row);
}

const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);
const key = (fill = 1) => new Uint8Array(32).fill(fill);

/** The index `notes` of a database, opened or made. */
async function openIndex(database, options = {}) {
  const { create, indexKey = key(), ...rest } = options;
  const client = new Client({ storage: database, minTrainVectors: 10, ...rest });
  const index = create
    ? await client.createIndex({ indexName: 'notes', indexKey, ...create })
    : await client.loadIndex({ indexName: 'notes', indexKey });
  return { client, index };
}

/** The number in an item's id, and whether the item is what was written under it. */
async function readNumbers(index) {
  const { ids } = await index.listIds();
  const items = await index.get({ ids });
  const sound = items.length === ids.length && items.every(({ id, vector, metadata }) => {
    const number = Number(id.slice(1));
    const wanted = vectorOf(number, vector.length);
    return metadata.number === number && vector.every((x, i) => x === wanted[i]);
  });
  return { numbers: ids.map((id) => Number(id.slice(1))).sort((a, b) => a - b), sound };
}

const item = (number, dimension) =>
  ({ id: `n${number}`, vector: vectorOf(number, dimension), metadata: { number } });

/** Times between the frames of the page, until it is stopped. */
function watchFrames() {
  const gaps = [];
  let last = performance.now();
  let running = true;
  requestAnimationFrame(function frame() {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
    if (running) requestAnimationFrame(frame);
  });
  return () => {
    running = false;
    return gaps.slice(1).sort((a, b) => a - b);
  };
}

Object.assign(globalThis, {
  sealvec, suite, refusal, noise, vectorOf, clustered, nearest, numbers, key, openIndex,
  readNumbers, item, watchFrames, deleteDatabase, finished, idb, replace, ready: true,
});
