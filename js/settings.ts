/** What a Client was made with, checked, and shared by its indexes. */
import type { Bounds } from './bounds.js';
import type { Endpoint } from './endpoint.js';
import { checkSource, loadModule } from './loader.js';
import type { OpenOptions } from './open-index.js';
import { reading as loadReading } from './parts.js';
import { environment, namedStorage } from './platform.js';
import { typed } from './storage/typed.js';
import { readText } from './text.js';
import {
  type CallKey, invalid, reading, readInteger, readOptions, refuse,
} from './validate.js';
import { doesWithoutWorker, newWorker, readWorker, type WorkerOption } from './workers.js';
import type { ClientOptions, Logger, Storage, WasmSource } from '../types/api.js';

const OPTIONS = [
  'storage', 'wasm', 'worker', 'cacheBytes', 'retrainThreshold', 'minTrainVectors', 'logger',
] as const;
const STORAGE_CALLS = ['read', 'create', 'delete', 'list', 'close'] as const;
const MAX_PLACE = 4096;
const MAX_VECTORS = 2 ** 31;
const DEFAULT_THRESHOLD = 10_000;

/** A storage that the caller made. */
export function readStorage(argument: string, value: unknown): Storage {
  return reading(argument, () => {
    const storage = value as Storage | null;
    if (typeof storage !== 'object' || storage === null) invalid(argument, 'a Storage', value);
    const missing = STORAGE_CALLS.find((call) => typeof storage[call] !== 'function');
    if (missing) invalid(argument, `a Storage with ${missing}()`, value);
    return typed(storage);
  });
}

function readPlace(value: unknown): Storage {
  if (typeof value !== 'string') return readStorage('storage', value);
  const place = readText('storage', value, MAX_PLACE);
  if (place === '') refuse('storage', 'a place or a Storage', 'an empty text');
  if (place.includes('\0')) refuse('storage', 'a place without a NUL character', 'one with it');
  return namedStorage(place);
}

function readThreshold(value: unknown): number {
  if (value !== undefined) return readInteger('retrainThreshold', value, 1, MAX_VECTORS);
  const name = 'RETRAIN_THRESHOLD';
  const text = environment(name)?.trim();
  if (!text) return DEFAULT_THRESHOLD;
  return /^\d+$/.test(text) ? readInteger(name, Number(text), 1, MAX_VECTORS)
    : refuse(name, `an integer from 1 to ${MAX_VECTORS}`, `'${text}'`);
}

/** A logger that fails fails alone: no call of the index does with it. */
function readLogger(value: unknown): Logger {
  const logger = (value === undefined ? console : value) as Logger | null;
  const sound = reading('logger', () =>
    typeof logger === 'object' && typeof logger?.warn === 'function');
  if (!sound) invalid('logger', 'an object with warn()', value);
  return {
    warn: (message) => {
      try {
        logger?.warn(message);
      } catch {
        // There is nowhere left to tell it.
      }
    },
  };
}

type Reading = Awaited<ReturnType<typeof loadReading>>;

export class ClientSettings {
  readonly storage: Storage;
  readonly cacheBytes: number;
  readonly retrainThreshold: number;
  readonly minTrainVectors: number;
  readonly logger: Logger;
  readonly #wasm: WasmSource | undefined;
  readonly #worker: WorkerOption;
  #module: Promise<WebAssembly.Module> | undefined;

  constructor(options: ClientOptions) {
    const given = readOptions('Client', options, OPTIONS);
    const { cacheBytes, minTrainVectors = 10_000 } = given;
    this.cacheBytes = cacheBytes === undefined ? Infinity
      : readInteger('cacheBytes', cacheBytes, 0, Number.MAX_SAFE_INTEGER);
    this.retrainThreshold = readThreshold(given.retrainThreshold);
    this.minTrainVectors = readInteger('minTrainVectors', minTrainVectors, 1, MAX_VECTORS);
    this.logger = readLogger(given.logger);
    this.#wasm = given.wasm === undefined ? undefined : checkSource(given.wasm);
    this.#worker = readWorker(given.worker);
    this.storage = readPlace(given.storage);
  }

  /** The compiled core, loaded on first use; a failure to load it is not kept. */
  module(): Promise<WebAssembly.Module> {
    this.#module ??= loadModule(this.#wasm).catch((error: unknown) => {
      this.#module = undefined;
      throw error;
    });
    // Who asks may wait for something else first.
    this.#module.catch(() => undefined);
    return this.#module;
  }

  /** The core, and what opens and searches indexes with it. */
  async load(): Promise<Reading & { module: WebAssembly.Module }> {
    const [module, part] = await Promise.all([this.module(), loadReading()]);
    return { ...part, module };
  }

  openOptions(indexName: string, key: CallKey, bounds: Omit<Bounds, 'logger'>): OpenOptions {
    const { storage, cacheBytes, logger } = this;
    return { storage, indexName, key, cacheBytes, bounds: { ...bounds, logger } };
  }

  /** Whether training is to do without a worker where none can be had. */
  get doesWithoutWorker(): boolean {
    return doesWithoutWorker(this.#worker);
  }

  /** A new training worker, or undefined when training runs in this thread. */
  startWorker(): Endpoint | undefined {
    return newWorker(this.#worker);
  }
}
