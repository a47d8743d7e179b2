/** The work of training on one core, in a worker or in the caller's thread. */
import { sealCentroids } from './centroids.js';
import { Clustering } from './clustering.js';
import type { Core } from './core.js';
import { groupRows } from './kmeans.js';
import { KmeansPart } from './kmeans-part.js';
import { ListMeans } from './list-means.js';
import type { IndexConfig } from './manifest.js';
import { routeDimension } from './metric.js';
import type { ObjectContext } from './object.js';
import { packSegment } from './pack.js';
import { readPieces } from './rewrite.js';
import { KeptRows } from './stored-vectors.js';
import { RecallQueries } from './training-queries.js';
import { openPicks, type Sample, takeSample } from './training-sample.js';
import type {
  GroupResult, GroupTask, HandTask, HoldTask, OpenTask, PrepareTask, Ranked, RankTask,
  RewriteResult, RewriteTask, SampleResult, SampleTask, SealedObject, SealTask, Task, TaskResults,
} from '../types/protocol.js';

/** Multiplications between two ticks, about 10 ms of them. */
const STEP_MACS = 1e8;

/** What `prepare` leaves for the tasks that follow it. */
interface Prepared {
  readonly clustering: Clustering;
  readonly centroids: Float32Array;
  readonly means: ListMeans;
  readonly queries: RecallQueries;
}

/** What an earlier task must have left. */
function inTurn<T>(left: T | undefined): T {
  if (left === undefined) throw new Error('came out of turn');
  return left;
}

export class TrainingTasks {
  readonly #context: ObjectContext;
  readonly #config: IndexConfig;
  readonly #tick: (fraction: number) => Promise<void>;
  #rows: Sample | undefined;
  #kept: KeptRows | undefined;
  #part: KmeansPart | undefined;
  #prepared: Prepared | undefined;

  /** `tick` is called between short steps with the fraction of the task that is done. */
  constructor(
    context: ObjectContext, config: IndexConfig, tick: (fraction: number) => Promise<void>,
  ) {
    this.#context = context;
    this.#config = config;
    this.#tick = tick;
  }

