// Recall and speed of this index: rows of its own are asked for their neighbours, exactly and at
// each target, and the answers compared.
import { breathe, sampleIds } from './rows.js';

const QUERIES = 60;
const K = 10;
const TARGETS = [0.5, 0.7, 0.8, 0.9, 0.95, 0.99];
/** The fastest of so many rounds counts: what else the machine does only makes rounds slower. */
const ROUNDS = 5;

/** Asks every query one way; a function, so that the ways can take turns. */
function wayOf(index, queries, how) {
  let best = Infinity;
  let answers;
  return async () => {
    const started = performance.now();
    answers = [];
    for (const { vector } of queries) {
      // One more than K, since the nearest to a row is the row.
      answers.push(await index.query({ queryVectors: vector, topK: K + 1, ...how }));
    }
    best = Math.min(best, performance.now() - started);
    const compared = answers.reduce((sum, { rowsScanned }) => sum + rowsScanned, 0);
    return {
      found: answers.map(({ results }, q) =>
        results.map(({ id }) => id).filter((id) => id !== queries[q].id).slice(0, K)),
      perSecond: (queries.length / best) * 1000,
      compared: compared / queries.length,
    };
  };
}

function recallOf(found, truth) {
  let right = 0;
  for (const [q, ids] of found.entries()) right += ids.filter((id) => truth[q].has(id)).length;
  return right / truth.reduce((sum, { size }) => sum + size, 0);
}

/** One point per way of asking: { name, recall, perSecond, compared }; exact comes last. */
export async function measure(index, onProgress) {
  const { nLists } = await index.stats();
  const ids = await sampleIds(index, QUERIES);
  const queries = await index.get({ ids, include: ['vector'] });
  const names = [...TARGETS.map(String), 'exact'];
  const hows = [...TARGETS.map((targetRecall) => ({ targetRecall })), { nProbes: nLists }];
  const ways = hows.map((how) => wayOf(index, queries, how));
  // Decrypts what the others then find in memory.
  await ways.at(-1)();
  let last;
  for (let round = 0; round < ROUNDS; round++) {
    last = [];
    for (const [i, way] of ways.entries()) {
      last.push(await way());
      onProgress((round + (i + 1) / ways.length) / ROUNDS);
      await breathe();
    }
  }
  const truth = last.at(-1).found.map((found) => new Set(found));
  return last.map(({ found, ...rest }, i) =>
    ({ name: names[i], recall: recallOf(found, truth), ...rest }));
}
