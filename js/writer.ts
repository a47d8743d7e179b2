/** Writes: upsert and delete as commits. */
import { throwIfAborted } from './abort.js';
import { allOf } from './all.js';
import { blobSection, textSection } from './blobs.js';
import { type Draft, mustRewrite } from './draft.js';
import type { Rows } from './items.js';
import { type IndexConfig, type Manifest, sameClustering, type SegmentEntry } from './manifest.js';
import { MAX_ATTEMPTS } from './newest.js';
import type { SectionSource } from './seal-object.js';
import type { OpenIndex } from './open-index.js';
import { assignBatch, hashIds, type PackedSegment, packSegment } from './pack.js';
import type { Segment } from './segment.js';
import type { Snapshot } from './snapshot.js';
import { buryRows } from './tombstones.js';
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
    const documents = (rows.metadata[i]?.length ?? 0) + (rows.contents[i]?.length ?? 0);
    const size = rows.dimension * 4 + documents + 64;
    if (i > from && bytes + size > PIECE_BYTES) {
      pieces.push([from, i]);
      from = i;
      bytes = 0;
    }
    bytes += size;
  }
  return [...pieces, [from, rows.ids.length]];
}

/** Packs and seals rows [from, to) as a segment, in lists where the index is trained. */
function packRows(
  index: OpenIndex, snapshot: Snapshot, config: IndexConfig, rows: Rows, from: number, to: number,
): PackedSegment {
  const { core, store } = index;
  const { clustering } = snapshot;
  return core.withScratch((s) => {
    const section = (bytes: Uint8Array): SectionSource =>
      ({ pointer: s.put(bytes), length: bytes.length });
    const batch = {
      n: to - from,
      vectors: s.put(rows.vectors.subarray(from * rows.dimension, to * rows.dimension)),
      ids: section(textSection(rows.ids.slice(from, to))),
      metadata: section(blobSection(rows.metadata.slice(from, to))),
      contents: section(blobSection(rows.contents.slice(from, to))),
    };
    const lists = clustering && assignBatch(s, clustering, batch);
    return packSegment(store, config, batch, clustering, lists);
  });
}

/** Live rows of a segment, by id. */
interface Living {
  readonly segment: Segment;
  readonly rows: Map<string, number>;
}

/** Live rows that carry the ids, segment by segment. */
async function findLive(
  index: OpenIndex, snapshot: Snapshot, ids: readonly string[],
): Promise<Living[]> {
  const hashes = new Map<number, Uint8Array>();
  return allOf(snapshot.segments.map(async (segment, s) => {
    const known = hashes.get(segment.epoch) ?? hashIds(index.store, segment.epoch, ids);
    hashes.set(segment.epoch, known);
    const rows = await segment.find(ids, known);
    const base = snapshot.bases[s] ?? 0;
    for (const [id, row] of rows) if (!snapshot.isLive(base + row)) rows.delete(id);
    return { segment, rows };
  }));
}

/** Where each id lives: segment and row. */
export async function locate(
  index: OpenIndex, snapshot: Snapshot, ids: readonly string[],
): Promise<Map<string, { segment: Segment; row: number }>> {
  const found = new Map<string, { segment: Segment; row: number }>();
  for (const { segment, rows } of await findLive(index, snapshot, ids)) {
    for (const [id, row] of rows) found.set(id, { segment, row });
  }
  return found;
}

/** The segments of a commit after rows died in them, and how many did. */
async function bury(
  base: Manifest, found: readonly Living[], draft: Draft,
): Promise<{ segments: SegmentEntry[]; count: number }> {
  const segments: SegmentEntry[] = [];
  let count = 0;
  for (const [s, entry] of base.segments.entries()) {
    const rows = [...(found[s]?.rows.values() ?? [])];
    count += rows.length;
    const left = await buryRows(draft, entry, rows);
    if (left) segments.push(left);
  }
  return { segments, count };
}

