/** Vectors as callers give them: copied at once, then checked against the index they go to. */
import type { Core } from './core.js';
import { SealvecError } from './errors.js';
import { type IndexConfig, MAX_DIMENSION } from './manifest.js';
import { coreMetric } from './metric.js';
import { copyTyped, invalid, isKind, reading, refuse } from './validate.js';

/** Rows of one dimension, one after another. */
export interface VectorRows {
  readonly values: Float32Array;
  readonly count: number;
  readonly dimension: number;
}

/** How errors call the vectors of a call. */
export interface Naming {
  readonly argument: string;
  readonly row: (row: number) => string;
}

export function namedList(argument: string, suffix = ''): Naming {
  return { argument, row: (row) => `${argument}[${row}]${suffix}` };
}

const readLength = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype) as object, 'length',
)?.get as (this: unknown) => number;

function mismatch(argument: string, expected: number, got: number): never {
  const message = `${argument}: expected ${expected} components, got ${got}`;
  throw new SealvecError('DIMENSION_MISMATCH', message);
}

/** The dimension an index was made with (0 for none yet), against what came. */
export function checkDimension(expected: number, got: number, argument = 'vectors'): void {
  if (expected !== 0 && expected !== got) mismatch(argument, expected, got);
}

/** Components of a vector; what is no vector is refused. `dimension` 0 stands for any. */
function readDimension(argument: string, value: unknown, dimension: number): number {
  const typed = isKind(value, 'Float32Array') || isKind(value, 'Float64Array');
  if (!typed && !Array.isArray(value)) {
    invalid(argument, 'an array of numbers or a Float32Array', value);
  }
  const length = typed ? readLength.call(value) : value.length;
  if (length === 0) invalid(argument, 'at least one component', value);
  checkDimension(dimension, length, argument);
  if (length > MAX_DIMENSION) {
    refuse(argument, `at most ${MAX_DIMENSION} components`, `${length}`);
  }
  return length;
}

/** Copies a vector of a known dimension to `out` from `at` on. */
function copyVector(
  argument: string, value: unknown, dimension: number, out: Float32Array, at: number,
): void {
  if (isKind(value, 'Float32Array')) return out.set(value, at);
  for (let i = 0; i < dimension; i++) {
    const x = (value as ArrayLike<unknown>)[i];
    if (typeof x !== 'number' || !Number.isFinite(x)) {
      invalid(`${argument}[${i}]`, 'a finite number', x);
    }
    out[at + i] = x;
    if (!Number.isFinite(out[at + i])) {
      invalid(`${argument}[${i}]`, 'a number that float32 can hold', x);
    }
  }
}

function allocate(argument: string, length: number): Float32Array {
  try {
    return new Float32Array(length);
  } catch (cause) {
    const message = `${argument}: no room for a copy of ${length} numbers`;
    throw new SealvecError('OUT_OF_MEMORY', message, { cause });
  }
}

function copyFlat(
  argument: string, value: Float32Array, count: number, known: number,
): VectorRows {
  const values = copyTyped(argument, value, Float32Array);
  if (values.length === 0) invalid(argument, 'at least one vector', value);
  const dimension = known || values.length / count;
  if (values.length !== count * dimension || !Number.isInteger(dimension)) {
    const expected = known === 0 ? `whole vectors, ${count} of them`
      : `${count} vectors of ${known} components (${count * known} numbers)`;
    const message = `${argument}: expected ${expected}, got ${values.length} numbers`;
    throw new SealvecError('DIMENSION_MISMATCH', message);
  }
  readDimension(argument, values.subarray(0, dimension), 0);
  return { values, count, dimension };
}

/**
 * `count` vectors, out of a list of them or one flat Float32Array. The dimension is `known`, or
 * where that is 0 the first vector's.
 */
export function copyVectors(
  naming: Naming, value: unknown, count: number, known: number, per = 'id',
): VectorRows {
  const { argument, row: nameOf } = naming;
  if (isKind(value, 'Float32Array')) return copyFlat(argument, value, count, known);
  return reading(argument, () => {
    if (!Array.isArray(value)) {
      invalid(argument, 'an array of vectors or a flat Float32Array', value);
    }
    if (value.length !== count) {
      refuse(argument, `${count} vectors, one per ${per}`, `${value.length}`);
    }
    let dimension = known;
    let values: Float32Array | undefined;
    for (let row = 0; row < count; row++) {
      const vector: unknown = value[row];
      const name = nameOf(row);
      dimension = readDimension(name, vector, dimension);
      values ??= allocate(argument, count * dimension);
      copyVector(name, vector, dimension, values, row * dimension);
    }
    return { values: values ?? new Float32Array(), count, dimension };
  });
}

