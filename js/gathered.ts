/**
 * Reads of one object that are asked for in one turn, gathered: they are one call of the storage,
 * and a chunk of which several are to have a part is opened once.
 */
import type { ObjectRef, Span } from './object.js';
import type { PagedReader } from './paged-reader.js';

/** Plain bytes that are read and opened at once, at most, unless one asks for more. */
const MOST_BYTES = 1 << 20;

/** Plain bytes [from, to) of a section. */
interface Range {
  readonly from: number;
  readonly to: number;
}

/** One that somebody waits for. */
interface Asked extends Range {
  readonly section: number;
  /** Is given the place of the first byte in wasm memory. */
  readonly take: (pointer: number) => void;
  /** Called in the end, with what went wrong if anything did. */
  readonly done: (error?: unknown) => void;
}

export class GatheredReader {
  readonly ref: ObjectRef;
  readonly chunkBytes: (section: number) => number;
  readonly #reader: PagedReader;
  #asked: Asked[] = [];

  constructor(reader: PagedReader) {
    this.#reader = reader;
    this.ref = reader.ref;
    this.chunkBytes = (section) => reader.chunkBytes(section);
  }

  /** As `open` of the reader. */
  async open<T>(
    section: number, from: number, to: number, use: (pointer: number) => T,
  ): Promise<T> {
    let result: T | undefined;
    await this.openAll(section, [{ from, to }], (_, pointer) => { result = use(pointer); });
    return result as T;
  }

  /**
   * Hands the place of the first byte of each range to `use`, in no particular order. Settles when
   * none of them is under way any more.
   */
  async openAll(
    section: number, ranges: readonly Range[], use: (i: number, pointer: number) => void,
  ): Promise<void> {
    for (const { from, to } of ranges) this.#reader.span(section, from, to);
    let left = ranges.length;
    if (left === 0) return;
    // What is asked for from here to the end of this turn comes along.
    if (this.#asked.length === 0) void Promise.resolve().then(() => this.#readAll());
    return new Promise<void>((resolve, reject) => {
      let failed: { error: unknown } | undefined;
      const done = (error?: unknown): void => {
        if (error !== undefined) failed ??= { error };
        if (--left > 0) return;
        if (failed) reject(failed.error as Error);
        else resolve();
      };
      ranges.forEach(({ from, to }, i) => {
        this.#asked.push({ section, from, to, take: (pointer) => use(i, pointer), done });
      });
    });
  }

  /** As `read` of the reader. */
  async read(section: number, from: number, to: number): Promise<Uint8Array> {
    const { core } = this.#reader.context;
    return this.open(section, from, to, (pointer) => core.bytes(pointer, to - from));
  }

  #readAll(): void {
    const asked = this.#asked.sort((x, y) => x.section - y.section || x.from - y.from);
    this.#asked = [];
    let some: Asked[] = [];
    let bytes = 0;
    for (const one of asked) {
      if (some.length > 0 && (one.section !== some[0]?.section || bytes >= MOST_BYTES)) {
        void this.#readSome(some);
        some = [];
        bytes = 0;
      }
      some.push(one);
      bytes += one.to - one.from;
    }
    void this.#readSome(some);
  }

  /** Reads and opens what is asked for of one section, ascending. */
  async #readSome(asked: readonly Asked[]): Promise<void> {
    const section = asked[0]?.section ?? 0;
    const { spans, places } = this.#lay(section, asked);
    try {
      const sealed = await this.#reader.fetchSpans(section, spans);
      this.#reader.openSealed(sealed, (out) => asked.forEach(({ take, done }, i) => {
        try {
          take(out + (places[i] ?? 0));
          done();
        } catch (error) {
          done(error);
        }
      }));
    } catch (error) {
      // A chunk is damaged: that of one need not be that of another.
      if (asked.length === 1) asked[0]?.done(error);
      else for (const one of asked) void this.#readSome([one]);
    }
  }

  /** The chunks that all have a part of, and where among them the first byte of each will be. */
  #lay(section: number, asked: readonly Asked[]): { spans: Span[]; places: number[] } {
    const size = this.chunkBytes(section);
    const spans: { first: number; end: number }[] = [];
    let count = 0;
    const places = asked.map(({ from, to }) => {
      const { first, end } = this.#reader.span(section, from, to);
      const last = spans.at(-1);
      const known = last && first <= last.end ? last.end : first;
      if (last && first <= last.end) last.end = Math.max(end, last.end);
      else spans.push({ first, end });
      const place = (count - (known - first)) * size + from % size;
      count += Math.max(end - known, 0);
      return place;
    });
    return { spans, places };
  }
}