/** The segments of a commit after the rows of these ids died in them, and how many did. */
async function buryIds(
  index: OpenIndex, base: Manifest, ids: readonly string[], draft: Draft,
): Promise<{ segments: SegmentEntry[]; count: number }> {
  return index.withSnapshot(base, async (snapshot) =>
    bury(base, await findLive(index, snapshot, ids), draft));
}

/** Rows written as segments that no commit names yet. */
interface Written {
  readonly base: Manifest;
  readonly draft: Draft;
  readonly added: readonly SegmentEntry[];
  /** Rows of the base with the same ids. */
  readonly found: readonly Living[];
}

/** Writes rows as segments, piece by piece. */
async function writePieces(
  index: OpenIndex, snapshot: Snapshot, draft: Draft, rows: Rows, watch: Watch,
): Promise<SegmentEntry[]> {
  const config = { ...snapshot.manifest.config, dimension: rows.dimension };
  const added: SegmentEntry[] = [];
  const pieces = cutPieces(rows);
  for (const [at, [from, to]] of pieces.entries()) {
    throwIfAborted(watch.signal);
    const { entry, bytes } = packRows(index, snapshot, config, rows, from, to);
    await draft.write(entry.object, bytes);
    added.push(entry);
    watch.onProgress?.({ phase: 'write', fraction: (at + 1) / (pieces.length + 1) });
  }
  return added;
}

/** Writes rows as segments that fit the commit of a snapshot; meanwhile looks up their ids. */
async function writeRows(
  index: OpenIndex, snapshot: Snapshot, rows: Rows, watch: Watch,
): Promise<Written> {
  const base = snapshot.manifest;
  const draft = index.store.draft(base);
  try {
    checkDimension(base.config.dimension, rows.dimension);
    const [added, found] = await allOf([
      writePieces(index, snapshot, draft, rows, watch), findLive(index, snapshot, rows.ids),
    ]);
    return { base, draft, added, found };
  } catch (error) {
    await draft.discard();
    throw error;
  }
}

async function upsertOnce(index: OpenIndex, rows: Rows, watch: Watch): Promise<Manifest> {
  const written = await index.read((snapshot) => writeRows(index, snapshot, rows, watch), 0);
  const { base, draft, added, found } = written;
  const { dimension } = rows;
  try {
    throwIfAborted(watch.signal);
    const manifest = await index.store.commit(draft, async (newest) => {
      checkDimension(newest.config.dimension, dimension);
      const { segments } = newest === base ? await bury(base, found, draft)
        : await buryIds(index, newest, rows.ids, draft);
      const same = sameClustering(base, newest);
      const fresh = added.map((entry) => ({ ...entry, listed: entry.listed && same }));
      return { config: { ...newest.config, dimension }, segments: [...segments, ...fresh] };
    });
    watch.onProgress?.({ phase: 'commit', fraction: 1 });
    return manifest;
  } catch (error) {
    await draft.discard();
    throw error;
  }
}

/** Writes rows and commits them; rows of the same ids die in the same commit. */
export async function upsertRows(index: OpenIndex, rows: Rows, watch: Watch): Promise<Manifest> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await upsertOnce(index, rows, watch);
    } catch (error) {
      // Another writer took what was written for orphans, or changed the keys.
      if (!mustRewrite(error) || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

/** Deletes ids; returns how many existed. */
export async function deleteIds(
  index: OpenIndex, ids: readonly string[],
): Promise<{ count: number; manifest: Manifest }> {
  await index.store.refresh(0);
  const draft = index.store.draft();
  let count = 0;
  try {
    const manifest = await index.store.commit(draft, async (newest) => {
      const buried = await buryIds(index, newest, ids, draft);
      ({ count } = buried);
      return count === 0 ? undefined : { segments: buried.segments };
    });
    return { count, manifest };
  } catch (error) {
    await draft.discard();
    throw error;
  }
}
