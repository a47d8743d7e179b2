/**
 * Single rows of the vectors of a segment, kept as float32 in wasm memory while a cache has room
 * that nothing else takes. Where others would have to go for it a row is kept from its second
 * reading on, so that rows which nobody wants again do not pass through the cache.
 */
import type { CacheScope } from './cache.js';
import { Entry } from './cache-entry.js';
import type { Core } from './core.js';

/** Reads rows, each to a place of its own in wasm memory. */
type OpenRows = (rows: readonly number[], pointers: readonly number[]) => Promise<void>;

/** Rows read lately are remembered for as many bytes of them as fit this often. */
const REMEMBERED = 2;

export class NearRows {
  readonly #core: Core;
  readonly #cache: CacheScope;
  readonly #rowBytes: number;
  readonly #open: OpenRows;
  readonly #entries = new Map<number, Entry<number>>();
  /** A bit for each row that was read lately, and their number. */
  readonly #lately: Uint8Array;
  #late = 0;

  constructor(core: Core, cache: CacheScope, rows: number, rowBytes: number, open: OpenRows) {
    this.#core = core;
    this.#cache = cache;
    this.#rowBytes = rowBytes;
    this.#open = open;
    this.#lately = new Uint8Array(Math.ceil(rows / 8));
  }

  /** Writes rows to their places, those that are not there out of storage. */
  async open(rows: readonly number[], pointers: readonly number[]): Promise<void> {
    const [away, places]: number[][] = [[], []];
    rows.forEach((row, i) => {
      const entry = this.#entries.get(row);
      const pointer = pointers[i] ?? 0;
      if (entry) {
        this.#cache.touch(entry);
        this.#core.move(pointer, entry.value, this.#rowBytes);
      } else {
        away?.push(row);
        places?.push(pointer);
      }
    });
    if (!away || !places || away.length === 0) return;
    await this.#open(away, places);
    away.forEach((row, i) => this.#keep(row, places[i] ?? 0));
  }

  #keep(row: number, pointer: number): void {
    const bytes = this.#rowBytes;
    if (this.#entries.has(row) || !this.#hasRoom(row)) return;
    const copy = this.#core.exports.sv_alloc(bytes) >>> 0;
    if (copy === 0) return;
    this.#core.move(copy, pointer, bytes);
    const entry = new Entry(copy, bytes, () => {
      this.#entries.delete(row);
      this.#core.release(copy, bytes);
    });
    if (this.#cache.putBriefly(`row/${row}`, entry)) this.#entries.set(row, entry);
    else entry.drop();
  }

  /** Whether a row has room, or the right to that of others. */
  #hasRoom(row: number): boolean {
    const bytes = this.#rowBytes;
    return this.#cache.hasRoom(bytes) || (this.#isAgain(row) && this.#cache.makeRoomBriefly(bytes));
  }

  /** Whether a row has been read before and not long ago. */
  #isAgain(row: number): boolean {
    const [at, bit] = [row >> 3, 1 << (row & 7)];
    if (((this.#lately[at] ?? 0) & bit) !== 0) return true;
    if (this.#late * this.#rowBytes > REMEMBERED * this.#cache.briefRoom) {
      this.#lately.fill(0);
      this.#late = 0;
    }
    this.#lately[at] = (this.#lately[at] ?? 0) | bit;
    this.#late++;
    return false;
  }
}
