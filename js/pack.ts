/** Rows in wasm memory become a sealed segment: the one way in of upsert, merge and training. */
import { gatherBlobs, textSection } from './blobs.js';
import { type Clustering, takeOrigin } from './clustering.js';
import type { Arena, Core } from './core.js';
import { type IndexConfig, type SegmentEntry, vectorBytes } from './manifest.js';
import { coreMetric } from './metric.js';
import type { ObjectContext } from './object.js';
import { rowsChunk, WHOLE_CHUNK } from './object-layout.js';
import { sealObject, type SectionSource } from './seal-object.js';

/** n rows in wasm memory: vectors as float32, the rest as blob sections (c/segment.c). */
export interface RowBatch {
  readonly n: number;
  readonly vectors: number;
  readonly ids: SectionSource;
  readonly metadata: SectionSource;
  readonly contents: SectionSource;
}

export interface PackedSegment {
  readonly entry: SegmentEntry;
  readonly bytes: Uint8Array;
  /** Which row of the batch became each row of the segment; empty for a batch without lists. */
  readonly order: Uint32Array;
}

/** SipHash of each id of a blob section, 8 bytes each, under the ids key of an epoch. */
export function idHashes(
  context: ObjectContext, epoch: number, ids: SectionSource, n: number, out: number,
): void {
  const { core, keyring } = context;
  const key = keyring.keys(epoch).ids.pointer;
  core.check(core.exports.sv_blobs_check(ids.pointer, ids.length, n), 'ids');
  core.check(core.exports.sv_id_hashes(key, ids.pointer, n, out), 'ids');
}

/** The hashes of ids, to look them up with `Segment.find`. */
export function hashIds(context: ObjectContext, epoch: number, ids: readonly string[]): Uint8Array {
  const { core } = context;
  return core.withScratch((s) => {
    const section = textSection(ids);
    const out = s.take(ids.length * 8);
    idHashes(context, epoch, { pointer: s.put(section), length: section.length }, ids.length, out);
    return core.bytes(out, ids.length * 8);
  });
}

/**
 * The sections of lists and of codes: the origin of the codes, where there are any, then pairs of
 * list and rows, of the lists that have any.
 */
function listSections(
  { core, config: { metric, dimension }, s }: Packing, { n, vectors }: RowBatch, starts: number,
  counts: Uint32Array, clustering: Clustering | undefined,
): [SectionSource, SectionSource] {
  const nLists = counts.length;
  const origin = clustering?.origin ?? takeOrigin(s, dimension);
  if (!clustering) core.exports.sv_codes_origin(coreMetric(metric), vectors, n, dimension, origin);
  const encode = (out: number): number => core.exports.sv_codes_encode(
    coreMetric(metric), vectors, dimension, starts, nLists, origin, out,
  );
  const length = encode(0);
  const codes = s.take(length);
  encode(codes);
  const words = Uint32Array.from([
    ...core.words(origin, length && dimension),
    ...(clustering ? [...counts].flatMap((rows, list) => rows ? [list, rows] : []) : []),
  ]);
  return [
    { pointer: s.put(words), length: words.byteLength, chunkBytes: WHOLE_CHUNK },
    { pointer: codes, length },
  ];
}

function idTable(context: ObjectContext, s: Arena, ids: SectionSource, n: number): SectionSource {
  const { core, keyring } = context;
  const hashes = s.take(n * 8);
  idHashes(context, keyring.epoch, ids, n, hashes);
  const pointer = s.take(n * 12);
  core.check(core.exports.sv_ids_sort(hashes, n, pointer, s.take(n * 12)), 'ids');
  return { pointer, length: n * 12, chunkBytes: WHOLE_CHUNK };
}

interface Packing {
  readonly core: Core;
  readonly config: IndexConfig;
  readonly s: Arena;
}

/** Rows of a batch in the order of their lists. */
export interface Sorted {
  /** In wasm memory, the number of each row in the batch. */
  readonly picks: number;
  /** Where each list begins among them, and where the last one ends. */
  readonly begins: Uint32Array;
}

/** Rows per list. */
export function countsOf(begins: Uint32Array): Uint32Array {
  return begins.slice(1).map((end, list) => end - (begins[list] ?? 0));
}

