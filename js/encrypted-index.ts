/** An index under a key: every call of the API, checked, ordered and carried to where it is done. */
import { SealvecError } from './errors.js';
import { checkDimension, readColumns, readVectors, type Rows } from './items.js';
import { compactIndex, maintain } from './merge.js';
import { liveRows, namedObjects } from './manifest.js';
import { objectSize } from './object.js';
import { OpenIndex } from './open-index.js';
import { readPlan, runQuery } from './query.js';
import { removeIndex } from './store.js';
import { chooseLists, readTrainPlan, Training } from './training.js';
import type { ClientSettings } from './settings.js';
import { exportIndex } from './transfer.js';
import {
  type CallKey, describe, invalid, readCallKey, readChoices, readIds, readOptions, readWatch,
} from './validate.js';
import { deleteIds, locate, upsertRows } from './writer.js';
import type {
  CompactOptions, CompactResult, DeleteOptions, DeleteResult, Embed, ExportOptions, GetInclude,
  GetItem, GetOptions, IndexStats, KeyOptions, ListIdsResult, QueryItem, QueryOptions, QueryResult,
  TrainingState, TrainOptions, TrainResult, UpsertOptions, UpsertResult, Vector, Vectors,
} from '../types/api.js';

const KEY_OPTIONS = ['indexKey', 'userId'] as const;
const WATCH_OPTIONS = ['onProgress', 'signal'] as const;
/** Vectors above which searching without lists is worth a warning. */
const UNTRAINED_WARNING = 50_000;

/**
 * One encrypted index. Calls may overlap: writes take effect in the order called, reads see the
 * last commit. Made by `Client.createIndex` and `Client.loadIndex`.
 */
export class EncryptedIndex {
  /** The name it was created under. */
  readonly indexName: string;
  readonly #settings: ClientSettings;
  readonly #embed: Embed | undefined;
  readonly #open: OpenIndex | undefined;
  readonly #active = new Set<Promise<unknown>>();
  #writes: Promise<unknown> = Promise.resolve();
  #training: Training | undefined;
  #closed = false;
  #warned = false;

  /** @internal */
  constructor(settings: ClientSettings, indexName: string, open: OpenIndex | undefined, embed: Embed | undefined) {
    this.#settings = settings;
    this.indexName = indexName;
    this.#open = open;
    this.#embed = embed;
  }

