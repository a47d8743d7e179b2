/** Messages between a training and its workers. No runtime code. */
import type { ErrorCode, WasmModule } from './api.js';
import type { IndexConfig, ObjectRef, SegmentEntry } from './format.js';
import type { Picks, Piece } from './rows.js';

export type { Picks, Piece, Source, Span } from './rows.js';

/** An error as structured clone can carry it to or from a worker. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  readonly code?: ErrorCode;
  readonly stack?: string;
  readonly cause?: WireError;
}

/** Opens rows of which a sample is made: holds that, with room for so many, or hands it over. */
export interface OpenTask {
  readonly name: 'open';
  readonly rows: readonly Picks[];
  /** Which of them are drawn; all are then kept decrypted for `assign`. Undefined: all, and not. */
  readonly drawn: Uint32Array | undefined;
  readonly room: number;
}

/** Makes the sample out of the rows that the worker holds and those of others, in their order. */
export interface SampleTask {
  readonly name: 'sample';
  /** Which of them recall is measured on, ascending. */
  readonly places: Uint32Array;
  readonly given: readonly Float32Array<ArrayBuffer>[];
}

export interface SampleResult {
  /** Length of the longest sampled row. */
  readonly maxNorm: number;
  /** Routed rows that recall is measured on. */
  readonly queries: Float32Array;
}

export interface KmeansOptions {
  /** How many lists. */
  readonly k: number;
  readonly maxIters: number;
  readonly tolerance: number;
  readonly stall: number;
  /** Of the mean, the rows that a list may have (c/balance.c). */
  readonly balance: number;
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
  readonly from: Moved;
}

/** Ends a pass: moves the centroids by the sums (sv_kmeans_take in c/sv.h) of all workers. */
export interface MoveTask {
  readonly name: 'move';
  readonly given: readonly Uint8Array<ArrayBuffer>[];
}

/** Where a pass begins. */
export interface Moved {
  readonly centroids: Float32Array;
  /** The list beside which each was put, or itself (sv_kmeans_next in c/sv.h). */
  readonly origins: Uint32Array;
  /** 1: every row is compared with all lists, else 0. */
  readonly compareAll: number;
}

export interface MoveResult extends ClusterResult, Moved {}

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
  /** Of the sums of rows (js/list-means.ts). */
  readonly grain: number;
}

/** Opens rows, and puts them in the order of their lists. */
export interface AssignTask {
  readonly name: 'assign';
  readonly pieces: readonly Piece[];
  /** Whether these are the rows that `open` kept. */
  readonly kept: boolean;
  /** Which of the rows each query is (2^32 - 1: none); undefined: no recall is measured here. */
  readonly places: Uint32Array | undefined;
}

export interface AssignResult {
  /** Rows per list. */
  readonly counts: Uint32Array;
  /** Sum of squared distances to the centroids. */
  readonly error: number;
}

/** Seals those of the rows assigned last that are in lists [from, to) as a new segment. */
export interface PackTask {
  readonly name: 'pack';
  readonly from: number;
  readonly to: number;
}

export interface PackResult {
  readonly entry: SegmentEntry;
  readonly bytes: Uint8Array;
  /** Which of the rows became each row of the segment. */
  readonly order: Uint32Array;
}

/** Hands over the nearest rows of every query that this worker has seen. */
export interface NeighborsTask {
  readonly name: 'neighbors';
}

/** The nearest rows of queries: 100 of each, ascending, Infinity where there are fewer. */
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

/** Ranks the lists for some of the queries. */
export interface RankTask {
  readonly name: 'rank';
  /** As they are from now on. */
  readonly centroids: Float32Array;
  /** The first query. */
  readonly first: number;
  /** Of the nearest rows, 100 for each query. */
  readonly lists: Uint32Array;
}

export interface Ranked {
  /** What a stop ratio must reach for each of the lists to be visited (sv_list_gaps in c/sv.h). */
  readonly gaps: Float64Array;
  /** Squared distance of each query to its nearest list. */
  readonly nearest: Float32Array;
}

/** Seals the centroids, and what belongs to them (js/centroids.ts). */
export interface SealTask {
  readonly name: 'seal';
  readonly params: Uint8Array;
}

export interface SealedObject {
  readonly ref: ObjectRef;
  readonly bytes: Uint8Array;
}

/** Arrays in `given` are moved to the worker, and lost to the one that gives them. */
export type Task =
  | OpenTask | SampleTask | GroupTask | HandTask | HoldTask | SplitTask | PassTask | MoveTask
  | PrepareTask | AssignTask | PackTask | SumsTask | NeighborsTask | RankTask | SealTask;

export interface TaskResults {
  /** The drawn rows as stored, when the worker does not hold them. */
  open: Float32Array<ArrayBuffer> | undefined;
  sample: SampleResult;
  group: GroupResult;
  hand: Float32Array<ArrayBuffer>;
  hold: undefined;
  split: Float32Array<ArrayBuffer>;
  pass: Uint8Array<ArrayBuffer>[];
  move: MoveResult;
  prepare: undefined;
  assign: AssignResult;
  pack: PackResult;
  sums: ListSums;
  neighbors: Neighbors;
  rank: Ranked;
  seal: SealedObject;
}

/** The keys that a worker is given of one epoch. */
export interface ExposedKeys {
  readonly epoch: number;
  readonly objects: Uint8Array;
  readonly ids: Uint8Array;
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
    readonly keys: readonly ExposedKeys[];
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
