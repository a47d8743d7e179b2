/** Writes: upsert and delete as commits, and the merging that follows them. */
import { throwIfAborted } from './abort.js';
import { SealvecError } from './errors.js';
import type { Rows } from './items.js';
import { type IndexConfig, type Manifest, sameClustering, type SegmentEntry } from './manifest.js';
import type { ObjectRef } from './object.js';
import type { OpenIndex } from './open-index.js';
import { assignBatch, blobSection, hashIds, packSegment, textSection } from './pack.js';
import type { Segment } from './segment.js';
import type { Snapshot } from './snapshot.js';
import { buryRows, createObject, discard } from './tombstones.js';
import { checkDimension } from './vectors.js';
import type { AbortSignalLike, Progress } from '../types/api.js';

/** Bytes of rows packed into one segment at a time; larger upserts become several segments. */
const PIECE_BYTES = 8 << 20;

interface Watch {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignalLike | undefined;
}

/** Row ranges of at most PIECE_BYTES each. */
function cutPieces(rows: Rows): [number, number][] {
  const pieces: [number, number][] = [];
  let from = 0;
  let bytes = 0;
  for (let i = 0; i < rows.ids.length; i++) {
    const size = rows.dimension * 4 + (rows.metadata[i]?.length ?? 0) + (rows.contents[i]?.length ?? 0) + 64;
    if (i > from && bytes + size > PIECE_BYTES) {
      pieces.push([from, i]);
      from = i;
      bytes = 0;
    }
    bytes += size;
  }
  return [...pieces, [from, rows.ids.length]];
}

/** Packs, seals and writes rows [from, to) as a segment, in lists where the index is trained. */
async function writePiece(index: OpenIndex, snapshot: Snapshot, config: IndexConfig, rows: Rows, from: number, to: number): Promise<SegmentEntry> {
  const { core, store } = index;
  const { clustering } = snapshot;
  const { entry, bytes } = core.withScratch((s) => {
    const section = (bytes: Uint8Array): { pointer: number; length: number } => ({ pointer: s.put(bytes), length: bytes.length });
    const batch = {
      n: to - from,
      vectors: s.put(rows.vectors.subarray(from * rows.dimension, to * rows.dimension)),
      ids: section(textSection(rows.ids.slice(from, to))),
      metadata: section(blobSection(rows.metadata.slice(from, to))),
      contents: section(blobSection(rows.contents.slice(from, to))),
    };
    const assignment = clustering && assignBatch(s, clustering, batch);
    return packSegment(store, config, batch, snapshot.nLists, assignment);
  });
  await createObject(store, entry.object, bytes);
  return entry;
}

/** Live rows that carry the ids, segment by segment. */
async function findLive(index: OpenIndex, snapshot: Snapshot, ids: readonly string[]): Promise<{ segment: Segment; rows: Map<string, number> }[]> {
  const hashes = new Map<number, Uint8Array>();
  return Promise.all(snapshot.segments.map(async (segment, s) => {
    const known = hashes.get(segment.epoch) ?? hashIds(index.store, segment.epoch, ids);
    hashes.set(segment.epoch, known);
    const rows = await segment.find(ids, known);
    const base = snapshot.bases[s] ?? 0;
    for (const [id, row] of rows) if (!snapshot.isLive(base + row)) rows.delete(id);
    return { segment, rows };
  }));
}

/** Where each id lives: segment and row. */
export async function locate(index: OpenIndex, snapshot: Snapshot, ids: readonly string[]): Promise<Map<string, { segment: Segment; row: number }>> {
  const found = new Map<string, { segment: Segment; row: number }>();
  for (const { segment, rows } of await findLive(index, snapshot, ids)) {
    for (const [id, row] of rows) found.set(id, { segment, row });
  }
  return found;
}

/** The segments of a commit after the rows of these ids died in them, and how many did. */
async function buryIds(index: OpenIndex, base: Manifest, ids: readonly string[], created: ObjectRef[]): Promise<{ segments: SegmentEntry[]; count: number }> {
  return index.withSnapshot(base, async (snapshot) => {
    const found = await findLive(index, snapshot, ids);
    const segments: SegmentEntry[] = [];
    let count = 0;
    for (const [s, entry] of base.segments.entries()) {
      const rows = [...(found[s]?.rows.values() ?? [])];
      count += rows.length;
      const left = await buryRows(index.store, entry, rows, created);
      if (left) segments.push(left);
    }
    return { segments, count };
  });
}

/** Objects written on the way to a commit; those that no commit names are removed. */
class Created {
  readonly segments: ObjectRef[] = [];
  tombstones: ObjectRef[] = [];
  readonly #index: OpenIndex;

  constructor(index: OpenIndex) {
    this.#index = index;
  }

  /** Drops the tombstones of an attempt that another writer beat. */
  async again(): Promise<void> {
    await discard(this.#index.store, this.tombstones);
    this.tombstones = [];
  }

  /**
   * Removes everything. Not after a failed manifest write: whether that commit exists is then
   * unknown, and orphans are collected by compact.
   */
  async dropAll(error: unknown): Promise<void> {
    if (error instanceof SealvecError && (error.code === 'STORAGE' || error.code === 'QUOTA_EXCEEDED')) return;
    await discard(this.#index.store, [...this.segments, ...this.tombstones]).catch(() => undefined);
  }
}

/** Writes rows and commits them; rows of the same ids die in the same commit. */
export async function upsertRows(index: OpenIndex, rows: Rows, watch: Watch): Promise<Manifest> {
  const created = new Created(index);
  try {
    const base = await index.store.refresh(0);
    checkDimension(base.config.dimension, rows.dimension);
    const config = { ...base.config, dimension: rows.dimension };
    const added: SegmentEntry[] = [];
    const pieces = cutPieces(rows);
    await index.withSnapshot(base, async (snapshot) => {
      for (const [at, [from, to]] of pieces.entries()) {
        throwIfAborted(watch.signal);
        const entry = await writePiece(index, snapshot, config, rows, from, to);
        created.segments.push(entry.object);
        added.push(entry);
        watch.onProgress?.({ phase: 'write', fraction: (at + 1) / (pieces.length + 1) });
      }
    });
    throwIfAborted(watch.signal);
    const manifest = await index.store.commit(created.segments, async (newest) => {
      checkDimension(newest.config.dimension, rows.dimension);
      await created.again();
      const { segments } = await buryIds(index, newest, rows.ids, created.tombstones);
      const same = sameClustering(base, newest);
      const fresh = added.map((entry) => ({ ...entry, listed: entry.listed && same }));
      return { config: { ...newest.config, dimension: rows.dimension }, segments: [...segments, ...fresh] };
    });
    watch.onProgress?.({ phase: 'commit', fraction: 1 });
    return manifest;
  } catch (error) {
    await created.dropAll(error);
    throw error;
  }
}

/** Deletes ids; returns how many existed. */
export async function deleteIds(index: OpenIndex, ids: readonly string[]): Promise<{ count: number; manifest: Manifest }> {
  const created = new Created(index);
  let count = 0;
  try {
    await index.store.refresh(0);
    const manifest = await index.store.commit([], async (newest) => {
      await created.again();
      const buried = await buryIds(index, newest, ids, created.tombstones);
      ({ count } = buried);
      return count === 0 ? undefined : { segments: buried.segments };
    });
    return { count, manifest };
  } catch (error) {
    await created.dropAll(error);
    throw error;
  }
}
