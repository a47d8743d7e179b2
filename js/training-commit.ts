/** The commit of a training. */
import { Pace } from './breathe.js';
import { hex } from './bytes.js';
import type { Manifest, SegmentEntry } from './manifest.js';
import type { ObjectRef } from './object.js';
import { buryRows } from './tombstones.js';
import type { Output, Workshop } from './training-assign.js';
import { goneFrom, goneRows } from './training-rows.js';
import type { Source } from '../types/protocol.js';

/** What a commit of training puts in place of what. */
export interface Replacement {
  readonly sources: readonly Source[];
  readonly outputs: readonly Output[];
  readonly centroids: ObjectRef;
  readonly nLists: number;
}

/**
 * The segments after the replacement: the new ones without the rows that are gone by now, and in
 * no list what arrived meanwhile.
 */
async function replaced(
  { store, handover }: Workshop, { sources, outputs }: Replacement, newest: Manifest,
): Promise<SegmentEntry[]> {
  const gone = await goneRows(store, sources, newest.segments);
  const pace = new Pace();
  const segments: SegmentEntry[] = [];
  for (const { entry, numbers } of outputs) {
    const dead = await goneFrom(numbers, gone, pace);
    const left = await buryRows(handover.draft, entry, dead);
    if (left) segments.push(left);
  }
  const known = new Set(sources.map(({ entry }) => hex(entry.object.id)));
  const others = newest.segments.filter(({ object }) => !known.has(hex(object.id)));
  return [...segments, ...others.map((entry) => ({ ...entry, listed: false }))];
}

/**
 * Commits a training. `decide` is called with false at each attempt, which it may refuse by
 * throwing, and with true once nothing but the write of the manifest is left.
 */
export async function commitTraining(
  workshop: Workshop, replacement: Replacement, decide: (decided: boolean) => void,
): Promise<Manifest> {
  const { centroids: object, nLists } = replacement;
  return workshop.store.commit(workshop.handover.draft, async (newest) => {
    decide(false);
    const segments = await replaced(workshop, replacement, newest);
    decide(true);
    return { clustering: { object, nLists }, segments };
  });
}
