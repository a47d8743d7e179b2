/**
 * The sizes of one training: lists, sample, batches, workers.
 *
 * Under maxMemory they come from what the code allocates. One worker draws and clusters the sample
 * while it is alone; then all of them, on memories of their own, share the limit equally. A worker
 * holds twice each sampled row (k-means orders a copy by group) and thirteen times the centroids
 * (they, their sums in f64, their sieve, four sums handed over); then the centroids packed and
 * sieved, the sums of their rows here and handed over, the queries that recall is measured on, and
 * a batch four times: as read, in the order of lists, sealed and handed over, being written while
 * the next one is made.
 */
import { SealvecError } from './errors.js';
import { liveRows, type Manifest } from './manifest.js';
import { routeDimension } from './metric.js';
import type { ClientSettings } from './settings.js';
import { chooseLists, type TrainPlan } from './train-plan.js';
import { rowBytes } from './training-rows.js';

/** Rows per list that the clustering sees. */
const SAMPLE_PER_LIST = 84;
const MIN_SAMPLE = 8_192;
/**
 * Held-out rows that recall is measured on: as many as there are lists, so that comparing all rows
 * with them costs what assigning these does; at most, at least, and under memory limits at least.
 */
const MOST_QUERIES = 500;
const QUERIES = 250;
const LEAST_QUERIES = 100;
/** Fewer tell nothing: every list is then visited. */
const FEWEST_QUERIES = 30;
const NEIGHBOR_BYTES = 800;
const MB = 2 ** 20;
/** Decrypted bytes of a batch: at most, in the caller's thread, and so that no merge follows. */
const BATCH_BYTES = 24 * MB;
const INLINE_BATCH_BYTES = 8 * MB;
const WELL_SIZED = 7 * MB;
const LEAST_BATCH_BYTES = MB / 8;
/** No limit higher than this changes what fits into one worker. */
const MOST_MB = 4096;
const BATCH_COPIES = 4;
/** Vectors of an index up to which workers keep them decrypted, where memory has no limit. */
const KEPT_BYTES = 256 * MB;
/** A small index is cut in four all the same, for workers to share. */
const SHARES = 4;
/** The core at rest, the windows that vectors are opened through, rows being routed. */
const FIXED_BYTES = 7 * MB;
/** Wasm memory ends at 4 GB. */
const WASM_BYTES = 3.5 * 1024 * MB;

/** The sizes of one training run. */
export interface Budget extends Fitted {
  readonly nLists: number;
  /** Rows of a segment: what a worker has assigned becomes as many as that takes, list by list. */
  readonly segmentRows: number;
}

interface Batches {
  readonly batchRows: number;
  readonly batchBytes: number;
  readonly workers: number;
}

interface Fitted extends Batches {
  /** Whether workers keep what they open for the sample decrypted until it is assigned. */
  readonly keep: boolean;
  readonly sampleRows: number;
  readonly queries: number;
}

/** How many lists; refuses an index with too few vectors for them. */
export function readLists(plan: TrainPlan, settings: ClientSettings, manifest: Manifest): number {
  const rows = liveRows(manifest);
  const nLists = plan.nLists ?? chooseLists(rows);
  const needed = Math.max(2 * nLists, settings.minTrainVectors);
  if (rows >= needed) return nLists;
  const message = `train: ${nLists} lists need at least ${needed} vectors, got ${rows}`;
  throw new SealvecError('NOT_ENOUGH_VECTORS', message);
}

interface Sizes {
  readonly nLists: number;
  /** Components as routed. */
  readonly dimension: number;
  readonly rows: number;
  readonly alive: number;
  /** Bytes of a row of a batch. */
  readonly perRow: number;
}

/** What clustering takes before its first row, and for each. */
function clusterBytes({ nLists, dimension }: Sizes): { fixed: number; row: number } {
  const fixed = FIXED_BYTES + 13 * nLists * dimension * 4 + 16 * nLists;
  return { fixed, row: 8 * dimension + 16 };
}

/** What a worker that assigns takes beside its batch. */
function workerBytes({ nLists, dimension }: Sizes, queries: number): number {
  return FIXED_BYTES + 8 * nLists * dimension * 4 + queries * (12 * dimension + NEIGHBOR_BYTES);
}

function chooseQueries({ nLists, alive, dimension }: Sizes, total: number): number {
  const fitting = Math.floor(total / 8 / (16 * dimension + NEIGHBOR_BYTES));
  const wanted = Math.min(Math.max(nLists, QUERIES), MOST_QUERIES);
  const most = Math.min(wanted, Math.max(fitting, LEAST_QUERIES), alive >> 2);
  return most < FEWEST_QUERIES ? 0 : most;
}

