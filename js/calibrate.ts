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
 * 4. Ranking the lists for every query is shared out to all workers.
 */
import type { Clustering, RecallCurve } from './clustering.js';
import type { Core } from './core.js';
import type { Neighbors, Ranked } from '../types/protocol.js';

/** True nearest rows kept per query. */
export const NEIGHBORS = 100;
const TARGETS = [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999];
const SAFETY = 1.5;
/** Queries ranked between two ticks. */
const RANKED_AT_ONCE = 50;
/** The least r^2, relative to the median D_0: duplicates are at distance 0. */
const MIN_RADIUS = 1e-7;

/** The nearest of all workers for queries [from, to), per query ascending. */
function mergeNeighbors(parts: readonly Neighbors[], from: number, to: number): Neighbors {
  const distances = new Float32Array((to - from) * NEIGHBORS);
  const lists = new Uint32Array((to - from) * NEIGHBORS);
  for (let q = from; q < to; q++) {
    const at = parts.map(() => q * NEIGHBORS);
    const next = (p: number): number => parts[p]?.distances[at[p] ?? 0] ?? Infinity;
    const first = (q - from) * NEIGHBORS;
    for (let i = first; i < first + NEIGHBORS; i++) {
      let best = 0;
      for (let p = 1; p < parts.length; p++) if (next(p) < next(best)) best = p;
      distances[i] = next(best);
      lists[i] = parts[best]?.lists[at[best] ?? 0] ?? 0;
      at[best] = (at[best] ?? 0) + 1;
    }
  }
  return { distances, lists };
}

/** The rank factor times distance beyond the nearest list, by list; and that distance. */
function listGaps(
  core: Core, { nLists, dimension, packed, halfNorms }: Clustering, query: Float32Array,
): { gaps: Float64Array; nearest: number } {
  return core.withScratch((s) => {
    const order = s.take(nLists * 4);
    const distances = s.take(nLists * 4);
    const gaps = s.take(nLists * 8);
    core.check(core.exports.sv_rank_lists(
      s.put(query), dimension, packed, halfNorms, nLists, order, distances,
      s.take(core.exports.sv_rank_scratch_size(nLists)),
    ), 'queries');
    core.check(core.exports.sv_list_gaps(order, distances, nLists, gaps), 'queries');
    return { gaps: core.doubles(gaps, nLists), nearest: core.float(distances) };
  });
}

/** Says of the true neighbours of queries [from, to) how far beyond the nearest their lists are. */
export async function rankNeighbors(
  core: Core, clustering: Clustering, queries: Float32Array, parts: readonly Neighbors[],
  from: number, to: number, tick: (fraction: number) => Promise<void>,
): Promise<Ranked> {
  const dim = clustering.dimension;
  const { distances, lists } = mergeNeighbors(parts, from, to);
  const gaps = new Float64Array(lists.length);
  const nearest = new Float32Array(to - from);
  for (let q = from; q < to; q++) {
    const ranked = listGaps(core, clustering, queries.subarray(q * dim, (q + 1) * dim));
    nearest[q - from] = ranked.nearest;
    const first = (q - from) * NEIGHBORS;
    for (let i = first; i < first + NEIGHBORS; i++) gaps[i] = ranked.gaps[lists[i] ?? 0] ?? 0;
    if (q % RANKED_AT_ONCE === 0) await tick((q - from) / (to - from));
  }
  return { distances, gaps, nearest };
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
function ratios(scores: readonly Float64Array[]): number[] {
  const all = new Float64Array(scores.reduce((sum, row) => sum + row.length, 0));
  scores.reduce((at, row) => {
    all.set(row, at);
    return at + row.length;
  }, 0);
  all.sort();
  let least = 0;
  return TARGETS.map((target) => {
    const variance = recallVariance(scores, quantile(all, target));
    const raised = target + SAFETY * Math.sqrt(variance / scores.length);
    least = Math.max(least, quantile(all, Math.min(raised, (1 + target) / 2)));
    return least;
  });
}

/** The scores, ascending, of the k nearest rows of each query that has any. */
function scoresOf({ distances, gaps }: Ranked, k: number, least: number): Float64Array[] {
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

/** The recall curve of a clustering, from what is known of all queries. */
export async function recallCurve(
  ranked: readonly Ranked[], tick: (fraction: number) => Promise<void>,
): Promise<RecallCurve> {
  const nearest = ranked.flatMap((part) => [...part.nearest]).sort((x, y) => x - y);
  if (nearest.length === 0) return { recall: [1], at10: [Infinity], at100: [Infinity] };
  const least = Math.max(MIN_RADIUS * (nearest[nearest.length >> 1] ?? 0), Number.MIN_VALUE);
  const at = (k: number): number[] => ratios(ranked.flatMap((part) => scoresOf(part, k, least)));
  const at10 = at(10);
  await tick(1);
  return { recall: TARGETS, at10, at100: at(NEIGHBORS) };
}
