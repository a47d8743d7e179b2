// What targetRecall delivers, against exact search and against the best fixed nProbes.
import assert from 'node:assert/strict';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';

/** How far under the target recall may fall, and how many rows it may cost. */
const SLACK = { 'held out': 0.01, foreign: 0.02 };
const MOST_ROWS = 1.5;
const BATCH = 10_000;

/** Numbers in [0, 1) that a seed repeats: mulberry32. */
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Parts base rows into those to index and `count` to ask for. */
function holdOut({ data, shape: [n, dimension] }, count, seed) {
  const random = randomNumbers(seed);
  const asked = new Set();
  while (asked.size < count) asked.add(Math.floor(random() * n));
  const base = new Float32Array((n - count) * dimension);
  const queries = new Float32Array(count * dimension);
  let [kept, held] = [0, 0];
  for (let i = 0; i < n; i++) {
    const row = data.subarray(i * dimension, (i + 1) * dimension);
    if (asked.has(i)) queries.set(row, held++ * dimension);
    else base.set(row, kept++ * dimension);
  }
  return { base, queries, dimension };
}

/** Fills and returns an index of these rows, whose ids are their numbers. */
export async function fill(client, { base, dimension, metric }) {
  const index = await client.createIndex({
    indexName: 'recall', indexKey: generateKey(), dimension, metric,
  });
  for (let from = 0; from * dimension < base.length; from += BATCH) {
    const vectors = base.subarray(from * dimension, (from + BATCH) * dimension);
    const ids = Array.from({ length: vectors.length / dimension }, (_, i) => String(from + i));
    await index.upsert({ ids, vectors });
  }
  return index;
}

class Asked {
  #index;
  #queries;
  #exact;
  #known = new Map();

  constructor(index, queries, exact) {
    this.#index = index;
    this.#queries = queries;
    this.#exact = exact;
  }

  /** Mean recall and rows scanned per query. Equal distances are equally right. */
  async measure(topK, options) {
    const { results, rowsScanned } = await this.#index.query({
      queryVectors: this.#queries, topK, ...options,
    });
    let found = 0;
    results.forEach((items, q) => {
      const last = this.#exact[q][topK - 1].distance;
      found += items.filter(({ distance }) => distance <= last).length;
    });
    return { recall: found / (results.length * topK), rows: rowsScanned / results.length };
  }

  async #fixed(topK, nProbes) {
    const key = `${topK} ${nProbes}`;
    if (!this.#known.has(key)) this.#known.set(key, await this.measure(topK, { nProbes }));
    return this.#known.get(key);
  }

  /** The least nProbes that reaches a recall: recall grows with it. */
  async best(topK, target, nLists) {
    let [low, high] = [1, nLists];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((await this.#fixed(topK, middle)).recall >= target) high = middle;
      else low = middle + 1;
    }
    return { nProbes: low, ...await this.#fixed(topK, low) };
  }
}

/**
 * Measures one set with one seed. Each line: who asked, topK, target, recall and rows by
 * targetRecall, and the nProbes, recall and rows of the best fixed nProbes.
 */
export async function measureRecall(set, { seed, heldOut, topKs, targets }) {
  const client = new Client({ storage: memoryStorage() });
  try {
    const { base, queries, dimension } = holdOut(set.base, heldOut, seed);
    const index = await fill(client, { base, dimension, metric: set.metric });
    const asked = [];
    const groups = { 'held out': queries, foreign: set.queries.data };
    for (const [who, vectors] of Object.entries(groups)) {
      const { results, exact } = await index.query({
        queryVectors: vectors, topK: Math.max(...topKs),
      });
      assert.ok(exact, 'an untrained search is exact');
      asked.push([who, new Asked(index, vectors, results)]);
    }
    const { nLists } = await index.train({ seed });
    const lines = [];
    for (const topK of topKs) {
      for (const targetRecall of targets) {
        for (const [who, of] of asked) {
          const { recall, rows } = await of.measure(topK, { targetRecall });
          const best = await of.best(topK, targetRecall, nLists);
          lines.push({ who, topK, target: targetRecall, recall, rows, best, ratio: rows / best.rows });
        }
      }
    }
    return { nLists, lines };
  } finally {
    await client.close();
  }
}

/** What a line breaks of what is promised, or nothing. */
export function broken({ who, target, recall, ratio }) {
  const least = target - SLACK[who];
  if (recall < least) return `recall ${recall.toFixed(4)} is under ${least.toFixed(2)}`;
  if (ratio > MOST_ROWS) return `${ratio.toFixed(2)} times the rows of the best fixed nProbes`;
  return undefined;
}
