/** What training was asked to do: its options, checked. */
import { randomBytes } from './bytes.js';
import { MAX_LISTS } from './manifest.js';
import { coreCount } from './platform.js';
import {
  type CallKey, KEY, readCallKey, readInteger, readNumber, readOptions, readWatch, WATCH,
} from './validate.js';
import type { TrainOptions } from '../types/api.js';

const OPTIONS = [
  'nLists', 'batchSize', 'maxIters', 'tolerance', 'maxMemory', 'workers', 'seed', ...KEY, ...WATCH,
] as const;

/** Three iterations that together gain less than this have stalled. */
const STALL = 0.01;
/**
 * Times the mean that a list of the sample may have: the rows of all lists are at most twice
 * their mean, but what is true of a sample is not quite so of all.
 */
const BALANCE = 1.7;
const DEFAULT_TOLERANCE = 1e-6;
const MAX_WORKERS = 256;

export interface TrainPlan extends ReturnType<typeof readWatch> {
  readonly nLists: number | undefined;
  readonly batchSize: number;
  readonly maxIters: number;
  readonly tolerance: number;
  /** 0 when the caller's own tolerance decides alone. */
  readonly stall: number;
  readonly balance: number;
  /** In MB; 0 for no limit. */
  readonly maxMemory: number;
  readonly workers: number;
  readonly seed: number;
  /** Whether the seed is the caller's: k-means then begins with rows that it draws. */
  readonly seeded: boolean;
}

function randomSeed(): number {
  return new DataView(randomBytes(16).buffer).getUint32(0);
}

/** Checks the options of train. */
export function readTrainPlan(given: Partial<Record<string, unknown>>): TrainPlan {
  const { nLists, batchSize = 0, maxIters = 100, tolerance, maxMemory = 0, workers, seed } = given;
  const chosen = tolerance !== undefined;
  return {
    ...readWatch(given),
    nLists: nLists === undefined ? undefined : readInteger('nLists', nLists, 1, MAX_LISTS),
    batchSize: readInteger('batchSize', batchSize, 0, 2 ** 31),
    maxIters: readInteger('maxIters', maxIters, 1, 1_000_000),
    tolerance: chosen ? readNumber('tolerance', tolerance, 0, 1) : DEFAULT_TOLERANCE,
    stall: chosen ? 0 : STALL,
    balance: BALANCE,
    maxMemory: readNumber('maxMemory', maxMemory, 0, 2 ** 32),
    workers: workers === undefined ? coreCount() : readInteger('workers', workers, 1, MAX_WORKERS),
    seeded: seed !== undefined,
    seed: seed === undefined ? randomSeed() : readInteger('seed', seed, 0, 2 ** 32 - 1),
  };
}

/** Checks a call of train. */
export function readTrain(
  options: TrainOptions | number,
): { plan: TrainPlan; key: CallKey | undefined } {
  const wanted = typeof options === 'number' ? { nLists: options } : options;
  const given = readOptions('train', wanted, OPTIONS);
  return { plan: readTrainPlan(given), key: readCallKey(given) };
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
