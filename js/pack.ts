/** Rows in wasm memory become a sealed segment: the one way in of upsert, merge and training. */
import type { Clustering } from './clustering.js';
import type { Arena, Core } from './core.js';
import { type IndexConfig, type SegmentEntry, SECTIONS, vectorBytes } from './manifest.js';
import { type ObjectContext, sealObject, type SectionSource } from './object.js';

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
  /** Which row of the batch became each row of the segment; undefined if all kept their place. */
  readonly order: Uint32Array | undefined;
}

const encoder = new TextEncoder();

/** A blob section out of the bytes of each row. */
export function blobSection(blobs: readonly (Uint8Array | undefined)[]): Uint8Array {
  const base = (blobs.length + 1) * 4;
  const total = blobs.reduce((sum, blob) => sum + (blob?.length ?? 0), 0);
  const out = new Uint8Array(base + total);
  const offsets = new DataView(out.buffer);
  let at = 0;
  blobs.forEach((blob, i) => {
    if (blob) out.set(blob, base + at);
    at += blob?.length ?? 0;
    offsets.setUint32((i + 1) * 4, at, true);
  });
  return out;
}

/** A blob section of texts. */
export function textSection(texts: readonly string[]): Uint8Array {
  const joined = encoder.encode(texts.join(''));
  const ascii = joined.length === texts.reduce((sum, text) => sum + text.length, 0);
  if (!ascii) return blobSection(texts.map((text) => encoder.encode(text)));
  const base = (texts.length + 1) * 4;
  const out = new Uint8Array(base + joined.length);
  const offsets = new DataView(out.buffer);
  out.set(joined, base);
  texts.reduce((at, text, i) => {
    offsets.setUint32((i + 1) * 4, at + text.length, true);
    return at + text.length;
  }, 0);
  return out;
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

function gatherBlobs(
  core: Core, s: Arena, section: SectionSource, n: number, picks: number,
): SectionSource {
  const { exports } = core;
  const from = section.pointer;
  core.check(exports.sv_blobs_check(from, section.length, n), 'blobs');
  const length = core.check(exports.sv_blobs_gather_size(from, n, picks, n), 'blobs');
  const pointer = s.take(length);
  core.check(exports.sv_blobs_gather(from, n, picks, n, pointer, length), 'blobs');
  return { pointer, length };
}

/** The lists section: pairs of list and rows, of the lists that have any. */
function listsSection(core: Core, s: Arena, starts: number, nLists: number): SectionSource {
  const pairs: number[] = [];
  const at = core.words(starts, nLists + 1);
  for (let list = 0; list < nLists; list++) {
    const rows = (at[list + 1] ?? 0) - (at[list] ?? 0);
    if (rows > 0) pairs.push(list, rows);
  }
  return { pointer: s.put(Uint32Array.from(pairs)), length: pairs.length * 4 };
}

function idTable(context: ObjectContext, s: Arena, ids: SectionSource, n: number): SectionSource {
  const { core, keyring } = context;
  const hashes = s.take(n * 8);
  idHashes(context, keyring.epoch, ids, n, hashes);
  const pointer = s.take(n * 12);
  core.check(core.exports.sv_ids_sort(hashes, n, pointer, s.take(n * 12)), 'ids');
  return { pointer, length: n * 12 };
}

interface Ordered {
  readonly lists: SectionSource;
  readonly order: Uint32Array | undefined;
  readonly batch: RowBatch;
}

/** Puts the rows in the order of their lists. */
function orderByList(
  core: Core, s: Arena, batch: RowBatch, config: IndexConfig, nLists: number, lists: number,
): Ordered {
  const { n } = batch;
  const picks = s.take(n * 4);
  const starts = s.take((nLists + 1) * 4);
  core.check(core.exports.sv_order_by_list(lists, n, nLists, picks, starts), 'lists');
  const rowBytes = config.dimension * 4;
  const vectors = s.take(n * rowBytes);
  core.check(core.exports.sv_rows_gather(batch.vectors, n, rowBytes, picks, n, vectors), 'vectors');
  return {
    lists: listsSection(core, s, starts, nLists),
    order: core.words(picks, n),
    batch: {
      n, vectors, ids: gatherBlobs(core, s, batch.ids, n, picks),
      metadata: gatherBlobs(core, s, batch.metadata, n, picks),
      contents: gatherBlobs(core, s, batch.contents, n, picks),
    },
  };
}

function storedVectors(core: Core, s: Arena, batch: RowBatch, config: IndexConfig): SectionSource {
  const length = batch.n * vectorBytes(config);
  if (config.precision === 'float32') return { pointer: batch.vectors, length };
  const pointer = s.take(length);
  const count = batch.n * config.dimension;
  core.check(core.exports.sv_f16_encode(batch.vectors, count, pointer), 'vectors');
  return { pointer, length };
}

/**
 * Seals a batch as a segment, in the order of the lists of its rows when it has any. The batch
 * stays the caller's.
 */
export function packSegment(
  context: ObjectContext, config: IndexConfig, batch: RowBatch, nLists: number,
  lists: number | undefined,
): PackedSegment {
  const { core } = context;
  return core.withScratch((s) => {
    const none = { pointer: 0, length: 0 };
    const ordered: Ordered = lists !== undefined
      ? orderByList(core, s, batch, config, nLists, lists)
      : { lists: none, order: undefined, batch };
    const rows = ordered.batch;
    const sections: SectionSource[] = [];
    sections[SECTIONS.lists] = ordered.lists;
    sections[SECTIONS.codes] = none;
    sections[SECTIONS.vectors] = storedVectors(core, s, rows, config);
    sections[SECTIONS.ids] = rows.ids;
    sections[SECTIONS.idTable] = idTable(context, s, rows.ids, rows.n);
    sections[SECTIONS.metadata] = rows.metadata;
    sections[SECTIONS.contents] = rows.contents;
    const { ref, bytes } = sealObject(context, 'segment', sections);
    const entry: SegmentEntry = {
      object: ref, rows: rows.n, listed: lists !== undefined, dead: 0, tombstones: undefined,
      deadRows: new Uint32Array(),
    };
    return { entry, bytes, order: ordered.order };
  });
}

/** The list of each row of a batch, in memory of the arena. */
export function assignBatch(s: Arena, clustering: Clustering, batch: RowBatch): number {
  const lists = s.take(batch.n * 4);
  clustering.assign(batch.vectors, batch.n, lists, s.take(batch.n * 4));
  return lists;
}

