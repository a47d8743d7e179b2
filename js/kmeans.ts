/**
 * K-means on rows in wasm memory, in steps short enough to yield between: what one core does.
 * training-cluster.ts says how the parts make a whole.
 */
import type { Arena, Core } from './core.js';
import { Sieve } from './sieve.js';
import type { Sample } from './training-sample.js';
import type { GroupResult, KmeansOptions, Moved, MoveResult } from '../types/protocol.js';

/** Offsets in `struct sv_kmeans` of c/sv.h under wasm32; n, dim, k, ... come first. */
const KMEANS = {
  tolerance: 20, seed: 32, iteration: 48, nextRow: 52, compareAll: 60, stop: 80, size: 128,
} as const;
/** Multiplications in one step, about 10 ms of them. */
const STEP_MACS = 2e8;
/** Lists from which two levels pay. */
const TWO_LEVEL = 128;
/** Passes of the first level at most: they only prepare those that count. */
const GROUP_ITERS = 8;
const LEVEL_STALL = 0.02;
/** Rows per group that the groups are found on. */
const GROUP_ROWS = 256;
/** With fewer lists, groups are but ranges of rows, for workers to share. */
const RANGES = 4;

/** What prepares the passes that count stops sooner than they. */
function level(options: KmeansOptions, k: number, maxIters: number): KmeansOptions {
  const most = Math.min(options.maxIters, maxIters);
  return { ...options, k, tolerance: 0, stall: LEVEL_STALL, balance: 0, maxIters: most };
}

export interface KmeansRows {
  readonly pointer: number;
  readonly n: number;
  readonly dim: number;
}

/** Called between steps with the share of the pass that is done. */
export type Tick = (fraction: number) => Promise<void>;

/** Lloyd's algorithm on some rows, whose memory it leaves to the caller. */
export class Lloyd {
  readonly centroids: number;
  readonly #core: Core;
  readonly #arena: Arena;
  readonly #rows: KmeansRows;
  readonly #k: number;
  readonly #state: number;
  readonly #scratch: number;
  readonly #step: number;

  /**
   * Begins with rows drawn by the seed, or when warm with what `next` gives. `starts` tells of
   * groups of neighbours among the rows (c/sv.h).
   */
  constructor(
    core: Core, rows: KmeansRows, options: KmeansOptions, warm: boolean, starts?: Uint32Array,
  ) {
    const { n, dim } = rows;
    const { k } = options;
    const nGroups = starts ? starts.length - 1 : 0;
    const arena = core.arena();
    this.#core = core;
    this.#arena = arena;
    this.#rows = rows;
    this.#k = k;
    this.#step = Math.max(64, Math.floor(STEP_MACS / (k * dim)));
    this.centroids = arena.take(k * dim * 4);
    const state = arena.take(KMEANS.size);
    this.#state = state;
    core.clear(state, KMEANS.size);
    core.write(state, Uint32Array.of(n, dim, k, nGroups, options.maxIters));
    const { tolerance, stall, balance } = options;
    core.write(state + KMEANS.tolerance, Float32Array.of(tolerance, stall, balance));
    core.setWord(state + KMEANS.seed, options.seed);
    this.#scratch = arena.take(core.exports.sv_kmeans_scratch_size(dim, k, nGroups));
    core.check(core.exports.sv_kmeans_start(
      state, rows.pointer, starts ? arena.put(starts) : 0, warm ? 1 : 0, this.centroids,
      this.#scratch,
    ), 'nLists');
  }