/** Sorts n rows by their lists (u32 each, at `lists`), in memory of the arena. */
export function sortByList(
  core: Core, s: Arena, n: number, nLists: number, lists: number,
): Sorted {
  const picks = s.take(n * 4);
  const starts = s.take((nLists + 1) * 4);
  core.check(core.exports.sv_order_by_list(lists, n, nLists, picks, starts), 'lists');
  return { picks, begins: core.words(starts, nLists + 1) };
}

/** The rows at n picks of a batch. */
function pickRows(
  { core, config, s }: Packing, batch: RowBatch, picks: number, n: number,
): RowBatch {
  const rowBytes = config.dimension * 4;
  const vectors = s.take(n * rowBytes);
  core.check(
    core.exports.sv_rows_gather(batch.vectors, batch.n, rowBytes, picks, n, vectors), 'vectors',
  );
  const gather = (blobs: SectionSource): SectionSource =>
    gatherBlobs(core, s, blobs, batch.n, picks, n);
  return {
    n, vectors, ids: gather(batch.ids), metadata: gather(batch.metadata),
    contents: gather(batch.contents),
  };
}

/** Vectors as they are stored; those of the batch become what is read again of them. */
function storedVectors({ core, config, s }: Packing, batch: RowBatch): SectionSource {
  const length = batch.n * vectorBytes(config);
  const chunkBytes = rowsChunk(vectorBytes(config));
  if (config.precision === 'float32') return { pointer: batch.vectors, length, chunkBytes };
  const pointer = s.take(length);
  const count = length / 2;
  core.check(core.exports.sv_f16_encode(batch.vectors, count, pointer), 'vectors');
  core.exports.sv_f16_decode(pointer, count, batch.vectors);
  return { pointer, length, chunkBytes };
}

/** Seals rows as a segment: `starts` has where each list begins among them, and their end. */
function packRows(
  context: ObjectContext, packing: Packing, rows: RowBatch, starts: Uint32Array,
  clustering?: Clustering,
): Omit<PackedSegment, 'order'> {
  const { s } = packing;
  const counts = countsOf(starts);
  // Before the codes, which are of the vectors as they are read again.
  const vectors = storedVectors(packing, rows);
  // In the order of SECTIONS.
  const sections = [
    ...listSections(packing, rows, s.put(starts), counts, clustering), vectors, rows.ids,
    idTable(context, s, rows.ids, rows.n), rows.metadata, rows.contents,
  ];
  const { ref, bytes } = sealObject(context, 'segment', sections);
  const entry: SegmentEntry = {
    object: ref, rows: rows.n, listed: clustering !== undefined, dead: 0, tombstones: undefined,
    deadRows: new Uint32Array(),
  };
  return { entry, bytes };
}

/** Seals those rows of a batch that are in lists [from, to) as a segment. */
export function packLists(
  context: ObjectContext, config: IndexConfig, batch: RowBatch, clustering: Clustering,
  { picks, begins }: Sorted, from: number, to: number,
): PackedSegment {
  const { core } = context;
  return core.withScratch((s) => {
    const packing = { core, config, s };
    const [first = 0, end = 0] = [begins[from], begins[to]];
    const n = end - first;
    const starts = begins.map((at) => Math.min(Math.max(at - first, 0), n));
    const rows = pickRows(packing, batch, picks + first * 4, n);
    const packed = packRows(context, packing, rows, starts, clustering);
    return { ...packed, order: core.words(picks + first * 4, n) };
  });
}

/**
 * Seals a batch as a segment, in the order of the lists of its rows when they have any (u32 each,
 * at `lists`). The batch stays the caller's.
 */
export function packSegment(
  context: ObjectContext, config: IndexConfig, batch: RowBatch, clustering?: Clustering, lists = 0,
): PackedSegment {
  const { core } = context;
  const { n } = batch;
  return core.withScratch((s) => {
    if (!clustering) {
      const packed = packRows(context, { core, config, s }, batch, Uint32Array.of(0, n));
      return { ...packed, order: new Uint32Array() };
    }
    const { nLists } = clustering;
    const sorted = sortByList(core, s, n, nLists, lists);
    return packLists(context, config, batch, clustering, sorted, 0, nLists);
  });
}

/** The list of each row of a batch, in memory of the arena. */
export function assignBatch(s: Arena, clustering: Clustering, batch: RowBatch): number {
  const lists = s.take(batch.n * 4);
  clustering.assign(batch.vectors, batch.n, lists, s.take(batch.n * 4));
  return lists;
}

