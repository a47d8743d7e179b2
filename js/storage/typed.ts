import { SealvecError, storageError } from '../errors.js';
import type { Part, Storage } from '../../types/api.js';

const KNOWN = new WeakMap<Storage, Storage>();
const GIVING = new WeakSet<Storage>();

/**
 * giving marks a storage of ours: what it reads is nobody else's, so that the
 * reader may move it to a worker instead of copying it.
 */
export function giving<T extends Storage>(storage: T): T {
  GIVING.add(storage);
  return storage;
}

/** isGiven says whether bytes that a storage has read may be moved away. */
export function isGiven(storage: Storage, bytes: Uint8Array): boolean {
  return GIVING.has(storage) && bytes.byteLength === bytes.buffer.byteLength;
}

/**
 * typed makes every failure of a storage a SealvecError, and an answer of the
 * wrong kind a failure, so that a caller's own backend may throw what it likes.
 * One storage has one such form, whoever asks.
 */
export function typed(storage: Storage): Storage {
  if (storage instanceof TypedStorage) return storage;
  const known = KNOWN.get(storage) ?? new TypedStorage(storage);
  KNOWN.set(storage, known);
  if (GIVING.has(storage)) GIVING.add(known);
  return known;
}

function isBytes(value: unknown): boolean {
  return Object.prototype.toString.call(value) === '[object Uint8Array]';
}

class TypedStorage implements Storage {
  readonly #storage: Storage;
  /** As the storage's, if it has one. */
  readonly readParts?: NonNullable<Storage['readParts']>;

  constructor(storage: Storage) {
    this.#storage = storage;
    const { readParts } = storage;
    if (readParts) this.readParts = (key, parts) => this.#readParts(key, parts, readParts);
  }

  read(
    key: string,
    range?: Part,
  ): Promise<Uint8Array | undefined> {
    const sound = (bytes: unknown): boolean => bytes === undefined || isBytes(bytes);
    return this.#call('read', 'a Uint8Array or undefined', sound, () =>
      range === undefined ? this.#storage.read(key) : this.#storage.read(key, range),
    );
  }

  #readParts(
    key: string, parts: readonly Part[], read: NonNullable<Storage['readParts']>,
  ): Promise<Uint8Array[] | undefined> {
    const sound = (found: unknown): boolean => found === undefined ||
      (Array.isArray(found) && found.length === parts.length && found.every(isBytes));
    return this.#call('readParts', `${parts.length} Uint8Arrays or undefined`, sound, () =>
      read.call(this.#storage, key, parts),
    );
  }

  create(key: string, bytes: Uint8Array): Promise<boolean> {
    const sound = (created: unknown): boolean => typeof created === 'boolean';
    return this.#call('create', 'true or false', sound, () => this.#storage.create(key, bytes));
  }

  delete(keys: string[]): Promise<void> {
    return this.#call('delete', 'nothing', () => true, () => this.#storage.delete(keys));
  }

  list(prefix: string): Promise<string[]> {
    const sound = (keys: unknown): boolean =>
      Array.isArray(keys) && keys.every((key) => typeof key === 'string');
    return this.#call('list', 'an array of keys', sound, () => this.#storage.list(prefix));
  }

  close(): Promise<void> {
    return this.#call('close', 'nothing', () => true, () => this.#storage.close());
  }

  async #call<T>(
    name: string,
    expected: string,
    sound: (value: unknown) => boolean,
    call: () => Promise<T>,
  ): Promise<T> {
    let value: T;
    try {
      value = await call();
    } catch (error) {
      throw storageError(`the storage's ${name} failed`, error);
    }
    if (sound(value)) return value;
    const message = `the storage's ${name}: expected ${expected}, got another value`;
    throw new SealvecError('STORAGE', message);
  }
}
