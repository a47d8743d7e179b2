/**
 * K-means by all runners of a training.
 *
 * The first brings the sample into about sqrt(k) groups of neighbours (as in FAISS's
 * two_level_clustering) and hands them out. Within each group its share of the lists is found;
 * seats are shared out by group size as in Webster's (Sainte-Lague's) method. Passes over all rows
 * follow, each runner's over its own: one that compares with all lists, then some in which the rows
 * of a group meet only the lists where it sent them (c/kmeans.c). For fewer than 128 lists groups
 * are but ranges of rows, and the passes begin at once from rows drawn by the seed.
 *
 * Groups make PARTS runs of about as many rows, summed up one by one and added in their order, so
 * that the centroids are the same to the bit whatever the number of runners.
 */
import { allOf } from './all.js';
import type { Runner } from './runner.js';
import type { Team } from './team.js';
import type { ClusterResult, KmeansOptions, MoveResult, Share } from '../types/protocol.js';

/** Each costs a copy of the sums (8 bytes a component) per pass; so many runners can be busy. */
const PARTS = 4;

/** Cuts groups, which begin at `starts`, into runs of about equal rows for so many runners. */
export function cutShares(starts: Uint32Array, near: boolean, runners: number): Share[] {
  const nGroups = starts.length - 1;
  const rows = starts[nGroups] ?? 0;
  const edges = Array.from({ length: PARTS + 1 }, (_, part) => {
    const at = starts.findIndex((start) => start >= rows * part / PARTS);
    return part === PARTS ? nGroups : at;
  });
  const shares: Share[] = [];
  for (let runner = 0; runner < runners; runner++) {
    const edge = (at: number): number => Math.floor(PARTS * at / runners);
    const [first = 0, ...ends] = edges.slice(edge(runner), edge(runner + 1) + 1);
    const base = starts[first] ?? 0;
    const to = ends.at(-1) ?? first;
    const own = starts.subarray(first, to + 1).map((start) => start - base);
    const size = (end: number): number => own[end - first] ?? 0;
    const sizes = [...new Set(ends.map(size))].filter((end) => end > 0);
    shares.push({ near, first, starts: own, ends: sizes });
  }
  return shares.filter(({ ends }) => ends.length > 0);
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

/** Runners and what each of them holds. */
type Holder = readonly [Runner, Share];

/** The centroids that all groups find for their seats. */
async function splitAll(
  holders: readonly Holder[], starts: Uint32Array, k: number,
): Promise<Float32Array> {
  const sizes = Array.from(starts.subarray(1), (end, g) => end - (starts[g] ?? 0));
  const seats = shareSeats(sizes, k);
  const found = await allOf(holders.map(([runner, { first, starts: own }]) => runner.run(
    { name: 'split', seats: seats.slice(first, first + own.length - 1) },
  )));
  const centroids = new Float32Array(found.reduce((sum, part) => sum + part.length, 0));
  found.reduce((at, part) => {
    centroids.set(part, at);
    return at + part.length;
  }, 0);
  return centroids;
}

/** Clusters the sample that the first runner holds; `warm` centroids are where passes begin. */
export async function clusterSample(
  team: Team, options: KmeansOptions, warm: Float32Array | undefined,
  onProgress: (fraction: number) => void,
): Promise<ClusterResult> {
  // How many passes it takes is not known: this rises ever more slowly, and by maxIters is 1.
  const tell = (passes: number): void =>
    onProgress(Math.max(passes / options.maxIters, 1 - 8 / (8 + passes)));
  const { first, all } = team;
  const { starts, centroids } = await first.run({ name: 'group', options });
  const shares = cutShares(starts, !centroids, all.length);
  const holders = shares.map((share, i): Holder => [all[i] ?? first, share]);
  // The first runner is the last one to take its own: until then it hands out.
  for (const [runner, share] of [...holders].reverse()) {
    const from = starts[share.first] ?? 0;
    const to = from + (share.ends.at(-1) ?? 0);
    const rows = runner === first ? [] : [await first.run({ name: 'hand', from, to })];
    await runner.run({ name: 'hold', options, share, given: rows });
  }
  let moved: MoveResult = {
    centroids: warm ?? centroids ?? await splitAll(holders, starts, options.k),
    origins: new Uint32Array(), compareAll: 1, iterations: 0, stop: 0,
  };
  while (moved.stop === 0) {
    const from = moved;
    const sums = await allOf(holders.map(([runner]) => runner.run(
      { name: 'pass', from },
      runner === first ? (passes) => tell(from.iterations + passes) : undefined,
    )));
    moved = await first.run({ name: 'move', given: sums.flat() });
    tell(moved.iterations);
  }
  return moved;
}
