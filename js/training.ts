/**
 * Training as the caller sees it: sample, cluster, assign, calibrate, commit.
 *
 * The index stays in use meanwhile. What arrives during training stands in segments that the
 * commit marks as being in no list; they are searched whole, and rewritten into lists right after.
 * Rows that die during training die again in the new segments, by the order in which their task
 * put them there.
 */
import { orAbort } from './abort.js';
import { hex } from './bytes.js';
import { type RecallCurve, sealCentroids } from './clustering.js';
import { SealvecError } from './errors.js';
import { liveRows, type Manifest, type SegmentEntry } from './manifest.js';
import { cutPiece, groupPieces, replaceSegments, wholePiece } from './merge.js';
import type { ObjectRef } from './object.js';
import type { OpenIndex } from './open-index.js';
import { type Runner, InlineRunner, WorkerRunner } from './runner.js';
import type { Piece } from './rewrite.js';
import type { ClientSettings } from './settings.js';
import { deadRows } from './snapshot.js';
import { createObject, discard, buryRows } from './tombstones.js';
import { budget, type Budget, type TrainPlan } from './train-plan.js';
import type { Progress, TrainResult } from '../types/api.js';
import type { PrepareTask, RewriteResult } from '../types/protocol.js';

export { chooseLists, readTrainPlan } from './train-plan.js';

type Phase = keyof TrainResult['phases'];
/** Where each phase begins on the scale of progress. */
const PHASES: Record<Phase, [number, number]> = {
  sample: [0, 0.1], cluster: [0.1, 0.5], assign: [0.5, 0.94], calibrate: [0.94, 0.97], commit: [0.97, 1],
};
const STOP_REASONS = ['max_iters', 'converged', 'max_iters', 'stalled'] as const;

/** One segment that training wrote, and where its rows came from. */
interface Output {
  readonly entry: SegmentEntry;
  readonly pieces: readonly Piece[];
  readonly order: Uint32Array;
}

interface Assigned {
  readonly outputs: Output[];
  readonly counts: Uint32Array;
  readonly error: number;
}

export class Training {
  readonly #index: OpenIndex;
  readonly #settings: ClientSettings;
  readonly #plan: TrainPlan;
  readonly #write: <T>(work: () => Promise<T>) => Promise<T>;
  readonly #created: ObjectRef[] = [];
  readonly #phases: Record<Phase, number> = { sample: 0, cluster: 0, assign: 0, calibrate: 0, commit: 0 };
  #runners: Runner[] = [];
  #stopped: { reason: unknown } | undefined;
  #fraction = 0;

  constructor(index: OpenIndex, settings: ClientSettings, plan: TrainPlan, write: <T>(work: () => Promise<T>) => Promise<T>) {
    this.#index = index;
    this.#settings = settings;
    this.#plan = plan;
    this.#write = write;
  }

