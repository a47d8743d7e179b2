/** Messages between a training run and its workers. No runtime code. */
import type { WireError } from '../js/errors.js';
import type { RecallCurve } from '../js/clustering.js';
import type { IndexConfig, SegmentEntry } from '../js/manifest.js';
import type { Piece } from '../js/rewrite.js';

/** Gathers the rows to cluster; some of them, by place in the sample, are kept to measure recall. */
export interface SampleTask {
  readonly name: 'sample';
  readonly pieces: readonly Piece[];
  readonly rows: number;
  readonly queries: Uint32Array;
}

export interface SampleResult {
  /** Length of the longest sampled row. */
  readonly maxNorm: number;
  /** Routed rows that recall is measured on. */
  readonly queries: Float32Array;
}

export interface ClusterTask {
  readonly name: 'cluster';
  readonly nLists: number;
  readonly maxIters: number;
  readonly tolerance: number;
  readonly stall: number;
  readonly seed: number;
}

export interface ClusterResult {
  readonly centroids: Float32Array;
  readonly iterations: number;
  /** `enum sv_kmeans_stop` of c/sv.h. */
  readonly stop: number;
}

/** Gives every worker the centroids, and the queries that recall is measured on. */
export interface PrepareTask {
  readonly name: 'prepare';
  readonly centroids: Float32Array;
  readonly maxNorm: number;
  readonly queries: Float32Array;
  /** The rank of each query among all live rows, so that it does not find itself. */
  readonly ranks: Uint32Array;
}

/** Assigns, orders and seals rows as a new segment. */
export interface RewriteTask {
  readonly name: 'rewrite';
  readonly pieces: readonly Piece[];
  /** Rank of the first row among all live rows; undefined when recall is not measured on them. */
  readonly firstRank: number | undefined;
}

export interface RewriteResult {
  readonly entry: SegmentEntry;
  readonly bytes: Uint8Array;
  /** Row of the task that each row of the segment was. */
  readonly order: Uint32Array;
  /** Rows per list. */
  readonly counts: Uint32Array;
  /** Sum of squared distances to the centroids. */
  readonly error: number;
}

/** Hands over the nearest rows of every query that this worker has seen. */
export interface NeighborsTask {
  readonly name: 'neighbors';
}

export interface Neighbors {
  readonly distances: Float32Array;
  readonly lists: Uint32Array;
}

/** Turns the nearest rows of all workers into the recall curve. */
export interface CalibrateTask {
  readonly name: 'calibrate';
  readonly neighbors: readonly Neighbors[];
}

export type Task =
  | SampleTask | ClusterTask | PrepareTask | RewriteTask | NeighborsTask | CalibrateTask;

export interface TaskResults {
  sample: SampleResult;
  cluster: ClusterResult;
  prepare: undefined;
  rewrite: RewriteResult;
  neighbors: Neighbors;
  calibrate: RecallCurve;
}

/** What a worker is told. */
export type Request =
  | {
    readonly type: 'start';
    readonly module: WebAssembly.Module;
    readonly keys: [number, Uint8Array][];
    readonly indexId: Uint8Array;
    readonly config: IndexConfig;
  }
  | { readonly type: 'task'; readonly task: Task }
  | {
    readonly type: 'bytes';
    readonly id: number;
    readonly bytes: Uint8Array | undefined;
    readonly error: WireError | undefined;
  };

/** What a worker answers. It reads storage through the thread that started it. */
export type Reply =
  | { readonly type: 'ready' }
  | {
    readonly type: 'read';
    readonly id: number;
    readonly key: string;
    readonly range: { offset: number; length: number } | undefined;
  }
  | { readonly type: 'progress'; readonly fraction: number }
  | { readonly type: 'done'; readonly result: unknown; readonly memory: number }
  | { readonly type: 'failed'; readonly error: WireError };
