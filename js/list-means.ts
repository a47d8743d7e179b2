/**
 * The means of all rows of each list, taken while training assigns. Centroids come from a sample;
 * moved to these means, which costs no pass more, they lie where all the rows are.
 *
 * Components are rounded to multiples of a grain, GRAIN_BITS below the largest of the centroids, so
 * that the sums are exact and do not depend on which worker took which rows. Up to 2^27 rows as
 * large as that fit.
 */
import type { Arena, Core } from './core.js';
import type { ListSums } from '../types/protocol.js';

const GRAIN_BITS = 26;
/** For centroids that are all zero. */
const LEAST = 2 ** -100;

/** What components of rows near these centroids are rounded to multiples of. */
export function grainOf(centroids: Float32Array): number {
  const most = centroids.reduce((max, x) => Math.max(max, Math.abs(x)), LEAST);
  return 2 ** (Math.ceil(Math.log2(most)) - GRAIN_BITS);
}

export class ListMeans {
  readonly #core: Core;
  readonly #arena: Arena;
  readonly #nLists: number;
  readonly #dimension: number;
  readonly #grain: number;
  readonly #sums: number;
  readonly #counts: number;

  constructor(core: Core, nLists: number, dimension: number, grain: number) {
    this.#core = core;
    this.#dimension = dimension;
    this.#nLists = nLists;
    this.#grain = grain;
    this.#arena = core.arena();
    this.#sums = this.#arena.put(new Float64Array(nLists * dimension));
    this.#counts = this.#arena.put(new Uint32Array(nLists));
  }

  /** Adds n routed rows, whose lists are at `lists`. */
  add(rows: number, lists: number, n: number): void {
    this.#core.check(this.#core.exports.sv_add_rows(
      rows, lists, n, this.#dimension, this.#grain, this.#sums, this.#counts,
    ), 'vectors');
  }

  read(): ListSums {
    return {
      sums: this.#core.doubles(this.#sums, this.#nLists * this.#dimension),
      counts: this.#core.words(this.#counts, this.#nLists),
    };
  }

  free(): void {
    this.#arena.free();
  }
}

/**
 * Moves each centroid to the mean of its rows in all parts; one that has none stays. `gained` is by
 * how much that lowers the sum of squared distances of rows to their centroids.
 */
export async function center(
  centroids: Float32Array, parts: readonly ListSums[], tick: () => Promise<unknown>,
): Promise<{ centroids: Float32Array; gained: number }> {
  const nLists = parts[0]?.counts.length ?? 0;
  const dim = centroids.length / nLists;
  const moved = centroids.slice();
  const mean = new Float64Array(dim);
  let gained = 0;
  for (let list = 0; list < nLists; list++) {
    const count = parts.reduce((sum, { counts }) => sum + (counts[list] ?? 0), 0);
    if (count === 0) continue;
    const first = list * dim;
    mean.fill(0);
    for (const { sums } of parts) {
      for (let t = 0; t < dim; t++) mean[t] = (mean[t] ?? 0) + (sums[first + t] ?? 0);
    }
    for (let t = 0; t < dim; t++) {
      const x = (mean[t] ?? 0) / count;
      moved[first + t] = x;
      gained += count * ((centroids[first + t] ?? 0) - x) ** 2;
    }
    await tick();
  }
  return { centroids: moved, gained };
}
