/** Dead rows: a few in the manifest, more in a sealed bitmap beside the segment. */
import type { SegmentEntry } from './manifest.js';
import { type ObjectContext, objectKey, type ObjectRef, sealObject } from './object.js';
import { deadRows } from './snapshot.js';
import { SealvecError } from './errors.js';

/** Dead rows of one segment that the manifest itself may hold. */
const MAX_INLINE = 256;

/** Writes an object durably; a random id that exists would mean a broken generator. */
export async function createObject(context: ObjectContext, ref: ObjectRef, bytes: Uint8Array): Promise<void> {
  if (!(await context.storage.create(objectKey(context.indexId, ref.id), bytes))) {
    throw new SealvecError('STORAGE', 'a random object id was used before');
  }
}

async function writeBitmap(context: ObjectContext, entry: SegmentEntry, dead: Iterable<number>): Promise<ObjectRef> {
  const bitmap = new Uint8Array(Math.ceil(entry.rows / 8));
  for (const row of dead) bitmap[row >> 3] = (bitmap[row >> 3] ?? 0) | (1 << (row & 7));
  const { ref, bytes } = context.core.withScratch((s) => sealObject(context, 'tombstones', [
    { pointer: s.put(bitmap), length: bitmap.length },
  ]));
  await createObject(context, ref, bytes);
  return ref;
}

/**
 * A segment with more dead rows; undefined when none is left alive. Rows must be alive before.
 * Objects written on the way are added to `created`.
 */
export async function buryRows(
  context: ObjectContext, entry: SegmentEntry, rows: readonly number[], created: ObjectRef[],
): Promise<SegmentEntry | undefined> {
  if (rows.length === 0) return entry;
  const dead = entry.dead + rows.length;
  if (dead === entry.rows) return undefined;
  if (entry.deadRows.length + rows.length <= MAX_INLINE) {
    return { ...entry, dead, deadRows: Uint32Array.from([...entry.deadRows, ...rows]) };
  }
  const all = await deadRows(context, entry);
  for (const row of rows) all.add(row);
  const tombstones = await writeBitmap(context, entry, all);
  created.push(tombstones);
  return { ...entry, dead, tombstones, deadRows: new Uint32Array() };
}

/** Removes objects that were written for a commit that did not come about. */
export async function discard(context: ObjectContext, refs: readonly ObjectRef[]): Promise<void> {
  await context.storage.delete(refs.map((ref) => objectKey(context.indexId, ref.id)));
}
