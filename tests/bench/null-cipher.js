// What encryption costs: the same index by a core whose cipher does nothing (build/null.wasm, which
// is made for this alone and is no part of the package), in the same process and in turn.
import fs from 'node:fs';
import { Client, generateKey, memoryStorage } from '../../dist/sealvec.js';
import { loadSet, rowOf } from './datasets.js';
import { askAll, seconds } from './measure.js';

const CORES = ['../../dist/sealvec.wasm', '../../build/null.wasm'];
const BATCH = 10_000;
const ROUNDS = 15;

/** One index, opened anew once it is trained, and what that took. */
async function build(set, core, { seed }) {
  const { base, rows, dim, metric, queries } = set;
  const wasm = fs.readFileSync(new URL(core, import.meta.url));
  const logger = { warn: () => undefined };
  const client = new Client({ wasm, storage: memoryStorage(), minTrainVectors: 1, logger });
  const given = { indexName: 'bench', indexKey: generateKey() };
  const filled = await client.createIndex({ ...given, metric, dimension: dim });
  for (let from = 0; from < rows; from += BATCH) {
    const to = Math.min(from + BATCH, rows);
    const ids = Array.from({ length: to - from }, (_, i) => String(from + i));
    await filled.upsert({ ids, vectors: base.data.subarray(from * dim, to * dim) });
  }
  const [train, { nLists }] = await seconds(() => filled.train({ seed, workers: 1 }));
  await filled.close();
  const index = await client.loadIndex(given);
  const all = { queryVectors: rowOf(queries, 0), topK: 10, nProbes: nLists };
  const [cold] = await seconds(() => index.query(all));
  return { client, index, train, cold };
}

/**
 * Ratios of one with encryption to one without: queries per second warm, one for each round, and
 * seconds cold and to train. Which of them is built first decides where their memory lies, and
 * with that a few percent.
 */
export async function cipherJob({ set: name, count = 1000, reversed, ...options }) {
  const set = await loadSet(name);
  const asked = Math.min(count, set.count);
  const built = [];
  for (const i of reversed ? [1, 0] : [0, 1]) built[i] = await build(set, CORES[i], options);
  const ask = async ({ index }) => {
    const one = (q) => index.query({ queryVectors: rowOf(set.queries, q), topK: 10 });
    return (await askAll(asked, one, { passes: 1, least: 0 })).perSecond;
  };
  // Vectors come into memory when their neighbourhood is visited for the second time.
  for (let pass = 0; pass < 3; pass++) for (const one of built) await ask(one);
  const ratios = [];
  for (let round = 0; round < ROUNDS; round++) {
    const [first, second] = round % 2 === 0 ? built : [...built].reverse();
    const pair = new Map([[first, await ask(first)], [second, await ask(second)]]);
    ratios.push(pair.get(built[0]) / pair.get(built[1]));
  }
  await Promise.all(built.map(({ client }) => client.close()));
  const [real, none] = built;
  return { warm: ratios, cold: real.cold / none.cold, train: real.train / none.train };
}
