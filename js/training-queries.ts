/** Rows whose exact neighbours are looked for while training assigns, to measure recall on them. */
import type { Clustering } from './clustering.js';
import type { Arena, Core } from './core.js';
import { Sieve } from './sieve.js';
import type { Neighbors, Ranked } from '../types/protocol.js';

/** True nearest rows kept per query. */
export const NEIGHBORS = 100;
/** As in c/sv.h. */
export const NO_ROW = 0xffffffff;

/** The rank factor times distance beyond the nearest list, by list; and that distance. */
function listGaps(
  core: Core, { nLists, dimension, packed, halfNorms }: Clustering, query: Float32Array,
): { gaps: Float64Array; nearest: number } {
  return core.withScratch((s) => {
    const order = s.take(nLists * 4);
    const distances = s.take(nLists * 4);
    const gaps = s.take(nLists * 8);
    core.exports.sv_rank_lists(
      s.put(query), dimension, packed, halfNorms, nLists, order, distances,
      s.take(core.exports.sv_rank_scratch_size(nLists)),
    );
    core.exports.sv_list_gaps(order, distances, nLists, gaps);
    return { gaps: core.doubles(gaps, nLists), nearest: core.view.getFloat32(distances, true) };
  });
}

export class RecallQueries {
  readonly count: number;
  readonly #routed: Float32Array;
  readonly #core: Core;
  readonly #dimension: number;
  readonly #sieve: Sieve;
  readonly #distances: number;
  readonly #lists: number;
  readonly #scratch: number;
  readonly #arena: Arena;

  constructor(core: Core, dimension: number, routed: Float32Array) {
    const count = routed.length / dimension;
    const arena = core.arena();
    this.#arena = arena;
    this.#core = core;
    this.#dimension = dimension;
    this.count = count;
    this.#routed = routed;
    this.#sieve = new Sieve(core, arena, arena.put(routed), count, dimension);
    this.#distances = arena.put(new Float32Array(count * NEIGHBORS).fill(Infinity));
    this.#lists = arena.put(new Uint32Array(count * NEIGHBORS).fill(NO_ROW));
    this.#scratch = this.#sieve.scratch(arena);
  }

  /** Offers n routed rows of a batch, from row `first` of it on, with their lists. */
  see(rows: number, lists: number, n: number, first: number, places: number): void {
    this.#core.check(this.#core.exports.sv_neighbors(
      rows, lists, n, first, this.#dimension, this.#sieve.pointer, this.count, places, NEIGHBORS,
      this.#distances, this.#lists, this.#scratch,
    ), 'queries');
  }

  /** The nearest rows seen so far. */
  neighbors(): Neighbors {
    return {
      distances: this.#core.floats(this.#distances, this.count * NEIGHBORS),
      lists: this.#core.words(this.#lists, this.count * NEIGHBORS),
    };
  }

  /** How far beyond the nearest lists those are in which neighbours of queries lie. */
  async rank(
    clustering: Clustering, first: number, lists: Uint32Array,
    tick: (fraction: number) => Promise<void>,
  ): Promise<Ranked> {
    const dim = this.#dimension;
    const count = lists.length / NEIGHBORS;
    const gaps = new Float64Array(lists.length);
    const nearest = new Float32Array(count);
    for (let q = 0; q < count; q++) {
      const query = this.#routed.subarray((first + q) * dim, (first + q + 1) * dim);
      const ranked = listGaps(this.#core, clustering, query);
      nearest[q] = ranked.nearest;
      for (let i = q * NEIGHBORS; i < (q + 1) * NEIGHBORS; i++) {
        gaps[i] = ranked.gaps[lists[i] ?? 0] ?? 0;
      }
      await tick(q / count);
    }
    return { gaps, nearest };
  }

  free(): void {
    this.#arena.free();
  }
}
