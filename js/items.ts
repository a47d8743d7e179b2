/** Vectors, metadata and contents as callers give them: copied once, and the copy checked. */
import type { Core } from './core.js';
import { SealvecError } from './errors.js';
import { type IndexConfig, MAX_DIMENSION } from './manifest.js';
import { coreMetric } from './metric.js';
import { describe, invalid, readIds, readText } from './validate.js';

const MAX_DEPTH = 32;
const MAX_METADATA = 1 << 20;
const MAX_CONTENTS = 16 << 20;
const TEXT = 1;
const BYTES = 2;
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype']);

const encoder = new TextEncoder();

/** Rows checked and copied: flat vectors and the bytes of every document. */
export interface Rows {
  readonly ids: readonly string[];
  readonly vectors: Float32Array;
  readonly dimension: number;
  readonly metadata: readonly (Uint8Array | undefined)[];
  readonly contents: readonly (Uint8Array | undefined)[];
}

function mismatch(argument: string, expected: number, got: number): never {
  throw new SealvecError('DIMENSION_MISMATCH', `${argument}: expected ${expected} components, got ${got}`);
}

/** One vector as float32; `dimension` 0 accepts any. */
function readVector(argument: string, value: unknown, dimension: number): Float32Array {
  const typed = value instanceof Float32Array || value instanceof Float64Array;
  if (!typed && !Array.isArray(value)) invalid(argument, 'an array of numbers or a Float32Array', value);
  const { length } = value;
  if (length === 0) invalid(argument, 'at least one component', value);
  if (length > MAX_DIMENSION) invalid(argument, `at most ${MAX_DIMENSION} components`, value);
  if (dimension !== 0 && length !== dimension) mismatch(argument, dimension, length);
  const out = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    const x: unknown = value[i];
    if (typeof x !== 'number' || !Number.isFinite(x)) invalid(`${argument}[${i}]`, 'a finite number', x);
    out[i] = x;
    if (!Number.isFinite(out[i])) invalid(`${argument}[${i}]`, 'a number that float32 can hold', x);
  }
  return out;
}

/** What is wrong with a row is found in the core; this names it. */
function checkRows(core: Core, argument: (row: number) => string, vectors: Float32Array, config: IndexConfig): void {
  core.withScratch((s) => {
    const bad = s.take(4);
    const rows = s.put(vectors);
    const n = vectors.length / config.dimension;
    const code = core.exports.sv_check_rows(coreMetric(config.metric), rows, n, config.dimension, bad);
    if (code < 0) core.check(code, argument(core.word(bad)));
    if (config.precision === 'float32') return;
    core.check(core.exports.sv_f16_encode(rows, vectors.length, s.take(vectors.length * 2)), argument(0).replace(/\[0\]$/, ''));
  });
}

function flatten(vectors: readonly Float32Array[], dimension: number): Float32Array {
  const flat = new Float32Array(vectors.length * dimension);
  vectors.forEach((vector, i) => flat.set(vector, i * dimension));
  return flat;
}

/**
 * `count` vectors as one flat array: a list of them, or one flat Float32Array. The dimension is
 * that of the configuration, or where that is 0 the first vector's.
 */
export function readVectors(
  core: Core, argument: string, value: unknown, count: number, config: IndexConfig, suffix = '',
): { vectors: Float32Array; dimension: number } {
  const name = (row: number): string => `${argument}[${row}]${suffix}`;
  if (value instanceof Float32Array) {
    const vectors = Float32Array.from(value);
    const dimension = config.dimension || vectors.length / count;
    if (vectors.length === 0) invalid(argument, 'at least one vector', value);
    if (vectors.length !== count * dimension || dimension > MAX_DIMENSION) {
      throw new SealvecError('DIMENSION_MISMATCH', config.dimension
        ? `${argument}: expected ${count} vectors of ${dimension} components (${count * dimension} numbers), got ${vectors.length} numbers`
        : `${argument}: expected whole vectors for ${count} ids, got ${vectors.length} numbers`);
    }
    checkRows(core, name, vectors, { ...config, dimension });
    return { vectors, dimension };
  }
  if (!Array.isArray(value)) invalid(argument, 'an array of vectors or a flat Float32Array', value);
  if (value.length !== count) {
    throw new SealvecError('INVALID_ARGUMENT', `${argument}: expected ${count} vectors, one per id, got ${value.length}`);
  }
  let { dimension } = config;
  const list = Array.from(value, (vector: unknown, i) => {
    const read = readVector(name(i), vector, dimension);
    dimension ||= read.length;
    return read;
  });
  const vectors = flatten(list, dimension);
  checkRows(core, name, vectors, { ...config, dimension });
  return { vectors, dimension };
}

