// One measurement in a process of its own, so that memory and caches are its own: started by
// bench.js, which sends { job, ...options } and gets the figures back.
import { once } from 'node:events';
import { Client, memoryStorage } from '../../dist/sealvec.js';
import { distanceOf, loadSet, rowOf } from './datasets.js';
import { askAll, folderSize, median, peakMemory, seconds } from './measure.js';
import { cipherJob } from './null-cipher.js';
import { peerJob } from './peers.js';

const K = 10;
const BATCH = 10_000;
const HELD_OUT = 500;
/** Filtered queries that are compared with brute force. */
const FILTERED_CHECKED = 1000;
/** What a limited cache holds over codes alone: ids and hashes; and queries and rounds of it. */
const LIMITED_ROOM = 1.3;
const LIMITED_ASKED = 1000;
const LIMITED_ROUNDS = 4;
/** Rounds of queries one by one without a filter, and of others, in turn. */
const IN_TURN = 9;
/** Vectors come into memory when their neighbourhood is visited for the second time. */
const WARM = { passes: 3, least: 0 };
const TARGETS = [0.9, 0.95, 0.99];
const quiet = { warn: () => undefined };
const secret = (hex) => new Uint8Array(Buffer.from(hex, 'hex'));
const options = { minTrainVectors: 1, logger: quiet };

/** Fills a new index in batches, each durable before the next. */
async function upsertAll(index, ids, { base, dim }) {
  for (let from = 0; from < ids.length; from += BATCH) {
    const to = Math.min(from + BATCH, ids.length);
    await index.upsert({
      ids: ids.slice(from, to),
      vectors: base.data.subarray(from * dim, to * dim),
    });
  }
}

async function create({ set, folder, key, rows }) {
  const whole = await loadSet(set);
  const data = { ...whole, rows: rows ?? whole.rows };
  const client = new Client({ ...options, storage: folder });
  const index = await client.createIndex({
    indexName: 'bench', indexKey: secret(key), metric: data.metric, dimension: data.dim,
  });
  const ids = Array.from({ length: data.rows }, (_, row) => String(row));
  return { client, index, ids, data };
}

/** The whole build, as an application does it: in one process. */
async function build({ seed, nLists, ...given }) {
  const { client, index, ids, data } = await create(given);
  const [upserted] = await seconds(() => upsertAll(index, ids, data));
  const options = { seed, ...(nLists && { nLists }) };
  const [trained, { quantizationError }] = await seconds(() => index.train(options));
  await client.close();
  return { upserted, trained, quantizationError };
}

async function upsert({ folder, ...given }) {
  const { client, index, ids, data } = await create({ folder, ...given });
  const [took] = await seconds(() => upsertAll(index, ids, data));
  await client.close();
  return { seconds: took, ...(await folderSize(folder)), peak: peakMemory() };
}

async function load({ folder, key }, more = {}) {
  const client = new Client({ ...options, ...more, storage: folder });
  const index = await client.loadIndex({ indexName: 'bench', indexKey: secret(key) });
  return { client, index };
}

async function train({ folder, key, workers, seed }) {
  const { client, index } = await load({ folder, key });
  const result = await index.train({ seed, ...(workers && { workers }) });
  await index.compact();
  await client.close();
  return { ...result, ...(await folderSize(folder)), peak: peakMemory() };
}

/** More rows for a trained index, which go into its lists. */
async function arrive({ set, folder, key }) {
  const data = await loadSet(set);
  const { client, index } = await load({ folder, key });
  const ids = Array.from({ length: data.rows }, (_, row) => `more ${row}`);
  const [took] = await seconds(() => upsertAll(index, ids, data));
  await client.close();
  return { seconds: took };
}

/** Asks the set's queries with some options. */
async function ask(index, set, count, how, passes) {
  let scanned = 0;
  const { answers, perSecond } = await askAll(count, async (q) => {
    const answer = await index.query({ queryVectors: rowOf(set.queries, q), topK: K, ...how });
    scanned += answer.rowsScanned;
    return answer;
  }, passes);
  scanned = answers.reduce((sum, { rowsScanned }) => sum + rowsScanned, 0) / count;
  const recall = set.recall(answers.map(({ results }) => results.map(({ id }) => Number(id))));
  return { recall, perSecond, scanned };
}

async function untrained({ set, folder, key, count }) {
  const data = await loadSet(set);
  const { client, index } = await load({ folder, key });
  const asked = Math.min(count ?? data.count, data.count);
  await index.query({ queryVectors: rowOf(data.queries, 0), topK: K });
  const figures = await ask(index, data, asked, {}, { passes: 2 });
  await client.close();
  return figures;
}

