/**
 * The public types of SealVec: options and results; host.ts has the rest.
 * No runtime code, no DOM library needed.
 */
/// <reference lib="esnext.disposable" preserve="true" />

import type {
  AbortSignalLike, Logger, Storage, WasmSource, WorkerLike,
} from './host.js';
import type { IndexKeyOptions, KeyOptions } from './keys.js';

export type * from './host.js';
export type * from './keys.js';

/** How far apart two vectors are; lower is nearer in all four. */
export type Metric = 'euclidean' | 'squared_euclidean' | 'cosine' | 'inner_product';

/** How vectors are stored; distances are always computed on what is stored. */
export type Precision = 'float32' | 'float16';

/** One vector as a caller may give it: finite numbers, all of one dimension. */
export type Vector = readonly number[] | Float32Array | Float64Array;

/** Many vectors: a list of them, or one flat Float32Array of whole rows. */
export type Vectors = readonly Vector[] | Float32Array;

/** Plain JSON data, at most 32 levels deep and 1 MiB encoded. */
export type Metadata = { readonly [field: string]: unknown };

/** A MongoDB-style filter over metadata: data operators only, no code. */
export type Filter = { readonly [field: string]: unknown };

/** What a text or a byte string attached to an item may be. */
export type Contents = string | Uint8Array;

export interface ClientOptions {
  /** A directory in Node, a database name in a browser, or any Storage object. */
  storage: string | Storage;
  /** The wasm core, when it is not to be found beside the library. */
  wasm?: WasmSource;
  /** Training workers: true (default), false (train in this thread, in steps), or a factory. */
  worker?: boolean | (() => WorkerLike);
  /** Decrypted bytes kept per index; least recently used first out. Default: no limit. */
  cacheBytes?: number;
  /** Vectors above which an autoTrain index trains itself (10,000; RETRAIN_THRESHOLD in Node). */
  retrainThreshold?: number;
  /** The least number of vectors that train accepts (10,000). */
  minTrainVectors?: number;
  /** Receives warnings; default console. */
  logger?: Logger;
}

export interface DeriveKeyOptions {
  /** 1 to 4,096 bytes of UTF-8. */
  passphrase: string;
  /** 16 random bytes that are made once and kept; they are no secret. */
  salt: Uint8Array;
  /** MB that each guess will need too, 64 (default) to 1,024. Another number makes another key. */
  memory?: number;
  /** How many times that memory is gone over, 2 to 16; default 3. Another makes another key. */
  passes?: number;
  /** The wasm core, when it is not to be found beside the library. */
  wasm?: WasmSource;
  /** As that of Client; with false, the calling thread stands still meanwhile. */
  worker?: boolean | (() => WorkerLike);
  signal?: AbortSignalLike;
}

/** Texts in, one vector per text out. */
export type Embed = (texts: string[]) => Promise<Vectors> | Vectors;

export interface CreateIndexOptions {
  /** 1 to 80 bytes of UTF-8. Names are readable in storage. */
  indexName: string;
  /** 32 bytes; losing it loses the data. */
  indexKey: Uint8Array;
  /** Components per vector, 1 to 16,384; default: that of the first upsert. */
  dimension?: number;
  /** Default `'euclidean'`. */
  metric?: Metric;
  /** Default `'float32'`. */
  precision?: Precision;
  /** Trains in the background as the index grows. Default false. */
  autoTrain?: boolean;
  embed?: Embed;
}

export interface LoadIndexOptions extends KeyOptions {
  indexName: string;
  /** Refuses (`ROLLED_BACK`) a store whose last commit is older than this. */
  minGeneration?: number;
  /** What `anchor()` gave: refuses (`ROLLED_BACK`) what is older or does not descend from it. */
  anchor?: string;
  embed?: Embed;
}

export interface Item {
  /** 1 to 1,024 bytes of UTF-8. */
  id: string;
  /** May be left out when the index embeds and contents is text. */
  vector?: Vector;
  contents?: Contents;
  metadata?: Metadata;
}

/** What a long call tells about itself. */
export interface Progress {
  phase: string;
  /** 0 to 1 over the whole call; never falls. */
  fraction: number;
}

interface Watched {
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignalLike;
}

export interface UpsertOptions extends KeyOptions, Watched {
  items?: readonly Item[];
  ids?: readonly string[];
  vectors?: Vectors;
  metadata?: readonly (Metadata | null | undefined)[];
  contents?: readonly (Contents | null | undefined)[];
}

export interface UpsertResult {
  count: number;
  /** The commit that holds the items. */
  generation: number;
}

