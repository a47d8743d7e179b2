/** The commit of a training, and what still has to be put into lists after it. */
import { Pace } from './breathe.js';
import { hex } from './bytes.js';
import type { Manifest, SegmentEntry } from './manifest.js';
import { replaceSegments } from './merge.js';
import type { ObjectRef } from './object.js';
import type { OpenIndex } from './open-index.js';
import { buryRows } from './tombstones.js';
import type { Budget } from './train-budget.js';
import { Handover, type Output, rewriteSources, type Workshop } from './training-assign.js';
import { goneFrom, goneRows, numberRows } from './training-rows.js';
import type { Source } from '../types/protocol.js';

export type Write = <T>(work: () => Promise<T>) => Promise<T>;

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

/** Puts into lists what arrived while training was being committed. */
export async function catchUp(
  index: OpenIndex, { store, team }: Workshop, limits: Budget, write: Write,
): Promise<void> {
  const base = store.manifest;
  const late = base.segments.filter((entry) => !entry.listed);
  if (late.length === 0) return;
  const release = store.pin(base);
  const draft = store.draft(base);
  try {
    const workshop = { store, team, handover: new Handover(draft) };
    const sources = numberRows(late);
    const outputs = await rewriteSources(workshop, sources, limits, false, () => undefined);
    const fresh = outputs.map(({ entry }) => entry);
    await write(() => replaceSegments(index, base, late, fresh, draft));
  } finally {
    await draft.discard();
    release();
  }
}
