/** What a Client was made with, checked, and shared by its indexes. */
import type { Endpoint } from './endpoint.js';
import { webEndpoint } from './endpoint.js';
import { loadModule } from './loader.js';
import type { OpenOptions } from './open-index.js';
import { environment, namedStorage, startWorker } from './platform.js';
import { type CallKey, invalid, readBoolean, readInteger, readNumber, readOptions } from './validate.js';
import type { ClientOptions, Logger, Storage, WasmSource, WorkerLike } from '../types/api.js';

const STORAGE_CALLS = ['read', 'create', 'delete', 'list', 'close'] as const;

function readStorage(value: unknown): Storage {
  if (typeof value === 'string') {
    return value === '' ? invalid('storage', 'a place or a Storage object', value) : namedStorage(value);
  }
  const object = value as Storage | null;
  if (typeof object !== 'object' || object === null) invalid('storage', 'a place or a Storage object', value);
  const missing = STORAGE_CALLS.find((call) => typeof object[call] !== 'function');
  if (missing) invalid('storage', `a Storage object with ${missing}()`, value);
  return object;
}

function readThreshold(value: unknown): number {
  const given = value ?? environment('RETRAIN_THRESHOLD');
  if (given === undefined) return 10_000;
  return readInteger('retrainThreshold', typeof given === 'string' ? Number(given) : given, 1, 2 ** 31);
}

function readLogger(value: unknown): Logger {
  const logger = (value ?? console) as Logger;
  if (typeof logger !== 'object' || typeof logger.warn !== 'function') invalid('logger', 'an object with warn()', value);
  return logger;
}

export class ClientSettings {
  readonly storage: Storage;
  readonly cacheBytes: number;
  readonly retrainThreshold: number;
  readonly minTrainVectors: number;
  readonly logger: Logger;
  readonly #wasm: WasmSource | undefined;
  readonly #worker: boolean | (() => WorkerLike);
  #module: Promise<WebAssembly.Module> | undefined;

  constructor(options: ClientOptions) {
    const given = readOptions('Client', options, ['storage', 'wasm', 'worker', 'cacheBytes', 'retrainThreshold', 'minTrainVectors', 'logger']);
    this.storage = readStorage(given.storage);
    this.cacheBytes = given.cacheBytes === undefined ? Infinity : readNumber('cacheBytes', given.cacheBytes, 0, Infinity);
    this.retrainThreshold = readThreshold(given.retrainThreshold);
    this.minTrainVectors = readInteger('minTrainVectors', given.minTrainVectors ?? 10_000, 1, 2 ** 31);
    this.logger = readLogger(given.logger);
    this.#wasm = given.wasm as WasmSource | undefined;
    const { worker = true } = given;
    this.#worker = typeof worker === 'function' ? worker as () => WorkerLike : readBoolean('worker', worker);
  }

  /** The compiled core, loaded on first use. */
  module(): Promise<WebAssembly.Module> {
    this.#module ??= loadModule(this.#wasm);
    return this.#module;
  }

  openOptions(indexName: string, key: CallKey, minGeneration = 0): OpenOptions {
    const { storage, cacheBytes, logger } = this;
    return { storage, indexName, key, cacheBytes, minGeneration, logger };
  }

  /** A new training worker, or undefined when training runs in this thread. */
  startWorker(): Endpoint | undefined {
    if (this.#worker === false) return undefined;
    return typeof this.#worker === 'function' ? webEndpoint(this.#worker()) : startWorker();
  }
}
