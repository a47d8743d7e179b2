/** After the rows are assigned: centroids moved to their means, and recall measured on them. */
import { allOf } from './all.js';
import { Pace } from './breathe.js';
import { encodeParams } from './centroids.js';
import { center } from './list-means.js';
import { mergeNeighbors, recallCurve } from './recall-curve.js';
import type { Team } from './team.js';
import { NEIGHBORS } from './training-queries.js';
import type { Ranked, SealedObject } from '../types/protocol.js';

/** What all runners found of the queries, shared out among them. */
async function rankAll(
  team: Team, centroids: Float32Array, lists: Uint32Array,
  onProgress: (fraction: number) => void,
): Promise<Ranked> {
  const { all } = team;
  const count = lists.length / NEIGHBORS;
  const edge = (part: number): number => Math.floor(count * part / all.length);
  const parts = await allOf(all.map((runner, part) => runner.run({
    name: 'rank', centroids, first: edge(part),
    lists: lists.slice(edge(part) * NEIGHBORS, edge(part + 1) * NEIGHBORS),
  }, onProgress)));
  const ranked = { gaps: new Float64Array(lists.length), nearest: new Float32Array(count) };
  parts.forEach(({ gaps, nearest }, part) => {
    ranked.gaps.set(gaps, edge(part) * NEIGHBORS);
    ranked.nearest.set(nearest, edge(part));
  });
  return ranked;
}

/**
 * Moves the centroids to the means of their rows, measures how many of the nearest rows a search
 * by them finds, and has both sealed. `gained` is what the move takes off the sum of squared
 * errors.
 */
export async function calibrate(
  team: Team, from: Float32Array, maxNorm: number, onProgress: (fraction: number) => void,
): Promise<{ object: SealedObject; gained: number }> {
  const { first, all } = team;
  const pace = new Pace();
  const tick = (): Promise<unknown> => pace.step();
  const sums = await allOf(all.map((runner) => runner.run({ name: 'sums' })));
  const { centroids, gained } = await center(from, sums, tick);
  const seen = await allOf(all.map((runner) => runner.run({ name: 'neighbors' })));
  const neighbors = await mergeNeighbors(seen, tick);
  const ranked = await rankAll(team, centroids, neighbors.lists, onProgress);
  const curve = await recallCurve(neighbors, ranked, tick);
  const params = encodeParams(maxNorm, curve);
  return { object: await first.run({ name: 'seal', params }), gained };
}
