/** The items of an upsert, in either form, copied and checked before anything is awaited. */
import { readContents, readEmbeddable, readMetadata } from './documents.js';
import { checkDistinct, readId, readIds } from './text.js';
import {
  type CallKey, describe, invalid, KEY, readArray, readCallKey, readOptions, readWatch, refuse,
  type Watch, WATCH,
} from './validate.js';
import { copyVectors, namedList, type Naming, type VectorRows } from './vectors.js';

/** Rows checked and copied: flat vectors and the bytes of every document. */
export interface Rows {
  readonly ids: readonly string[];
  readonly vectors: Float32Array;
  readonly dimension: number;
  readonly metadata: readonly (Uint8Array | undefined)[];
  readonly contents: readonly (Uint8Array | undefined)[];
}

/** The parallel arrays of an upsert, from `items` or from `ids` and the rest. */
export interface Columns {
  readonly ids: readonly string[];
  readonly metadata: readonly (Uint8Array | undefined)[];
  readonly contents: readonly (Uint8Array | undefined)[];
  /** The vectors that were given, and the rows they are of. */
  readonly vectors: VectorRows;
  readonly given: readonly number[];
  readonly naming: Naming;
  /** The rows without a vector, and the texts that stand for theirs. */
  readonly missing: readonly number[];
  readonly texts: readonly string[];
}

interface ColumnOptions {
  items?: unknown;
  ids?: unknown;
  vectors?: unknown;
  metadata?: unknown;
  contents?: unknown;
}

const UPSERT = ['items', 'ids', 'vectors', 'metadata', 'contents', ...KEY, ...WATCH] as const;
const NONE: VectorRows = { values: new Float32Array(), count: 0, dimension: 0 };
const ITEM_KEYS = ['id', 'vector', 'contents', 'metadata'] as const;

function readItems(value: unknown, embeds: boolean, dimension: number): Columns {
  const items = readArray('items', value, 'an array of items', (item, i) =>
    readOptions(`items[${i}]`, item, ITEM_KEYS, `items[${i}].`));
  if (items.length === 0) invalid('items', 'at least one item', items);
  const ids = items.map(({ id }, i) => readId(`items[${i}].id`, id));
  checkDistinct(ids, (at) => `items[${at}].id`);
  const rows = [...items.keys()];
  const given = rows.filter((i) => !embeds || items[i]?.vector !== undefined);
  const missing = rows.filter((i) => embeds && items[i]?.vector === undefined);
  const naming = { argument: 'items', row: (i: number) => `items[${given[i] ?? 0}].vector` };
  const vectors = given.map((i) => items[i]?.vector);
  return {
    ids, given, naming, missing,
    vectors: given.length === 0 ? NONE : copyVectors(naming, vectors, given.length, dimension),
    texts: missing.map((i) => readEmbeddable(`items[${i}].contents`, items[i]?.contents)),
    metadata: items.map(({ metadata }, i) => readMetadata(`items[${i}].metadata`, metadata)),
    contents: items.map(({ contents }, i) => readContents(`items[${i}].contents`, contents)),
  };
}

/** The entries of an optional array beside ids, each read once. */
function readColumn(argument: string, value: unknown, count: number): unknown[] {
  if (value === undefined) return new Array<unknown>(count).fill(undefined);
  const expected = `an array of ${count}, one entry per id`;
  return readArray(argument, value, expected, (entry) => entry, count);
}

function readParallel(options: ColumnOptions, embeds: boolean, dimension: number): Columns {
  const { vectors } = options;
  const ids = readIds(options.ids);
  const count = ids.length;
  const toEmbed = embeds && vectors === undefined;
  const naming = namedList('vectors');
  const rows = [...ids.keys()];
  const none = new Array<undefined>(count).fill(undefined);
  const metadata = readColumn('metadata', options.metadata, count);
  const contents = readColumn('contents', options.contents, count);
  return {
    ids, naming, given: toEmbed ? [] : rows, missing: toEmbed ? rows : [],
    vectors: toEmbed ? NONE : copyVectors(naming, vectors, count, dimension),
    texts: toEmbed ? contents.map((text, i) => readEmbeddable(`contents[${i}]`, text)) : [],
    metadata: options.metadata === undefined ? none
      : metadata.map((entry, i) => readMetadata(`metadata[${i}]`, entry)),
    contents: options.contents === undefined ? none
      : contents.map((entry, i) => readContents(`contents[${i}]`, entry)),
  };
}

function readColumns(options: ColumnOptions, embeds: boolean, dimension: number): Columns {
  if (options.items === undefined) return readParallel(options, embeds, dimension);
  for (const other of ['ids', 'vectors', 'metadata', 'contents'] as const) {
    if (options[other] !== undefined) {
      refuse(other, 'either items or ids with vectors', `both, ${describe(options[other])} here`);
    }
  }
  return readItems(options.items, embeds, dimension);
}

/** Reads an upsert in either form; `dimension` is the index's, or 0 where it is not known. */
export function readUpsert(
  options: unknown, embeds: boolean, dimension: number,
): { columns: Columns; watch: Watch; key: CallKey | undefined } {
  const given = readOptions('upsert', options, UPSERT);
  const watch = readWatch(given);
  return { columns: readColumns(given, embeds, dimension), watch, key: readCallKey(given) };
}