export type QueryInclude = 'distance' | 'metadata' | 'contents' | 'vector';
export type GetInclude = 'metadata' | 'contents' | 'vector';

export interface QueryOptions extends KeyOptions {
  /** One vector, or many. A flat Float32Array of several rows is many. */
  queryVectors?: Vector | Vectors;
  /** Texts to embed in place of vectors. */
  queryContents?: string | readonly string[];
  /** Default 100. */
  topK?: number;
  /** Lists to visit. Default: as many as targetRecall needs. */
  nProbes?: number;
  /** Share of the true nearest to find, above 0 and up to 1. Default 0.95. */
  targetRecall?: number;
  filters?: Filter;
  /** Default `['distance']`. */
  include?: readonly QueryInclude[];
  signal?: AbortSignalLike;
}

export interface QueryItem {
  id: string;
  distance?: number;
  metadata?: Metadata;
  contents?: Contents;
  vector?: Float32Array;
}

export interface QueryResult<R extends QueryItem[] | QueryItem[][] = QueryItem[]> {
  /** Nearest first; one list per query when many were asked. */
  results: R;
  /** Whether every row was considered, in every query. */
  exact: boolean;
  /** Rows whose distance was computed, over all queries. */
  rowsScanned: number;
}

export interface GetOptions extends KeyOptions {
  ids: readonly string[];
  /** Default: all three. */
  include?: readonly GetInclude[];
}

export interface GetItem {
  id: string;
  vector?: Float32Array;
  contents?: Contents;
  metadata?: Metadata;
}

export interface DeleteOptions extends KeyOptions {
  ids: readonly string[];
}

export interface DeleteResult {
  /** Items that existed and are gone. */
  count: number;
  generation: number;
}

export interface ListIdsResult {
  ids: string[];
  count: number;
}

export type TrainingState = 'untrained' | 'training' | 'trained';

export interface TrainOptions extends KeyOptions, Watched {
  /** Lists to make, from 1 up; default chosen from the count. */
  nLists?: number;
  /** Vectors held decrypted and assigned at a time; 0 (default) chooses. */
  batchSize?: number;
  /** Most iterations of k-means. Default 100. */
  maxIters?: number;
  /**
   * Relative improvement of the objective under which it has converged.
   * Default 1e-6, and then training also stops once three iterations
   * together gain less than 1 %.
   */
  tolerance?: number;
  /** Memory of training in MB, all workers together; 0 (default) is no limit. */
  maxMemory?: number;
  /** Workers to use; default one per core. */
  workers?: number;
  /**
   * Makes the clustering repeatable: begins with rows drawn by it. Default
   * random, and then training again begins with the lists there are.
   */
  seed?: number;
}

export interface TrainResult {
  nLists: number;
  iterations: number;
  /** Why k-means stopped. */
  stopReason: 'converged' | 'stalled' | 'max_iters';
  /** Vectors the clustering saw. */
  trainedOn: number;
  /** Vectors assigned to lists. */
  assigned: number;
  /** Mean squared distance of all vectors to their centroid, in the space that is clustered. */
  quantizationError: number;
  /** Largest list over mean list. */
  imbalance: number;
  batchSize: number;
  maxIters: number;
  tolerance: number;
  maxMemory: number;
  workers: number;
  seed: number;
  /** Whether k-means began with the centroids of the last training. */
  warm: boolean;
  generation: number;
  seconds: number;
  /** Seconds by phase. */
  phases: { sample: number; cluster: number; assign: number; calibrate: number; commit: number };
  /** Peak of the memory of all workers, in bytes. */
  peakBytes: number;
}

export interface IndexStats {
  indexName: string;
  dimension: number | undefined;
  metric: Metric;
  precision: Precision;
  autoTrain: boolean;
  count: number;
  nLists: number;
  trainingState: TrainingState;
  generation: number;
  segments: number;
  /** Rows deleted or replaced that still take space. */
  deadRows: number;
  /** Bytes of the objects of the last commit. */
  storedBytes: number;
  /** Decrypted bytes held in memory. */
  cachedBytes: number;
  /** Size of the index's wasm memory. */
  memoryBytes: number;
  /** True when the newest manifest was torn and the one before it is in use. */
  recovered: boolean;
}

export interface CompactOptions extends KeyOptions, Watched {}

export interface RekeyOptions extends IndexKeyOptions, Watched {}

export interface CompactResult {
  generation: number;
  storedBytes: number;
}

export interface ExportOptions {
  /** Where the sealed objects go. */
  to: Storage;
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignalLike;
}

export interface ImportOptions {
  /** A storage that export wrote to. */
  from: Storage;
  indexName: string;
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignalLike;
}
