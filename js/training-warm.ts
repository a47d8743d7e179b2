/** Where a retraining begins: with the centroids that the index has. */
import { readCentroids } from './centroids.js';
import type { IndexConfig, Manifest } from './manifest.js';
import { routeDimension } from './metric.js';
import { isGone, type ObjectContext } from './object.js';

/**
 * Moves centroids to the space of another longest row, M. Where the metric adds a component,
 * sqrt(M^2 - |x|^2) (sv_route_rows in c/sv.h), its square grows by as much as that of M.
 */
function reroute(
  centroids: Float32Array, { metric, dimension }: IndexConfig, from: number, to: number,
): void {
  const size = routeDimension(metric, dimension);
  if (size === dimension) return;
  for (let last = dimension; last < centroids.length; last += size) {
    const square = (centroids[last] ?? 0) ** 2 + to ** 2 - from ** 2;
    centroids[last] = Math.sqrt(Math.max(square, 0));
  }
}

/** The centroids of a commit, if it has so many; undefined where k-means must begin anew. */
export async function warmStart(
  context: ObjectContext, { clustering, config }: Manifest, nLists: number, maxNorm: number,
): Promise<Float32Array | undefined> {
  if (clustering?.nLists !== nLists) return undefined;
  try {
    const stored = await readCentroids(context, clustering, config);
    reroute(stored.centroids, config, stored.maxNorm, maxNorm);
    return stored.centroids;
  } catch (error) {
    // Another process trained meanwhile: what it left is not worth another look.
    if (isGone(error)) return undefined;
    throw error;
  }
}
