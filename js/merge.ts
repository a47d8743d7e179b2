/**
 * Keeping the segments of an index few and free of dead rows.
 *
 * 1. Segments fall into tiers by live rows, eight times as many each; a tier of eight is merged
 *    into the next, so that n single-row upserts leave O(log n) segments and write each row
 *    O(log n) times.
 * 2. A segment of which more than half is dead is rewritten without the dead.
 * 3. One that a writer committed without knowing of a training meanwhile is put into lists.
 * 4. No merge makes more than MERGE_BYTES, so that its memory and its time are bounded.
 */
import { throwIfAborted } from './abort.js';
import { hex } from './bytes.js';
import { type Draft, mustRewrite } from './draft.js';
import { SealvecError } from './errors.js';
import { storedBytes } from './lookup.js';
import { type IndexConfig, type Manifest, sameClustering, type SegmentEntry } from './manifest.js';
import { chooseCompaction, chooseMerge, MERGE_BYTES } from './merge-choice.js';
import { MAX_ATTEMPTS } from './newest.js';
import { isGone, missing } from './object.js';
import type { OpenIndex } from './open-index.js';
import { assignBatch, packSegment } from './pack.js';
import { livingRows, type Piece, pieceBytes, readPieces } from './rewrite.js';
import type { Snapshot } from './snapshot.js';
import { findOrphans, sweepSlots } from './sweep.js';
import { deadRows } from './tombstones.js';
import type { AbortSignalLike, CompactResult, Progress } from '../types/api.js';

/** One segment as the whole of its living rows. */
export async function wholePiece(index: OpenIndex, entry: SegmentEntry): Promise<Piece> {
  const dead = entry.dead ? await deadRows(index.store, entry) : new Set<number>();
  return { entry, from: 0, to: entry.rows, rows: livingRows(entry.rows, dead) };
}

/** Cuts a piece so that no part takes more than `bytes` decrypted, or more than `rows` rows. */
export function cutPiece(
  piece: Piece, config: IndexConfig, bytes: number, rows = Infinity,
): Piece[] {
  const perRow = Math.max(1, pieceBytes(piece, config) / Math.max(piece.rows.length, 1));
  const most = Math.max(1, Math.min(rows, Math.floor(bytes / perRow)));
  const parts: Piece[] = [];
  for (let at = 0; at < piece.rows.length; at += most) {
    const part = piece.rows.subarray(at, at + most);
    parts.push({ entry: piece.entry, rows: part, from: part[0] ?? 0, to: (part.at(-1) ?? -1) + 1 });
  }
  return parts;
}

/** Packs pieces into groups of at most `bytes` (one piece at least). */
export function groupPieces(
  pieces: readonly Piece[], config: IndexConfig, bytes: number, rows = Infinity,
): Piece[][] {
  const groups: Piece[][] = [];
  let [held, count] = [Infinity, Infinity];
  for (const piece of pieces) {
    const size = pieceBytes(piece, config);
    if (held + size > bytes || count + piece.rows.length > rows) {
      groups.push([]);
      [held, count] = [0, 0];
    }
    groups.at(-1)?.push(piece);
    held += size;
    count += piece.rows.length;
  }
  return groups;
}

/** The segment that pieces become under the snapshot's clustering, written but not committed. */
async function rewrite(
  snapshot: Snapshot, pieces: readonly Piece[], draft: Draft,
): Promise<SegmentEntry> {
  const { context } = draft;
  const { config } = snapshot.manifest;
  const arena = context.core.arena();
  try {
    const batch = await readPieces(context, arena, pieces, config);
    const lists = snapshot.clustering && assignBatch(arena, snapshot.clustering, batch);
    const { entry, bytes } = packSegment(context, config, batch, snapshot.clustering, lists);
    await draft.write(entry.object, bytes);
    return entry;
  } finally {
    arena.free();
  }
}

/**
 * Replaces whole segments by rewritten ones that `draft` has written, unless another writer changed
 * one of them; whether it did.
 */
