/** Rows whose exact neighbours are looked for while training assigns, to measure recall on them. */
import { NEIGHBORS } from './calibrate.js';
import type { Arena, Core } from './core.js';
import type { Neighbors } from '../types/protocol.js';

const NO_ROW = 0xffffffff;

export class RecallQueries {
  readonly count: number;
  readonly routed: Float32Array;
  readonly #core: Core;
  readonly #dimension: number;
  readonly #numbers: Uint32Array;
  readonly #sieve: number;
  readonly #distances: number;
  readonly #lists: number;
  readonly #scratch: number;
  readonly #arena: Arena;

  /** Routed queries and their row numbers, ascending. */
  constructor(core: Core, dimension: number, routed: Float32Array, numbers: Uint32Array) {
    const count = numbers.length;
    const arena = core.arena();
    this.#arena = arena;
    this.#core = core;
    this.#dimension = dimension;
    this.count = count;
    this.routed = routed;
    this.#numbers = numbers;
    this.#sieve = arena.take(core.exports.sv_sieve_size(count, dimension));
    this.#distances = arena.put(new Float32Array(count * NEIGHBORS).fill(Infinity));
    this.#lists = arena.put(new Uint32Array(count * NEIGHBORS).fill(NO_ROW));
    this.#scratch = arena.take(core.exports.sv_sieve_scratch_size(count, dimension));
    if (count === 0) return;
    core.withScratch((s) => core.check(core.exports.sv_sieve_pack(
      s.put(routed), 0, count, dimension, this.#sieve,
    ), 'queries'));
  }

  /** Where the queries are in a batch of rows, for `see`, so that none finds itself. */
  places(arena: Arena, batch: Uint32Array): number {
    const places = new Uint32Array(this.count).fill(NO_ROW);
    const queries = new Map(Array.from(this.#numbers, (number, q) => [number, q]));
    batch.forEach((number, row) => {
      const q = queries.get(number);
      if (q !== undefined) places[q] = row;
    });
    return arena.put(places);
  }

  /** Offers n routed rows of a batch, from row `first` of it on, with their lists. */
  see(rows: number, lists: number, n: number, first: number, places: number): void {
    this.#core.check(this.#core.exports.sv_neighbors(
      rows, lists, n, first, this.#dimension, this.#sieve, this.count, places, NEIGHBORS,
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

  free(): void {
    this.#arena.free();
  }
}
