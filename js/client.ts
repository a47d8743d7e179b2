/** The entry: which indexes a storage holds, and opening them. */
import type { HandleParts } from './access.js';
import { EncryptedIndex } from './encrypted-index.js';
import { SealvecError } from './errors.js';
import { type IndexConfig, MAX_DIMENSION } from './manifest.js';
import { managing, reading, writing } from './parts.js';
import { ClientSettings, readStorage } from './settings.js';
import { readIndexName, readText } from './text.js';
import type { Transferred } from './transfer.js';
import {
  readBoolean, readCallKey, readChoice, readFunction, readInteger, readKey, readOptions, readWatch,
} from './validate.js';
import type {
  ClientOptions, CreateIndexOptions, Embed, ImportOptions, LoadIndexOptions, Metric, Precision,
} from '../types/api.js';

const METRICS: readonly Metric[] = [
  'euclidean', 'squared_euclidean', 'cosine', 'inner_product',
];
const PRECISIONS: readonly Precision[] = ['float32', 'float16'];
const CREATE_OPTIONS = [
  'indexName', 'indexKey', 'dimension', 'embed', 'metric', 'precision', 'autoTrain',
] as const;
const LOAD_OPTIONS =
  ['indexName', 'indexKey', 'userId', 'minGeneration', 'anchor', 'embed'] as const;

function readEmbed(value: unknown): Embed | undefined {
  return value === undefined ? undefined : readFunction('embed', value) as unknown as Embed;
}

function readConfig(given: Partial<Record<string, unknown>>): IndexConfig {
  const { dimension, metric = 'euclidean', precision = 'float32', autoTrain = false } = given;
  return {
    dimension: dimension === undefined ? 0 : readInteger('dimension', dimension, 1, MAX_DIMENSION),
    metric: readChoice('metric', metric, METRICS),
    precision: readChoice('precision', precision, PRECISIONS),
    autoTrain: readBoolean('autoTrain', autoTrain),
  };
}

/**
 * A storage with encrypted indexes in it. Nothing is read or loaded before the first call.
 *
 * @example
 * const client = new Client({ storage: memoryStorage() });
 * const indexKey = generateKey();
 * const index = await client.createIndex({ indexName: 'notes', indexKey, dimension: 2 });
 * await index.upsert({ items: [{ id: 'a', vector: [1, 0] }] });
 * const { results } = await index.query({ queryVectors: [1, 0], topK: 1 });
 */
export class Client {
  readonly #settings: ClientSettings;
  readonly #indexes = new Set<EncryptedIndex>();
  #closing: Promise<void> | undefined;

  /** @throws `INVALID_ARGUMENT` naming the option. */
  constructor(options: ClientOptions) {
    this.#settings = new ClientSettings(options);
  }

  #check(): void {
    if (this.#closing) throw new SealvecError('CLOSED', 'the client is closed');
  }

  #handle(
    indexName: string, opened: Omit<HandleParts, 'embed' | 'closed'>, embed: Embed | undefined,
  ): EncryptedIndex {
    if (this.#closing) opened.open?.close();
    this.#check();
    const closed = (): unknown => this.#indexes.delete(index);
    const index = new EncryptedIndex(this.#settings, indexName, { ...opened, embed, closed });
    this.#indexes.add(index);
    return index;
  }

  /**
   * Makes an empty index under a new name. `dimension` may be left to the first upsert; with
   * `embed`, items may come as texts.
   *
   * @throws `ALREADY_EXISTS` when the name is taken.
   * @example
   * const made = await client.createIndex({
   *   indexName: 'papers', indexKey, dimension: 384, metric: 'cosine',
   * });
   */
  async createIndex(options: CreateIndexOptions): Promise<EncryptedIndex> {
    this.#check();
    const given = readOptions('createIndex', options, CREATE_OPTIONS);
    const indexName = readIndexName(given.indexName);
    const embed = readEmbed(given.embed);
    const config = readConfig(given);
    const indexKey = readKey('indexKey', given.indexKey, 32);
    try {
      const [{ module, Core, OpenIndex }, part] =
        await Promise.all([this.#settings.load(), managing()]);
      const core = await Core.instantiate(module);
      try {
        await part.createIndex(core, this.#settings.storage, indexName, indexKey, config);
      } finally {
        core.wipe();
      }
      const key = { indexKey, userId: undefined };
      const open = await OpenIndex.open(module, this.#settings.openOptions(indexName, key, {}));
      return this.#handle(indexName, { open, bounds: {} }, embed);
    } finally {
      indexKey.fill(0);
    }
  }

  /**
   * Opens an index. Without a key the handle holds no secret and every call on it must carry one.
   *
   * @throws `NOT_FOUND`; `WRONG_KEY`, also for a user who is unknown or was deleted; `CORRUPTED`;
   * `ROLLED_BACK` when the last commit is older than `minGeneration`, or does not descend from
   * `anchor`.
   * @example
   * const again = await client.loadIndex({ indexName: 'notes', indexKey });
   * const same = await client.loadIndex({
   *   indexName: 'notes', indexKey, anchor: await again.anchor(),
   * });
   */
  async loadIndex(options: LoadIndexOptions): Promise<EncryptedIndex> {
    this.#check();
    const given = readOptions('loadIndex', options, LOAD_OPTIONS);
    const { minGeneration = 0 } = given;
    const indexName = readIndexName(given.indexName);
    const embed = readEmbed(given.embed);
    const least = readInteger('minGeneration', minGeneration, 0, Number.MAX_SAFE_INTEGER);
    const text = given.anchor === undefined ? undefined : readText('anchor', given.anchor, 256);
    const key = readCallKey(given);
    const { storage, logger } = this.#settings;
    const module = key && this.#settings.module();
    try {
      const { findIndex, readAnchor, OpenIndex } = await reading();
      const bounds = { minGeneration: least, anchor: text === undefined ? text : readAnchor(text) };
      if (!key || !module) {
        await findIndex(storage, indexName, { ...bounds, logger });
        return this.#handle(indexName, { open: undefined, bounds }, embed);
      }
      const options = this.#settings.openOptions(indexName, key, bounds);
      const open = await OpenIndex.open(module, options);
      return this.#handle(indexName, { open, bounds }, embed);
    } finally {
      key?.indexKey.fill(0);
    }
  }

  /**
   * The names of all indexes in the storage; they can be read without a key.
   *
   * @example
   * const names = await client.listIndexes();
   */
  async listIndexes(): Promise<string[]> {
    this.#check();
    const { listIndexNames } = await reading();
    return listIndexNames(this.#settings.storage);
  }

  /**
   * Copies an index that `export` wrote to another storage into this one; needs no key.
   *
   * @throws `NOT_FOUND` when it is not there, `ALREADY_EXISTS` when the name is taken here.
   * @example
   * const backup = memoryStorage();
   * await index.export({ to: backup });
   * await new Client({ storage: memoryStorage() }).import({ from: backup, indexName: 'notes' });
   */
  async import(options: ImportOptions): Promise<Transferred> {
    this.#check();
    const given = readOptions('import', options, ['from', 'indexName', 'onProgress', 'signal']);
    const from = readStorage('from', given.from);
    const watch = readWatch(given);
    const indexName = readIndexName(given.indexName);
    const { copyIndex } = await writing();
    return copyIndex(from, this.#settings.storage, indexName, watch);
  }

  /**
   * Closes every index opened through this client, and its storage. May be called again.
   *
   * @example
   * await client.close();
   */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#indexes].map((index) => index.close()));
    await this.#settings.storage.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
