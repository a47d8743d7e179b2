/**
 * From the true nearest rows of held-out queries to the stop ratios that find a share of them.
 *
 * Lists are visited nearest first, D_0 <= D_1 <= ... being squared distances to their centroids,
 * and list j is visited while (D_j - D_0) (j + 1)^0.75 <= ratio * r^2, r being the distance of the
 * k-th nearest row so far. Both sides scale alike, so the ratio means the same for any data; r
 * makes a query that lies far from the data look further; the rank factor (0.5 to 1 measured
 * alike, without it a quarter more rows are scanned) spends less on the many lists of a long tail.
 *
 * 1. A true neighbour in list j is found by any ratio from (D_j - D_0) (j + 1)^0.75 / r^2 up, so a
 *    share p of all is found by the p-quantile of these scores. r here is the true one; a search
 *    begins with a larger one, and so visits a little more.
 * 2. The share aimed at is raised by 1.5 standard errors of the recall measured, at most half-way
 *    to 1, so that the promise holds for other queries than those that happened to be drawn.
 * 3. Measured for the 10 and the 100 nearest; the ratio depends on k.
 */
import type { RecallCurve } from './stop-ratio.js';
import { NEIGHBORS } from './training-queries.js';
import type { Neighbors, Ranked } from '../types/protocol.js';

/** Promises nothing below a search of all lists. */
const NO_CURVE: RecallCurve = { recall: [1], at10: [Infinity], at100: [Infinity] };
const TARGETS = [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999];
const SAFETY = 1.5;
/** The least r^2, relative to the median D_0: duplicates are at distance 0. */
const MIN_RADIUS = 1e-7;

/** The nearest that all workers have seen, per query ascending. */
export async function mergeNeighbors(
  parts: readonly Neighbors[], tick: () => Promise<unknown>,
): Promise<Neighbors> {
  const size = parts[0]?.lists.length ?? 0;
  const [distances, lists] = [new Float32Array(size), new Uint32Array(size)];
  for (let first = 0; first < size; first += NEIGHBORS) {
    const at = parts.map(() => first);
    const next = (p: number): number => parts[p]?.distances[at[p] ?? 0] ?? Infinity;
    for (let i = first; i < first + NEIGHBORS; i++) {
      let best = 0;
      for (let p = 1; p < parts.length; p++) if (next(p) < next(best)) best = p;
      distances[i] = next(best);
      lists[i] = parts[best]?.lists[at[best] ?? 0] ?? 0;
      at[best] = (at[best] ?? 0) + 1;
    }
    await tick();
  }
  return { distances, lists };
}

function quantile(sorted: Float64Array, p: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)] ?? Infinity;
}

/** How many of ascending scores a ratio finds. */
function countFound(sorted: Float64Array, ratio: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? Infinity) <= ratio) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The variance, over queries, of the share of their scores that a ratio finds. */
function recallVariance(scores: readonly Float64Array[], ratio: number): number {
  let [sum, squares] = [0, 0];
  for (const row of scores) {
    const share = countFound(row, ratio) / row.length;
    sum += share;
    squares += share ** 2;
  }
  return Math.max(0, squares / scores.length - (sum / scores.length) ** 2);
}

/** Stop ratios for the targets, from the scores of the k nearest of each query. */
async function ratios(
  scores: readonly Float64Array[], tick: () => Promise<unknown>,
): Promise<number[]> {
  const all = new Float64Array(scores.reduce((sum, row) => sum + row.length, 0));
  scores.reduce((at, row) => {
    all.set(row, at);
    return at + row.length;
  }, 0);
  all.sort();
  const ascending: number[] = [];
  for (const target of TARGETS) {
    await tick();
    const variance = recallVariance(scores, quantile(all, target));
    const raised = target + SAFETY * Math.sqrt(variance / scores.length);
    const ratio = quantile(all, Math.min(raised, (1 + target) / 2));
    ascending.push(Math.max(ratio, ascending.at(-1) ?? 0));
  }
  return ascending;
}

/** The scores, ascending, of the k nearest rows of each query that has any. */
function scoresOf(
  { distances }: Neighbors, { gaps }: Ranked, k: number, least: number,
): Float64Array[] {
  const scores: Float64Array[] = [];
  for (let first = 0; first < distances.length; first += NEIGHBORS) {
    let found = 0;
    while (found < k && (distances[first + found] ?? Infinity) < Infinity) found++;
    if (found === 0) continue;
    const radius = Math.max(distances[first + found - 1] ?? 0, least);
    const row = new Float64Array(found);
    for (let i = 0; i < found; i++) row[i] = (gaps[first + i] ?? 0) / radius;
    scores.push(row.sort());
  }
  return scores;
}

/** The recall curve of a clustering, from the true neighbours of all queries and their gaps. */
export async function recallCurve(
  neighbors: Neighbors, ranked: Ranked, tick: () => Promise<unknown>,
): Promise<RecallCurve> {
  const nearest = ranked.nearest.slice().sort();
  if (nearest.length === 0) return NO_CURVE;
  const least = Math.max(MIN_RADIUS * (nearest[nearest.length >> 1] ?? 0), Number.MIN_VALUE);
  const at = (k: number): Promise<number[]> =>
    ratios(scoresOf(neighbors, ranked, k, least), tick);
  return { recall: TARGETS, at10: await at(10), at100: await at(NEIGHBORS) };
}