  /** Ends training at once; `run` rejects with the reason. */
  stop(reason: unknown): void {
    this.#stopped ??= { reason };
    for (const runner of this.#runners) runner.close(reason);
  }

  async run(): Promise<TrainResult> {
    const { signal } = this.#plan;
    try {
      return await orAbort(signal, this.#run(), () => this.stop(signal?.reason));
    } finally {
      for (const runner of this.#runners) runner.close(new SealvecError('CLOSED', 'training has ended'));
    }
  }

  async #run(): Promise<TrainResult> {
    const started = performance.now();
    const { store } = this.#index;
    // Merging that was under way ends first; none begins while training runs.
    await this.#write(async () => undefined);
    const base = await store.refresh(0);
    const limits = budget(this.#plan, this.#settings, base.config, liveRows(base));
    const release = store.pin(base);
    let committed = false;
    try {
      const pieces = await Promise.all(base.segments.map((entry) => wholePiece(this.#index, entry)));
      await this.#startRunners(limits, base);
      const sample = await this.#timed('sample', () => this.#sample(pieces, limits));
      const clusters = await this.#timed('cluster', () => this.#cluster(limits));
      await this.#prepare({ name: 'prepare', centroids: clusters.centroids, ...sample });
      const assigned = await this.#timed('assign', () => this.#assign(pieces, limits));
      const curve = await this.#timed('calibrate', () => this.#calibrate());
      const manifest = await this.#timed('commit', async () => {
        const { ref, bytes } = sealCentroids(store, clusters.centroids, sample.maxNorm, curve);
        await this.#keep(ref, bytes);
        const done = await this.#write(() => this.#commit(base, ref, limits.nLists, assigned.outputs));
        committed = true;
        await this.#catchUp(limits);
        return done;
      });
      this.#report('commit', 1);
      return this.#result(limits, clusters, assigned, manifest, started);
    } catch (error) {
      if (!committed) await discard(store, this.#created).catch(() => undefined);
      throw this.#stopped ? this.#stopped.reason : error;
    } finally {
      release();
    }
  }

  #result(
    limits: Budget, clusters: { iterations: number; stop: number }, assigned: Assigned,
    manifest: Manifest, started: number,
  ): TrainResult {
    const rows = assigned.counts.reduce((sum, count) => sum + count, 0);
    const { maxIters, tolerance, seed, maxMemory } = this.#plan;
    return {
      nLists: limits.nLists, iterations: clusters.iterations, stopReason: STOP_REASONS[clusters.stop] ?? 'max_iters',
      trainedOn: limits.sampleRows, assigned: rows, quantizationError: assigned.error / rows,
      imbalance: assigned.counts.reduce((most, count) => Math.max(most, count), 0) * limits.nLists / rows,
      batchSize: limits.batchRows, maxIters, tolerance, maxMemory, workers: this.#runners.length, seed,
      generation: manifest.generation, seconds: (performance.now() - started) / 1000, phases: this.#phases,
      peakBytes: this.#runners.reduce((sum, runner) => sum + runner.memory, 0),
    };
  }

  /** Progress never falls, and a callback that throws ends the training like any error. */
  #report(phase: Phase, fraction: number): void {
    const [from, to] = PHASES[phase];
    this.#fraction = Math.max(this.#fraction, from + (to - from) * Math.min(fraction, 1));
    const progress: Progress = { phase, fraction: this.#fraction };
    try {
      this.#plan.onProgress?.(progress);
    } catch (error) {
      this.stop(error);
    }
  }

  async #timed<T>(phase: Phase, work: () => Promise<T>): Promise<T> {
    if (this.#stopped) throw this.#stopped.reason;
    const started = performance.now();
    this.#report(phase, 0);
    const result = await work();
    this.#phases[phase] = (performance.now() - started) / 1000;
    return result;
  }

  async #startRunners(limits: Budget, base: Manifest): Promise<void> {
    const { store } = this.#index;
    const module = await this.#settings.module();
    const first = this.#settings.startWorker();
    if (!first) {
      this.#runners = [await InlineRunner.start(module, store, base.config)];
      return;
    }
    const endpoints = [first];
    while (endpoints.length < limits.workers) endpoints.push(this.#settings.startWorker() ?? first);
    this.#runners = await Promise.all(endpoints.map((endpoint) => WorkerRunner.start(endpoint, module, store, base.config)));
    if (this.#stopped) this.stop(this.#stopped.reason);
  }

  get #first(): Runner {
    const [runner] = this.#runners;
    if (!runner) throw new SealvecError('CLOSED', 'training has no worker');
    return runner;
  }

  async #sample(pieces: readonly Piece[], limits: Budget): Promise<Omit<PrepareTask, 'name' | 'centroids'>> {
    const { picks, places } = this.#pick(limits);
    let rank = 0;
    let at = 0;
    const picked: Piece[] = [];
    for (const piece of pieces) {
      const end = rank + piece.rows.length;
      const from = at;
      while (at < picks.length && (picks[at] ?? 0) < end) at++;
      const rows = picks.subarray(from, at).map((pick) => piece.rows[pick - rank] ?? 0);
      if (rows.length > 0) picked.push({ ...piece, rows });
      rank = end;
    }
    const { maxNorm, queries } = await this.#first.run(
      { name: 'sample', pieces: picked, rows: picks.length, queries: places },
      (fraction) => this.#report('sample', fraction),
    );
    return { maxNorm, queries, ranks: places.map((place) => picks[place] ?? 0) };
  }

  /** Ranks of the rows to cluster, and places among them of the rows that measure recall. */
  #pick(limits: Budget): { picks: Uint32Array; places: Uint32Array } {
    const { core } = this.#index;
    const seed = BigInt(this.#plan.seed);
    const draw = (n: number, m: number, salt: bigint): Uint32Array => core.withScratch((s) => {
      const out = s.take(m * 4);
      core.check(core.exports.sv_sample(n, m, seed + salt, out), 'seed');
      return core.words(out, m);
    });
    return {
      picks: draw(limits.liveRows, limits.sampleRows, 0n),
      places: draw(limits.sampleRows, limits.queries, 1n << 32n),
    };
  }

  async #cluster(limits: Budget): Promise<{ centroids: Float32Array; iterations: number; stop: number }> {
    const { maxIters, tolerance, stall, seed } = this.#plan;
    return this.#first.run(
      { name: 'cluster', nLists: limits.nLists, maxIters, tolerance, stall, seed },
      (fraction) => this.#report('cluster', fraction),
    );
  }

