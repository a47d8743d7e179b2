/**
 * Recall among rows that move to other lists: the curve that training measured knows nothing of
 * what came since. Some of them look for their nearest among all that move.
 */
import { breathe } from './breathe.js';
import type { Clustering } from './clustering.js';
import type { Arena, Core } from './core.js';
import type { RowBatch } from './pack.js';
import { mergeNeighbors, recallCurve } from './recall-curve.js';
import type { RecallCurve } from './stop-ratio.js';
import { NO_ROW, RecallQueries } from './training-queries.js';

/** Stop ratios that are enough for two curves. */
function higher(x: RecallCurve, y: RecallCurve): RecallCurve {
  if (x.recall.length !== y.recall.length) return x.recall.length < y.recall.length ? x : y;
  const most = (a: readonly number[], b: readonly number[]): number[] =>
    a.map((ratio, i) => Math.max(ratio, b[i] ?? Infinity));
  return { recall: x.recall, at10: most(x.at10, y.at10), at100: most(x.at100, y.at100) };
}

export class MovedRecall {
  readonly #clustering: Clustering;
  readonly #places: Uint32Array;
  readonly #queries: RecallQueries;
  #moved = 0;

  /** The queries, routed, stand at `places` (ascending) among the rows that move. */
  constructor(core: Core, clustering: Clustering, places: Uint32Array, queries: Float32Array) {
    this.#clustering = clustering;
    this.#places = places;
    this.#queries = new RecallQueries(core, clustering.dimension, queries);
  }

  /** The lists of the next rows that move, in memory of the arena. */
  assign(s: Arena, { n, vectors }: RowBatch): number {
    const lists = s.take(n * 4);
    const within = this.#places.map((place) =>
      place >= this.#moved && place < this.#moved + n ? place - this.#moved : NO_ROW);
    const skip = s.put(within);
    this.#clustering.assign(vectors, n, lists, s.take(n * 4), (routed, first, count) => {
      this.#queries.see(routed, lists + first * 4, count, first, skip);
    });
    this.#moved += n;
    return lists;
  }

  /** The curve of before, raised to what the rows that moved need. */
  async curve(before: RecallCurve): Promise<RecallCurve> {
    const neighbors = await mergeNeighbors([this.#queries.neighbors()], breathe);
    const ranked = await this.#queries.rank(this.#clustering, 0, neighbors.lists, breathe);
    return higher(before, await recallCurve(neighbors, ranked, breathe));
  }

  free(): void {
    this.#queries.free();
  }
}