  #word(at: number): number {
    return this.#core.word(this.#state + at);
  }

  /** What a pass has come to. */
  read(): MoveResult {
    return {
      centroids: this.#read(), origins: this.#core.words(this.#scratch, this.#k),
      iterations: this.#word(KMEANS.iteration), compareAll: this.#word(KMEANS.compareAll),
      stop: this.#word(KMEANS.stop),
    };
  }

  /** Goes on with the pass as far as row `end`. */
  async step(end: number, tick: Tick): Promise<void> {
    const { exports } = this.#core;
    for (;;) {
      const at = this.#word(KMEANS.nextRow);
      if (at >= end) return;
      const rows = Math.min(this.#step, end - at);
      this.#core.check(exports.sv_kmeans_step(
        this.#state, this.#rows.pointer, rows, this.centroids, this.#scratch,
      ), 'k-means');
      await tick((at + rows) / this.#rows.n);
    }
  }

  /** Ends a pass; whether another is to follow. */
  finish(): boolean {
    const { exports } = this.#core;
    const more = exports.sv_kmeans_finish(this.#state, this.centroids, this.#scratch);
    return this.#core.check(more, 'k-means') === 1;
  }

  /** Passes until the stop rules end them; the centroids. */
  async run(tick: Tick): Promise<Float32Array<ArrayBuffer>> {
    do await this.step(this.#rows.n, tick); while (this.finish());
    return this.#read();
  }

  #read(): Float32Array<ArrayBuffer> {
    return this.#core.floats(this.centroids, this.#k * this.#rows.dim);
  }

  /** Begins the next pass with what another has found. */
  next({ centroids, origins, compareAll }: Moved): void {
    this.#core.write(this.centroids, centroids);
    this.#core.write(this.#scratch, origins);
    this.#core.exports.sv_kmeans_next(this.#state, compareAll);
  }

  /** Takes out what was summed since the last time. */
  takeSums(): Uint8Array<ArrayBuffer> {
    const core = this.#core;
    const size = core.exports.sv_kmeans_sums_size(this.#k, this.#rows.dim);
    return core.withScratch((s) => {
      const sums = s.take(size);
      core.exports.sv_kmeans_take(this.#state, this.#scratch, sums);
      return core.bytes(sums, size);
    });
  }

  addSums(sums: Uint8Array): void {
    const core = this.#core;
    core.withScratch((s) =>
      core.exports.sv_kmeans_add(this.#state, this.#scratch, s.put(sums)));
  }

  free(): void {
    this.#arena.free();
  }
}

/** The k centroids of one level, found from rows drawn by the seed. */
export async function findLevel(
  core: Core, rows: KmeansRows, options: KmeansOptions, k: number, maxIters: number, tick: Tick,
): Promise<Float32Array<ArrayBuffer>> {
  const run = new Lloyd(core, rows, level(options, k, maxIters), false);
  try {
    return await run.run(tick);
  } finally {
    run.free();
  }
}

/** Rows drawn by the seed, in memory of the arena. */
function drawRows(
  core: Core, arena: Arena, { pointer, n, dim }: KmeansRows, count: number, seed: number,
): number {
  const picks = arena.take(count * 4);
  const drawn = arena.take(count * dim * 4);
  core.check(core.exports.sv_sample(n, count, BigInt(seed), picks), 'k-means');
  core.check(core.exports.sv_rows_gather(pointer, n, dim * 4, picks, count, drawn), 'k-means');
  return drawn;
}

/** Rows in the order of their groups, which begin at `starts`. */
export interface Grouped extends GroupResult {
  readonly rows: Sample;
}

/** Finds the centroids of groups, on some of the rows. */
async function findGroups(
  core: Core, rows: KmeansRows, options: KmeansOptions, nGroups: number, tick: Tick,
): Promise<Float32Array> {
  const n = Math.min(rows.n, GROUP_ROWS * nGroups);
  const arena = core.arena();
  try {
    const pointer = drawRows(core, arena, rows, n, options.seed);
    const some = { pointer, n, dim: rows.dim };
    return await findLevel(core, some, options, nGroups, GROUP_ITERS, tick);
  } finally {
    arena.free();
  }
}

/** Copies rows into the order of their groups, to `out`; where each group begins. */
function orderRows(
  core: Core, s: Arena, { pointer, n, dim }: KmeansRows, groups: Float32Array, out: number,
): Uint32Array {
  const { exports } = core;
  const nGroups = groups.length / dim;
  const sieve = new Sieve(core, s, s.put(groups), nGroups, dim);
  const lists = s.take(n * 4);
  const order = s.take(n * 4);
  const starts = s.take((nGroups + 1) * 4);
  sieve.assign(pointer, n, sieve.scratch(s), lists, s.take(n * 4));
  core.check(exports.sv_order_by_list(lists, n, nGroups, order, starts), 'k-means');
  core.check(exports.sv_rows_gather(pointer, n, dim * 4, order, n, out), 'k-means');
  return core.words(starts, nGroups + 1);
}

/** Brings rows into groups; their memory becomes the answer's, or is freed. */
export async function groupRows(
  core: Core, held: Sample, dim: number, options: KmeansOptions, tick: Tick,
): Promise<Grouped> {
  const { n } = held;
  const rows = { pointer: held.pointer, n, dim };
  const { k, seed } = options;
  if (k < TWO_LEVEL) {
    const centroids = core.withScratch((s) =>
      core.floats(drawRows(core, s, rows, k, seed), k * dim));
    const starts = Uint32Array.from({ length: RANGES + 1 }, (_, i) => Math.floor(n * i / RANGES));
    return { rows: held, starts, centroids };
  }
  const arena = core.arena();
  try {
    const groups = await findGroups(core, rows, options, Math.round(Math.sqrt(k)), tick);
    const pointer = arena.take(n * dim * 4);
    const starts = core.withScratch((s) => orderRows(core, s, rows, groups, pointer));
    return { rows: { arena, pointer, n }, starts, centroids: undefined };
  } catch (error) {
    arena.free();
    throw error;
  } finally {
    held.arena.free();
  }
}
