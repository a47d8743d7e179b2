/** New segments out of old ones: rows go to the workers in batches, and come back sealed. */
import { hex } from './bytes.js';
import { SealvecError } from './errors.js';
import { type Manifest, namedObjects, type SegmentEntry } from './manifest.js';
import type { ObjectRef } from './object.js';
import type { Runner } from './runner.js';
import type { IndexStore } from './store.js';
import type { Team } from './team.js';
import { createObject, discard } from './tombstones.js';
import type { Budget } from './train-budget.js';
import { cutBatches, isGone, stillNamed } from './training-rows.js';
import type { RewriteResult, SealedObject, Source, Span } from '../types/protocol.js';

/** One segment that training wrote. */
export interface Output {
  readonly entry: SegmentEntry;
  /** Number of the row that each of its rows was. */
  readonly numbers: Uint32Array;
  readonly counts: Uint32Array;
  readonly error: number;
}

/** Objects written for a commit that will name them. */
export class Written {
  readonly refs: ObjectRef[] = [];
  readonly #store: IndexStore;
  #held = 0;
  /** Most bytes that waited to be written at a time. */
  mostHeld = 0;

  constructor(store: IndexStore) {
    this.#store = store;
  }

  /** Takes an object over; calling the answer writes it. */
  take({ ref, bytes }: SealedObject): () => Promise<void> {
    this.#held += bytes.length;
    this.mostHeld = Math.max(this.mostHeld, this.#held);
    return async () => {
      this.refs.push(ref);
      await createObject(this.#store, ref, bytes);
      this.#held -= bytes.length;
    };
  }

  /** Removes all of them, or those that a commit does not name. */
  async discard(commit?: Manifest): Promise<void> {
    const named = new Set((commit ? namedObjects(commit) : []).map(({ id }) => hex(id)));
    const dropped = this.refs.filter(({ id }) => !named.has(hex(id)));
    if (dropped.length > 0) await discard(this.#store, dropped).catch(() => undefined);
  }
}

/** Who rewrites, and where the objects go. */
export interface Workshop {
  readonly store: IndexStore;
  readonly team: Team;
  readonly written: Written;
}

/** Rewrites one batch; what another process removed is left out of it. */
async function rewriteBatch(
  { store }: Workshop, runner: Runner, batch: readonly Span[], measure: boolean,
  onProgress: (fraction: number) => void,
): Promise<RewriteResult | undefined> {
  let spans = batch;
  for (;;) {
    try {
      return await runner.run({ name: 'rewrite', spans, measure }, onProgress);
    } catch (error) {
      if (!isGone(error)) throw error;
      const left = stillNamed(spans, (await store.refresh()).segments);
      if (left.length === spans.length) throw missing(error);
      if (left.length === 0) return undefined;
      spans = left;
    }
  }
}

/** An object that the last commit names, and that is not there. */
export function missing(cause: unknown): SealvecError {
  const message = `the last commit names what is missing: ${(cause as Error).message}`;
  return new SealvecError('CORRUPTED', message, { cause });
}

/**
 * Rewrites the living rows of sources on all runners. `measure` lets them count as neighbours of
 * the queries that recall is measured on; `onRows` hears how many rows are done.
 */
export async function rewriteSources(
  workshop: Workshop, sources: readonly Source[], limits: Budget, measure: boolean,
  onRows: (rows: number) => void,
): Promise<Output[]> {
  const { store, team, written } = workshop;
  const { config } = store.manifest;
  const batches = cutBatches(sources, config, limits.batchBytes, limits.batchRows);
  const done = new Array<number>(batches.length).fill(0);
  const outputs = new Array<Output | undefined>(batches.length).fill(undefined);
  await team.forEach(batches, async (runner, spans, at) => {
    const rows = spans.reduce((sum, { from, to }) => sum + to - from, 0);
    const tell = (fraction: number): void => {
      done[at] = rows * fraction;
      onRows(done.reduce((sum, count) => sum + count, 0));
    };
    const result = await rewriteBatch(workshop, runner, spans, measure, tell);
    tell(1);
    if (!result) return async () => undefined;
    const { entry, bytes, numbers, counts, error } = result;
    outputs[at] = { entry, numbers, counts, error };
    return written.take({ ref: entry.object, bytes });
  });
  return outputs.filter((output) => output !== undefined);
}
