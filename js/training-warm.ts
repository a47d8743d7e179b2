/** Where a retraining begins: with the centroids that the index has. */
import { readCentroids } from './centroids.js';
import type { Manifest } from './manifest.js';
import { rerouteCentroids, routeDimension } from './metric.js';
import { isGone, type ObjectContext } from './object.js';

/** Times the lists that are wanted: lists that were split have added some (list-split.ts). */
const MOST = 1.5;

/**
 * The centroids of a commit, if it has so many or somewhat more; undefined where k-means must begin
 * anew.
 */
export async function warmStart(
  context: ObjectContext, { clustering, config }: Manifest, nLists: number, maxNorm: number,
): Promise<Float32Array | undefined> {
  if (!clustering || clustering.nLists < nLists || clustering.nLists > MOST * nLists) {
    return undefined;
  }
  try {
    const stored = await readCentroids(context, clustering, config);
    const size = routeDimension(config.metric, config.dimension);
    const centroids = stored.centroids.slice(0, nLists * size);
    rerouteCentroids(config, centroids, stored.maxNorm, maxNorm);
    return centroids;
  } catch (error) {
    // Another process trained meanwhile: what it left is not worth another look.
    if (isGone(error)) return undefined;
    throw error;
  }
}
