/** Reads single chunks of an object: with the pages that have their hashes kept in a cache. */
import { allOf } from './all.js';
import type { CacheScope } from './cache.js';
import {
  cutRun, type ObjectContext, ObjectReader, type ObjectRef, type SealedRun,
} from './object.js';
import type { ChunkRun } from './object-layout.js';

/** Bytes between a page and the chunks it is wanted for that are rather read along. */
const READ_ALONG = 16_384;

export class PagedReader extends ObjectReader {
  readonly #cache: CacheScope;

  constructor(context: ObjectContext, ref: ObjectRef, cache: CacheScope) {
    super(context, ref);
    this.#cache = cache;
  }

  #takePage(table: Uint8Array, page: number, bytes: Uint8Array): Uint8Array {
    const value = this.checkPage(table, page, bytes).slice();
    this.#cache.put(`page/${page}`, { value, bytes: value.length, drop: () => undefined });
    return value;
  }

  /** Reads chunks, and the page of the first of them unless it is known: with them, or beside. */
  override async readRuns(runs: readonly ChunkRun[]): Promise<SealedRun[]> {
    const [head, tail] = [runs[0], runs.at(-1)];
    if (!head || !tail) return [];
    const table = await this.table();
    const known = this.#cache.peek<Uint8Array>(`page/${head.page}`);
    const isNear = !known && head.at - head.pageAt - head.pageBytes <= READ_ALONG;
    const begin = isNear ? head.pageAt : head.at;
    const [bytes, apart] = await allOf([
      this.readStored(begin, tail.at + tail.bytes - begin),
      known || isNear ? Promise.resolve(undefined) : this.readStored(head.pageAt, head.pageBytes),
    ]);
    return runs.map((run) => {
      const within = run === head && !isNear ? apart
        : bytes.subarray(run.pageAt - begin, run.pageAt - begin + run.pageBytes);
      const page = within ? this.#takePage(table, run.page, within) : known;
      return cutRun(run, page ?? new Uint8Array(), bytes, begin);
    });
  }
}
