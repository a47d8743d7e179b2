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
import type { Clustering, RecallCurve } from './clustering.js';
import type { Core } from './core.js';
import type { Neighbors } from '../types/protocol.js';

/** True nearest rows kept per query. */
export const NEIGHBORS = 100;
const TARGETS = [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999];
const SAFETY = 1.5;
/** Queries ranked between two ticks. */
const RANKED_AT_ONCE = 50;
/** The least r^2, relative to the median D_0: duplicates are at distance 0. */
const MIN_RADIUS = 1e-7;

/** The nearest of all workers, per query ascending. */
function mergeNeighbors(parts: readonly Neighbors[], count: number): Neighbors {
  const distances = new Float32Array(count * NEIGHBORS);
  const lists = new Uint32Array(count * NEIGHBORS);
  for (let q = 0; q < count; q++) {
    const at = parts.map(() => q * NEIGHBORS);
    const next = (p: number): number => parts[p]?.distances[at[p] ?? 0] ?? Infinity;
    for (let i = q * NEIGHBORS; i < (q + 1) * NEIGHBORS; i++) {
      let best = 0;
      for (let p = 1; p < parts.length; p++) if (next(p) < next(best)) best = p;
      distances[i] = next(best);
      lists[i] = parts[best]?.lists[at[best] ?? 0] ?? 0;
      at[best] = (at[best] ?? 0) + 1;
    }
  }
  return { distances, lists };
}

interface Ranked {
  /** Rank factor times distance beyond the nearest list, by list. */
  readonly gaps: Float64Array;
  readonly nearest: number;
}

/** Says how far beyond the nearest each list is from a query. */
class Ranking {
  readonly #core: Core;
  readonly #clustering: Clustering;
  readonly #factors: Float64Array;

  constructor(core: Core, clustering: Clustering) {
    this.#core = core;
    this.#clustering = clustering;
    this.#factors = Float64Array.from({ length: clustering.nLists }, (_, j) => (j + 1) ** 0.75);
  }

  of(query: Float32Array): Ranked {
    const core = this.#core;
    const { nLists, dimension, packed, halfNorms } = this.#clustering;
    return core.withScratch((s) => {
      const order = s.take(nLists * 4);
      const distances = s.take(nLists * 4);
      core.check(core.exports.sv_rank_lists(
        s.put(query), dimension, packed, halfNorms, nLists, order, distances,
        s.take(core.exports.sv_rank_scratch_size(nLists)),
      ), 'queries');
      const lists = core.words(order, nLists);
      const ranked = core.floats(distances, nLists);
      const nearest = ranked[0] ?? 0;
      const gaps = new Float64Array(nLists);
      for (let j = 0; j < nLists; j++) {
        gaps[lists[j] ?? 0] = ((ranked[j] ?? 0) - nearest) * (this.#factors[j] ?? 0);
      }
      return { gaps, nearest };
    });
  }
}

function quantile(sorted: Float64Array, p: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)] ?? Infinity;
}

/** The variance, over queries, of the share of their scores that a ratio finds. */
function recallVariance(scores: readonly Float64Array[], ratio: number): number {
  let [sum, squares] = [0, 0];
  for (const row of scores) {
    let found = 0;
    for (const score of row) if (score <= ratio) found++;
    sum += found / row.length;
    squares += (found / row.length) ** 2;
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

/** The recall curve of a clustering, from the true neighbours of the routed queries. */
export async function calibrate(
  core: Core, clustering: Clustering, queries: Float32Array, parts: readonly Neighbors[],
  tick: (fraction: number) => Promise<void>,
): Promise<RecallCurve> {
  const dim = clustering.dimension;
  const count = queries.length / dim;
  if (count === 0) return { recall: [1], at10: [Infinity], at100: [Infinity] };
  const { distances, lists } = mergeNeighbors(parts, count);
  const ranking = new Ranking(core, clustering);
  const ranked: Ranked[] = [];
  for (let q = 0; q < count; q++) {
    ranked.push(ranking.of(queries.subarray(q * dim, (q + 1) * dim)));
    if (q % RANKED_AT_ONCE === 0) await tick(q / count);
  }
  const middle = ranked.map(({ nearest }) => nearest).sort((x, y) => x - y)[count >> 1] ?? 0;
  const least = Math.max(MIN_RADIUS * middle, Number.MIN_VALUE);
  const scoresAt = (k: number): Float64Array[] => ranked.map(({ gaps }, q) => {
    const known = distances.subarray(q * NEIGHBORS, (q + 1) * NEIGHBORS);
    const found = Math.min(k, known.filter(Number.isFinite).length);
    const radius = Math.max(known[found - 1] ?? 0, least);
    const gap = (i: number): number => gaps[lists[q * NEIGHBORS + i] ?? 0] ?? 0;
    return Float64Array.from({ length: found }, (_, i) => gap(i) / radius);
  }).filter((row) => row.length > 0);
  const at10 = ratios(scoresAt(10));
  await tick(1);
  return { recall: TARGETS, at10, at100: ratios(scoresAt(NEIGHBORS)) };
}
