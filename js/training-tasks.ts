/** The work of training on one core, in a worker or in the caller's thread. */
import { rankNeighbors, recallCurve } from './calibrate.js';
import { Clustering, sealCentroids } from './clustering.js';
import type { Arena, Core } from './core.js';
import { type Grouped, groupRows } from './kmeans.js';
import { KmeansPart } from './kmeans-part.js';
import { center, ListMeans } from './list-means.js';
import type { IndexConfig } from './manifest.js';
import { routeDimension } from './metric.js';
import type { ObjectContext } from './object.js';
import { packSegment } from './pack.js';
import { type Piece, readPieces } from './rewrite.js';
import { KeptRows } from './stored-vectors.js';
import { deadBits, livingRows } from './training-rows.js';
import { RecallQueries } from './training-queries.js';
import { keepPart, openPart, takeSample, type Sample } from './training-sample.js';
import type {
  CalibrateTask, GroupResult, GroupTask, HandTask, HoldTask, OpenTask, PrepareTask, Ranked,
  RankTask, RewriteResult, RewriteTask, SampleResult, SampleTask, SealedObject, Span, Task,
  TaskResults,
} from '../types/protocol.js';

/** Multiplications between two ticks, about 10 ms of them. */
const STEP_MACS = 1e8;
const EMPTY_CURVE = { recall: [1], at10: [Infinity], at100: [Infinity] };

/** What `prepare` leaves for the tasks that follow it. */
interface Prepared {
  readonly clustering: Clustering;
  readonly centroids: Float32Array;
  readonly means: ListMeans;
  readonly queries: RecallQueries;
}

export class TrainingTasks {
  readonly #context: ObjectContext;
  readonly #config: IndexConfig;
  readonly #tick: (fraction: number) => Promise<void>;
  #opened: { readonly arena: Arena; readonly pointer: number; readonly n: number } | undefined;
  #kept: KeptRows | undefined;
  #sample: Sample | undefined;
  #grouped: Grouped | undefined;
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
    if (!this.#prepared) throw new Error('this worker was given no centroids');
    return this.#prepared;
  }

  get #held(): KmeansPart {
    if (!this.#part) throw new Error('this worker holds no groups');
    return this.#part;
  }

