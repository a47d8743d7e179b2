/**
 * Training as the caller sees it: sample, cluster, assign, calibrate, commit.
 *
 * 1. The index stays in use. What is written meanwhile is assigned too, in rounds before the
 *    commit; the little that arrives after the last one is searched whole until it is merged.
 * 2. Rows that die meanwhile die again in the new segments, which remember what number each of
 *    their rows had. A segment that another process rewrites meanwhile is dropped with all its
 *    rows, and taken up again from what it became.
 * 3. Until its manifest is being written, whatever ends training ends it without a trace: its
 *    workers stop, and the objects they made are removed. From then on it cannot be stopped.
 */
import { orAbort } from './abort.js';
import { allOf } from './all.js';
import { breathe } from './breathe.js';
import { hex } from './bytes.js';
import { OrphanedError } from './draft.js';
import { SealvecError } from './errors.js';
import { grainOf } from './list-means.js';
import type { Manifest } from './manifest.js';
import { isGone, missing } from './object.js';
import type { OpenIndex } from './open-index.js';
import type { ClientSettings } from './settings.js';
import { Team } from './team.js';
import { budget, type Budget, readLists } from './train-budget.js';
import type { TrainPlan } from './train-plan.js';
import {
  Handover, type Output, rewriteSources, type Rewritten, summarize, type Workshop,
} from './training-assign.js';
import { calibrate } from './training-calibrate.js';
import { clusterSample } from './training-cluster.js';
import { commitTraining } from './training-commit.js';
import { drawSample, type Measured } from './training-draw.js';
import { numberRows, stillNamed } from './training-rows.js';
import { warmStart } from './training-warm.js';
import type { TrainResult } from '../types/api.js';
import type { ClusterResult, SealedObject, Source } from '../types/protocol.js';

type Write = <T>(work: () => Promise<T>) => Promise<T>;
type Used = Pick<
  TrainResult,
  'nLists' | 'trainedOn' | 'batchSize' | 'maxIters' | 'tolerance' | 'maxMemory' | 'seed'
>;
type Phase = keyof TrainResult['phases'];
/** Where each phase begins and ends on the scale of progress. */
const PHASES: Record<Phase, [number, number]> = {
  sample: [0, 0.1], cluster: [0.1, 0.5], assign: [0.5, 0.94], calibrate: [0.94, 0.97],
  commit: [0.97, 1],
};
const STOP_REASONS = ['max_iters', 'converged', 'max_iters', 'stalled'] as const;
/** How long (ms) an aborted training may clean up before the call rejects. */
const CLEANING = 50;
/** How often training begins again because another process removed what it was reading. */
const MAX_STARTS = 20;
/** How often it assigns what arrived meanwhile, before recall is measured and after. */
const MAX_ROUNDS = 4;

export class Training {
  /** Settles when nothing of this training runs any more; that may be after `run` rejected. */
  settled: Promise<void> = Promise.resolve();
  readonly #settings: ClientSettings;
  readonly #plan: TrainPlan;
  readonly #write: Write;
  readonly #workshop: Workshop;
  readonly #phases: TrainResult['phases'] =
    { sample: 0, cluster: 0, assign: 0, calibrate: 0, commit: 0 };
  readonly #pins: (() => void)[] = [];
  #sources: Source[] = [];
  #stopped: { reason: unknown } | undefined;
  /** Whether the manifest is being written, or has been. */
  #decided = false;
  #fraction = 0;
  #leaveQueue: (reason: unknown) => void = () => undefined;

  constructor({ store }: OpenIndex, settings: ClientSettings, plan: TrainPlan, write: Write) {
    this.#settings = settings;
    this.#plan = plan;
    this.#write = write;
    const handover = new Handover(store.draft());
    this.#workshop = { store, team: new Team(settings, store), handover };
  }

  /** Ends training; `run` rejects with the reason unless it is too late, which answers false. */
  stop(reason: unknown): boolean {
    this.#stopped ??= { reason };
    this.#workshop.team.close(reason);
    this.#leaveQueue(reason);
    return !this.#decided;
  }

