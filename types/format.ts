/** What manifests say of an index, in the shapes that the library and its workers share. */
import type { Metric, Precision } from './api.js';

/** What never changes after the first upsert. */
export interface IndexConfig {
  readonly metric: Metric;
  readonly precision: Precision;
  readonly autoTrain: boolean;
  /** 0 until the first upsert when none was given. */
  readonly dimension: number;
}

export type ObjectType = 'segment' | 'centroids' | 'tombstones';

/** What the manifest says of an object. */
export interface ObjectRef {
  readonly id: Uint8Array;
  readonly type: ObjectType;
  readonly epoch: number;
  /** Plain bytes of each section. */
  readonly lengths: readonly number[];
  /** Plain bytes of the chunks of each section but for its last. */
  readonly chunkBytes: readonly number[];
  readonly tableHash: Uint8Array;
}

export interface SegmentEntry {
  readonly object: ObjectRef;
  readonly rows: number;
  /** Whether its rows are in the lists of the clustering named by this manifest. */
  readonly listed: boolean;
  /** Dead rows, all told. */
  readonly dead: number;
  /** A bitmap of dead rows, or none. */
  readonly tombstones: ObjectRef | undefined;
  /** Dead rows that the bitmap does not hold. */
  readonly deadRows: Uint32Array;
}
