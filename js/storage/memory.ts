import type { Storage } from '../../types/api.js';
import { checkBytes, checkKey, checkKeys, checkPrefix, checkRange, closedError } from './checks.js';

/**
 * memoryStorage keeps objects in this process and loses them with it. For
 * tests, caches and data that is written out with `export`.
 *
 * @example
 * const client = new Client({ storage: memoryStorage() });
 */
export function memoryStorage(): Storage {
  return new MemoryStorage();
}

class MemoryStorage implements Storage {
  readonly #objects = new Map<string, Uint8Array>();
  #closed = false;

  async read(
    key: string,
    range?: { offset: number; length: number },
  ): Promise<Uint8Array | undefined> {
    this.#check();
    checkKey(key);
    checkRange(range);
    const bytes = this.#objects.get(key);
    return range === undefined
      ? bytes?.slice()
      : bytes?.slice(range.offset, range.offset + range.length);
  }

  async create(key: string, bytes: Uint8Array): Promise<boolean> {
    this.#check();
    checkKey(key);
    checkBytes(bytes);
    if (this.#objects.has(key)) return false;
    // Not bytes.slice(): a Node Buffer's slice shares its memory.
    this.#objects.set(key, new Uint8Array(bytes));
    return true;
  }

  async delete(keys: string[]): Promise<void> {
    this.#check();
    checkKeys(keys);
    for (const key of keys) this.#objects.delete(key);
  }

  async list(prefix: string): Promise<string[]> {
    this.#check();
    checkPrefix(prefix);
    return [...this.#objects.keys()].filter((key) => key.startsWith(prefix));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#objects.clear();
  }

  #check(): void {
    if (this.#closed) throw closedError();
  }
}
