/** New segments out of old ones: rows go to the workers in batches, and come back sealed. */
import type { Draft } from './draft.js';
import type { SegmentEntry } from './manifest.js';
import { isGone, missing } from './object.js';
import type { Runner } from './runner.js';
import type { IndexStore } from './store.js';
import type { Follow, Team } from './team.js';
import type { Budget } from './train-budget.js';
import { nameRows } from './training-draw.js';
import { NO_ROW } from './training-queries.js';
import { cutBatches, livingPieces, stillNamed } from './training-rows.js';
import type { TrainResult } from '../types/api.js';
import type { AssignResult, SealedObject, Source, Span } from '../types/protocol.js';

/** Segments that are sealed, and may still be being written. */
export interface Rewritten {
  readonly outputs: Output[];
  readonly written: Promise<void>;
}

/** One segment that training wrote. */
export interface Output {
  readonly entry: SegmentEntry;
  /** Number of the row that each of its rows was. */
  readonly numbers: Uint32Array;
  readonly counts: Uint32Array;
  /** Its share of the sum of squared errors, by its rows among those assigned with them. */
  readonly error: number;
}

/** The objects of a commit, of which workers hand over more while some are being written. */
export class Handover {
  draft: Draft;
  #held = 0;
  /** Most bytes that were handed over and not yet written. */
  mostHeld = 0;

  constructor(draft: Draft) {
    this.draft = draft;
  }

  /** Begins again: what was written so far goes. */
  async renew(draft: Draft): Promise<void> {
    await this.draft.discard();
    this.draft = draft;
  }

