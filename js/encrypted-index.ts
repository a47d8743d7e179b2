/** An index under a key: the calls of the API, each checked and carried to where it is done. */
import { Access, type HandleParts } from './access.js';
import { embedQueries, embedTexts } from './embedding.js';
import { readUpsert } from './items.js';
import { ManagedIndex } from './managed-index.js';
import { liveRows } from './manifest.js';
import type { OpenIndex } from './open-index.js';
import { reading, writing } from './parts.js';
import { readPlan } from './query-plan.js';
import { readStorage, type ClientSettings } from './settings.js';
import { readIds } from './text.js';
import { readTrain } from './train-plan.js';
import type { Transferred } from './transfer.js';
import { Upkeep } from './upkeep.js';
import {
  KEY, readCallKey, readChoices, readOptions, readWatch, WATCH,
} from './validate.js';
import type {
  CompactOptions, CompactResult, DeleteOptions, DeleteResult, Embed, ExportOptions, GetInclude,
  GetItem, GetOptions, IndexStats, KeyOptions, ListIdsResult, QueryItem, QueryOptions, QueryResult,
  TrainingState, TrainOptions, TrainResult, UpsertOptions, UpsertResult, Vector,
} from '../types/api.js';

const GET_INCLUDES: readonly GetInclude[] = ['metadata', 'contents', 'vector'];

type ManyQueries = { queryVectors: readonly Vector[] } | { queryContents: readonly string[] };
type OneQuery = { queryVectors: readonly number[] } | { queryContents: string };

/**
 * One encrypted index. Calls may overlap: writes take effect in the order called, reads see the
 * last commit. Made by `Client.createIndex` and `Client.loadIndex`. Every call but `export` and
 * `close` also takes `indexKey` (and `userId`), which for that call replace those given at load.
 */
