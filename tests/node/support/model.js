// What an index must hold, and whether it does: ids and the version that was written of each.
// Vector, contents and metadata of an item follow from its id and version, so that a mix-up of any
// two is seen.
import assert from 'node:assert/strict';
import { random, rank } from './oracle.js';

function hash(text) {
  let h = 2166136261;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  return h >>> 0;
}

/** The item that version `version` of an id is. Those called crowd... lie close to each other. */
export function itemOf(id, version, dimension) {
  const next = random(hash(`${id}@${version}`));
  const around = id.startsWith('crowd') ? (x) => 3 + x / 5 : (x) => x;
  const vector = Float32Array.from({ length: dimension }, () => around(2 * next() - 1));
  return { id, vector, contents: `contents of ${id}@${version}`, metadata: { version, of: id } };
}

/** The state after one more write: `{ put: [[id, version], ...] }` or `{ drop: ids }`. */
export function apply(state, { put = [], drop = [] }) {
  const next = new Map(state);
  for (const [id, version] of put) next.set(id, version);
  for (const id of drop) next.delete(id);
  return next;
}

export function sameState(x, y) {
  return x.size === y.size && [...x].every(([id, version]) => y.get(id) === version);
}

/** How two states differ, for a message. */
export function difference(got, expected) {
  const lines = [];
  for (const [id, version] of expected) {
    if (got.get(id) !== version) lines.push(`${id}: got ${got.get(id)}, expected ${version}`);
  }
  for (const id of got.keys()) if (!expected.has(id)) lines.push(`${id}: should not be there`);
  return `${lines.length} ids differ: ${lines.slice(0, 10).join('; ')}`;
}

/** What the index holds, every item checked against its own id and version. */
export async function readState(index, dimension) {
  // count() looks for commits of others at once; other reads do every quarter of a second.
  const live = await index.count();
  const { ids, count } = await index.listIds();
  assert.equal(ids.length, count);
  assert.equal(live, count, 'count() and listIds() agree');
  const state = new Map();
  for (let at = 0; at < ids.length; at += 4000) {
    const part = ids.slice(at, at + 4000);
    const items = await index.get({ ids: part });
    assert.deepEqual(items.map(({ id }) => id), part, 'every id that is listed is found');
    for (const item of items) {
      const { version } = item.metadata;
      const expected = itemOf(item.id, version, dimension);
      assert.equal(item.contents, expected.contents);
      assert.equal(item.metadata.of, item.id);
      assert.ok(Buffer.compare(bytesOf(item.vector), bytesOf(expected.vector)) === 0, item.id);
      state.set(item.id, version);
    }
  }
  assert.equal(state.size, ids.length, 'no id is listed twice');
  return state;
}

function bytesOf(vector) {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
}

/** Exhaustive queries answer as brute force over the state does. */
export async function assertQueries(index, state, dimension, seed, queries = 3) {
  const items = [...state].map(([id, version]) => itemOf(id, version, dimension));
  const next = random(seed);
  for (let q = 0; q < queries; q++) {
    const query = Array.from({ length: dimension }, () => Math.fround(2 * next() - 1));
    const options = { queryVectors: query, topK: 10, nProbes: 1 << 20 };
    const { results, exact } = await index.query(options);
    assert.ok(exact);
    const expected = rank(items, query, 'euclidean').slice(0, 10);
    assert.deepEqual(results.map(({ id }) => id), expected.map(({ id }) => id));
  }
}

/** The index holds exactly this, and finds it. */
export async function assertState(index, expected, dimension, seed = 1) {
  const got = await readState(index, dimension);
  assert.ok(sameState(got, expected), difference(got, expected));
  await assertQueries(index, expected, dimension, seed);
}
