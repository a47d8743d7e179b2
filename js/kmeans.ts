/**
 * K-means on rows in wasm memory, in steps short enough to yield between.
 *
 * From TWO_LEVEL lists up it begins with two levels (as FAISS's two_level_clustering): about
 * sqrt(k) groups of all rows, then within each group its share of the lists, which costs
 * n sqrt(k) instead of n k per pass. Lloyd's passes over all rows and lists follow; from such a
 * start they need 5 instead of 11 to reach the same error (within 0.2 % of 25 passes from random
 * rows, on image descriptors, digits and word vectors at 64 rows a list), and the lists come out
 * more even (largest over mean 2.8 to 3.6 instead of 3.5 to 6.2 at 512 lists). Seats are shared out
 * by group size as in Webster's (Sainte-Lague's) method.
 */
import type { Arena, Core } from './core.js';

/** Offsets in `struct sv_kmeans` of c/sv.h under wasm32. */
const KMEANS = {
  n: 0, dim: 4, k: 8, maxIters: 12, tolerance: 16, stall: 20, seed: 24, iteration: 40, nextRow: 44,
  stop: 52, objective: 56, size: 96,
} as const;
/** Multiplications in one step, about 10 ms of them. */
const STEP_MACS = 1e8;
/** Lists from which two levels pay. */
const TWO_LEVEL = 128;
/** Passes of each level at most: they only prepare the passes that count. */
const LEVEL_ITERS = 8;
const LEVEL_STALL = 0.02;

export interface KmeansRows {
  readonly pointer: number;
  readonly n: number;
  readonly dim: number;
}

export interface KmeansOptions {
  readonly k: number;
  readonly maxIters: number;
  readonly tolerance: number;
  readonly stall: number;
  readonly seed: number;
}

export interface KmeansResult {
  readonly iterations: number;
  /** `enum sv_kmeans_stop` of c/sv.h. */
  readonly stop: number;
  /** Mean squared distance in the last pass. */
  readonly objective: number;
}

/** Called between steps with the passes done so far. */
type Tick = (passes: number) => Promise<void>;

/** Lloyd's passes from the centroids given (warm) or from rows drawn by the seed. */
async function lloyd(
  core: Core, rows: KmeansRows, options: KmeansOptions, centroids: number, warm: boolean,
  tick: Tick,
): Promise<KmeansResult> {
  const { n, dim } = rows;
  const arena = core.arena();
  try {
    const state = arena.take(KMEANS.size);
    core.fill(state, KMEANS.size, 0);
    core.setWord(state + KMEANS.n, n);
    core.setWord(state + KMEANS.dim, dim);
    core.setWord(state + KMEANS.k, options.k);
    core.setWord(state + KMEANS.maxIters, options.maxIters);
    core.setFloat(state + KMEANS.tolerance, options.tolerance);
    core.setFloat(state + KMEANS.stall, options.stall);
    core.setWord(state + KMEANS.seed, options.seed);
    const scratch = arena.take(core.exports.sv_kmeans_scratch_size(dim, options.k));
    core.check(
      core.exports.sv_kmeans_start(state, rows.pointer, warm ? 1 : 0, centroids, scratch), 'nLists',
    );
    const step = Math.max(64, Math.floor(STEP_MACS / (options.k * dim)));
    const more = (): boolean => core.check(
      core.exports.sv_kmeans_step(state, rows.pointer, step, centroids, scratch), 'k-means',
    ) === 1;
    while (more()) {
      await tick(core.word(state + KMEANS.iteration) + core.word(state + KMEANS.nextRow) / n);
    }
    return {
      iterations: core.word(state + KMEANS.iteration), stop: core.word(state + KMEANS.stop),
      objective: core.double(state + KMEANS.objective),
    };
  } finally {
    arena.free();
  }
}

/** Lists per group: shares in proportion to size, at least one for each group that has rows. */
export function shareSeats(sizes: readonly number[], seats: number): number[] {
  const shares = sizes.map((size) => Math.min(size, 1));
  let left = seats - shares.reduce((sum, share) => sum + share, 0);
  while (left-- > 0) {
    let best = -1;
    sizes.forEach((size, i) => {
      const share = shares[i] ?? 0;
      const claim = share < size ? size / (2 * share + 1) : -1;
      if (claim > (best < 0 ? 0 : (sizes[best] ?? 0) / (2 * (shares[best] ?? 0) + 1))) best = i;
    });
    shares[best] = (shares[best] ?? 0) + 1;
  }
  return shares;
}

/** Copies rows into the order of their groups; where each group begins. */
function groupRows(
  core: Core, s: Arena, rows: KmeansRows, groups: number, nGroups: number, out: number,
): Uint32Array {
  const { n, dim } = rows;
  const { exports } = core;
  const sieve = s.take(exports.sv_sieve_size(nGroups, dim));
  const lists = s.take(n * 4);
  const order = s.take(n * 4);
  const starts = s.take((nGroups + 1) * 4);
  core.check(exports.sv_sieve_pack(groups, nGroups, dim, sieve), 'k-means');
  core.check(exports.sv_assign(
    rows.pointer, n, dim, sieve, nGroups, s.take(exports.sv_sieve_scratch_size(nGroups, dim)),
    lists, s.take(n * 4),
  ), 'k-means');
  core.check(exports.sv_order_by_list(lists, n, nGroups, order, starts), 'k-means');
  core.check(exports.sv_rows_gather(rows.pointer, n, dim * 4, order, n, out), 'k-means');
  return core.words(starts, nGroups + 1);
}

/** Writes k centroids found in two levels. */
async function twoLevels(
  core: Core, rows: KmeansRows, options: KmeansOptions, centroids: number, tick: Tick,
): Promise<void> {
  const { n, dim } = rows;
  const nGroups = Math.round(Math.sqrt(options.k));
  const arena = core.arena();
  try {
    const groups = arena.take(nGroups * dim * 4);
    const maxIters = Math.min(options.maxIters, LEVEL_ITERS);
    const level = { ...options, tolerance: 0, stall: LEVEL_STALL, maxIters };
    await lloyd(core, rows, { ...level, k: nGroups }, groups, false, tick);
    const ordered = arena.take(n * dim * 4);
    const starts = core.withScratch((s) => groupRows(core, s, rows, groups, nGroups, ordered));
    const sizes = Array.from({ length: nGroups }, (_, g) =>
      (starts[g + 1] ?? 0) - (starts[g] ?? 0));
    let done = 0;
    for (const [g, k] of shareSeats(sizes, options.k).entries()) {
      if (k === 0) continue;
      const group = { pointer: ordered + (starts[g] ?? 0) * dim * 4, n: sizes[g] ?? 0, dim };
      const part = { ...level, k, seed: options.seed + g };
      await lloyd(core, group, part, centroids + done * dim * 4, false, tick);
      done += k;
    }
  } finally {
    arena.free();
  }
}

/** Writes k centroids of the rows to `centroids`. */
export async function kmeans(
  core: Core, rows: KmeansRows, options: KmeansOptions, centroids: number, tick: Tick,
): Promise<KmeansResult> {
  const warm = options.k >= TWO_LEVEL;
  if (warm) await twoLevels(core, rows, options, centroids, async () => tick(0));
  return lloyd(core, rows, options, centroids, warm, tick);
}
