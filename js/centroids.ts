/**
 * The sealed centroids of a trained index, and the curve by which a target recall becomes a stop
 * rule. A centroids object has two sections:
 *
 *   0: nLists centroids in 16 bits per component (c/quantize.c), of the dimension as routed (one
 *      more than the vectors' for inner product)
 *   1: max norm f32 | points u32 | points * (recall f32, stop ratio for 10 f32, for 100 f32),
 *      each column ascending
 */
import { SealvecError } from './errors.js';
import type { Clustering as ClusteringEntry, IndexConfig } from './manifest.js';
import { routeDimension } from './metric.js';
import { type ObjectContext, ObjectReader, readBytes } from './object.js';
import { WHOLE_CHUNK } from './object-layout.js';
import { sealObject } from './seal-object.js';
import type { RecallCurve } from './stop-ratio.js';
import type { SealedObject } from '../types/protocol.js';

const MAX_POINTS = 4096;

/** What a centroids object holds. */
export interface StoredCentroids {
  readonly centroids: Float32Array;
  readonly maxNorm: number;
  readonly curve: RecallCurve;
}

function encodedBytes(nLists: number, dimension: number): number {
  return 4 * (dimension + nLists) + 2 * nLists * dimension;
}

/** Reads the centroids that a manifest names. */
export async function readCentroids(
  context: ObjectContext, entry: ClusteringEntry, config: IndexConfig,
): Promise<StoredCentroids> {
  const { core } = context;
  const reader = new ObjectReader(context, entry.object);
  const [length = 0, paramsLength = 0] = entry.object.lengths;
  const { nLists } = entry;
  const dimension = routeDimension(config.metric, config.dimension);
  if (length !== encodedBytes(nLists, dimension)) {
    throw new SealvecError('CORRUPTED', 'the centroids are not as many as the lists');
  }
  const params = new DataView((await readBytes(reader, 1, 0, paramsLength)).buffer);
  const points = paramsLength < 8 ? 0 : params.getUint32(4, true);
  if (points < 1 || points > MAX_POINTS || paramsLength !== 8 + points * 12) {
    throw new SealvecError('CORRUPTED', 'the recall curve has no valid length');
  }
  const column = (offset: number): number[] =>
    Array.from({ length: points }, (_, i) => params.getFloat32(8 + i * 12 + offset, true));
  const centroids = await reader.open(0, 0, length, (plain) => core.withScratch((s) => {
    const out = s.take(nLists * dimension * 4);
    core.exports.sv_centroids_decode(plain, nLists, dimension, out);
    return core.floats(out, nLists * dimension);
  }));
  const curve = { recall: column(0), at10: column(4), at100: column(8) };
  return { centroids, maxNorm: params.getFloat32(0, true), curve };
}

/** Section 1. */
export function encodeParams(maxNorm: number, curve: RecallCurve): Uint8Array {
  const params = new DataView(new ArrayBuffer(8 + curve.recall.length * 12));
  params.setFloat32(0, maxNorm, true);
  params.setUint32(4, curve.recall.length, true);
  curve.recall.forEach((recall, i) => {
    params.setFloat32(8 + i * 12, recall, true);
    params.setFloat32(12 + i * 12, curve.at10[i] ?? Infinity, true);
    params.setFloat32(16 + i * 12, curve.at100[i] ?? Infinity, true);
  });
  return new Uint8Array(params.buffer);
}

/** Seals centroids, in 16 bits per component, and section 1 into an object. */
export function sealCentroids(
  context: ObjectContext, centroids: Float32Array, dimension: number, params: Uint8Array,
): SealedObject {
  const { core } = context;
  return core.withScratch((s) => {
    const nLists = centroids.length / dimension;
    const length = encodedBytes(nLists, dimension);
    const pointer = s.take(length);
    core.exports.sv_centroids_encode(s.put(centroids), nLists, dimension, pointer);
    return sealObject(context, 'centroids', [
      { pointer, length, chunkBytes: WHOLE_CHUNK },
      { pointer: s.put(params), length: params.length },
    ]);
  });
}