export class EncryptedIndex extends ManagedIndex {
  /** The name it was created under. */
  readonly indexName: string;
  readonly #access: Access;
  readonly #upkeep: Upkeep;
  readonly #embed: Embed | undefined;
  readonly #onClosed: () => unknown;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(settings: ClientSettings, indexName: string, parts: HandleParts) {
    const access = new Access(settings, indexName, parts);
    const upkeep = new Upkeep(access);
    super(access, upkeep);
    this.indexName = indexName;
    this.#access = access;
    this.#upkeep = upkeep;
    [this.#embed, this.#onClosed] = [parts.embed, parts.closed];
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
    this.#access.check();
    const { dimension } = this.#access;
    const embeds = this.#embed !== undefined;
    const { columns, watch, key } = readUpsert(options, embeds, dimension);
    const known = columns.vectors.dimension || dimension;
    const embedding = embedTexts(this.#embed, columns.texts, known);
    // It may fail before the write has its turn to see that.
    embedding.catch(() => undefined);
    return this.#access.write(key, watch.signal, async (index) => {
      const { config } = index.store.manifest;
      const { toRows, upsertRows } = await writing();
      const rows = toRows(index.core, config, columns, await embedding);
      const { generation } = await upsertRows(index, rows, watch);
      await this.#upkeep.afterWrite(index);
      return { count: rows.ids.length, generation };
    });
  }

  /**
   * The nearest items, nearest first: exact before training, within `targetRecall` after it. Fewer
   * than `topK` come back only when fewer exist (or match the filters).
   *
   * @throws `INVALID_ARGUMENT`, `DIMENSION_MISMATCH`.
   * @example
   * const { results } = await index.query({
   *   queryVectors: [0.1, 0.2], topK: 10, include: ['distance', 'metadata'],
   * });
   */
  async query(options: QueryOptions & ManyQueries): Promise<QueryResult<QueryItem[][]>>;
  async query(options: QueryOptions & OneQuery): Promise<QueryResult>;
  async query(options: QueryOptions): Promise<QueryResult<QueryItem[]>>;
  async query(options: QueryOptions): Promise<QueryResult<QueryItem[] | QueryItem[][]>> {
    this.#access.check();
    const plan = readPlan(options, this.#embed !== undefined);
    const { texts, listed, key, signal } = plan;
    return this.#access.read(key, signal, async (index) => {
      const { dimension } = index.store.manifest.config;
      const { runQuery } = await reading();
      const queries = plan.queries ?? await embedQueries(this.#embed, texts, listed, dimension);
      return index.read(async (snapshot) => {
        this.#upkeep.warnUntrained(index, snapshot);
        return runQuery(index, snapshot, plan, queries);
      });
    });
  }

  /**
   * Items by id, in the order asked; ids that do not exist are left out.
   * @example
   * const [item] = await index.get({ ids: ['a'], include: ['metadata'] });
   */
  async get(options: GetOptions): Promise<GetItem[]> {
    this.#access.check();
    const given = readOptions('get', options, ['ids', 'include', ...KEY]);
    const { include: asked = GET_INCLUDES } = given;
    const ids = readIds(given.ids);
    const include = readChoices('include', asked, GET_INCLUDES);
    return this.#access.read(readCallKey(given), undefined, async (index) => {
      const { getItems } = await reading();
      return index.read((snapshot) => getItems(index, snapshot, ids, include));
    });
  }

  /**
   * Deletes items; ids that do not exist are ignored, and `count` leaves them out.
   * @example
   * const { count } = await index.delete({ ids: ['a', 'b'] });
   */
  async delete(options: DeleteOptions): Promise<DeleteResult> {
    this.#access.check();
    const given = readOptions('delete', options, ['ids', ...KEY]);
    const ids = readIds(given.ids);
    return this.#access.write(readCallKey(given), undefined, async (index) => {
      const { deleteIds } = await writing();
      const { count, manifest } = await deleteIds(index, ids);
      await this.#upkeep.afterWrite(index);
      return { count, generation: manifest.generation };
    });
  }

  /**
   * The ids of all items, in no particular order.
   * @example
   * const { ids, count } = await index.listIds();
   */
  async listIds(options: KeyOptions = {}): Promise<ListIdsResult> {
    return this.#read('listIds', options, async (index) =>
      index.read((await reading()).listIds));
  }

  /**
   * How many items the index holds.
   * @example
   * const count = await index.count();
   */
  async count(options: KeyOptions = {}): Promise<number> {
    return this.#read('count', options, async ({ store }) => liveRows(await store.refresh()));
  }

  /**
   * Figures of the last commit and of this handle's memory.
   * @example
   * const { storedBytes, segments } = await index.stats();
   */
  async stats(options: KeyOptions = {}): Promise<IndexStats> {
    return this.#read('stats', options, async (index) =>
      (await reading()).readStats(index, this.#upkeep.isTraining));
  }

  /**
   * Clusters the vectors into lists, in workers, while the index stays usable. Needs at least
   * `max(2 * nLists, minTrainVectors)` vectors. A number stands for `nLists`.
   *
   * @throws `NOT_ENOUGH_VECTORS`, `TRAINING_IN_PROGRESS`; the index is then as it was.
   * @example
   * const { nLists, seconds } = await index.train({
   *   onProgress: (p) => console.log(p.phase, p.fraction),
   * });
   */
  async train(options: TrainOptions | number = {}): Promise<TrainResult> {
    this.#access.check();
    const { plan, key } = readTrain(options);
    return this.#access.read(key, plan.signal, (index) => this.#upkeep.train(index, plan));
  }

  /**
   * Whether queries use trained lists.
   * @example
   * const trained = await index.isTrained();
   */
  async isTrained(options: KeyOptions = {}): Promise<boolean> {
    const manifest = await this.#read('isTrained', options, ({ store }) => store.refresh());
    return manifest.clustering !== undefined;
  }

  /**
   * Whether this handle is training the index now.
   * @example
   * const training = await index.isTraining();
   */
  async isTraining(options: KeyOptions = {}): Promise<boolean> {
    return this.#read('isTraining', options, async () => this.#upkeep.isTraining);
  }

  /**
   * `'training'` while this handle trains the index, else whether it has been trained.
   * @example
   * const state = await index.trainingState();
   */
  async trainingState(options: KeyOptions = {}): Promise<TrainingState> {
    return this.#read('trainingState', options, async ({ store }) => {
      const { clustering } = await store.refresh();
      if (this.#upkeep.isTraining) return 'training';
      return clustering ? 'trained' : 'untrained';
    });
  }

  /**
   * Rewrites what holds deleted rows, merges small segments and frees their space.
   *
   * @throws `TRAINING_IN_PROGRESS`.
   * @example
   * const { storedBytes } = await index.compact();
   */
  async compact(options: CompactOptions = {}): Promise<CompactResult> {
    this.#access.check();
    const given = readOptions('compact', options, [...KEY, ...WATCH]);
    const watch = readWatch(given);
    return this.#access.write(readCallKey(given), watch.signal, async (index) => {
      this.#upkeep.refuseTraining();
      return (await writing()).compactIndex(index, watch);
    });
  }

  /**
   * Copies the sealed objects of the last commit to another storage; needs no key.
   *
   * @throws `ALREADY_EXISTS` when the name is taken there.
   * @example
   * await index.export({ to: memoryStorage() });
   */
  async export(options: ExportOptions): Promise<Transferred> {
    this.#access.check();
    const given = readOptions('export', options, ['to', ...WATCH]);
    const to = readStorage('to', given.to);
    const watch = readWatch(given);
    const { storage } = this.#access.settings;
    return this.#access.track(async () =>
      (await writing()).copyIndex(storage, to, this.indexName, watch));
  }

  /**
   * Removes the index and everything in it, and closes this handle.
   * @example
   * await index.deleteIndex();
   */
  async deleteIndex(options: KeyOptions = {}): Promise<void> {
    this.#access.check();
    const key = readCallKey(readOptions('deleteIndex', options, KEY));
    await this.#access.write(key, undefined, async ({ store }) => {
      await this.#upkeep.stop('the index was deleted during training');
      const { removeIndex } = await writing();
      await removeIndex(store.storage, this.indexName, store.indexId);
      this.#access.end();
    }, true);
    return this.close();
  }

  /**
   * Ends training, waits for calls under way, and wipes keys and everything decrypted. May be
   * called again.
   * @example
   * await index.close();
   */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#access.end();
    void this.#upkeep.stop('the index was closed during training');
    await this.#access.drain();
    this.#onClosed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A call that takes a key and nothing else. */
  async #read<T>(
    name: string, options: unknown, work: (index: OpenIndex) => Promise<T>,
  ): Promise<T> {
    this.#access.check();
    return this.#access.read(readCallKey(readOptions(name, options, KEY)), undefined, work);
  }
}
