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

/**
 * Opens those rows drawn that lie in one of so many equal parts of the index; the worker with part
 * 0 keeps them. With `keep`, each worker keeps all rows of its part decrypted for `rewrite`.
 */
export interface OpenTask {
  readonly name: 'open';
  readonly draw: Draw;
  readonly part: number;
  readonly parts: number;
  readonly keep: boolean;
}

/** Makes the sample out of the part that the worker kept and the others, in their order. */
export interface SampleTask {
  readonly name: 'sample';
  readonly draw: Draw;
  readonly given: readonly Float32Array<ArrayBuffer>[];
}

export interface SampleResult {
  /** Length of the longest sampled row. */
  readonly maxNorm: number;
  /** Routed rows that recall is measured on. */
  readonly queries: Float32Array;
  /** Their row numbers, ascending. */
  readonly numbers: Uint32Array;
}

export interface KmeansOptions {
  /** How many lists. */
  readonly k: number;
  readonly maxIters: number;
  readonly tolerance: number;
  readonly stall: number;
  readonly seed: number;
}

/** Brings the sample into groups. */
export interface GroupTask {
  readonly name: 'group';
  readonly options: KmeansOptions;
}

export interface GroupResult {
  /** The row at which each group begins, and the number of rows. */
  readonly starts: Uint32Array;
  /** Where the passes begin; undefined where each group finds its share of the lists first. */
  readonly centroids: Float32Array<ArrayBuffer> | undefined;
}

/** Hands over a copy of rows [from, to) of the sample, in the order of its groups. */
export interface HandTask {
  readonly name: 'hand';
  readonly from: number;
  readonly to: number;
}

/** Groups that one worker holds. */
export interface Share {
  /** Whether the rows of a group are neighbours. */
  readonly near: boolean;
  /** The first of them. */
  readonly first: number;
  /** The row of the worker's at which each begins, and the number of rows. */
  readonly starts: Uint32Array;
  /** Rows at which what is summed up as one ends, ascending; the last is the number of rows. */
  readonly ends: readonly number[];
}

/** Takes a share of the groups: rows that are given, or the first of those that were grouped. */
export interface HoldTask {
  readonly name: 'hold';
  readonly options: KmeansOptions;
  readonly share: Share;
  readonly given: readonly Float32Array<ArrayBuffer>[];
}

/** Finds so many centroids in each of the groups held. */
export interface SplitTask {
  readonly name: 'split';
  readonly seats: readonly number[];
}

/** Adds up one pass over the rows held. */
export interface PassTask {
  readonly name: 'pass';
  readonly centroids: Float32Array;
  readonly compareAll: boolean;
}

/** Ends a pass: moves the centroids by the sums (sv_kmeans_take in c/sv.h) of all workers. */
export interface MoveTask {
  readonly name: 'move';
  readonly given: readonly Uint8Array<ArrayBuffer>[];
}

export interface MoveResult extends ClusterResult {
  readonly compareAll: boolean;
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

/** Hands over the sums of the rows of each list that this worker has assigned. */
export interface SumsTask {
  readonly name: 'sums';
}

/** Of all lists: components one after another, and rows. */
export interface ListSums {
  readonly sums: Float64Array;
  readonly counts: Uint32Array;
}

/** Moves the centroids to the means of their rows. */
export interface CenterTask {
  readonly name: 'center';
  /** Of all workers. */
  readonly parts: readonly ListSums[];
}

export interface CenterResult {
  readonly centroids: Float32Array<ArrayBuffer>;
  /** By how much that lowers the sum of squared distances of rows to their centroids. */
  readonly gained: number;
}

/** Ranks the lists for one of so many equal parts of the queries. */
export interface RankTask {
  readonly name: 'rank';
  /** As they are from now on. */
  readonly centroids: Float32Array;
  /** Of all workers. */
  readonly neighbors: readonly Neighbors[];
  readonly part: number;
  readonly parts: number;
}

/** The nearest rows of queries: 100 of each, ascending, Infinity where there are fewer. */
export interface Ranked {
  readonly distances: Float32Array;
  /** What a stop ratio must reach for the list of each to be visited (sv_list_gaps in c/sv.h). */
  readonly gaps: Float64Array;
  /** Squared distance of each query to its nearest list. */
  readonly nearest: Float32Array;
}

/** Makes the recall curve, and seals it with the centroids. */
export interface CalibrateTask {
  readonly name: 'calibrate';
  readonly ranked: readonly Ranked[];
}

export interface SealedObject {
  readonly ref: ObjectRef;
  readonly bytes: Uint8Array;
}

/** Arrays in `given` are moved to the worker, and lost to the one that gives them. */
export type Task =
  | OpenTask | SampleTask | GroupTask | HandTask | HoldTask | SplitTask | PassTask | MoveTask
  | PrepareTask | RewriteTask | SumsTask | CenterTask | NeighborsTask | RankTask | CalibrateTask;

export interface TaskResults {
  /** The rows as stored, when the worker does not keep them. */
  open: { readonly rows: Float32Array<ArrayBuffer> | undefined };
  sample: SampleResult;
  group: GroupResult;
  hand: Float32Array<ArrayBuffer>;
  hold: undefined;
  split: Float32Array<ArrayBuffer>;
  pass: Uint8Array<ArrayBuffer>[];
  move: MoveResult;
  prepare: undefined;
  /** Undefined when no row of the spans is alive. */
  rewrite: RewriteResult | undefined;
  sums: ListSums;
  center: CenterResult;
  neighbors: Neighbors;
  rank: Ranked;
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
