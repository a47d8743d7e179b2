/**
 * Reads of one object that are asked for in one turn, gathered: what lies near each other is read
 * at once, and a chunk of which several are to have a part is opened once.
 */
import { cutRange, type ObjectReader, type ObjectRef, type SealedRange } from './object.js';

/** Bytes between two reads that are rather read along, and bytes that are read at once at most. */
const GAP_BYTES = 16_384;
const MOST_BYTES = 1 << 20;

/** Plain bytes [from, to) of a section that somebody waits for. */
interface Asked {
  readonly section: number;
  readonly from: number;
  readonly to: number;
  /** Is given the place of the first byte in wasm memory, and never throws. */
  readonly take: (pointer: number) => void;
  readonly reject: (error: unknown) => void;
}

/** Asked for in one section, ascending. */
interface Run {
  readonly from: number;
  readonly asked: Asked[];
  to: number;
}

/**
 * Cuts what is asked for (sorted) into runs, between whose parts lie whole chunks of `gap` bytes at
 * most.
 */
function runsOf(
  asked: readonly Asked[], chunkBytes: (section: number) => number, gap: number,
): Run[] {
  const runs: Run[] = [];
  for (const one of asked) {
    const last = runs.at(-1);
    const size = chunkBytes(one.section);
    const between = last && Math.floor(one.from / size) - Math.floor((last.to - 1) / size) - 1;
    const near = last && between !== undefined && last.asked[0]?.section === one.section &&
      between * size <= gap && one.to - last.from <= MOST_BYTES;
    if (near) {
      last.asked.push(one);
      last.to = Math.max(last.to, one.to);
    } else {
      runs.push({ from: one.from, to: one.to, asked: [one] });
    }
  }
  return runs;
}

export class GatheredReader {
  readonly ref: ObjectRef;
  readonly chunkBytes: (section: number) => number;
  readonly #reader: ObjectReader;
  #asked: Asked[] = [];

  constructor(reader: ObjectReader) {
    this.#reader = reader;
    this.ref = reader.ref;
    this.chunkBytes = (section) => reader.chunkBytes(section);
  }

  /** As `open` of the reader. */
  async open<T>(
    section: number, from: number, to: number, use: (pointer: number) => T,
  ): Promise<T> {
    if (from >= to || to > (this.ref.lengths[section] ?? 0)) {
      return this.#reader.open(section, from, to, use);
    }
    return new Promise<T>((resolve, reject) => {
      const take = (pointer: number): void => {
        try {
          resolve(use(pointer));
        } catch (error) {
          reject(error as Error);
        }
      };
      // What is asked for from here to the end of this turn comes along.
      if (this.#asked.length === 0) void Promise.resolve().then(() => this.#readAll());
      this.#asked.push({ section, from, to, take, reject });
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
    for (const run of runsOf(asked, this.chunkBytes, GAP_BYTES)) void this.#readRun(run);
  }

  async #readRun({ from, to, asked }: Run): Promise<void> {
    try {
      const range = await this.#reader.fetch(asked[0]?.section ?? 0, from, to);
      for (const run of runsOf(asked, this.chunkBytes, 0)) this.#openRun(range, run);
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }

  #openRun(range: SealedRange, { from, to, asked }: Run): void {
    const size = this.chunkBytes(range.section);
    const first = Math.floor(from / size);
    const count = Math.ceil(to / size) - first;
    try {
      this.#reader.openFetched(cutRange(range, from, first, count, size), (pointer) => {
        for (const one of asked) one.take(pointer + one.from - from);
      });
    } catch (error) {
      // A chunk is damaged: that of one need not be that of another.
      if (asked.length === 1) asked[0]?.reject(error);
      else for (const one of asked) this.#openRun(range, { ...one, asked: [one] });
    }
  }
}
