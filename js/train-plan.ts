/** What training was asked to do, and what follows from it for this index. */
import { routeDimension } from './metric.js';
import { SealvecError } from './errors.js';
import { type IndexConfig, MAX_LISTS } from './manifest.js';
import { coreCount } from './platform.js';
import { randomBytes } from './bytes.js';
import type { ClientSettings } from './settings.js';
import { readInteger, readNumber, readWatch } from './validate.js';

/** Rows per list that the clustering sees. */
const SAMPLE_PER_LIST = 64;
const MIN_SAMPLE = 8_192;
/** Held-out rows that recall is measured on. */
const QUERIES = 1_000;
/** Decrypted bytes of a batch when nothing bounds them. */
const BATCH_BYTES = 24 << 20;
/** Three iterations that together gain less than this have stalled. */
const STALL = 0.01;
const DEFAULT_TOLERANCE = 1e-6;

export interface TrainPlan extends ReturnType<typeof readWatch> {
  readonly nLists: number | undefined;
  readonly batchSize: number;
  readonly maxIters: number;
  readonly tolerance: number;
  /** 0 when the caller's own tolerance decides alone. */
  readonly stall: number;
  readonly maxMemory: number;
  readonly workers: number;
  readonly seed: number;
}

/** Checks the options of train. */
export function readTrainPlan(given: Partial<Record<string, unknown>>): TrainPlan {
  const { nLists, batchSize = 0, maxIters = 100, tolerance, maxMemory = 0, workers, seed } = given;
  return {
    ...readWatch(given),
    nLists: nLists === undefined ? undefined : readInteger('nLists', nLists, 1, MAX_LISTS),
    batchSize: readInteger('batchSize', batchSize, 0, 2 ** 31),
    maxIters: readInteger('maxIters', maxIters, 1, 1_000_000),
    tolerance: tolerance === undefined ? DEFAULT_TOLERANCE : readNumber('tolerance', tolerance, 0, 1),
    stall: tolerance === undefined ? STALL : 0,
    maxMemory: readNumber('maxMemory', maxMemory, 0, 2 ** 32),
    workers: workers === undefined ? coreCount() : readInteger('workers', workers, 1, 256),
    seed: seed === undefined ? new DataView(randomBytes(16).buffer).getUint32(0) : readInteger('seed', seed, 0, 2 ** 32 - 1),
  };
}

/**
 * Lists for a number of vectors: the power of two nearest to 1.6 sqrt(n), kept between 1/10,000
 * and 1/100 of the vectors.
 */
export function chooseLists(vectors: number): number {
  const wish = 2 ** Math.round(Math.log2(1.6 * Math.sqrt(Math.max(vectors, 1))));
  const most = 2 ** Math.floor(Math.log2(Math.max(vectors / 100, 1)));
  const least = 2 ** Math.ceil(Math.log2(Math.max(vectors / 10_000, 1)));
  return Math.min(Math.max(Math.min(wish, most), least), MAX_LISTS);
}

/** The sizes of one training run. */
export interface Budget {
  readonly nLists: number;
  readonly liveRows: number;
  readonly sampleRows: number;
  readonly queries: number;
  readonly batchRows: number;
  readonly batchBytes: number;
  readonly workers: number;
}

function enough(plan: TrainPlan, settings: ClientSettings, rows: number): number {
  const nLists = plan.nLists ?? chooseLists(rows);
  const needed = Math.max(2 * nLists, settings.minTrainVectors);
  if (rows < needed) {
    throw new SealvecError('NOT_ENOUGH_VECTORS', `train: ${nLists} lists need at least ${needed} vectors, got ${rows}`);
  }
  return nLists;
}

/**
 * Sizes under maxMemory, which all workers share. Each needs its centroids (packed, 4 bytes a
 * component, and while clustering 16 more: means, sums), windows of 6 MB, and for each row of a
 * batch four times its bytes (as read, in order, sealed, handed over).
 */
export function budget(plan: TrainPlan, settings: ClientSettings, config: IndexConfig, rows: number): Budget {
  const nLists = enough(plan, settings, rows);
  const routed = routeDimension(config.metric, config.dimension);
  const centroids = nLists * routed * 4;
  const windows = 6 << 20;
  const wanted = Math.min(rows, Math.max(nLists * SAMPLE_PER_LIST, MIN_SAMPLE));
  const asked = plan.batchSize || Infinity;
  const bytesPerRow = config.dimension * 4;
  const workersWanted = Math.max(1, Math.min(plan.workers, Math.ceil(rows * bytesPerRow / (4 << 20))));
  if (plan.maxMemory === 0) {
    const batchRows = Math.min(asked, Math.max(1, Math.floor(BATCH_BYTES / bytesPerRow)));
    return {
      nLists, liveRows: rows, sampleRows: wanted, queries: Math.min(QUERIES, wanted), workers: workersWanted,
      batchRows, batchBytes: BATCH_BYTES,
    };
  }
  const total = plan.maxMemory * 2 ** 20;
  const fixed = centroids * 6 + windows;
  const workers = Math.max(1, Math.min(workersWanted, Math.floor(total / (2 * fixed))));
  const free = total / workers - fixed;
  const sampleRow = config.metric === 'inner_product' ? (routed + config.dimension) * 4 : routed * 4;
  const sampleRows = Math.min(wanted, Math.floor(free / sampleRow));
  const batchBytes = Math.min(BATCH_BYTES, Math.floor(free / 5));
  if (sampleRows < 2 * nLists || batchBytes < bytesPerRow) {
    const least = Math.ceil((fixed + 2 * nLists * sampleRow) / 2 ** 20);
    throw new SealvecError('INVALID_ARGUMENT', `maxMemory: expected at least ${least} MB for ${nLists} lists of ${config.dimension} components, got ${plan.maxMemory}`);
  }
  return {
    nLists, liveRows: rows, sampleRows, queries: Math.min(QUERIES, sampleRows), workers, batchBytes,
    batchRows: Math.min(asked, Math.max(1, Math.floor(batchBytes / bytesPerRow))),
  };
}
