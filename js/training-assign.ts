/** New segments out of old ones: rows go to the workers in batches, and come back sealed. */
import type { Draft } from './draft.js';
import type { SegmentEntry } from './manifest.js';
import { isGone, missing } from './object.js';
import type { Runner } from './runner.js';
import type { IndexStore } from './store.js';
import type { Team } from './team.js';
import type { Budget } from './train-budget.js';
import { NO_ROW } from './training-queries.js';
import { cutBatches, livingPieces, stillNamed } from './training-rows.js';
import type { TrainResult } from '../types/api.js';
import type { SealedObject, Source, Span } from '../types/protocol.js';

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
  readonly error: number;
}

interface Rewrite extends Output {
  readonly bytes: Uint8Array;
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

/** Rewrites the living rows of spans; undefined when none is alive. */
async function rewriteSpans(
  { store }: Workshop, runner: Runner, spans: readonly Span[], queries: Uint32Array | undefined,
  onProgress: (fraction: number) => void,
): Promise<Rewrite | undefined> {
  const { pieces, numbers } = await livingPieces(store, spans);
  if (numbers.length === 0) return undefined;
  const places = queries && placesOf(queries, numbers);
  const { entry, bytes, order, counts, error } =
    await runner.run({ name: 'rewrite', pieces, places }, onProgress);
  return { entry, bytes, counts, error, numbers: order.map((row) => numbers[row] ?? 0) };
}

/** Rewrites one batch; what other commits removed meanwhile is left out of it. */
async function rewriteBatch(
  workshop: Workshop, runner: Runner, batch: readonly Span[], queries: Uint32Array | undefined,
  onProgress: (fraction: number) => void,
): Promise<Rewrite | undefined> {
  const { store } = workshop;
  let spans = batch;
  let { generation } = store.manifest;
  for (let attempt = 0; ; attempt++) {
    try {
      return await rewriteSpans(workshop, runner, spans, queries, onProgress);
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

/**
 * Rewrites the living rows of sources on all runners. `queries` are the numbers of the rows that
 * recall is measured on, of which these count as neighbours; without, recall is not measured.
 * `onProgress` hears which part of the rows is done.
 */
export async function rewriteSources(
  workshop: Workshop, sources: readonly Source[], limits: Budget, queries: Uint32Array | undefined,
  onProgress: (fraction: number) => void = () => undefined,
): Promise<Rewritten> {
  const { store, team, handover } = workshop;
  const { config } = store.manifest;
  const batches = cutBatches(sources, config, limits.batchBytes, limits.batchRows);
  const total = sources.reduce((sum, { entry }) => sum + entry.rows, 0);
  const done = new Array<number>(batches.length).fill(0);
  const outputs = new Array<Output | undefined>(batches.length).fill(undefined);
  const { rest } = await team.forEach(batches, async (runner, spans, at) => {
    const rows = spans.reduce((sum, { from, to }) => sum + to - from, 0);
    const tell = (fraction: number): void => {
      done[at] = rows * fraction;
      onProgress(done.reduce((sum, count) => sum + count, 0) / total);
    };
    const result = await rewriteBatch(workshop, runner, spans, queries, tell);
    tell(1);
    if (!result) return async () => undefined;
    const { entry, bytes, numbers, counts, error } = result;
    outputs[at] = { entry, numbers, counts, error };
    return handover.take({ ref: entry.object, bytes });
  });
  return { outputs: outputs.filter((output) => output !== undefined), written: rest };
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