  /** Queues a write. Stopping ends it while it waits: what stops may have the turn before it. */
  readonly #queue: Write = async (work) => new Promise((resolve, reject) => {
    this.#leaveQueue = reject;
    this.#write(async () => {
      this.#check();
      this.#leaveQueue = () => undefined;
      return work();
    }).then(resolve, reject);
  });

  run(): Promise<TrainResult> {
    const work = this.#run();
    this.settled = work.then(() => undefined, () => undefined);
    return orAbort(this.#plan.signal, work, (reason) => this.stop(reason), CLEANING);
  }

  async #run(): Promise<TrainResult> {
    const started = performance.now();
    const { team, handover } = this.#workshop;
    try {
      // Merging that was under way ends first; none begins while training runs.
      await this.#queue(async () => undefined);
      const { limits, sample } = await this.#timed('sample', () => this.#begin());
      const clusters = await this.#timed('cluster', () => this.#cluster(limits, sample));
      const { outputs, gained, manifest } = await this.#finish(limits, sample, clusters);
      this.#report('commit', 1);
      const { iterations, warm } = clusters;
      return {
        ...this.#used(limits), ...summarize(outputs, gained, limits.nLists), iterations, warm,
        stopReason: STOP_REASONS[clusters.stop] ?? 'max_iters', workers: team.size,
        generation: manifest.generation, seconds: (performance.now() - started) / 1000,
        phases: this.#phases, peakBytes: team.peak + handover.mostHeld,
      };
    } catch (error) {
      await handover.draft.discard();
      throw this.#stopped && !this.#decided ? this.#stopped.reason : team.blame(error);
    } finally {
      for (const release of this.#pins) release();
      team.close(new SealvecError('CLOSED', 'training has ended'));
    }
  }

  #used({ nLists, sampleRows: trainedOn, batchRows: batchSize }: Budget): Used {
    const { maxIters, tolerance, maxMemory, seed } = this.#plan;
    return { nLists, trainedOn, batchSize, maxIters, tolerance, maxMemory, seed };
  }

  /** Progress never falls, and a callback that throws ends the training like any error. */
  #report(phase: Phase, fraction: number): void {
    const [from, to] = PHASES[phase];
    this.#fraction = Math.max(this.#fraction, from + (to - from) * Math.min(fraction, 1));
    try {
      this.#plan.onProgress?.({ phase, fraction: this.#fraction });
    } catch (error) {
      this.stop(error);
    }
  }

  #check(): void {
    if (this.#stopped) throw this.#stopped.reason;
  }

  async #timed<T>(phase: Phase, work: () => Promise<T>): Promise<T> {
    const started = performance.now();
    this.#report(phase, 0);
    this.#check();
    const result = await work();
    this.#phases[phase] = (performance.now() - started) / 1000;
    return result;
  }

  /** The newest commit, whose objects this process keeps until training ends. */
  async #look(): Promise<Manifest> {
    const { store } = this.#workshop;
    const newest = await store.refresh();
    this.#pins.push(store.pin(newest));
    return newest;
  }

  /** Draws a sample of the newest commit; another process may remove that while it is read. */
  async #begin(): Promise<{ limits: Budget; sample: Measured }> {
    const { team, store } = this.#workshop;
    const { maxMemory, seed } = this.#plan;
    for (let start = 1; ; start++) {
      const base = await this.#look();
      const nLists = readLists(this.#plan, this.#settings, base);
      team.recruit();
      const limits = budget(this.#plan, nLists, base, team.inline);
      await team.grow(maxMemory === 0 ? limits.workers : 1, base.config);
      this.#sources = numberRows(base.segments);
      const { sampleRows: rows, queries } = limits;
      const draw = { sources: this.#sources, rows, queries, seed };
      try {
        const sample = await drawSample(
          team, store, draw, limits.keep, (part) => this.#report('sample', part),
        );
        return { limits, sample };
      } catch (error) {
        if (!isGone(error) || start === MAX_STARTS) throw error;
        if ((await store.refresh()).generation === base.generation) throw missing(error);
      }
    }
  }

  /** Clusters; under a memory limit the worker that did is then replaced by as many as share it. */
  async #cluster(
    { nLists, workers }: Budget, { maxNorm }: Measured,
  ): Promise<ClusterResult & { warm: boolean }> {
    const { team, store } = this.#workshop;
    const { maxIters, tolerance, stall, balance, seed, seeded, maxMemory } = this.#plan;
    const warm = seeded ? undefined : await warmStart(store, store.manifest, nLists, maxNorm);
    const clusters = await clusterSample(
      team, { k: nLists, maxIters, tolerance, stall, balance, seed }, warm,
      (fraction) => this.#report('cluster', fraction),
    );
    if (maxMemory > 0) {
      team.dismiss();
      await team.grow(workers, store.manifest.config);
    }
    return { ...clusters, warm: warm !== undefined };
  }

  /** Segments that were committed since the last look. */
  async #arrived(): Promise<Source[]> {
    const newest = await this.#look();
    const known = new Set(this.#sources.map(({ entry }) => hex(entry.object.id)));
    const late = newest.segments.filter(({ object }) => !known.has(hex(object.id)));
    const sources = numberRows(late, this.#sources);
    this.#sources.push(...sources);
    return sources;
  }

  /** Assigns and commits; once more when another process took what was written for orphans. */
  async #finish(
    limits: Budget, sample: Measured, clusters: ClusterResult,
  ): Promise<{ outputs: Output[]; gained: number; manifest: Manifest }> {
    const { handover, store } = this.#workshop;
    for (let start = 1; ; start++) {
      try {
        const { outputs, written } =
          await this.#timed('assign', () => this.#assign(limits, sample, clusters));
        const [{ object, gained }] =
          await allOf([this.#timed('calibrate', () => this.#calibrate(sample, clusters)), written]);
        const commit = this.#timed('commit', () => this.#commit(limits, outputs, object));
        return { outputs, gained, manifest: await commit };
      } catch (error) {
        if (!(error instanceof OrphanedError) || start === MAX_STARTS) throw error;
        this.#decided = false;
        await handover.renew(store.draft());
      }
    }
  }

  async #assign(
    limits: Budget, { numbers: queries, kept, ...sample }: Measured, { centroids }: ClusterResult,
  ): Promise<Rewritten> {
    const task = { name: 'prepare', centroids, grain: grainOf(centroids), ...sample } as const;
    const prepared: Promise<undefined>[] = [];
    for (const runner of this.#workshop.team.all) {
      const running = runner.run(task);
      // A worker may end while this thread gives way, before anybody waits for it.
      running.catch(() => undefined);
      prepared.push(running);
      await breathe();
    }
    await Promise.all(prepared);
    // Of one commit, even when all is done again: so no segment ever holds an id twice.
    const sources = stillNamed(this.#sources, (await this.#look()).segments);
    const { outputs, written } = await rewriteSources(
      this.#workshop, sources, limits, { queries, kept }, (part) => this.#report('assign', part),
    );
    try {
      return { outputs: [...outputs, ...await this.#assignArrived(limits)], written };
    } catch (error) {
      await written.catch(() => undefined);
      throw error;
    }
  }

  /** Assigns what was written meanwhile, and meanwhile again. */
  async #assignArrived(limits: Budget): Promise<Output[]> {
    const outputs: Output[] = [];
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const sources = await this.#arrived();
      if (sources.length === 0) break;
      const more = await rewriteSources(this.#workshop, sources, limits, {});
      await more.written;
      outputs.push(...more.outputs);
    }
    return outputs;
  }

  #calibrate(
    { maxNorm }: Measured, { centroids }: ClusterResult,
  ): Promise<{ object: SealedObject; gained: number }> {
    const { team } = this.#workshop;
    return calibrate(team, centroids, maxNorm, (part) => this.#report('calibrate', part));
  }

  async #commit(limits: Budget, outputs: Output[], centroids: SealedObject): Promise<Manifest> {
    await this.#workshop.handover.take(centroids)();
    outputs.push(...await this.#assignArrived(limits));
    const { nLists } = limits;
    const replacement = { sources: this.#sources, outputs, centroids: centroids.ref, nLists };
    return this.#queue(() => commitTraining(this.#workshop, replacement, (decided) => {
      this.#decided = false;
      this.#check();
      this.#decided = decided;
    }));
  }
}
