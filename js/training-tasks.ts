/** The work of training on one core, in a worker or in the caller's thread. */
import { calibrate, NEIGHBORS } from './calibrate.js';
import { Clustering } from './clustering.js';
import type { Arena, Core } from './core.js';
import { kmeans } from './kmeans.js';
import type { IndexConfig } from './manifest.js';
import { coreMetric, routeDimension } from './metric.js';
import type { ObjectContext } from './object.js';
import { ObjectReader } from './object.js';
import { packSegment } from './pack.js';
import { readPieces, readVectors } from './rewrite.js';
import type {
  ClusterResult, ClusterTask, Neighbors, PrepareTask, RewriteResult, RewriteTask, SampleResult,
  SampleTask, Task, TaskResults,
} from '../types/protocol.js';

/** Rows assigned between two ticks. */
const ROUTE_STEP = 1024;
const EMPTY_CURVE = { recall: [1], at10: [Infinity], at100: [Infinity] };

interface Queries {
  readonly arena: Arena;
  readonly count: number;
  readonly routed: Float32Array;
  readonly packed: number;
  readonly halfNorms: number;
  readonly ranks: number;
  readonly distances: number;
  readonly lists: number;
  readonly scores: number;
}

export class TrainingTasks {
  readonly #context: ObjectContext;
  readonly #config: IndexConfig;
  readonly #tick: (fraction: number) => Promise<void>;
  #sampleArena: Arena | undefined;
  #sample = { pointer: 0, n: 0, maxNorm: 0 };
  #clustering: Clustering | undefined;
  #queries: Queries | undefined;

