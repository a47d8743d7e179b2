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
  /** Rows per list. */
  readonly counts: Uint32Array;
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
  const nLists = counts.length || 1;
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
    ...[...counts].flatMap((rows, list) => rows ? [list, rows] : []),
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

interface Ordered extends Pick<PackedSegment, 'order' | 'counts'> {
  readonly batch: RowBatch;
  /** Where the first row of each list is in the batch. */
  readonly starts: number;
}

/** Puts the rows in the order of their lists. */
function orderByList(
  { core, config, s }: Packing, batch: RowBatch, nLists: number, lists: number,
): Ordered {
  const { n } = batch;
  const picks = s.take(n * 4);
  const starts = s.take((nLists + 1) * 4);
  core.check(core.exports.sv_order_by_list(lists, n, nLists, picks, starts), 'lists');
  const rowBytes = config.dimension * 4;
  const vectors = s.take(n * rowBytes);
  core.check(core.exports.sv_rows_gather(batch.vectors, n, rowBytes, picks, n, vectors), 'vectors');
  const begins = core.words(starts, nLists + 1);
  const counts = begins.subarray(1).map((end, list) => end - (begins[list] ?? 0));
  return {
    order: core.words(picks, n), counts, starts,
    batch: {
      n, vectors, ids: gatherBlobs(core, s, batch.ids, n, picks, n),
      metadata: gatherBlobs(core, s, batch.metadata, n, picks, n),
      contents: gatherBlobs(core, s, batch.contents, n, picks, n),
    },
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

/**
 * Seals a batch as a segment, in the order of the lists of its rows when they have any (u32 each,
 * at `lists`). The batch stays the caller's.
 */
export function packSegment(
  context: ObjectContext, config: IndexConfig, batch: RowBatch, clustering?: Clustering, lists = 0,
): PackedSegment {
  const { core } = context;
  return core.withScratch((s) => {
    const none = new Uint32Array();
    const packing = { core, config, s };
    const { batch: rows, order, counts, starts }: Ordered = clustering
      ? orderByList(packing, batch, clustering.nLists, lists)
      : { batch, order: none, counts: none, starts: s.put(Uint32Array.of(0, batch.n)) };
    // Before the codes, which are of the vectors as they are read again.
    const vectors = storedVectors(packing, rows);
    // In the order of SECTIONS.
    const sections = [
      ...listSections(packing, rows, starts, counts, clustering), vectors, rows.ids,
      idTable(context, s, rows.ids, rows.n), rows.metadata, rows.contents,
    ];
    const { ref, bytes } = sealObject(context, 'segment', sections);
    const entry: SegmentEntry = {
      object: ref, rows: rows.n, listed: clustering !== undefined, dead: 0, tombstones: undefined,
      deadRows: none,
    };
    return { entry, bytes, order, counts };
  });
}

/** The list of each row of a batch, in memory of the arena. */
export function assignBatch(s: Arena, clustering: Clustering, batch: RowBatch): number {
  const lists = s.take(batch.n * 4);
  clustering.assign(batch.vectors, batch.n, lists, s.take(batch.n * 4));
  return lists;
}