  async #prepare(task: PrepareTask): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.run(task)));
  }

  /** Writes an object that the commit will name. */
  async #keep(ref: ObjectRef, bytes: Uint8Array): Promise<void> {
    if (this.#stopped) throw this.#stopped.reason;
    this.#created.push(ref);
    await createObject(this.#index.store, ref, bytes);
  }

  /** Rewrites groups of pieces on all runners, each taking the next group as it finishes one. */
  async #rewriteAll(groups: readonly { pieces: Piece[]; rank: number | undefined }[], done: (result: RewriteResult, pieces: Piece[]) => void, onRows: (rows: number) => void): Promise<void> {
    let next = 0;
    const writes: Promise<void>[] = [];
    await Promise.all(this.#runners.map(async (runner) => {
      for (let group = groups[next++]; group; group = groups[next++]) {
        const { pieces, rank } = group;
        const result = await runner.run({ name: 'rewrite', pieces, firstRank: rank });
        writes.push(this.#keep(result.entry.object, result.bytes));
        done(result, pieces);
        onRows(result.entry.rows);
      }
    })).finally(() => Promise.allSettled(writes));
    await Promise.all(writes);
  }

  async #assign(pieces: readonly Piece[], limits: Budget): Promise<Assigned> {
    const { config } = this.#index.store.manifest;
    const parts = pieces.flatMap((piece) => cutPiece(piece, config, limits.batchBytes, limits.batchRows));
    let rank = 0;
    const groups = groupPieces(parts, config, limits.batchBytes, limits.batchRows).map((group) => {
      const first = rank;
      rank += group.reduce((sum, piece) => sum + piece.rows.length, 0);
      return { pieces: group, rank: first };
    });
    const counts = new Uint32Array(limits.nLists);
    const outputs: Output[] = [];
    let [error, rows] = [0, 0];
    await this.#rewriteAll(groups, (result, from) => {
      outputs.push({ entry: result.entry, pieces: from, order: result.order });
      result.counts.forEach((count, list) => { counts[list] = (counts[list] ?? 0) + count; });
      error += result.error;
    }, (count) => this.#report('assign', (rows += count) / limits.liveRows));
    return { outputs, counts, error };
  }

  async #calibrate(): Promise<RecallCurve> {
    const neighbors = await Promise.all(this.#runners.map((runner) => runner.run({ name: 'neighbors' })));
    return this.#first.run({ name: 'calibrate', neighbors });
  }

  async #commit(base: Manifest, centroids: ObjectRef, nLists: number, outputs: readonly Output[]): Promise<Manifest> {
    const { store } = this.#index;
    const tombstones: ObjectRef[] = [];
    if (this.#stopped) throw this.#stopped.reason;
    const manifest = await store.commit(this.#created, async (newest) => {
      await discard(store, tombstones.splice(0));
      const died = await this.#diedMeanwhile(base, newest);
      const fresh: SegmentEntry[] = [];
      for (const { entry, pieces, order } of outputs) {
        const left = await buryRows(store, entry, deadNow(pieces, order, died), tombstones);
        if (left) fresh.push(left);
      }
      const others = newest.segments.filter((entry) => !died.has(hex(entry.object.id)))
        .map((entry) => ({ ...entry, listed: false }));
      return { clustering: { object: centroids, nLists }, segments: [...fresh, ...others] };
    });
    return manifest;
  }

  /**
   * Per source segment, its rows that died since training began; all of them where another writer
   * rewrote the segment, whose rows then live elsewhere.
   */
  async #diedMeanwhile(base: Manifest, newest: Manifest): Promise<Map<string, Set<number> | 'all'>> {
    const now = new Map(newest.segments.map((entry) => [hex(entry.object.id), entry]));
    const died = new Map<string, Set<number> | 'all'>();
    for (const entry of base.segments) {
      const name = hex(entry.object.id);
      const current = now.get(name);
      if (!current) died.set(name, 'all');
      else if (current.dead === entry.dead) died.set(name, new Set());
      else died.set(name, await deadRows(this.#index.store, current));
    }
    return died;
  }

  /** Puts into lists what arrived during training. */
  async #catchUp(limits: Budget): Promise<void> {
    const { store } = this.#index;
    const base = store.manifest;
    const late = base.segments.filter((entry) => !entry.listed);
    if (late.length === 0) return;
    const pieces = await Promise.all(late.map((entry) => wholePiece(this.#index, entry)));
    const parts = pieces.flatMap((piece) => cutPiece(piece, base.config, limits.batchBytes, limits.batchRows));
    const groups = groupPieces(parts, base.config, limits.batchBytes, limits.batchRows)
      .map((group) => ({ pieces: group, rank: undefined }));
    const fresh: SegmentEntry[] = [];
    await this.#rewriteAll(groups, ({ entry }) => fresh.push(entry), () => undefined);
    await this.#write(() => replaceSegments(this.#index, base, late, fresh));
  }
}

/** Rows of an output that are dead by now. */
function deadNow(pieces: readonly Piece[], order: Uint32Array, died: ReadonlyMap<string, Set<number> | 'all'>): number[] {
  const dead = new Set<number>();
  let first = 0;
  for (const { entry, rows } of pieces) {
    const gone = died.get(hex(entry.object.id));
    if (gone === 'all') rows.forEach((_, i) => dead.add(first + i));
    else if (gone && gone.size > 0) rows.forEach((row, i) => { if (gone.has(row)) dead.add(first + i); });
    first += rows.length;
  }
  if (dead.size === 0) return [];
  return [...order.keys()].filter((row) => dead.has(order[row] ?? 0));
}