  /** `tick` is called between short steps with the fraction of the task that is done. */
  constructor(context: ObjectContext, config: IndexConfig, tick: (fraction: number) => Promise<void>) {
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

  async run(task: Task): Promise<TaskResults[Task['name']]> {
    switch (task.name) {
      case 'sample': return this.#gather(task);
      case 'cluster': return this.#cluster(task);
      case 'prepare': return this.#prepare(task);
      case 'rewrite': return this.#rewrite(task);
      case 'neighbors': return this.#neighbors();
      case 'calibrate': return calibrate(this.#core, this.#known(), this.#queries?.routed ?? new Float32Array(), task.neighbors);
    }
  }

  #known(): Clustering {
    if (!this.#clustering) throw new Error('this worker was given no centroids');
    return this.#clustering;
  }

  async #gather(task: SampleTask): Promise<SampleResult> {
    const core = this.#core;
    const { dimension } = this.#config;
    const raw = core.arena();
    const arena = core.arena();
    this.#sampleArena = arena;
    try {
      const same = this.#dimension === dimension;
      const rows = (same ? arena : raw).take(task.rows * dimension * 4);
      let at = 0;
      for (const piece of task.pieces) {
        const reader = new ObjectReader(this.#context, piece.entry.object);
        await readVectors(reader, piece, this.#config, rows + at * dimension * 4);
        at += piece.rows.length;
        await this.#tick(at / task.rows);
      }
      const maxNorm = this.#longest(rows, at);
      const pointer = same ? rows : arena.take(at * this.#dimension * 4);
      this.#route(rows, at, maxNorm, pointer);
      this.#sample = { pointer, n: at, maxNorm };
      return { maxNorm, queries: this.#pickQueries(task.queries) };
    } finally {
      raw.free();
    }
  }

  #longest(rows: number, n: number): number {
    const core = this.#core;
    return core.withScratch((s) => {
      const norms = s.take(n * 4);
      core.check(core.exports.sv_norms(rows, n, this.#config.dimension, norms), 'vectors');
      return core.floats(norms, n).reduce((most, norm) => Math.max(most, norm), 0);
    });
  }

  /** Routes rows to `out`, which may be the rows themselves where dimensions agree. */
  #route(rows: number, n: number, maxNorm: number, out: number): void {
    const core = this.#core;
    const { dimension, metric } = this.#config;
    core.withScratch((s) => {
      const step = 1024;
      const part = s.take(step * this.#dimension * 4);
      for (let at = 0; at < n; at += step) {
        const count = Math.min(step, n - at);
        core.check(core.exports.sv_route_rows(
          coreMetric(metric), rows + at * dimension * 4, count, dimension, maxNorm, part,
        ), 'vectors');
        core.move(out + at * this.#dimension * 4, part, count * this.#dimension * 4);
      }
    });
  }

  #pickQueries(places: Uint32Array): Float32Array {
    const size = this.#dimension;
    const queries = new Float32Array(places.length * size);
    places.forEach((place, i) => {
      queries.set(this.#core.floats(this.#sample.pointer + place * size * 4, size), i * size);
    });
    return queries;
  }

  async #cluster(task: ClusterTask): Promise<ClusterResult> {
    const core = this.#core;
    const dim = this.#dimension;
    const { pointer, n } = this.#sample;
    const arena = core.arena();
    try {
      const centroids = arena.take(task.nLists * dim * 4);
      const { iterations, stop } = await kmeans(
        core, { pointer, n, dim }, { ...task, k: task.nLists }, centroids,
        // Nobody knows how many passes it takes: this rises ever more slowly, and by maxIters is 1.
        async (passes) => this.#tick(Math.max(passes / task.maxIters, 1 - 8 / (8 + passes))),
      );
      return { centroids: core.floats(centroids, task.nLists * dim), iterations, stop };
    } finally {
      arena.free();
      this.#sampleArena?.free();
    }
  }

  #prepare(task: PrepareTask): undefined {
    const core = this.#core;
    this.#clustering = new Clustering(core, this.#config, task.centroids, task.maxNorm, EMPTY_CURVE);
    const dim = this.#dimension;
    const count = task.queries.length / dim;
    if (count === 0) return;
    const arena = core.arena();
    const lanes = Math.ceil(count / 8) * 8;
    const packed = arena.take(core.exports.sv_pack_size(count, dim) * 4);
    const halfNorms = arena.take(lanes * 4);
    core.withScratch((s) => core.check(
      core.exports.sv_pack(s.put(task.queries), count, dim, packed, halfNorms), 'queries',
    ));
    this.#queries = {
      arena, count, packed, halfNorms, routed: task.queries, ranks: arena.put(task.ranks),
      distances: arena.put(new Float32Array(count * NEIGHBORS).fill(Infinity)),
      lists: arena.put(new Uint32Array(count * NEIGHBORS).fill(0xffffffff)),
      scores: arena.take(lanes * 4 * 4),
    };
  }

  async #rewrite(task: RewriteTask): Promise<RewriteResult> {
    const core = this.#core;
    const clustering = this.#known();
    const arena = core.arena();
    try {
      const batch = await readPieces(this.#context, arena, task.pieces, this.#config);
      const { n } = batch;
      const lists = arena.take(n * 4);
      const scores = arena.take(n * 4);
      let error = 0;
      for (let at = 0; at < n; at += ROUTE_STEP) {
        const count = Math.min(ROUTE_STEP, n - at);
        error += this.#assign(clustering, batch.vectors, at, count, lists, scores, task.firstRank);
        await this.#tick((at + count) / n);
      }
      const counts = new Uint32Array(clustering.nLists);
      for (const list of core.words(lists, n)) counts[list] = (counts[list] ?? 0) + 1;
      const packed = packSegment(this.#context, this.#config, batch, clustering.nLists, { lists, scores });
      const { entry, bytes, order = new Uint32Array() } = packed;
      return { entry, bytes, order, counts, error };
    } finally {
      arena.free();
    }
  }

  /** Assigns some rows of a batch, and compares them with the queries; the sum of squared errors. */
  #assign(clustering: Clustering, vectors: number, at: number, count: number, lists: number, scores: number, firstRank: number | undefined): number {
    const core = this.#core;
    const dim = this.#dimension;
    let error = 0;
    const rows = vectors + at * this.#config.dimension * 4;
    clustering.assign(rows, count, lists + at * 4, scores + at * 4, (routed, first, n) => {
      core.withScratch((s) => {
        const norms = s.take(n * 4);
        core.check(core.exports.sv_norms(routed, n, dim, norms), 'vectors');
        const lengths = core.floats(norms, n);
        core.floats(scores + (at + first) * 4, n).forEach((score, i) => {
          error += Math.max(0, (lengths[i] ?? 0) ** 2 - 2 * score);
        });
      });
      const q = this.#queries;
      if (!q || firstRank === undefined) return;
      core.check(core.exports.sv_neighbors(
        routed, lists + (at + first) * 4, n, firstRank + at + first, dim, q.packed, q.halfNorms, q.count,
        q.ranks, NEIGHBORS, q.distances, q.lists, q.scores,
      ), 'queries');
    });
    return error;
  }

  #neighbors(): Neighbors {
    const q = this.#queries;
    if (!q) return { distances: new Float32Array(), lists: new Uint32Array() };
    return {
      distances: this.#core.floats(q.distances, q.count * NEIGHBORS),
      lists: this.#core.words(q.lists, q.count * NEIGHBORS),
    };
  }
}