  /**
   * Writes items; an id that exists is replaced whole. Durable when it resolves.
   *
   * @throws `INVALID_ARGUMENT` or `DIMENSION_MISMATCH`, and nothing was written.
   * @example
   * await index.upsert({ items: [{ id: 'a', vector: [0.1, 0.2], metadata: { year: 2026 } }] });
   * await index.upsert({ ids: ['b', 'c'], vectors: new Float32Array([0, 1, 1, 0]) });
   */
  async upsert(options: UpsertOptions): Promise<UpsertResult> {
    const given = readOptions('upsert', options, ['items', 'ids', 'vectors', 'metadata', 'contents', ...KEY_OPTIONS, ...WATCH_OPTIONS]);
    const watch = readWatch(given);
    const columns = readColumns(given, this.#embed !== undefined);
    const vectors = columns.toEmbed ? await this.#embedTexts(columns.toEmbed) : columns.vectors;
    const items = given.items !== undefined && !columns.toEmbed;
    return this.#with(given, async (index, write) => {
      const { config } = index.store.manifest;
      const read = readVectors(index.core, items ? 'items' : 'vectors', vectors, columns.ids.length, config, items ? '.vector' : '');
      const rows: Rows = { ids: columns.ids, metadata: columns.metadata, contents: columns.contents, ...read };
      checkDimension(config.dimension, rows.dimension);
      const manifest = await write(() => upsertRows(index, rows, watch));
      this.#afterWrite(index);
      return { count: rows.ids.length, generation: manifest.generation };
    });
  }

  /**
   * The nearest items, nearest first: exact before training, within `targetRecall` after it. Fewer
   * than `topK` come back only when fewer exist (or match the filters).
   *
   * @example
   * const { results } = await index.query({ queryVectors: [0.1, 0.2], topK: 10, include: ['distance', 'metadata'] });
   */
  async query(options: QueryOptions & ({ queryVectors: readonly Vector[] } | { queryContents: readonly string[] })): Promise<QueryResult<QueryItem[][]>>;
  async query(options: QueryOptions & ({ queryVectors: readonly number[] } | { queryContents: string })): Promise<QueryResult>;
  async query(options: QueryOptions): Promise<QueryResult<QueryItem[]>>;
  async query(options: QueryOptions): Promise<QueryResult<QueryItem[] | QueryItem[][]>> {
    const given = readOptions('query', options, ['queryVectors', 'queryContents', 'topK', 'nProbes', 'targetRecall', 'filters', 'include', 'signal', ...KEY_OPTIONS]);
    const queryVectors = given.queryContents === undefined ? copyQueries(given.queryVectors) : await this.#embedQueries(given);
    const plan = readPlan({ ...given, queryVectors });
    return this.#with(given, (index) => index.read(async (snapshot) => {
      if (snapshot.nLists === 0 && snapshot.liveCount > UNTRAINED_WARNING && !this.#warned) {
        this.#warned = true;
        index.logger.warn('Warning: querying untrained index with more than 50000 indexed vectors.');
      }
      return runQuery(index, snapshot, plan);
    }));
  }

  /** Items by id, in the order asked; ids that do not exist are left out. */
  async get(options: GetOptions): Promise<GetItem[]> {
    const given = readOptions('get', options, ['ids', 'include', ...KEY_OPTIONS]);
    const ids = readIds('ids', given.ids);
    const include = readChoices<GetInclude>('include', given.include ?? ['metadata', 'contents', 'vector'], ['metadata', 'contents', 'vector']);
    return this.#with(given, (index) => index.read(async (snapshot) => {
      const found = await locate(index, snapshot, ids);
      const items = await Promise.all(ids.map(async (id): Promise<GetItem | undefined> => {
        const place = found.get(id);
        if (!place) return undefined;
        const { segment, row } = place;
        const metadata = include.has('metadata') ? await segment.metadata(row) : undefined;
        const contents = include.has('contents') ? await segment.contents(row) : undefined;
        const vector = include.has('vector') ? await segment.vector(row) : undefined;
        return { id, ...(vector && { vector }), ...(contents !== undefined && { contents }), ...(metadata && { metadata }) };
      }));
      return items.filter((item) => item !== undefined);
    }));
  }

  /** Deletes items; ids that do not exist are ignored, and `count` leaves them out. */
  async delete(options: DeleteOptions): Promise<DeleteResult> {
    const given = readOptions('delete', options, ['ids', ...KEY_OPTIONS]);
    const ids = readIds('ids', given.ids);
    return this.#with(given, async (index, write) => {
      const { count, manifest } = await write(() => deleteIds(index, ids));
      this.#afterWrite(index);
      return { count, generation: manifest.generation };
    });
  }

  /** The ids of all items, in no particular order. */
  async listIds(options: KeyOptions = {}): Promise<ListIdsResult> {
    const given = readOptions('listIds', options, KEY_OPTIONS);
    return this.#with(given, (index) => index.read(async (snapshot) => {
      const ids: string[] = [];
      for (const [s, segment] of snapshot.segments.entries()) {
        const base = snapshot.bases[s] ?? 0;
        ids.push(...(await segment.ids()).filter((_, row) => snapshot.isLive(base + row)));
      }
      return { ids, count: ids.length };
    }));
  }

  /** How many items the index holds. */
  async count(options: KeyOptions = {}): Promise<number> {
    return this.#with(readOptions('count', options, KEY_OPTIONS), async (index) => liveRows(await index.store.refresh(0)));
  }

  /** Figures of the last commit and of this handle's memory. */
  async stats(options: KeyOptions = {}): Promise<IndexStats> {
    return this.#with(readOptions('stats', options, KEY_OPTIONS), async (index) => {
      const manifest = await index.store.refresh(0);
      const { metric, precision, autoTrain, dimension } = manifest.config;
      return {
        indexName: this.indexName, metric, precision, autoTrain, dimension: dimension || undefined,
        count: liveRows(manifest), nLists: manifest.clustering?.nLists ?? 0,
        trainingState: this.#state(manifest.clustering !== undefined), generation: manifest.generation,
        segments: manifest.segments.length,
        deadRows: manifest.segments.reduce((sum, entry) => sum + entry.dead, 0),
        storedBytes: namedObjects(manifest).reduce((sum, ref) => sum + objectSize(ref), 0),
        cachedBytes: index.cache.used, memoryBytes: index.core.memoryBytes, recovered: index.store.recovered,
      };
    });
  }

  /**
   * Clusters the vectors into lists, in workers, while the index stays usable. Needs at least
   * `max(2 * nLists, minTrainVectors)` vectors.
   *
   * @throws `NOT_ENOUGH_VECTORS`, `TRAINING_IN_PROGRESS`; the index is then as it was.
   * @example
   * const { nLists, seconds } = await index.train({ onProgress: (p) => console.log(p.phase, p.fraction) });
   */
  async train(options: TrainOptions | number = {}): Promise<TrainResult> {
    const given = readOptions('train', typeof options === 'number' ? { nLists: options } : options, ['nLists', 'batchSize', 'maxIters', 'tolerance', 'maxMemory', 'workers', 'seed', ...KEY_OPTIONS, ...WATCH_OPTIONS]);
    const plan = readTrainPlan(given);
    return this.#with(given, (index, write) => this.#train(index, write, plan));
  }

  async #train(index: OpenIndex, write: Write, plan: ReturnType<typeof readTrainPlan>): Promise<TrainResult> {
    if (this.#training) throw new SealvecError('TRAINING_IN_PROGRESS', `index '${this.indexName}' is being trained`);
    const training = new Training(index, this.#settings, plan, write);
    this.#training = training;
    try {
      return await training.run();
    } finally {
      this.#training = undefined;
      this.#maintainSoon(index);
    }
  }

  /** Whether queries use trained lists. */
  async isTrained(options: KeyOptions = {}): Promise<boolean> {
    return (await this.stats(options)).nLists > 0;
  }

  /** Whether this handle is training the index now. */
  async isTraining(options: KeyOptions = {}): Promise<boolean> {
    return (await this.trainingState(options)) === 'training';
  }

  async trainingState(options: KeyOptions = {}): Promise<TrainingState> {
    return (await this.stats(options)).trainingState;
  }

  #state(trained: boolean): TrainingState {
    if (this.#training) return 'training';
    return trained ? 'trained' : 'untrained';
  }

  /** Rewrites what holds deleted rows, merges small segments and frees their space. */
  async compact(options: CompactOptions = {}): Promise<CompactResult> {
    const given = readOptions('compact', options, [...KEY_OPTIONS, ...WATCH_OPTIONS]);
    const watch = readWatch(given);
    return this.#with(given, async (index, write) => {
      if (this.#training) throw new SealvecError('TRAINING_IN_PROGRESS', 'compact cannot run while the index is being trained');
      const manifest = await write(() => compactIndex(index, watch));
      const storedBytes = namedObjects(manifest).reduce((sum, ref) => sum + objectSize(ref), 0);
      return { generation: manifest.generation, storedBytes };
    });
  }

  /** Copies the sealed objects of the last commit to another storage; needs no key. */
  async export(options: ExportOptions): Promise<{ objects: number; bytes: number }> {
    const given = readOptions('export', options, ['to', ...WATCH_OPTIONS]);
    return this.#track(async () => exportIndex(this.#settings.storage, this.indexName, given.to, readWatch(given)));
  }

  /** Removes the index and everything in it, and closes this handle. */
  async deleteIndex(options: KeyOptions = {}): Promise<void> {
    const given = readOptions('deleteIndex', options, KEY_OPTIONS);
    await this.#with(given, (index, write) => write(() => removeIndex(index.store.storage, this.indexName, index.store.indexId)));
    await this.close();
  }

  /** Ends training, waits for calls under way, and wipes keys and everything decrypted. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#training?.stop(new SealvecError('CLOSED', 'the index was closed during training'));
    while (this.#active.size > 0) await Promise.allSettled(this.#active);
    this.#open?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Runs a call; close waits for it. */
  async #track<T>(fn: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new SealvecError('CLOSED', `index '${this.indexName}' is closed`);
    const running = fn();
    this.#active.add(running);
    try {
      return await running;
    } finally {
      this.#active.delete(running);
    }
  }

  /** Runs a call on the index under its own key or, for this call alone, under another. */
  async #with<T>(options: { indexKey?: unknown; userId?: unknown }, fn: (index: OpenIndex, write: Write) => Promise<T>): Promise<T> {
    const key = readCallKey(options);
    return this.#track(async () => {
      if (!key && !this.#open) throw new SealvecError('WRONG_KEY', 'this handle was loaded without a key: give indexKey with the call');
      const index = key ? await this.#openWith(key) : this.#open;
      if (!index) throw new SealvecError('WRONG_KEY', 'no key');
      try {
        return await fn(index, (work) => this.#write(work));
      } finally {
        if (key) index.close();
      }
    });
  }

  async #openWith(key: CallKey): Promise<OpenIndex> {
    try {
      return await OpenIndex.open(await this.#settings.module(), this.#settings.openOptions(this.indexName, key));
    } finally {
      key.indexKey.fill(0);
    }
  }

  /** Queues a write behind those called before it. */
  #write<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#writes.then(work);
    this.#writes = result.catch(() => undefined);
    return result;
  }

  #afterWrite(index: OpenIndex): void {
    if (index !== this.#open) return;
    this.#maintainSoon(index);
    const { config, clustering } = index.store.manifest;
    const count = liveRows(index.store.manifest);
    const due = count > Math.max(this.#settings.retrainThreshold, this.#settings.minTrainVectors - 1) &&
      chooseLists(count) > (clustering?.nLists ?? 0);
    if (config.autoTrain && due && !this.#training) {
      this.train().catch((error: unknown) => {
        if (!this.#closed) index.logger.warn(`Warning: training index '${this.indexName}' failed: ${describe((error as Error).message)}`);
      });
    }
  }

  /** Merges segments behind the writes so far; while training runs, not at all. */
  #maintainSoon(index: OpenIndex): void {
    if (this.#training || this.#closed || index !== this.#open) return;
    const work = this.#write(async () => {
      if (!this.#training && !this.#closed) await maintain(index);
    }).catch((error: unknown) => index.logger.warn(`Warning: merging segments failed: ${(error as Error).message}`));
    this.#active.add(work);
    void work.finally(() => this.#active.delete(work));
  }

  async #embedTexts(texts: readonly string[]): Promise<Vectors> {
    if (!this.#embed) throw new SealvecError('INVALID_ARGUMENT', 'queryContents: this index was opened without an embed function');
    const vectors = await this.#embed([...texts]);
    const flat = vectors instanceof Float32Array;
    if (!flat && !Array.isArray(vectors)) invalid('embed', 'to return vectors', vectors);
    if (flat) return vectors;
    return vectors;
  }

  async #embedQueries(given: { queryVectors?: unknown; queryContents?: unknown }): Promise<unknown> {
    const { queryContents: texts } = given;
    if (given.queryVectors !== undefined) invalid('queryContents', 'either queryVectors or queryContents', texts);
    if (typeof texts !== 'string' && !(Array.isArray(texts) && texts.length > 0 && texts.every((text) => typeof text === 'string'))) {
      invalid('queryContents', 'a text or an array of texts', texts);
    }
    const vectors = await this.#embedTexts(typeof texts === 'string' ? [texts] : texts as string[]);
    return typeof texts === 'string' && !(vectors instanceof Float32Array) ? vectors[0] : vectors;
  }
}

type Write = <T>(work: () => Promise<T>) => Promise<T>;

/** Queries are copied before anything is awaited, so that the caller may reuse its buffer. */
function copyQueries(value: unknown): unknown {
  if (value instanceof Float32Array || value instanceof Float64Array) return value.slice();
  if (!Array.isArray(value)) return value;
  return value.map((vector: unknown) => (ArrayBuffer.isView(vector) || Array.isArray(vector) ? (vector as number[]).slice() : vector));
}
