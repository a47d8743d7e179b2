/** Messages between a training and its workers. No runtime code. */
import type { ErrorCode, WasmModule } from './api.js';
import type { IndexConfig, ObjectRef, SegmentEntry } from './format.js';

/** An error as structured clone can carry it to or from a worker. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  readonly code?: ErrorCode;
  readonly stack?: string;
  readonly cause?: WireError;
}

/** A segment whose rows training takes. Row r of it has the number base + r. */
export interface Source {
  readonly entry: SegmentEntry;
  /** A multiple of 8. */
  readonly base: number;
}

/** Rows [from, to) of a segment, dead ones among them. */
export interface Span extends Source {
  readonly from: number;
  readonly to: number;
}

/** Which rows of an index are drawn; the same for the same seed. */
export interface Draw {
  readonly sources: readonly Source[];
  /** Rows to cluster. */
  readonly rows: number;
  /** Others, held out, that recall is measured on. */
  readonly queries: number;
  readonly seed: number;
}

/** Opens one of so many equal parts of the rows drawn; the worker with part 0 keeps it. */
export interface OpenTask {
  readonly name: 'open';
  readonly draw: Draw;
  readonly part: number;
  readonly parts: number;
}

/** Makes the sample out of the part that the worker kept and the others, in their order. */
export interface SampleTask {
  readonly name: 'sample';
  readonly draw: Draw;
  readonly others: readonly Float32Array<ArrayBuffer>[];
}

export interface SampleResult {
  /** Length of the longest sampled row. */
  readonly maxNorm: number;
  /** Routed rows that recall is measured on. */
  readonly queries: Float32Array;
  /** Their row numbers, ascending. */
  readonly numbers: Uint32Array;
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
export interface PrepareTask extends SampleResult {
  readonly name: 'prepare';
  readonly centroids: Float32Array;
}

/** Assigns, orders and seals rows as a new segment. */
export interface RewriteTask {
  readonly name: 'rewrite';
  readonly spans: readonly Span[];
  /** Whether recall is measured on these rows. */
  readonly measure: boolean;
}

export interface RewriteResult {
  readonly entry: SegmentEntry;
  readonly bytes: Uint8Array;
  /** Number of the row that each row of the segment was. */
  readonly numbers: Uint32Array;
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

/** Turns the nearest rows of all workers into the recall curve, and seals it with the centroids. */
export interface CalibrateTask {
  readonly name: 'calibrate';
  readonly neighbors: readonly Neighbors[];
}

export interface SealedObject {
  readonly ref: ObjectRef;
  readonly bytes: Uint8Array;
}

export type Task =
  | OpenTask | SampleTask | ClusterTask | PrepareTask | RewriteTask | NeighborsTask | CalibrateTask;

export interface TaskResults {
  /** The rows as stored, when the worker does not keep them. */
  open: { readonly rows: Float32Array<ArrayBuffer> | undefined };
  sample: SampleResult;
  cluster: ClusterResult;
  prepare: undefined;
  /** Undefined when no row of the spans is alive. */
  rewrite: RewriteResult | undefined;
  neighbors: Neighbors;
  calibrate: SealedObject;
}

/** A passphrase to make a key of. A worker that is told so does nothing else. */
export interface StretchRequest {
  readonly type: 'stretch';
  readonly module: WasmModule;
  readonly passphrase: Uint8Array<ArrayBuffer>;
  readonly salt: Uint8Array;
  /** In MB. */
  readonly memory: number;
  readonly passes: number;
}

/** What a worker is told. */
export type Request =
  | StretchRequest
  | {
    readonly type: 'start';
    readonly module: WasmModule;
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
  | { readonly type: 'failed'; readonly error: WireError; readonly memory: number };