/** Query vectors: one or many. Without a dimension yet (an empty index) only their form is checked. */
export function readQueries(
  core: Core, value: unknown, config: IndexConfig,
): { vectors: Float32Array; count: number; many: boolean } {
  const argument = 'queryVectors';
  const flat = value instanceof Float32Array || value instanceof Float64Array;
  const many = flat ? config.dimension > 0 && value.length > config.dimension && value.length % config.dimension === 0
    : Array.isArray(value) && typeof value[0] !== 'number';
  if (Array.isArray(value) && value.length === 0) invalid(argument, 'at least one vector', value);
  if (!many) {
    const vector = readVector(argument, value, config.dimension);
    checkRows(core, () => argument, vector, { ...config, dimension: vector.length, precision: 'float32' });
    return { vectors: vector, count: 1, many };
  }
  const count = flat ? value.length / config.dimension : (value as unknown[]).length;
  const plain = { ...config, precision: 'float32' as const };
  const { vectors } = readVectors(core, argument, flat ? Float32Array.from(value) : value, count, plain);
  return { vectors, count, many };
}

/** A copy of plain JSON data; refuses what JSON cannot hold and what poisons prototypes. */
function copyJson(path: string, value: unknown, depth: number): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    return Number.isFinite(value) ? value : invalid(path, 'a finite number', value);
  }
  if (typeof value !== 'object') invalid(path, 'JSON data', value);
  if (depth >= MAX_DEPTH) invalid(path, `at most ${MAX_DEPTH} levels`, 'more');
  if (Array.isArray(value)) return Array.from(value, (item, i) => copyJson(`${path}[${i}]`, item, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) invalid(path, 'a plain object', value);
  const copy: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    if (FORBIDDEN.has(key)) invalid(path, `no key '${key}'`, 'one');
    if (item !== undefined) copy[key] = copyJson(`${path}.${key}`, item, depth + 1);
  }
  return copy;
}

/** Metadata as JSON bytes; undefined and null are none. */
export function readMetadata(argument: string, value: unknown): Uint8Array | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object' || Array.isArray(value)) invalid(argument, 'an object of JSON data', value);
  const bytes = encoder.encode(JSON.stringify(copyJson(argument, value, 0)));
  if (bytes.length > MAX_METADATA) invalid(argument, 'at most 1 MiB of JSON', `${bytes.length} bytes`);
  return bytes;
}

/** Contents as kind byte and bytes; undefined and null are none. */
export function readContents(argument: string, value: unknown): Uint8Array | undefined {
  if (value === undefined || value === null) return undefined;
  const text = typeof value === 'string';
  if (!text && !(value instanceof Uint8Array)) invalid(argument, 'a string or a Uint8Array', value);
  const bytes = text ? encoder.encode(readText(argument, value, MAX_CONTENTS)) : value;
  if (bytes.length > MAX_CONTENTS) invalid(argument, `at most ${MAX_CONTENTS} bytes`, value);
  const out = new Uint8Array(bytes.length + 1);
  out[0] = text ? TEXT : BYTES;
  out.set(bytes, 1);
  return out;
}

