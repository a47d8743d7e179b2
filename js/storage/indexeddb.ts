import type { Part, Storage } from '../../types/api.js';
import { SealvecError, storageError } from '../errors.js';
import { checkBytes, checkKey, checkKeys, checkPrefix, checkRange, closedError } from './checks.js';
import { Connection } from './indexeddb-connection.js';
import {
  addObject, deleteObjects, type Durability, listObjects, readObject, readObjectParts,
} from './indexeddb-objects.js';
import { giving } from './typed.js';

export interface IndexedDBOptions {
  /** Asks the browser not to evict this origin's data when space runs low. Default false. */
  persist?: boolean;
  /**
   * `'strict'` (default): create resolves once the operating system was told to write to disk.
   * `'relaxed'`: faster, and a power cut may lose the last commits, whole ones and newest first.
   */
  durability?: 'strict' | 'relaxed';
}

/**
 * indexedDBStorage keeps objects in the IndexedDB database `name` of this origin, which is made on
 * first use. Any number of tabs and workers may use one database at a time.
 *
 * An object is written in one transaction, cut into parts, so that it exists whole or not at all,
 * no value is large, and reading a range fetches only the parts it touches. A connection that the
 * browser dropped is opened anew and the call tried once more. A database that the browser has
 * deleted reads as empty.
 *
 * `bytes` must not change until create resolves.
 *
 * @throws `QUOTA_EXCEEDED` with the usage and quota of the origin, `UNSUPPORTED` where there is no
 * IndexedDB or the database is not one of SealVec, `STORAGE` otherwise.
 * @example
 * const client = new Client({ storage: indexedDBStorage('vectors', { persist: true }) });
 */
export function indexedDBStorage(name: string, options: IndexedDBOptions = {}): Storage {
  if (typeof name !== 'string' || name === '') refuse('name', 'the name of a database');
  if (typeof options !== 'object' || options === null) refuse('options', 'an object');
  const { persist = false, durability = 'strict', ...others } = options;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) refuse(`options.${unknown}`, 'persist or durability');
  if (typeof persist !== 'boolean') refuse('options.persist', 'true or false');
  if (durability !== 'strict' && durability !== 'relaxed') {
    refuse('options.durability', `'strict' or 'relaxed'`);
  }
  return giving(new IndexedDBStorage(new Connection(name, persist), durability));
}

function refuse(argument: string, expected: string): never {
  throw new SealvecError('INVALID_ARGUMENT', `${argument}: expected ${expected}`);
}

class IndexedDBStorage implements Storage {
  readonly #connection: Connection;
  readonly #durability: Durability;
  readonly #pending = new Set<Promise<unknown>>();
  #closed = false;

  constructor(connection: Connection, durability: Durability) {
    this.#connection = connection;
    this.#durability = durability;
  }

  async read(
    key: string,
    range?: Part,
  ): Promise<Uint8Array | undefined> {
    checkKey(key);
    checkRange(range);
    return this.#run(`read ${key}`, () =>
      this.#connection.run((db) => readObject(db, key, range)));
  }

  async readParts(key: string, parts: readonly Part[]): Promise<Uint8Array[] | undefined> {
    checkKey(key);
    parts.forEach(checkRange);
    return this.#run(`read ${key}`, () =>
      this.#connection.run((db) => readObjectParts(db, key, parts)));
  }

  async create(key: string, bytes: Uint8Array): Promise<boolean> {
    checkKey(key);
    checkBytes(bytes);
    return this.#run(`create ${key}`, () =>
      this.#connection.run(async (db, again) => {
        if (await addObject(db, key, bytes, this.#durability)) return true;
        // Whose object is it: another writer's, or ours, whose acknowledgement was lost?
        return again && sameBytes(await readObject(db, key), bytes);
      }));
  }

  async delete(keys: string[]): Promise<void> {
    checkKeys(keys);
    const doomed = [...keys];
    return this.#run('delete', () =>
      this.#connection.run((db) => deleteObjects(db, doomed, this.#durability)));
  }

  async list(prefix: string): Promise<string[]> {
    checkPrefix(prefix);
    return this.#run(`list ${prefix}`, () => this.#connection.run((db) => listObjects(db, prefix)));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#pending);
    await this.#connection.close();
  }

  /** Runs one call, and types what it throws. */
  async #run<T>(what: string, act: () => Promise<T>): Promise<T> {
    if (this.#closed) throw closedError();
    const call = act().catch(async (error: unknown) => {
      throw await typedError(`could not ${what}`, error);
    });
    this.#pending.add(call);
    try {
      return await call;
    } finally {
      this.#pending.delete(call);
    }
  }
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a?.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** As storageError; a full quota says what is used of what, unless asking fails as well. */
async function typedError(message: string, cause: unknown): Promise<SealvecError> {
  const error = storageError(message, cause);
  if (error.code !== 'QUOTA_EXCEEDED') return error;
  let account = '';
  try {
    const { usage, quota } = await navigator.storage.estimate();
    account = ` (the browser counts a usage of ${usage} bytes and a quota of ${quota})`;
  } catch {
    // Some browsers cannot say when it matters.
  }
  const full = `${message}: the browser gives this origin no more room${account}`;
  return new SealvecError('QUOTA_EXCEEDED', full, { cause });
}