  /** Takes an object over; calling the answer writes it. */
  take({ ref, bytes }: SealedObject): () => Promise<void> {
    this.#held += bytes.length;
    this.mostHeld = Math.max(this.mostHeld, this.#held);
    return async () => {
      await this.draft.write(ref, bytes);
      this.#held -= bytes.length;
    };
  }
}

/** What is measured while rows are assigned. */
export interface Measuring {
  /** Numbers of the rows that recall is measured on, of which these count as neighbours. */
  readonly queries?: Uint32Array;
  /** The rows that runners keep, by their names. */
  readonly kept?: ReadonlyMap<Runner, string>;
}

/** Who rewrites, and where the objects go. */
export interface Workshop {
  readonly store: IndexStore;
  readonly team: Team;
  readonly handover: Handover;
}

/** Which of the rows with these numbers each query is; both ascending. */
function placesOf(queries: Uint32Array, numbers: Uint32Array): Uint32Array {
  let at = 0;
  return queries.map((query) => {
    while (at < numbers.length && (numbers[at] ?? 0) < query) at++;
    return numbers[at] === query ? at : NO_ROW;
  });
}

/** Rows that a runner has put in the order of their lists, and their numbers. */
interface Assigned extends AssignResult {
  readonly numbers: Uint32Array;
}

/** Assigns the living rows of spans; undefined when none is alive. */
async function assignSpans(
  { store }: Workshop, runner: Runner, spans: readonly Span[], { queries, kept }: Measuring,
  onProgress: (fraction: number) => void,
): Promise<Assigned | undefined> {
  const { pieces, numbers } = await livingPieces(store, spans);
  if (numbers.length === 0) return undefined;
  const places = queries && placesOf(queries, numbers);
  const isKept = kept?.get(runner) === nameRows(pieces);
  const task = { name: 'assign', pieces, places, kept: isKept } as const;
  return { ...await runner.run(task, onProgress), numbers };
}

/** Assigns one batch; what other commits removed meanwhile is left out of it. */
async function assignBatch(
  workshop: Workshop, runner: Runner, batch: readonly Span[], measuring: Measuring,
  onProgress: (fraction: number) => void,
): Promise<Assigned | undefined> {
  const { store } = workshop;
  let spans = batch;
  let { generation } = store.manifest;
  for (let attempt = 0; ; attempt++) {
    try {
      return await assignSpans(workshop, runner, spans, measuring, onProgress);
    } catch (error) {
      if (!isGone(error)) throw error;
      const newest = await store.refresh();
      const left = stillNamed(spans, newest.segments);
      const same = left.length === spans.length && newest.generation === generation;
      if (attempt > 0 && same) throw missing(error);
      if (left.length === 0) return undefined;
      spans = left;
      ({ generation } = newest);
    }
  }
}

/** Ranges of lists that have about equally many rows each, and no more than about `most`. */
export function cutLists(counts: Uint32Array, most: number): { from: number; to: number }[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const parts = Math.max(1, Math.ceil(total / most));
  const ranges: { from: number; to: number }[] = [];
  let [from, rows] = [0, 0];
  counts.forEach((count, list) => {
    rows += count;
    if (count === 0 || rows < total * (ranges.length + 1) / parts) return;
    ranges.push({ from, to: rows === total ? counts.length : list + 1 });
    from = list + 1;
  });
  return ranges;
}

/** Has what a runner has assigned packed, and written while the next of it is being packed. */
async function packBatch(
  { handover }: Workshop, runner: Runner, { counts, error, numbers }: Assigned, most: number,
  take: (output: Output) => void,
): Promise<Follow> {
  let writing = Promise.resolve();
  try {
    for (const { from, to } of cutLists(counts, most)) {
      const { entry, bytes, order } = await runner.run({ name: 'pack', from, to });
      const rows = order.map((row) => numbers[row] ?? 0);
      const share = error * rows.length / numbers.length;
      const own = counts.map((count, list) => (list >= from && list < to ? count : 0));
      take({ entry, numbers: rows, counts: own, error: share });
      await writing;
      writing = handover.take({ ref: entry.object, bytes })();
      writing.catch(() => undefined);
    }
  } catch (failure) {
    await writing.catch(() => undefined);
    throw failure;
  }
  return () => writing;
}

/**
 * Rewrites the living rows of sources on all runners. Without queries recall is not measured.
 * `onProgress` hears which part of the rows is done.
 */
export async function rewriteSources(
  workshop: Workshop, sources: readonly Source[], limits: Budget, measuring: Measuring,
  onProgress: (fraction: number) => void = () => undefined,
): Promise<Rewritten> {
  const { store, team } = workshop;
  const { config } = store.manifest;
  const batches = cutBatches(sources, config, limits.batchBytes, limits.batchRows);
  const total = sources.reduce((sum, { entry }) => sum + entry.rows, 0);
  const done = new Array<number>(batches.length).fill(0);
  const outputs: Output[][] = batches.map(() => []);
  const { rest } = await team.forEach(batches, async (runner, spans, at) => {
    const rows = spans.reduce((sum, { from, to }) => sum + to - from, 0);
    const tell = (fraction: number): void => {
      done[at] = rows * fraction;
      onProgress(done.reduce((sum, count) => sum + count, 0) / total);
    };
    const assigned = await assignBatch(workshop, runner, spans, measuring, tell);
    tell(1);
    if (!assigned) return async () => undefined;
    const own: Output[] = outputs[at] = [];
    return packBatch(workshop, runner, assigned, limits.segmentRows, (one) => own.push(one));
  });
  return { outputs: outputs.flat(), written: rest };
}

/**
 * What became of the rows, all batches together and in their order; `gained` is what moving the
 * centroids took off the sum of squared errors.
 */
export function summarize(
  outputs: readonly Output[], gained: number, nLists: number,
): Pick<TrainResult, 'assigned' | 'quantizationError' | 'imbalance'> {
  const total = new Uint32Array(nLists);
  for (const { counts } of outputs) {
    counts.forEach((count, list) => { total[list] = (total[list] ?? 0) + count; });
  }
  const assigned = total.reduce((sum, count) => sum + count, 0);
  const largest = total.reduce((most, count) => Math.max(most, count), 0);
  const error = Math.max(0, outputs.reduce((sum, output) => sum + output.error, -gained));
  const quantizationError = assigned > 0 ? error / assigned : 0;
  return { assigned, quantizationError, imbalance: largest * nLists / Math.max(assigned, 1) };
}
