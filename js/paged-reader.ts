/**
 * Reads single chunks of an object, wherever they lie, in one call of the storage: what lies near
 * each other at once. The pages that have their hashes are kept in a cache.
 */
import type { CacheScope } from './cache.js';
import { Entry } from './cache-entry.js';
import {
  type ObjectContext, ObjectReader, type ObjectRef, type Sealed, type SealedRun, type Span,
} from './object.js';
import type { ChunkRun } from './object-layout.js';
import { readParts } from './stored-parts.js';

/** Bytes between two parts of an object that are rather read along. */
const GAP_BYTES = 16_384;
const EMPTY = new Uint8Array();

/** Where bytes will be: in one of the parts that are read, from some byte of it on. */
interface Place {
  readonly part: number;
  readonly from: number;
  readonly to: number;
}

/** Parts of an object to be read, ascending. */
class Parts {
  readonly all: { readonly offset: number; length: number }[] = [];

  add(offset: number, length: number): Place {
    let last = this.all.at(-1);
    if (!last || offset - last.offset - last.length > GAP_BYTES) {
      this.all.push(last = { offset, length: 0 });
    }
    const from = offset - last.offset;
    last.length = from + length;
    return { part: this.all.length - 1, from, to: last.length };
  }
}

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

  #known(page: number): Uint8Array | undefined {
    const entry = this.#pages.get(page);
    if (entry) this.#cache.touch(entry);
    return entry?.value;
  }

  #keep(page: number, bytes: Uint8Array): void {
    const value = bytes.slice();
    const entry = new Entry(value, value.length, () => this.#pages.delete(page));
    if (this.#cache.put(`page/${page}`, entry)) this.#pages.set(page, entry);
  }

  protected override async readRuns(
    section: number, runs: readonly ChunkRun[],
  ): Promise<SealedRun[]> {
    const table = await this.table();
    const parts = new Parts();
    const pages = new Map<number, Uint8Array>();
    const unknown = new Map<number, Place>();
    const places = runs.map(({ page, pageAt, pageBytes, at, bytes }) => {
      const known = pages.get(page) ?? this.#known(page);
      if (known) pages.set(page, known);
      else if (!unknown.has(page)) unknown.set(page, parts.add(pageAt, pageBytes));
      return parts.add(at, bytes);
    });
    const found = await readParts(this.context.storage, this.key, parts.all);
    const read = parts.all.map(({ length }, i) => this.checkRead(found?.[i], length));
    const cut = (place: Place | undefined): Uint8Array =>
      read[place?.part ?? 0]?.subarray(place?.from, place?.to) ?? EMPTY;
    for (const [page, place] of unknown) {
      const bytes = this.checkPage(table, page, cut(place));
      pages.set(page, bytes);
      if (section !== this.#unpaged) this.#keep(page, bytes);
    }
    return runs.map(({ first, count, page }, i) =>
      ({ first, count, sealed: cut(places[i]), page: pages.get(page) ?? EMPTY }));
  }

  /** Reads chunks of a section, still sealed; spans are ascending and apart. */
  async fetchSpans(section: number, spans: readonly Span[]): Promise<Sealed> {
    const runs = spans.flatMap(({ first, end }) => this.layout.runs(section, first, end));
    const count = runs.reduce((sum, run) => sum + run.count, 0);
    return { section, from: 0, count, runs: await this.readRuns(section, runs) };
  }
}