/** The parallel arrays of an upsert, from `items` or from `ids` and the rest. */
export interface Columns {
  readonly ids: readonly string[];
  readonly vectors: unknown;
  readonly metadata: readonly (Uint8Array | undefined)[];
  readonly contents: readonly (Uint8Array | undefined)[];
  /** Items without a vector, which have contents to embed. */
  readonly toEmbed: readonly string[] | undefined;
}

const ITEM_KEYS = ['id', 'vector', 'contents', 'metadata'];

function readItems(value: unknown, embeds: boolean): Columns {
  if (!Array.isArray(value)) invalid('items', 'an array of items', value);
  if (value.length === 0) invalid('items', 'at least one item', value);
  const items = Array.from(value, (item: unknown, i) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) invalid(`items[${i}]`, 'an item object', item);
    const unknown = Object.keys(item).find((key) => !ITEM_KEYS.includes(key));
    if (unknown !== undefined) {
      throw new SealvecError('INVALID_ARGUMENT', `items[${i}]: unknown field '${unknown}'; known are ${ITEM_KEYS.join(', ')}`);
    }
    return { ...item } as { id?: unknown; vector?: unknown; contents?: unknown; metadata?: unknown };
  });
  const ids = readIds('ids', items.map((item, i) => typeof item.id === 'string' ? item.id : invalid(`items[${i}].id`, 'a string', item.id)));
  const missing = items.findIndex((item) => item.vector === undefined);
  const embedAll = embeds && items.every((item) => item.vector === undefined);
  if (missing >= 0 && !embedAll) {
    invalid(`items[${missing}].vector`, embeds ? 'a vector, as other items of this call have one' : 'a vector', undefined);
  }
  const texts = embedAll ? items.map(({ contents }, i) =>
    typeof contents === 'string' ? contents : invalid(`items[${i}].contents`, 'a text to embed', contents)) : undefined;
  return {
    ids, toEmbed: texts, vectors: items.map((item) => item.vector),
    metadata: items.map((item, i) => readMetadata(`items[${i}].metadata`, item.metadata)),
    contents: items.map((item, i) => readContents(`items[${i}].contents`, item.contents)),
  };
}

function readColumn(argument: string, value: unknown, count: number): unknown[] {
  if (value === undefined) return new Array<unknown>(count).fill(undefined);
  if (!Array.isArray(value)) invalid(argument, 'an array, one entry per id', value);
  if (value.length !== count) {
    throw new SealvecError('INVALID_ARGUMENT', `${argument}: expected ${count} entries, one per id, got ${value.length}`);
  }
  return Array.from(value);
}

/** Reads either form of an upsert. */
export function readColumns(
  options: { items?: unknown; ids?: unknown; vectors?: unknown; metadata?: unknown; contents?: unknown },
  embeds: boolean,
): Columns {
  if (options.items !== undefined) {
    for (const other of ['ids', 'vectors', 'metadata', 'contents'] as const) {
      if (options[other] !== undefined) invalid(other, 'either items or ids with vectors', options[other]);
    }
    return readItems(options.items, embeds);
  }
  const ids = readIds('ids', options.ids);
  const contents = readColumn('contents', options.contents, ids.length);
  if (options.vectors === undefined && !embeds) invalid('vectors', 'one vector per id', undefined);
  const toEmbed = options.vectors === undefined
    ? contents.map((text, i) => typeof text === 'string' ? text : invalid(`contents[${i}]`, 'a text to embed', text)) : undefined;
  return {
    ids, toEmbed, vectors: options.vectors,
    metadata: readColumn('metadata', options.metadata, ids.length).map((m, i) => readMetadata(`metadata[${i}]`, m)),
    contents: contents.map((c, i) => readContents(`contents[${i}]`, c)),
  };
}

/** The dimension an index was made with, against what came. */
export function checkDimension(expected: number, got: number): void {
  if (expected !== 0 && expected !== got) {
    throw new SealvecError('DIMENSION_MISMATCH', `vectors: expected ${expected} components, got ${describe(got)}`);
  }
}
