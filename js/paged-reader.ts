/** Reads single chunks of an object: the pages that have their hashes are kept in a cache. */
import { type CacheScope, Entry } from './cache.js';
import { type ObjectContext, ObjectReader, type ObjectRef } from './object.js';

export class PagedReader extends ObjectReader {
  readonly #cache: CacheScope;
  readonly #pages = new Map<number, Entry<Uint8Array>>();

  constructor(context: ObjectContext, ref: ObjectRef, cache: CacheScope) {
    super(context, ref);
    this.#cache = cache;
  }

  protected override knownPage(page: number): Uint8Array | undefined {
    const entry = this.#pages.get(page);
    if (entry) this.#cache.touch(entry);
    return entry?.value;
  }

  protected override tookPage(page: number, bytes: Uint8Array): void {
    const value = bytes.slice();
    const entry = new Entry(value, value.length, () => this.#pages.delete(page));
    if (this.#cache.put(`page/${page}`, entry)) this.#pages.set(page, entry);
  }
}
