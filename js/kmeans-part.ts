/** A share of a clustering: rows of some groups, and what the passes over them sum up. */
import type { Arena, Core } from './core.js';
import { findLevel, type KmeansRows, Lloyd, type Tick } from './kmeans.js';
import type { Sample } from './training-sample.js';
import type { KmeansOptions, Moved, MoveResult, Share } from '../types/protocol.js';

/** Passes at most that split a group: they only prepare those that count. */
const SPLIT_ITERS = 4;

export class KmeansPart {
  readonly #core: Core;
  readonly #arena: Arena;
  readonly #rows: KmeansRows;
  readonly #share: Share;
  readonly #options: KmeansOptions;
  #lloyd: Lloyd | undefined;

  /** Takes over the rows, of `dim` components. */
  constructor(
    core: Core, { arena, pointer, n }: Sample, dim: number, share: Share, options: KmeansOptions,
  ) {
    this.#core = core;
    this.#arena = arena;
    this.#rows = { pointer, n, dim };
    this.#share = share;
    this.#options = options;
  }

  /** The centroids that the groups find for their lists, group after group. */
  async split(seats: readonly number[], tick: Tick): Promise<Float32Array<ArrayBuffer>> {
    const { pointer, dim } = this.#rows;
    const { starts, first } = this.#share;
    const centroids = new Float32Array(seats.reduce((sum, k) => sum + k, 0) * dim);
    let done = 0;
    for (const [g, k] of seats.entries()) {
      if (k === 0) continue;
      const from = starts[g] ?? 0;
      const group = { pointer: pointer + from * dim * 4, n: (starts[g + 1] ?? 0) - from, dim };
      const options = { ...this.#options, seed: this.#options.seed + first + g };
      centroids.set(await findLevel(this.#core, group, options, k, SPLIT_ITERS, tick), done * dim);
      done += k;
    }
    return centroids;
  }

  get #passes(): Lloyd {
    const { starts, near } = this.#share;
    return this.#lloyd ??=
      new Lloyd(this.#core, this.#rows, this.#options, true, near ? starts : undefined);
  }

  /** Adds up a pass over the rows: the sums of each run of groups that counts as one. */
  async pass(from: Moved, tick: Tick): Promise<Uint8Array<ArrayBuffer>[]> {
    const lloyd = this.#passes;
    lloyd.next(from);
    const sums: Uint8Array<ArrayBuffer>[] = [];
    for (const end of this.#share.ends) {
      await lloyd.step(end, tick);
      sums.push(lloyd.takeSums());
    }
    return sums;
  }

  /** Moves the centroids by the sums of all workers. */
  move(sums: readonly Uint8Array[]): MoveResult {
    const lloyd = this.#passes;
    for (const part of sums) lloyd.addSums(part);
    lloyd.finish();
    return lloyd.read();
  }

  free(): void {
    this.#lloyd?.free();
    this.#arena.free();
  }
}