/** The fewest lists that reach a recall on these queries, and the rows they hold. */
async function bestFixed(index, data, count, nLists, target, known) {
  let [low, high] = [1, nLists];
  for (const { nProbes, recall } of known) {
    if (recall >= target) high = Math.min(high, nProbes);
    else low = Math.max(low, nProbes + 1);
  }
  while (low < high) {
    const middle = (low + high) >> 1;
    const { recall } = await ask(index, data, count, { nProbes: middle }, { passes: 1, least: 0 });
    if (recall >= target) high = middle;
    else low = middle + 1;
  }
  const { scanned } = await ask(index, data, count, { nProbes: low }, { passes: 1, least: 0 });
  return { nProbes: low, scanned };
}

async function query({ set, folder, key, ladder, count }) {
  const data = await loadSet(set);
  const { client, index } = await load({ folder, key });
  const { nLists } = await index.stats();
  const asked = Math.min(count ?? data.count, data.count);
  // Everything into memory, and the code compiled.
  await ask(index, data, Math.min(asked, 20), { nProbes: nLists }, { passes: 1, least: 0 });
  await ask(index, data, asked, {}, WARM);
  const fixed = [];
  for (const nProbes of [...ladder.filter((n) => n < nLists), nLists]) {
    fixed.push({ nProbes, ...(await ask(index, data, asked, { nProbes })) });
  }
  const auto = [];
  for (const targetRecall of TARGETS) {
    const figures = await ask(index, data, asked, { targetRecall });
    const best = await bestFixed(index, data, asked, nLists, targetRecall, fixed);
    auto.push({ targetRecall, ...figures, best });
  }
  const { memoryBytes, cachedBytes } = await index.stats();
  await client.close();
  return { nLists, fixed, auto, memoryBytes, cachedBytes, peak: peakMemory() };
}

/** Queries with room for the codes and little more, and with room for all, in turn. */
async function limited({ set, folder, key, count }) {
  const data = await loadSet(set);
  const asked = Math.min(count ?? LIMITED_ASKED, data.count);
  const all = await load({ folder, key });
  const { nLists } = await all.index.stats();
  const askAllLists = (count) =>
    ask(all.index, data, count, { nProbes: nLists }, { passes: 1, least: 0 });
  // One query of all lists leaves the codes of all rows, and hardly a vector.
  await askAllLists(1);
  const { cachedBytes: codes } = await all.index.stats();
  const cacheBytes = Math.round(codes * LIMITED_ROOM);
  const small = await load({ folder, key }, { cacheBytes });
  await askAllLists(Math.min(asked, 20));
  await ask(all.index, data, asked, {}, WARM);
  const figures = [];
  for (let round = 0; round < LIMITED_ROUNDS; round++) {
    figures.push([
      (await ask(small.index, data, asked, {}, { passes: 1, least: 0 })).perSecond,
      (await ask(all.index, data, asked, {}, { passes: 1, least: 0 })).perSecond,
    ]);
  }
  const { cachedBytes } = await small.index.stats();
  await Promise.all([small, all].map(({ client }) => client.close()));
  // The first round fills the cache.
  const rest = figures.slice(1);
  return {
    cacheBytes, cachedBytes, perSecond: median(rest.map(([few]) => few)),
    ratio: median(rest.map(([few, many]) => few / many)),
  };
}

/** Recall for rows of the data themselves, kept out of the index; truth is the untrained answer. */
async function heldOut({ set, key, seed }) {
  const { base, rows, dim, metric } = await loadSet(set);
  const step = Math.floor(rows / HELD_OUT);
  const isOut = (row) => row % step === 0 && row < step * HELD_OUT;
  const kept = Array.from({ length: rows }, (_, row) => row).filter((row) => !isOut(row));
  const out = Array.from({ length: HELD_OUT }, (_, i) => i * step);
  const vectors = new Float32Array(kept.length * dim);
  kept.forEach((row, i) => vectors.set(rowOf(base, row), i * dim));
  const client = new Client({ ...options, storage: memoryStorage() });
  const index = await client.createIndex({ indexName: 'bench', indexKey: secret(key), metric });
  await upsertAll(index, kept.map(String), { base: { data: vectors }, dim });
  const queryVectors = out.map((row) => rowOf(base, row));
  const truth = (await index.query({ queryVectors, topK: K })).results;
  await index.train({ seed });
  const recalls = [];
  for (const targetRecall of TARGETS) {
    const { results } = await index.query({ queryVectors, topK: K, targetRecall });
    const limits = truth.map((items) => items.at(-1).distance);
    const found = results.flatMap((items, q) =>
      items.filter(({ distance }) => distance <= limits[q] + 1e-6 * Math.abs(limits[q])));
    recalls.push(found.length / out.length / K);
  }
  await client.close();
  return recalls;
}