/** Rows to cluster: as many as are useful, alive and fit beside the queries. */
function chooseSample(sizes: Sizes, queries: number, total: number): number {
  const { fixed, row } = clusterBytes(sizes);
  const fitting = Math.floor((Math.min(total, WASM_BYTES) - fixed) / row) - queries;
  const wanted = Math.max(sizes.nLists * SAMPLE_PER_LIST, MIN_SAMPLE);
  return Math.min(wanted, sizes.alive - queries, fitting);
}

/** Batches of equal size, as many whatever the number of workers. */
function freeBatches(sizes: Sizes, inline: boolean): Batches {
  const most = inline ? INLINE_BATCH_BYTES : BATCH_BYTES;
  const total = sizes.rows * sizes.perRow;
  const size = Math.min(Math.max(total / SHARES, WELL_SIZED), most);
  const rows = Math.ceil(sizes.rows / Math.ceil(total / size));
  return { batchBytes: most, batchRows: rows, workers: Math.ceil(sizes.rows / rows) };
}

/** As many workers as leave each a batch of some size. */
function boundedBatches(sizes: Sizes, queries: number, total: number, free: Batches): Batches {
  const room = (workers: number): number =>
    (total / workers - workerBytes(sizes, queries)) / BATCH_COPIES;
  let { workers } = free;
  while (workers > 1 && room(workers) < WELL_SIZED) workers--;
  const batchBytes = Math.min(room(workers), free.batchBytes);
  const batchRows = Math.min(Math.floor(batchBytes / sizes.perRow), free.batchRows);
  return { batchBytes, batchRows: Math.max(1, batchRows), workers };
}

/** The sizes under a limit of `total` bytes; undefined when it is too low. */
function fit(sizes: Sizes, total: number, free: Batches): Fitted | undefined {
  const queries = chooseQueries(sizes, total);
  const sampleRows = chooseSample(sizes, queries, total);
  const batches = total === Infinity ? free : boundedBatches(sizes, queries, total, free);
  const least = Math.min(2 * sizes.nLists, sizes.alive - queries);
  const tooSmall = batches.batchBytes < Math.max(sizes.perRow, LEAST_BATCH_BYTES);
  const keep = total === Infinity && sizes.rows * sizes.perRow <= KEPT_BYTES;
  return sampleRows < least || tooSmall ? undefined : { ...batches, keep, queries, sampleRows };
}

function refuse({ maxMemory }: TrainPlan, sizes: Sizes, free: Batches): never {
  const what = `${sizes.nLists} lists of ${sizes.dimension} components`;
  let least = 1;
  while (least <= MOST_MB && !fit(sizes, least * MB, free)) least++;
  if (least > MOST_MB) {
    throw new SealvecError('OUT_OF_MEMORY', `train: ${what} need more memory than wasm can have`);
  }
  const message = `maxMemory: expected at least ${least} MB for ${what}, got ${maxMemory}`;
  throw new SealvecError('INVALID_ARGUMENT', message);
}

/** Sizes for an index as it is now; `inline` when the caller's own thread trains. */
export function budget(
  plan: TrainPlan, nLists: number, manifest: Manifest, inline: boolean,
): Budget {
  const { config, segments } = manifest;
  const rows = segments.reduce((sum, entry) => sum + entry.rows, 0);
  const bytes = segments.reduce((sum, entry) => sum + entry.rows * rowBytes(entry, config), 0);
  const dimension = routeDimension(config.metric, config.dimension);
  const sizes = { nLists, dimension, rows, alive: liveRows(manifest), perRow: bytes / rows };
  const free = freeBatches(sizes, inline);
  const asked = plan.batchSize || Infinity;
  const useful = Math.max(free.workers, Math.ceil(rows / asked));
  const batches = { ...free, workers: Math.min(plan.workers, useful) };
  const total = plan.maxMemory === 0 ? Infinity : plan.maxMemory * MB;
  const fitted = fit(sizes, total, batches) ?? refuse(plan, sizes, batches);
  // Each worker then assigns at once what it keeps, so that a list is in one segment of each.
  if (fitted.keep && !inline && asked === Infinity) {
    const batchRows = Math.ceil(rows / fitted.workers);
    return { ...fitted, nLists, segmentRows: fitted.batchRows, batchRows, batchBytes: Infinity };
  }
  const batchRows = Math.min(asked, fitted.batchRows);
  return { ...fitted, nLists, segmentRows: batchRows, batchRows };
}
