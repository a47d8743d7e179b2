/** The entry: which indexes a storage holds, and opening them. */
import { Core } from './core.js';
import { EncryptedIndex } from './encrypted-index.js';
import { SealvecError } from './errors.js';
import { type IndexConfig, MAX_DIMENSION } from './manifest.js';
import { OpenIndex } from './open-index.js';
import { ClientSettings } from './settings.js';
import { IndexStore, listIndexNames } from './store.js';
import { importIndex } from './transfer.js';
import {
  readBoolean, readCallKey, readChoice, readFunction, readIndexName, readInteger, readKey, readOptions,
  readWatch,
} from './validate.js';
import type {
  ClientOptions, CreateIndexOptions, Embed, ImportOptions, LoadIndexOptions, Metric,
} from '../types/api.js';

const METRICS: readonly Metric[] = ['euclidean', 'squared_euclidean', 'cosine', 'inner_product'];

function readEmbed(value: unknown): Embed | undefined {
  return value === undefined ? undefined : readFunction('embed', value) as unknown as Embed;
}

/**
 * A storage with encrypted indexes in it. Nothing is read or loaded before the first call.
 *
 * @example
 * const client = new Client({ storage: memoryStorage() });
 * const index = await client.createIndex({ indexName: 'notes', indexKey: generateKey(), dimension: 2 });
 * await index.upsert({ items: [{ id: 'a', vector: [1, 0] }] });
 * const { results } = await index.query({ queryVectors: [1, 0], topK: 1 });
 */
export class Client {
  readonly #settings: ClientSettings;
  readonly #indexes = new Set<EncryptedIndex>();
  #closed = false;

  /** @throws `INVALID_ARGUMENT` naming the option. */
  constructor(options: ClientOptions) {
    this.#settings = new ClientSettings(options);
  }

  #check(): void {
    if (this.#closed) throw new SealvecError('CLOSED', 'the client is closed');
  }

  #handle(indexName: string, open: OpenIndex | undefined, embed: Embed | undefined): EncryptedIndex {
    const index = new EncryptedIndex(this.#settings, indexName, open, embed);
    this.#indexes.add(index);
    return index;
  }

  /**
   * Makes an empty index under a new name.
   *
   * @throws `ALREADY_EXISTS` when the name is taken.
   */
  async createIndex(options: CreateIndexOptions): Promise<EncryptedIndex> {
    this.#check();
    const given = readOptions('createIndex', options, ['indexName', 'indexKey', 'dimension', 'embed', 'metric', 'precision', 'autoTrain']);
    const indexName = readIndexName(given.indexName);
    const indexKey = readKey('indexKey', given.indexKey, 32);
    const embed = readEmbed(given.embed);
    const config: IndexConfig = {
      dimension: given.dimension === undefined ? 0 : readInteger('dimension', given.dimension, 1, MAX_DIMENSION),
      metric: readChoice('metric', given.metric ?? 'euclidean', METRICS),
      precision: readChoice('precision', given.precision ?? 'float32', ['float32', 'float16']),
      autoTrain: readBoolean('autoTrain', given.autoTrain ?? false),
    };
    try {
      const module = await this.#settings.module();
      await IndexStore.create(await Core.instantiate(module), this.#settings.storage, indexName, indexKey, config);
      const key = { indexKey, userId: undefined };
      return this.#handle(indexName, await OpenIndex.open(module, this.#settings.openOptions(indexName, key)), embed);
    } finally {
      indexKey.fill(0);
    }
  }

  /**
   * Opens an index. Without a key the handle holds no secret and every call on it must carry one.
   *
   * @throws `NOT_FOUND`, `WRONG_KEY`, `CORRUPTED`, or `ROLLED_BACK` when the last commit is older
   * than `minGeneration`.
   */
  async loadIndex(options: LoadIndexOptions): Promise<EncryptedIndex> {
    this.#check();
    const given = readOptions('loadIndex', options, ['indexName', 'indexKey', 'userId', 'minGeneration', 'embed']);
    const indexName = readIndexName(given.indexName);
    const key = readCallKey(given);
    const embed = readEmbed(given.embed);
    const minGeneration = given.minGeneration === undefined ? 0 : readInteger('minGeneration', given.minGeneration, 0, Number.MAX_SAFE_INTEGER);
    if (!key) {
      await IndexStore.find(this.#settings.storage, indexName, minGeneration, this.#settings.logger);
      return this.#handle(indexName, undefined, embed);
    }
    try {
      const open = await OpenIndex.open(await this.#settings.module(), this.#settings.openOptions(indexName, key, minGeneration));
      return this.#handle(indexName, open, embed);
    } finally {
      key.indexKey.fill(0);
    }
  }

  /** The names of all indexes in the storage; they can be read without a key. */
  async listIndexes(): Promise<string[]> {
    this.#check();
    return listIndexNames(this.#settings.storage);
  }

  /** Copies an index that `export` wrote to another storage into this one. */
  async import(options: ImportOptions): Promise<{ objects: number; bytes: number }> {
    this.#check();
    const given = readOptions('import', options, ['from', 'indexName', 'onProgress', 'signal']);
    return importIndex(this.#settings.storage, readIndexName(given.indexName), given.from, readWatch(given));
  }

  /** Closes every index opened through this client, and its storage. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([...this.#indexes].map((index) => index.close()));
    await this.#settings.storage.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