export async function replaceSegments(
  index: OpenIndex, base: Manifest, old: readonly SegmentEntry[], fresh: readonly SegmentEntry[],
  draft: Draft,
): Promise<boolean> {
  const gone = new Set(old.map((entry) => hex(entry.object.id)));
  try {
    await index.store.commit(draft, (newest) => {
      const now = new Map(newest.segments.map((entry) => [hex(entry.object.id), entry.dead]));
      // Dead rows only grow: the same count of the same object is the same set.
      const same = sameClustering(base, newest) &&
        old.every((entry) => now.get(hex(entry.object.id)) === entry.dead);
      if (!same) return undefined;
      const kept = newest.segments.filter((entry) => !gone.has(hex(entry.object.id)));
      return { segments: [...kept, ...fresh] };
    });
    return draft.fate === 'named';
  } finally {
    await draft.discard();
  }
}

/** Rewrites segments of a commit without their dead rows; false when another writer came first. */
async function rewriteAll(
  index: OpenIndex, base: Manifest, old: readonly SegmentEntry[], watch: Watch,
): Promise<boolean> {
  return index.withSnapshot(base, async (snapshot) => {
    const { config } = base;
    const draft = index.store.draft(base);
    const fresh: SegmentEntry[] = [];
    try {
      const pieces: Piece[] = [];
      for (const entry of old) {
        pieces.push(...cutPiece(await wholePiece(index, entry), config, MERGE_BYTES));
      }
      const groups = groupPieces(pieces, config, MERGE_BYTES);
      for (const [at, group] of groups.entries()) {
        throwIfAborted(watch.signal);
        fresh.push(await rewrite(snapshot, group, draft));
        watch.onProgress?.({ phase: 'rewrite', fraction: (at + 1) / (groups.length + 1) });
      }
    } catch (error) {
      await draft.discard();
      throw error;
    }
    return replaceSegments(index, base, old, fresh, draft);
  });
}

/**
 * Whether work on what a commit names came about: not when another writer removed what it reads,
 * took what it wrote for orphans, or changed the keys.
 */
export async function attempt(
  index: OpenIndex, base: Manifest, work: () => Promise<boolean>,
): Promise<boolean> {
  try {
    return await work();
  } catch (error) {
    if (mustRewrite(error)) return false;
    if (!isGone(error)) throw error;
    if ((await index.store.refresh()).generation === base.generation) throw missing(error);
    return false;
  }
}

/** As rewriteAll, but also false where `attempt` is. */
export async function tryRewrite(
  index: OpenIndex, base: Manifest, old: readonly SegmentEntry[], watch: Watch,
): Promise<boolean> {
  return attempt(index, base, () => rewriteAll(index, base, old, watch));
}

/** Merges until no tier is full, or another writer merges as well. */
export async function maintain(index: OpenIndex): Promise<void> {
  for (;;) {
    const { manifest } = index.store;
    const old = chooseMerge(manifest);
    if (old.length === 0 || !(await tryRewrite(index, manifest, old, {}))) return;
  }
}

interface Watch {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignalLike | undefined;
}

/** Rewrites what compaction improves, as often as another writer comes first. */
async function rewriteCompactly(index: OpenIndex, watch: Watch): Promise<void> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const base = await index.store.refresh(0);
    const old = chooseCompaction(base);
    if (old.length === 0 || (await tryRewrite(index, base, old, watch))) return;
  }
  throw new SealvecError('CONFLICT', `other writers came first ${MAX_ATTEMPTS} times`);
}

/** Frees the space of all that no commit names. */
export async function sweepAll(index: OpenIndex): Promise<void> {
  const { store } = index;
  // The snapshot of the newest commit replaces the one that keeps old objects in use.
  await index.read(async () => undefined, 0);
  await sweepSlots(store);
  const orphans = await findOrphans(store);
  const pending = (): boolean => store.manifest.condemned.length > 0;
  if (orphans.length > 0) await store.commit(store.draft(), () => ({ condemn: orphans }));
  // What this commit condemned goes with the next one.
  if (pending()) await store.commit(store.draft(), () => ({}));
  if (pending()) await store.commit(store.draft(), () => ({}));
}

/** Drops every dead row, merges small segments, and frees the space of all that no commit names. */
export async function compactIndex(index: OpenIndex, watch: Watch): Promise<CompactResult> {
  const { store } = index;
  await rewriteCompactly(index, watch);
  await sweepAll(index);
  watch.onProgress?.({ phase: 'commit', fraction: 1 });
  const { generation } = store.manifest;
  return { generation, storedBytes: storedBytes(store.manifest) };
}