/** The ten nearest of the rows that pass, by brute force. */
function nearestOf({ metric, base, queries, rows, dim }, query, passes) {
  const found = [];
  for (let row = 0; row < rows; row++) {
    if (!passes(row)) continue;
    const distance = distanceOf(metric, base.data, row, queries.data, query, dim);
    if (found.length === K && distance >= found[K - 1][0]) continue;
    found.push([distance, row]);
    found.sort((x, y) => x[0] - y[0]);
    found.length = Math.min(found.length, K);
  }
  return new Set(found.map(([, row]) => String(row)));
}

/** Queries under filters that match 50 %, 5 % and 0.5 %, and a hundred in one call. */
async function filtered({ set, key, seed, count = 1000 }) {
  const data = await loadSet(set);
  const { base, rows, dim, metric, queries } = data;
  const client = new Client({ ...options, storage: memoryStorage() });
  const index = await client.createIndex({ indexName: 'bench', indexKey: secret(key), metric });
  for (let from = 0; from < rows; from += BATCH) {
    const numbers = Array.from({ length: Math.min(BATCH, rows - from) }, (_, i) => from + i);
    await index.upsert({
      ids: numbers.map(String), metadata: numbers.map((row) => ({ group: (row * 7919) % 200 })),
      vectors: base.data.subarray(from * dim, (from + numbers.length) * dim),
    });
  }
  await index.train({ seed });
  const { nLists } = await index.stats();
  const asked = Math.min(count, data.count);
  const checked = Math.min(asked, FILTERED_CHECKED);
  await ask(index, data, 20, { nProbes: nLists }, { passes: 1, least: 0 });
  await ask(index, data, asked, {}, WARM);
  const once = { passes: 1, least: 0 };
  const apart = async () => (await ask(index, data, asked, {}, once)).perSecond;
  /** Queries per second, and over those without a filter one by one, in turn with these. */
  const beside = async (ask) => {
    const rates = [];
    for (let round = 0; round < IN_TURN; round++) {
      const plain = await apart();
      const perSecond = await ask();
      rates.push({ perSecond, ratio: perSecond / plain });
    }
    const of = (figure) => median(rates.map((rate) => rate[figure]));
    return { perSecond: of('perSecond'), ratio: of('ratio') };
  };
  const measure = async (groups) => {
    const filters = { group: { $lt: groups } };
    const filtered = (q) => index.query({ queryVectors: rowOf(queries, q), topK: K, filters });
    await ask(index, data, asked, { filters }, WARM);
    const { answers } = await askAll(asked, filtered, once);
    let right = 0;
    for (let q = 0; q < checked; q++) {
      const truth = nearestOf(data, q, (row) => (row * 7919) % 200 < groups);
      right += answers[q].results.filter(({ id }) => truth.has(id)).length;
    }
    const rates = await beside(async () => (await askAll(asked, filtered, once)).perSecond);
    return { share: groups / 200, recall: right / checked / K, ...rates };
  };
  const filters = [];
  for (const groups of [100, 10, 1]) filters.push(await measure(groups));
  const hundred = Array.from({ length: asked }, (_, q) => rowOf(queries, q));
  const together = (b) => index.query({
    queryVectors: hundred.slice(b * 100, (b + 1) * 100), topK: K,
  });
  const batches = await beside(async () =>
    (await askAll(Math.floor(asked / 100), together, once)).perSecond * 100);
  await client.close();
  return { filters, batches };
}

/** An index, opened and warm: passes of the set's queries, each giving queries per second. */
async function passes({ set, folder, key, count, how }) {
  const data = await loadSet(set);
  const { index } = await load({ folder, key });
  const once = { passes: 1, least: 0 };
  await ask(index, data, Math.min(count, 20), { nProbes: (await index.stats()).nLists || 1 }, once);
  // Vectors come into memory, and V8 makes code fast, in more than a pass or two.
  await ask(index, data, count, how, { ...WARM, least: 1 });
  return async () => (await ask(index, data, count, how, once)).perSecond;
}

const JOBS = {
  build, filtered, limited, upsert, train, arrive, untrained, query, heldOut,
  peer: (given) => peerJob(given, passes), cipher: cipherJob,
};

if (process.send) {
  // Nobody is left to hear the figures.
  process.once('disconnect', () => process.exit());
  const [{ job, ...given }] = await once(process, 'message');
  process.send(await JOBS[job](given), () => process.exit());
}
