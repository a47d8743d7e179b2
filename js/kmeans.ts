/**
 * K-means on rows in wasm memory, in steps short enough to yield between.
 *
 * From TWO_LEVEL lists up, about sqrt(k) groups of rows are found first (as in FAISS's
 * two_level_clustering), on a sample of them, and within each group its share of the lists; seats
 * are shared out by group size as in Webster's (Sainte-Lague's) method. Passes over all rows
 * follow: one that compares with all lists, then some in which the rows of a group meet only the
 * lists where it sent them (c/kmeans.c).
 */
import type { Arena, Core } from './core.js';

/** Offsets in `struct sv_kmeans` of c/sv.h under wasm32. */
const KMEANS = {
  n: 0, dim: 4, k: 8, nGroups: 12, maxIters: 16, tolerance: 20, stall: 24, seed: 32, iteration: 48,
  nextRow: 52, stop: 68, objective: 72, size: 112,
} as const;
/** Multiplications in one step, about 10 ms of them. */
const STEP_MACS = 2e8;
/** Lists from which two levels pay. */
const TWO_LEVEL = 128;
/** Passes of each level at most: they only prepare the passes that count. */
const GROUP_ITERS = 8;
const SHARE_ITERS = 4;
const LEVEL_STALL = 0.02;
/** Rows per group that the groups are found on. */
const GROUP_ROWS = 256;

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

/** Groups of rows: where each begins, in wasm memory. */
interface Groups {
  readonly starts: number;
  readonly count: number;
}

/**
 * Lloyd's passes: from rows drawn by the seed, or with groups from the centroids there are.
 */
async function lloyd(
  core: Core, rows: KmeansRows, options: KmeansOptions, centroids: number, tick: Tick,
  groups?: Groups,
): Promise<KmeansResult> {
  const { n, dim } = rows;
  const { starts, count } = groups ?? { starts: 0, count: 1 };
  const arena = core.arena();
  try {
    const state = arena.take(KMEANS.size);
    core.fill(state, KMEANS.size, 0);
    core.setWord(state + KMEANS.n, n);
    core.setWord(state + KMEANS.dim, dim);
    core.setWord(state + KMEANS.k, options.k);
    core.setWord(state + KMEANS.nGroups, count);
    core.setWord(state + KMEANS.maxIters, options.maxIters);
    core.setFloat(state + KMEANS.tolerance, options.tolerance);
    core.setFloat(state + KMEANS.stall, options.stall);
    core.setWord(state + KMEANS.seed, options.seed);
    const scratch = arena.take(core.exports.sv_kmeans_scratch_size(n, dim, options.k, count));
    const warm = groups ? 1 : 0;
    core.check(core.exports.sv_kmeans_start(
      state, rows.pointer, starts, warm, centroids, scratch,
    ), 'nLists');
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

/** Finds groups on some of the rows; writes their centroids. */
async function findGroups(
  core: Core, rows: KmeansRows, options: KmeansOptions, groups: number, tick: Tick,
): Promise<void> {
  const { dim } = rows;
  const n = Math.min(rows.n, GROUP_ROWS * options.k);
  const arena = core.arena();
  try {
    const picks = arena.take(n * 4);
    const pointer = arena.take(n * dim * 4);
    core.check(core.exports.sv_sample(rows.n, n, BigInt(options.seed), picks), 'k-means');
    core.check(core.exports.sv_rows_gather(
      rows.pointer, rows.n, dim * 4, picks, n, pointer,
    ), 'k-means');
    await lloyd(core, { pointer, n, dim }, options, groups, tick);
  } finally {
    arena.free();
  }
}

/** Copies rows into the order of their groups, and writes where each group begins. */
function groupRows(
  core: Core, s: Arena, rows: KmeansRows, groups: number, nGroups: number,
  to: { rows: number; starts: number },
): void {
  const { exports } = core;
  const { n, dim } = rows;
  const sieve = s.take(exports.sv_sieve_size(nGroups, dim));
  const lists = s.take(n * 4);
  const order = s.take(n * 4);
  core.check(exports.sv_sieve_pack(groups, 0, nGroups, dim, sieve), 'k-means');
  core.check(exports.sv_assign(
    rows.pointer, n, dim, sieve, nGroups, s.take(exports.sv_sieve_scratch_size(nGroups, dim)),
    lists, s.take(n * 4),
  ), 'k-means');
  core.check(exports.sv_order_by_list(lists, n, nGroups, order, to.starts), 'k-means');
  core.check(exports.sv_rows_gather(rows.pointer, n, dim * 4, order, n, to.rows), 'k-means');
}

/** Writes the centroids of each group's share of the k lists. */
async function shareLists(
  core: Core, rows: KmeansRows, starts: Uint32Array, options: KmeansOptions, centroids: number,
  tick: Tick,
): Promise<void> {
  const { pointer, dim } = rows;
  const sizes = Array.from({ length: starts.length - 1 }, (_, g) =>
    (starts[g + 1] ?? 0) - (starts[g] ?? 0));
  let done = 0;
  for (const [g, k] of shareSeats(sizes, options.k).entries()) {
    if (k === 0) continue;
    const group = { pointer: pointer + (starts[g] ?? 0) * dim * 4, n: sizes[g] ?? 0, dim };
    const part = { ...options, k, seed: options.seed + g };
    await lloyd(core, group, part, centroids + done * dim * 4, tick);
    done += k;
  }
}

/** Writes k centroids found in two levels, and refined among near lists. */
async function twoLevels(
  core: Core, rows: KmeansRows, options: KmeansOptions, centroids: number, tick: Tick,
): Promise<KmeansResult> {
  const { n, dim } = rows;
  const { k } = options;
  const nGroups = Math.round(Math.sqrt(k));
  const level = (maxIters: number): KmeansOptions => (
    { ...options, tolerance: 0, stall: LEVEL_STALL, maxIters: Math.min(options.maxIters, maxIters) }
  );
  const wait = async (): Promise<void> => tick(0);
  const arena = core.arena();
  try {
    const groups = arena.take(nGroups * dim * 4);
    await findGroups(core, rows, { ...level(GROUP_ITERS), k: nGroups }, groups, wait);
    const ordered = { pointer: arena.take(n * dim * 4), n, dim };
    const starts = arena.take((nGroups + 1) * 4);
    core.withScratch((s) =>
      groupRows(core, s, rows, groups, nGroups, { rows: ordered.pointer, starts }));
    const shared = level(SHARE_ITERS);
    await shareLists(core, ordered, core.words(starts, nGroups + 1), shared, centroids, wait);
    return await lloyd(core, ordered, options, centroids, tick, { starts, count: nGroups });
  } finally {
    arena.free();
  }
}

/** Writes k centroids of the rows to `centroids`. */
export async function kmeans(
  core: Core, rows: KmeansRows, options: KmeansOptions, centroids: number, tick: Tick,
): Promise<KmeansResult> {
  const find = options.k >= TWO_LEVEL ? twoLevels : lloyd;
  return find(core, rows, options, centroids, tick);
}
