/**
 * One index opened under one key: a core of its own, its store, its cache and the snapshot that
 * queries read. Closing wipes the keys and everything decrypted.
 */
import type { Bounds } from './bounds.js';
import { Cache } from './cache.js';
import type { Core } from './core.js';
import { wipeStack } from './crypto.js';
import { SealvecError } from './errors.js';
import type { Manifest } from './manifest.js';
import { MAX_ATTEMPTS } from './newest.js';
import { isGone, missing } from './object.js';
import { PiledCore } from './piled-core.js';
import { Snapshot } from './snapshot.js';
import { IndexStore } from './store.js';
import type { CallKey } from './validate.js';
import type { Logger, Storage } from '../types/api.js';

/** How long (ms) a reader may go without looking for commits of other writers. */
const LOOK_AGAIN = 250;

export interface OpenOptions {
  readonly storage: Storage;
  readonly indexName: string;
  readonly key: CallKey;
  readonly cacheBytes: number;
  readonly bounds: Bounds;
}

export class OpenIndex {
  readonly core: Core;
  readonly store: IndexStore;
  readonly cache: Cache;
  readonly logger: Logger;
  #snapshot: Snapshot | undefined;
  #building: Promise<Snapshot> | undefined;
  #closed = false;

  private constructor(core: Core, store: IndexStore, cache: Cache, logger: Logger) {
    this.core = core;
    this.store = store;
    this.cache = cache;
    this.logger = logger;
  }

  /** Opens an index; what storage has of it is read while the module is still being compiled. */
  static async open(
    module: WebAssembly.Module | Promise<WebAssembly.Module>, options: OpenOptions,
  ): Promise<OpenIndex> {
    const making = Promise.resolve(module).then((compiled) => PiledCore.instantiate(compiled));
    const { storage, indexName, key, bounds } = options;
    try {
      const store = await IndexStore.open(making, storage, indexName, key, bounds);
      return new OpenIndex(store.core, store, new Cache(options.cacheBytes), bounds.logger);
    } catch (error) {
      await making.then((core) => core.wipe(), () => undefined);
      throw error;
    }
  }

  /** The snapshot of a manifest, or of the newest; kept until another is asked for. */
  async #open(wanted?: Manifest): Promise<Snapshot> {
    while (this.#building) await this.#building.catch(() => undefined);
    if (this.#closed) throw new SealvecError('CLOSED', 'the index was closed during this call');
    const manifest = wanted ?? this.store.manifest;
    const known = this.#snapshot;
    if (known?.manifest === manifest) return known.use();
    // Held of its own, so that closing meanwhile frees nothing that is being taken over.
    known?.use();
    this.#building = Snapshot.open(
      this.store, manifest, this.cache, known, this.store.pin(manifest),
    );
    try {
      const snapshot = await this.#building;
      if (this.#closed) {
        snapshot.release();
        throw new SealvecError('CLOSED', 'the index was closed during this call');
      }
      this.#snapshot?.release();
      this.#snapshot = snapshot;
      return snapshot.use();
    } finally {
      this.#building = undefined;
      known?.release();
    }
  }

  /**
   * Runs fn on the last commit, as of `maxAge` ms ago at most; on an object that another writer
   * removed meanwhile, again on the newest.
   */
  async read<T>(fn: (snapshot: Snapshot) => Promise<T>, maxAge = LOOK_AGAIN): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      const { generation } = await this.store.refresh(attempt === 0 ? maxAge : -1);
      try {
        return await this.withSnapshot(undefined, fn);
      } catch (error) {
        if (!isGone(error) || attempt >= MAX_ATTEMPTS) throw error;
        if ((await this.store.refresh()).generation === generation) throw missing(error);
      }
    }
  }

  /** Runs fn on the snapshot of one manifest, or of the newest that is known. */
  async withSnapshot<T>(
    manifest: Manifest | undefined, fn: (snapshot: Snapshot) => Promise<T>,
  ): Promise<T> {
    const snapshot = await this.#open(manifest);
    try {
      return await fn(snapshot);
    } finally {
      snapshot.release();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#snapshot?.release();
    this.#snapshot = undefined;
    this.cache.close();
    this.store.wipe();
    wipeStack(this.core);
  }
}
