/** The work of training on one core, in a worker or in the caller's thread. */
import { sealCentroids } from './centroids.js';
import { Clustering } from './clustering.js';
import type { Arena, Core } from './core.js';
import { groupRows } from './kmeans.js';
import { KmeansPart } from './kmeans-part.js';
import { ListMeans } from './list-means.js';
import type { IndexConfig } from './manifest.js';
import { routeDimension } from './metric.js';
import type { ObjectContext } from './object.js';
import { countsOf, packLists, type RowBatch, type Sorted, sortByList } from './pack.js';
import { readPieces } from './rewrite.js';
import { readVectors } from './stored-vectors.js';
import { RecallQueries } from './training-queries.js';
import { type Sample, takeSample } from './training-sample.js';
import type {
  AssignResult, AssignTask, GroupResult, GroupTask, HandTask, HoldTask, ListSums, MoveResult,
  MoveTask, Neighbors, OpenTask, PackResult, PackTask, PassTask, PrepareTask, Ranked, RankTask,
  SampleResult, SampleTask, SealedObject, SealTask, SplitTask, Task, TaskResults,
} from '../types/protocol.js';

/** The work of a task by its name. */
type Tasks = {
  [Name in Task['name']]:
    (task: Extract<Task, { name: Name }>) => TaskResults[Name] | Promise<TaskResults[Name]>;
};

/** Multiplications between two ticks, about 10 ms of them. */
const STEP_MACS = 1e8;

/** What `prepare` leaves for the tasks that follow it. */
interface Prepared {
  readonly clustering: Clustering;
  readonly centroids: Float32Array;
  readonly means: ListMeans;
  readonly queries: RecallQueries;
}

/** Rows that have been assigned. */
interface Batch {
  readonly arena: Arena;
  rows?: RowBatch;
  sorted?: Sorted;
}

/** What an earlier task must have left. */
function inTurn<T>(left: T | undefined): T {
  if (left === undefined) throw new Error('came out of turn');
  return left;
}

export class TrainingTasks implements Tasks {
  readonly #context: ObjectContext;
  readonly #config: IndexConfig;
  readonly #tick: (fraction: number) => Promise<void>;
  #rows: Sample | undefined;
  /** All rows of this worker's part of the index as float32, where they are kept. */
  #kept: Arena | undefined;
  #keptAt = 0;
  #part: KmeansPart | undefined;
  #prepared: Prepared | undefined;
  #batch: Batch | undefined;

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
    const work = this[task.name] as (task: Task) => TaskResults[Task['name']];
    return work.call(this, task);
  }

  async open({ rows, drawn, room }: OpenTask): Promise<TaskResults['open']> {
    this.wipe();
    const core = this.#core;
    const size = this.#config.dimension * 4;
    const count = rows.reduce((sum, one) => sum + one.rows.length, 0);
    const n = drawn?.length ?? count;
    const arena = core.arena();
    const pointer = arena.take(Math.max(room, n) * size);
    this.#rows = { arena, pointer, n };
    if (drawn) this.#kept = core.arena();
    const all = this.#keptAt = this.#kept?.take(count * size) ?? pointer;
    await readVectors(this.#context, rows, this.#config, all, (done) => this.#tick(done / count));
    if (drawn) {
      core.withScratch((s) => core.check(
        core.exports.sv_rows_gather(all, count, size, s.put(drawn), n, pointer), 'vectors',
      ));
    }
    if (room > 0) return undefined;
    const floats = core.floats(pointer, n * this.#config.dimension);
    this.#drop();
    return floats;
  }

  /** The rows held, which are then the caller's. */
  #takeRows(): Sample {
    const rows = inTurn(this.#rows);
    this.#rows = undefined;
    return rows;
  }

  async sample({ places, given }: SampleTask): Promise<SampleResult> {
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

  async group({ options }: GroupTask): Promise<GroupResult> {
    const { rows, ...result } = await groupRows(
      this.#core, this.#takeRows(), this.#dimension, options, async () => this.#tick(0),
    );
    this.#rows = rows;
    return result;
  }

  hand({ from, to }: HandTask): Float32Array<ArrayBuffer> {
    const dim = this.#dimension;
    return this.#core.floats(inTurn(this.#rows).pointer + from * dim * 4, (to - from) * dim);
  }

  hold({ options, share, given }: HoldTask): undefined {
    const core = this.#core;
    const [rows] = given;
    const arena = core.arena();
    const held = rows ? { arena, pointer: arena.put(rows) } : this.#takeRows();
    const n = share.starts.at(-1) ?? 0;
    this.#part = new KmeansPart(core, { ...held, n }, this.#dimension, share, options);
  }

  prepare({ centroids, grain, maxNorm, queries }: PrepareTask): undefined {
    const core = this.#core;
    this.#drop();
    const clustering = new Clustering(core, this.#config, centroids, maxNorm);
    this.#prepared = {
      clustering, centroids,
      means: new ListMeans(core, clustering.nLists, this.#dimension, grain),
      queries: new RecallQueries(core, this.#dimension, queries),
    };
  }

  split({ seats }: SplitTask): Promise<Float32Array<ArrayBuffer>> {
    return this.#groups.split(seats, this.#tick);
  }

  pass({ from }: PassTask): Promise<Uint8Array<ArrayBuffer>[]> {
    return this.#groups.pass(from, this.#tick);
  }

  move({ given }: MoveTask): MoveResult {
    return this.#groups.move(given);
  }

  sums(): ListSums {
    return this.#known.means.read();
  }

  neighbors(): Neighbors {
    return this.#known.queries.neighbors();
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
    this.#batch?.arena.free();
    this.#batch = undefined;
    this.#part = undefined;
    this.#prepared?.clustering.free();
    this.#prepared?.means.free();
    this.#prepared?.queries.free();
    this.#prepared = undefined;
  }

  async assign({ pieces, kept, places }: AssignTask): Promise<AssignResult> {
    const core = this.#core;
    this.#batch?.arena.free();
    const arena = core.arena();
    // Freed by what follows, whether this ends well or not.
    const batch: Batch = this.#batch = { arena };
    const rows = await readPieces(
      this.#context, arena, pieces, this.#config, kept ? this.#keptAt : 0,
    );
    const lists = arena.take(rows.n * 4);
    const distances = arena.take(rows.n * 4);
    const error = await this.#findLists(rows, { lists, distances }, places && arena.put(places));
    batch.rows = rows;
    batch.sorted = sortByList(core, arena, rows.n, this.#known.clustering.nLists, lists);
    return { counts: countsOf(batch.sorted.begins), error };
  }

  pack({ from, to }: PackTask): PackResult {
    const { rows, sorted } = inTurn(this.#batch);
    const { clustering } = this.#known;
    return packLists(
      this.#context, this.#config, inTurn(rows), clustering, inTurn(sorted), from, to,
    );
  }

  /** Finds the lists of rows, and compares them with the queries; the sum of squared errors. */
  async #findLists(
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

  async rank({ centroids, first, lists }: RankTask): Promise<Ranked> {
    const known = this.#known;
    const clustering =
      new Clustering(this.#core, this.#config, centroids, known.clustering.maxNorm);
    known.clustering.free();
    this.#prepared = { ...known, clustering, centroids };
    return known.queries.rank(clustering, first, lists, this.#tick);
  }

  seal({ params }: SealTask): SealedObject {
    return sealCentroids(this.#context, this.#known.centroids, this.#dimension, params);
  }
}
