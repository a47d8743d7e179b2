/**
 * Dead rows: a few in the manifest, more in a sealed bitmap beside the segment. Its one section has
 * a bit for each row, of row r bit r % 8 (from the lowest) of byte r / 8: 1 is dead.
 */
import type { Draft } from './draft.js';
import { SealvecError } from './errors.js';
import { withHead } from './head.js';
import type { SegmentEntry } from './manifest.js';
import { type ObjectContext, ObjectReader, type ObjectRef, readBytes } from './object.js';
import { WHOLE_CHUNK } from './object-layout.js';
import { sealObject } from './seal-object.js';

/** Dead rows of one segment that the manifest itself may hold. */
const MAX_INLINE = 256;

function* setBits(bitmap: Uint8Array, count: number): Iterable<number> {
  for (let i = 0; i < count; i++) if (((bitmap[i >> 3] ?? 0) >> (i & 7)) & 1) yield i;
}

/** Dead rows of a segment, from its bitmap and the manifest. */
export async function deadRows(context: ObjectContext, entry: SegmentEntry): Promise<Set<number>> {
  const dead = new Set<number>(entry.deadRows);
  const { tombstones } = entry;
  if (tombstones) {
    const bitmap = await withHead(context, tombstones, 1, (near) =>
      readBytes(new ObjectReader(near, tombstones), 0, 0, tombstones.lengths[0] ?? 0));
    for (const row of setBits(bitmap, entry.rows)) dead.add(row);
  }
  if (dead.size !== entry.dead) {
    const message = `a segment has ${dead.size} dead rows, expected ${entry.dead}`;
    throw new SealvecError('CORRUPTED', message);
  }
  return dead;
}

async function writeBitmap(
  draft: Draft, entry: SegmentEntry, dead: Iterable<number>,
): Promise<ObjectRef> {
  const bitmap = new Uint8Array(Math.ceil(entry.rows / 8));
  for (const row of dead) bitmap[row >> 3] = (bitmap[row >> 3] ?? 0) | (1 << (row & 7));
  const { ref, bytes } = draft.context.core.withScratch((s) => sealObject(
    draft.context, 'tombstones', 
    [{ pointer: s.put(bitmap), length: bitmap.length, chunkBytes: WHOLE_CHUNK }],
  ));
  await draft.writePassing(ref, bytes);
  return ref;
}

/**
 * A segment with more dead rows; undefined when none is left alive. Rows must be alive before, and
 * none given twice.
 */
export async function buryRows(
  draft: Draft, entry: SegmentEntry, rows: readonly number[],
): Promise<SegmentEntry | undefined> {
  if (rows.length === 0) return entry;
  const dead = entry.dead + rows.length;
  if (dead === entry.rows) return undefined;
  if (entry.deadRows.length + rows.length <= MAX_INLINE) {
    return { ...entry, dead, deadRows: Uint32Array.from([...entry.deadRows, ...rows]) };
  }
  const all = await deadRows(draft.context, entry);
  for (const row of rows) all.add(row);
  const tombstones = await writeBitmap(draft, entry, all);
  return { ...entry, dead, tombstones, deadRows: new Uint32Array() };
}
