// Recall and speed of this index: rows of its own are asked for their neighbours, exactly and at
// each target, and the answers compared.
import { breathe, sampleIds } from './rows.js';

const QUERIES = 60;
const K = 10;
const TARGETS = [0.5, 0.7, 0.8, 0.9, 0.95, 0.99];
/** Shorter runs say more of the clock than of the search. */
const LEAST_MS = 150;

/** Answers of one way of asking, and how many a second. */
async function run(index, queries, how) {
  const answers = [];
  // One more than K, since the nearest to a row is the row.
  const ask = (queryVectors) => index.query({ queryVectors, topK: K + 1, ...how });
  for (const { vector } of queries) answers.push(await ask(vector));
  await breathe();
  let asked = 0;
  const started = performance.now();
  while (performance.now() - started < LEAST_MS || asked < queries.length) {
    await ask(queries[asked++ % queries.length].vector);
  }
  const perSecond = (asked / (performance.now() - started)) * 1000;
  const found = answers.map(({ results }, q) =>
    results.map(({ id }) => id).filter((id) => id !== queries[q].id).slice(0, K));
  const compared = answers.reduce((sum, { rowsScanned }) => sum + rowsScanned, 0) / answers.length;
  return { found, perSecond, compared };
}

function recallOf(found, truth) {
  let right = 0;
  for (const [q, ids] of found.entries()) right += ids.filter((id) => truth[q].has(id)).length;
  return right / truth.reduce((sum, { size }) => sum + size, 0);
}

/** One point per way of asking: { name, target, recall, perSecond, compared }; exact comes last. */
export async function measure(index, onProgress) {
  const { nLists } = await index.stats();
  const ids = await sampleIds(index, QUERIES);
  const queries = await index.get({ ids, include: ['vector'] });
  const exact = await run(index, queries, { nProbes: Math.max(nLists, 1) });
  const truth = exact.found.map((found) => new Set(found));
  const points = [];
  for (const [i, target] of TARGETS.entries()) {
    onProgress((i + 1) / (TARGETS.length + 1));
    const { found, ...rest } = await run(index, queries, { targetRecall: target });
    points.push({ name: String(target), recall: recallOf(found, truth), ...rest });
  }
  const { perSecond, compared } = exact;
  return [...points, { name: 'exact', recall: 1, perSecond, compared }];
}