/** Queries copied, of which a flat array may be one or many: that is for the index to say. */
export interface Queries {
  readonly rows: VectorRows;
  readonly form: 'one' | 'many' | 'flat';
  readonly naming: Naming;
}

const MANY = namedList('queryVectors');
const ONE: Naming = { ...MANY, row: () => MANY.argument };

/** Copies one vector, a list of them, or a flat Float32Array. */
export function copyQueries(value: unknown): Queries {
  const { argument } = MANY;
  return reading(argument, () => {
    if (isKind(value, 'Float32Array')) {
      const values = copyTyped(argument, value, Float32Array);
      if (values.length === 0) invalid(argument, 'at least one vector', value);
      const rows = { values, count: 1, dimension: values.length };
      return { rows, form: 'flat', naming: ONE };
    }
    if (!isKind(value, 'Float64Array') && !Array.isArray(value)) {
      invalid(argument, 'one vector or many', value);
    }
    if (value.length === 0) invalid(argument, 'at least one vector', value);
    if (Array.isArray(value) && typeof value[0] !== 'number') {
      return { rows: copyVectors(MANY, value, value.length, 0), form: 'many', naming: MANY };
    }
    const dimension = readDimension(argument, value, 0);
    const values = new Float32Array(dimension);
    copyVector(argument, value, dimension, values, 0);
    return { rows: { values, count: 1, dimension }, form: 'one', naming: ONE };
  });
}

/** Cuts a flat array into rows of the index's dimension, where it holds several. */
export function cutQueries(queries: Queries, dimension: number): Queries {
  const { rows: { values }, form } = queries;
  if (form !== 'flat') return queries;
  if (dimension === 0 || values.length <= dimension || values.length % dimension !== 0) {
    return { ...queries, form: 'one' };
  }
  const count = values.length / dimension;
  return { rows: { values, count, dimension }, form: 'many', naming: MANY };
}

/** What half precision rounds to infinity begins here (F16_LIMIT of c/quantize.c). */
const HALF_LIMIT = 65_520;
/** Bytes of rows that are checked at a time. */
const WINDOW_BYTES = 4 << 20;

/** What is wrong with a row is found in the core; this says it. */
function refuseRow(argument: string, row: Float32Array): never {
  const at = row.findIndex((x) => !Number.isFinite(x));
  if (at >= 0) invalid(`${argument}[${at}]`, 'a finite number', row[at]);
  if (row.every((x) => x === 0)) {
    refuse(argument, 'a vector that has a direction, for cosine', 'all zeros');
  }
  return refuse(argument, 'a norm of at most 1e18', 'more');
}

function refuseHalf(naming: Naming, rows: VectorRows): never {
  const at = rows.values.findIndex((x) => Math.abs(x) >= HALF_LIMIT);
  const name = naming.row(Math.floor(at / rows.dimension));
  return invalid(
    `${name}[${at % rows.dimension}]`, 'a number that float16 can hold (up to 65504)',
    rows.values[at],
  );
}

/** Checks rows against an index: dimension, finite components, what metric and precision ask. */
export function checkVectors(
  core: Core, naming: Naming, rows: VectorRows, config: Pick<IndexConfig, 'metric' | 'dimension'>,
  precision: IndexConfig['precision'] = 'float32',
): void {
  const { values, count, dimension } = rows;
  checkDimension(config.dimension, dimension, naming.row(0));
  const most = Math.max(1, Math.floor(WINDOW_BYTES / (dimension * 4)));
  for (let from = 0; from < count; from += most) {
    const part = values.subarray(from * dimension, Math.min(from + most, count) * dimension);
    core.withScratch((s) => {
      const bad = s.take(4);
      const pointer = s.put(part);
      const n = part.length / dimension;
      const { sv_check_rows: check, sv_f16_encode: encode } = core.exports;
      if (check(coreMetric(config.metric), pointer, n, dimension, bad) < 0) {
        const row = core.word(bad);
        const at = row * dimension;
        refuseRow(naming.row(from + row), part.subarray(at, at + dimension));
      }
      if (precision === 'float16' && encode(pointer, part.length, s.take(part.length * 2)) < 0) {
        refuseHalf(naming, rows);
      }
    });
  }
}