  get #core(): Core {
    return this.#context.core;
  }

  get #dimension(): number {
    return routeDimension(this.#config.metric, this.#config.dimension);
  }

  get #known(): Prepared {
    return inTurn(this.#prepared);
  }

  get #groups(): KmeansPart {
    return inTurn(this.#part);
  }

  async run(task: Task): Promise<TaskResults[Task['name']]> {
    switch (task.name) {
      case 'open': return this.#open(task);
      case 'sample': return this.#takeSample(task);
      case 'group': return this.#group(task);
      case 'hand': return this.#hand(task);
      case 'hold': return this.#hold(task);
      case 'split': return this.#groups.split(task.seats, this.#tick);
      case 'pass': return this.#groups.pass(task.from, this.#tick);
      case 'move': return this.#groups.move(task.given);
      case 'prepare': return this.#prepare(task);
      case 'rewrite': return this.#rewrite(task);
      case 'sums': return this.#known.means.read();
      case 'neighbors': return this.#known.queries.neighbors();
      case 'rank': return this.#rank(task);
      case 'seal': return this.#seal(task);
    }
  }

  async #open({ picks, room, keep }: OpenTask): Promise<TaskResults['open']> {
    this.wipe();
    const core = this.#core;
    this.#kept = new KeptRows(this.#context, this.#config);
    await this.#kept.open(keep, this.#tick);
    const n = picks.reduce((sum, { rows }) => sum + rows.length, 0);
    const { dimension } = this.#config;
    const arena = core.arena();
    const pointer = arena.take(Math.max(room, n) * dimension * 4);
    this.#rows = { arena, pointer, n };
    await openPicks(this.#context, this.#config, picks, this.#rows, this.#kept, this.#tick);
    if (room > 0) return undefined;
    const rows = core.floats(pointer, n * dimension);
    this.#drop();
    return rows;
  }

  /** The rows held, which are then the caller's. */
  #takeRows(): Sample {
    const rows = inTurn(this.#rows);
    this.#rows = undefined;
    return rows;
  }

  async #takeSample({ places, given }: SampleTask): Promise<SampleResult> {
    const held = this.#takeRows();
    const { dimension } = this.#config;
    const n = given.reduce((at, rows) => {
      this.#core.write(held.pointer + at * dimension * 4, rows);
      return at + rows.length / dimension;
    }, held.n);
    const { sample, ...result } =
      await takeSample(this.#core, this.#config, { ...held, n }, places, this.#tick);
    this.#rows = sample;
    return result;
  }

  async #group({ options }: GroupTask): Promise<GroupResult> {
    const { rows, ...result } = await groupRows(
      this.#core, this.#takeRows(), this.#dimension, options, async () => this.#tick(0),
    );
    this.#rows = rows;
    return result;
  }

  #hand({ from, to }: HandTask): Float32Array<ArrayBuffer> {
    const dim = this.#dimension;
    return this.#core.floats(inTurn(this.#rows).pointer + from * dim * 4, (to - from) * dim);
  }

  #hold({ options, share, given }: HoldTask): undefined {
    const core = this.#core;
    const [rows] = given;
    const arena = core.arena();
    const held = rows ? { arena, pointer: arena.put(rows) } : this.#takeRows();
    const n = share.starts.at(-1) ?? 0;
    this.#part = new KmeansPart(core, { ...held, n }, this.#dimension, share, options);
  }

  #prepare({ centroids, grain, maxNorm, queries }: PrepareTask): undefined {
    const core = this.#core;
    this.#drop();
    const clustering = new Clustering(core, this.#config, centroids, maxNorm);
    this.#prepared = {
      clustering, centroids,
      means: new ListMeans(core, clustering.nLists, this.#dimension, grain),
      queries: new RecallQueries(core, this.#dimension, queries),
    };
  }

  /** Wipes and frees all that is kept between tasks. */
  wipe(): void {
    this.#drop();
    this.#kept?.free();
    this.#kept = undefined;
  }

  /** Wipes and frees what `prepare` and the tasks after it do not need. */
  #drop(): void {
    this.#rows?.arena.free();
    this.#rows = undefined;
    this.#part?.free();
    this.#part = undefined;
    this.#prepared?.clustering.free();
    this.#prepared?.means.free();
    this.#prepared?.queries.free();
    this.#prepared = undefined;
  }

  async #rewrite({ pieces, places }: RewriteTask): Promise<RewriteResult> {
    const core = this.#core;
    const { clustering } = this.#known;
    const arena = core.arena();
    try {
      const batch = await readPieces(this.#context, arena, pieces, this.#config, this.#kept);
      const lists = arena.take(batch.n * 4);
      const distances = arena.take(batch.n * 4);
      const skip = places && arena.put(places);
      const error = await this.#assign(batch, { lists, distances }, skip);
      return { ...packSegment(this.#context, this.#config, batch, clustering, lists), error };
    } finally {
      arena.free();
    }
  }

  /** Assigns a batch, and compares it with the queries; the sum of squared errors. */
  async #assign(
    { n, vectors }: { n: number; vectors: number }, to: { lists: number; distances: number },
    skip: number | undefined,
  ): Promise<number> {
    const { clustering, queries, means } = this.#known;
    const rowBytes = this.#config.dimension * 4;
    const compared = clustering.nLists + (skip === undefined ? 0 : queries.count);
    const step = Math.max(32, Math.floor(STEP_MACS / (compared * this.#dimension)));
    let error = 0;
    for (let at = 0; at < n; at += step) {
      const count = Math.min(step, n - at);
      const [lists, distances] = [to.lists + at * 4, to.distances + at * 4];
      const visit = (routed: number, first: number, size: number): void => {
        if (skip === undefined) return;
        queries.see(routed, lists + first * 4, size, at + first, skip);
        means.add(routed, lists + first * 4, size);
      };
      clustering.assign(vectors + at * rowBytes, count, lists, distances, visit);
      error = this.#core.floats(distances, count).reduce((sum, one) => sum + one, error);
      await this.#tick(0.1 + 0.8 * (at + count) / n);
    }
    return error;
  }

  async #rank({ centroids, first, lists }: RankTask): Promise<Ranked> {
    const known = this.#known;
    const clustering =
      new Clustering(this.#core, this.#config, centroids, known.clustering.maxNorm);
    known.clustering.free();
    this.#prepared = { ...known, clustering, centroids };
    return known.queries.rank(clustering, first, lists, this.#tick);
  }

  #seal({ params }: SealTask): SealedObject {
    return sealCentroids(this.#context, this.#known.centroids, params);
  }
}
