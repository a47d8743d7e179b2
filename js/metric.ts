/** Metrics as the core knows them. */
import type { Core } from './core.js';
import type { Metric } from '../types/api.js';
import type { IndexConfig } from '../types/format.js';

/** The number of a metric in c/sv.h; both euclidean ones rank by the square. */
export function coreMetric(metric: Metric): 0 | 1 | 2 {
  if (metric === 'cosine') return 1;
  return metric === 'inner_product' ? 2 : 0;
}

/** The distance a caller sees, from the core's. */
export function publicDistance(metric: Metric, distance: number): number {
  return metric === 'euclidean' ? Math.sqrt(distance) : distance;
}

/** The dimension of the space that lists are made in. */
export function routeDimension(metric: Metric, dimension: number): number {
  return metric === 'inner_product' ? dimension + 1 : dimension;
}

/** Whether rows are in that space as they are. */
export function isRouted(metric: Metric): boolean {
  return coreMetric(metric) === 0;
}

/** Routes n rows of wasm memory to `out` (c/sv.h). */
export function routeRows(
  core: Core, { metric, dimension }: IndexConfig, rows: number, n: number, maxNorm: number,
  out: number,
): void {
  const code = coreMetric(metric);
  core.check(core.exports.sv_route_rows(code, rows, n, dimension, maxNorm, out), 'vectors');
}

/**
 * Moves centroids to the space of another longest row. Where the metric adds a component, which is
 * sqrt(maxNorm^2 - |x|^2) (sv_route_rows in c/sv.h), its square grows by as much as maxNorm's.
 */
export function rerouteCentroids(
  { metric, dimension }: IndexConfig, centroids: Float32Array, from: number, to: number,
): void {
  const size = routeDimension(metric, dimension);
  if (size === dimension) return;
  for (let last = dimension; last < centroids.length; last += size) {
    const square = (centroids[last] ?? 0) ** 2 + to ** 2 - from ** 2;
    centroids[last] = Math.sqrt(Math.max(square, 0));
  }
}
