/** A share of a clustering: rows of some groups, and what the passes over them sum up. */
import type { Arena, Core } from './core.js';
import { type KmeansRows, Lloyd, splitGroups, type Tick } from './kmeans.js';
import type { KmeansOptions, MoveResult, Share } from '../types/protocol.js';

export class KmeansPart {
  readonly #core: Core;
  readonly #arena: Arena;
  readonly #rows: KmeansRows;
  readonly #share: Share;
  readonly #options: KmeansOptions;
  #lloyd: Lloyd | undefined;

  /** Takes over the rows, and the arena that holds them. */
  constructor(core: Core, arena: Arena, rows: KmeansRows, share: Share, options: KmeansOptions) {
    this.#core = core;
    this.#arena = arena;
    this.#rows = rows;
    this.#share = share;
    this.#options = options;
  }

  /** The centroids that the groups find for their lists. */
  async split(seats: readonly number[], tick: Tick): Promise<Float32Array<ArrayBuffer>> {
    const { starts, first } = this.#share;
    const options = { ...this.#options, seed: this.#options.seed + first };
    return splitGroups(this.#core, this.#rows, starts, seats, options, tick);
  }

  /** Adds up a pass over the rows: the sums of each run of groups that counts as one. */
  async pass(
    centroids: Float32Array, compareAll: boolean, tick: Tick,
  ): Promise<Uint8Array<ArrayBuffer>[]> {
    const { starts, ends, near } = this.#share;
    this.#lloyd ??=
      new Lloyd(this.#core, this.#rows, this.#options, true, near ? starts : undefined);
    this.#lloyd.next(centroids, compareAll);
    const sums: Uint8Array<ArrayBuffer>[] = [];
    for (const end of ends) {
      await this.#lloyd.step(end, tick);
      sums.push(this.#lloyd.takeSums());
    }
    return sums;
  }

  /** Moves the centroids by the sums of all workers. */
  move(sums: readonly Uint8Array[]): MoveResult {
    const lloyd = this.#lloyd;
    if (!lloyd) throw new Error('this worker has begun no pass');
    for (const part of sums) lloyd.addSums(part);
    lloyd.finish();
    const { compareAll, iterations, stop } = lloyd;
    return { centroids: lloyd.read(), compareAll, iterations, stop };
  }

  free(): void {
    this.#lloyd?.free();
    this.#arena.free();
  }
}
