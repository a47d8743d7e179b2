/** Reads single chunks of an object: the pages that have their hashes are kept in a cache. */
import type { CacheScope } from './cache.js';
import { Entry } from './cache-entry.js';
import { type ObjectContext, ObjectReader, type ObjectRef } from './object.js';

export class PagedReader extends ObjectReader {
  readonly #cache: CacheScope;
  readonly #unpaged: number | undefined;
  readonly #pages = new Map<number, Entry<Uint8Array>>();

  /** Keeps the pages of all sections but one. */
  constructor(context: ObjectContext, ref: ObjectRef, cache: CacheScope, unpaged?: number) {
    super(context, ref);
    this.#cache = cache;
    this.#unpaged = unpaged;
  }

  protected override knownPage(page: number): Uint8Array | undefined {
    const entry = this.#pages.get(page);
    if (entry) this.#cache.touch(entry);
    return entry?.value;
  }

  protected override tookPage(section: number, page: number, bytes: Uint8Array): void {
    if (section === this.#unpaged) return;
    const value = bytes.slice();
    const entry = new Entry(value, value.length, () => this.#pages.delete(page));
    if (this.#cache.put(`page/${page}`, entry)) this.#pages.set(page, entry);
  }
}