  async run(task: Task): Promise<TaskResults[Task['name']]> {
    switch (task.name) {
      case 'open': return this.#open(task);
      case 'sample': return this.#takeSample(task);
      case 'group': return this.#group(task);
      case 'hand': return this.#hand(task);
      case 'hold': return this.#hold(task);
      case 'split': return this.#held.split(task.seats, this.#tick);
      case 'pass': return this.#held.pass(task.centroids, task.compareAll, this.#tick);
      case 'move': return this.#held.move(task.given);
      case 'prepare': return this.#prepare(task);
      case 'rewrite': return this.#rewrite(task);
      case 'sums': return this.#known.means.read();
      case 'center': return center(this.#known.centroids, task.parts, async () => this.#tick(0));
      case 'neighbors': return this.#known.queries.neighbors();
      case 'rank': return this.#rank(task);
      case 'calibrate': return this.#calibrate(task);
    }
  }

  async #open(task: OpenTask): Promise<TaskResults['open']> {
    this.wipe();
    const core = this.#core;
    const arena = core.arena();
    try {
      if (task.keep) {
        this.#kept = new KeptRows(core, this.#config);
        await keepPart(this.#context, this.#kept, task, this.#tick);
      }
      const { pointer, n } =
        await openPart(this.#context, this.#config, arena, task, this.#kept, this.#tick);
      if (task.part > 0) {
        const rows = core.floats(pointer, n * this.#config.dimension);
        arena.free();
        return { rows };
      }
      this.#opened = { arena, pointer, n };
      return { rows: undefined };
    } catch (error) {
      arena.free();
      throw error;
    }
  }

  async #takeSample({ draw, given }: SampleTask): Promise<SampleResult> {
    const opened = this.#opened;
    if (!opened) throw new Error('this worker has opened no rows');
    this.#opened = undefined;
    const { arena, pointer, n } = opened;
    given.reduce((at, rows) => {
      this.#core.write(at, rows);
      return at + rows.byteLength;
    }, pointer + n * this.#config.dimension * 4);
    const { sample, ...result } =
      await takeSample(this.#context, this.#config, arena, pointer, draw, this.#tick);
    this.#sample = sample;
    return result;
  }

  async #group({ options }: GroupTask): Promise<GroupResult> {
    const sample = this.#sample;
    if (!sample) throw new Error('this worker has no sample');
    this.#sample = undefined;
    const { arena, pointer, n } = sample;
    const rows = { pointer, n, dim: this.#dimension };
    this.#grouped = await groupRows(this.#core, arena, rows, options, async () => this.#tick(0));
    const { starts, centroids } = this.#grouped;
    return { starts, centroids };
  }

  #hand({ from, to }: HandTask): Float32Array<ArrayBuffer> {
    if (!this.#grouped) throw new Error('this worker has no groups');
    const dim = this.#dimension;
    return this.#core.floats(this.#grouped.pointer + from * dim * 4, (to - from) * dim);
  }

  #hold({ options, share, given }: HoldTask): undefined {
    const core = this.#core;
    const [rows] = given;
    const arena = rows ? core.arena() : this.#grouped?.arena;
    if (!arena) throw new Error('this worker has no groups');
    const pointer = rows ? arena.put(rows) : this.#grouped?.pointer ?? 0;
    this.#grouped = undefined;
    const n = share.starts.at(-1) ?? 0;
    const held = { pointer, n, dim: this.#dimension };
    this.#part = new KmeansPart(core, arena, held, share, options);
  }

  #prepare({ centroids, maxNorm, queries, numbers }: PrepareTask): undefined {
    const core = this.#core;
    this.#drop();
    this.#prepared = {
      clustering: new Clustering(core, this.#config, centroids, maxNorm, EMPTY_CURVE),
      centroids, means: new ListMeans(core, centroids, this.#dimension),
      queries: new RecallQueries(core, this.#dimension, queries, numbers),
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
    this.#opened?.arena.free();
    this.#opened = undefined;
    this.#sample?.arena.free();
    this.#sample = undefined;
    this.#grouped?.arena.free();
    this.#grouped = undefined;
    this.#part?.free();
    this.#part = undefined;
    this.#prepared?.clustering.free();
    this.#prepared?.means.free();
    this.#prepared?.queries.free();
    this.#prepared = undefined;
  }

  /** The living rows of spans. */
  async #pieces(spans: readonly Span[]): Promise<{ pieces: Piece[]; numbers: Uint32Array }> {
    const pieces: Piece[] = [];
    const numbers = new Uint32Array(spans.reduce((sum, { from, to }) => sum + to - from, 0));
    let n = 0;
    for (const { entry, base, from, to } of spans) {
      const rows = livingRows(await deadBits(this.#context, entry), from, to);
      const last = rows.at(-1);
      if (last === undefined) continue;
      pieces.push({ entry, from: rows[0] ?? 0, to: last + 1, rows });
      numbers.set(rows.map((row) => base + row), n);
      n += rows.length;
    }
    return { pieces, numbers: numbers.subarray(0, n) };
  }

  async #rewrite(task: RewriteTask): Promise<RewriteResult | undefined> {
    const { pieces, numbers } = await this.#pieces(task.spans);
    if (numbers.length === 0) return undefined;
    const core = this.#core;
    const { nLists } = this.#known.clustering;
    const arena = core.arena();
    try {
      const batch = await readPieces(this.#context, arena, pieces, this.#config, this.#kept);
      await this.#tick(0.1);
      const lists = arena.take(batch.n * 4);
      const distances = arena.take(batch.n * 4);
      const measured = task.measure ? numbers : undefined;
      const error = await this.#assign(arena, batch, { lists, distances }, measured);
      const counts = new Uint32Array(nLists);
      for (const list of core.words(lists, batch.n)) counts[list] = (counts[list] ?? 0) + 1;
      const packed = packSegment(this.#context, this.#config, batch, nLists, lists);
      const from = packed.order?.map((row) => numbers[row] ?? 0) ?? numbers.slice();
      return { entry: packed.entry, bytes: packed.bytes, numbers: from, counts, error };
    } finally {
      arena.free();
    }
  }

  /** Assigns a batch, and compares it with the queries; the sum of squared errors. */
  async #assign(
    arena: Arena, { n, vectors }: { n: number; vectors: number },
    to: { lists: number; distances: number }, numbers: Uint32Array | undefined,
  ): Promise<number> {
    const { clustering, queries, means } = this.#known;
    const rowBytes = this.#config.dimension * 4;
    const skip = numbers && queries.places(arena, numbers);
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

  async #rank({ centroids, neighbors, part, parts }: RankTask): Promise<Ranked> {
    const known = this.#known;
    const { maxNorm, curve } = known.clustering;
    const clustering = new Clustering(this.#core, this.#config, centroids, maxNorm, curve);
    known.clustering.free();
    this.#prepared = { ...known, clustering, centroids };
    const { routed, count } = known.queries;
    const edge = (at: number): number => Math.floor(count * at / parts);
    const [from, to] = [edge(part), edge(part + 1)];
    return rankNeighbors(this.#core, clustering, routed, neighbors, from, to, this.#tick);
  }

  async #calibrate({ ranked }: CalibrateTask): Promise<SealedObject> {
    const { clustering, centroids } = this.#known;
    const curve = await recallCurve(ranked, this.#tick);
    return sealCentroids(this.#context, centroids, clustering.maxNorm, curve);
  }
}
