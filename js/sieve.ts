/** Rows packed so that the nearest of them is found fast (c/sieve.c). */
import type { Arena, Core } from './core.js';

export class Sieve {
  readonly pointer: number;
  readonly n: number;
  readonly #core: Core;
  readonly #dim: number;

  /** Packs n rows of `dim` components, which are at `rows`, in memory of the arena. */
  constructor(core: Core, arena: Arena, rows: number, n: number, dim: number) {
    this.#core = core;
    this.#dim = dim;
    this.n = n;
    this.pointer = arena.take(core.exports.sv_sieve_size(n, dim));
    core.exports.sv_sieve_pack(rows, 0, n, dim, this.pointer);
  }

  /** The scratch that its functions need, in memory of the arena. */
  scratch(arena: Arena): number {
    return arena.take(this.#core.exports.sv_sieve_scratch_size(this.n, this.#dim));
  }

  /** Which of the packed rows is nearest to each of `count` others, and squared distances. */
  assign(rows: number, count: number, scratch: number, lists: number, distances: number): void {
    this.#core.check(this.#core.exports.sv_assign(
      rows, count, this.#dim, this.pointer, this.n, scratch, lists, distances,
    ), 'vectors');
  }
}
