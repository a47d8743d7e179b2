/** The byte sections of a segment (ids, documents), read chunk by chunk through the cache. */
import { allOf } from './all.js';
import type { CacheScope } from './cache.js';
import { Entry } from './cache-entry.js';
import { SealvecError } from './errors.js';
import type { GatheredReader } from './gathered.js';
import { SECTIONS } from './manifest.js';

// A text that begins with a byte order mark keeps it.
export const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Rows of a segment by their value of a field: those of value v are rows[starts[v]] and on. */
export interface Column {
  /** Distinct, but for arrays and objects; undefined where the field is missing. */
  readonly values: readonly unknown[];
  readonly starts: Uint32Array;
  readonly rows: Uint32Array;
}

/** Bytes up to which a loop is faster than a decoder. */
const SHORT = 32;

/** The text that lies in bytes [from, to), a short one faster than by the decoder. */
export function decodeShort(bytes: Uint8Array, from = 0, to = bytes.length): string {
  if (to - from > SHORT) return decoder.decode(bytes.subarray(from, to));
  let text = '';
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    if (byte > 127) return decoder.decode(bytes.subarray(from, to));
    text += String.fromCharCode(byte);
  }
  return text;
}

/** Bytes [from, to) of a chunk. */
interface Place {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

function readU32(bytes: Uint8Array, at: number): number {
  const high = (bytes[at + 3] ?? 0) << 24;
  return (high | (bytes[at + 2] ?? 0) << 16 | (bytes[at + 1] ?? 0) << 8 | (bytes[at] ?? 0)) >>> 0;
}

export class Sections {
  readonly #reader: GatheredReader;
  readonly #cache: CacheScope;
  /** Rows of the segment. */
  readonly #rows: number;
  /** Chunks in memory, by section and number. */
  readonly #near: (Entry<Uint8Array> | undefined)[][] = [];

  constructor(reader: GatheredReader, cache: CacheScope, rows: number) {
    this.#reader = reader;
    this.#cache = cache;
    this.#rows = rows;
  }

  /** Opens one chunk and hands it to `use`, which must not keep it. */
  async #chunk(section: number, chunk: number, use: (bytes: Uint8Array) => void): Promise<void> {
    return this.#cache.load(`${section}/${chunk}`, async () => {
      const size = this.#reader.chunkBytes(section);
      const from = chunk * size;
      const to = Math.min(from + size, this.#reader.ref.lengths[section] ?? 0);
      const value = await this.#reader.read(section, from, to);
      const near = this.#near[section] ??= [];
      return near[chunk] = new Entry(value, value.length, () => {
        near[chunk] = undefined;
        value.fill(0);
      });
      // Vectors one by one are worth less than the codes that tell which of them to look at.
    }, use, section === SECTIONS.vectors ? 'briefly' : 'may');
  }

  /**
   * Where plain bytes [from, to) of a section are, if they lie in one chunk that is in memory; to
   * be used before anything is awaited.
   */
  #peek(section: number, from: number, to: number): Place | undefined {
    const size = this.#reader.chunkBytes(section);
    const chunk = Math.floor(from / size);
    const start = chunk * size;
    const entry = this.#near[section]?.[chunk];
    if (!entry || from > to || to > start + entry.bytes) return undefined;
    this.#cache.touch(entry);
    return { bytes: entry.value, from: from - start, to: to - start };
  }

  /** Plain bytes [from, to) of a section, through the cache. */
  async bytes(section: number, from: number, to: number): Promise<Uint8Array> {
    if (from > to || to > (this.#reader.ref.lengths[section] ?? 0)) {
      const message = `an offset of a segment runs past section ${section}`;
      throw new SealvecError('CORRUPTED', message);
    }
    const out = new Uint8Array(to - from);
    const size = this.#reader.chunkBytes(section);
    const first = Math.floor(from / size);
    const last = Math.ceil(to / size);
    await allOf(Array.from({ length: last - first }, (_, i) => {
      const start = (first + i) * size;
      return this.#chunk(section, first + i, (chunk) => {
        const part = chunk.subarray(Math.max(from - start, 0), Math.min(to - start, size));
        out.set(part, Math.max(start - from, 0));
      });
    }));
    return out;
  }

  /** Where one row of a blob section is, if it is in memory. */
  #peekBlob(section: number, row: number): Place | undefined {
    const pair = this.#peek(section, row * 4, row * 4 + 8);
    if (!pair) return undefined;
    const { bytes, from } = pair;
    const base = (this.#rows + 1) * 4;
    return this.#peek(section, base + readU32(bytes, from), base + readU32(bytes, from + 4));
  }

  /** The text of one row of a blob section, if it is in memory. */
  peekText(section: number, row: number): string | undefined {
    const place = this.#peekBlob(section, row);
    return place && decodeShort(place.bytes, place.from, place.to);
  }

  /** The bytes of one row of a blob section; without waiting where they are in memory. */
  async blob(section: number, row: number): Promise<Uint8Array> {
    const near = this.#peekBlob(section, row);
    if (near) return near.bytes.slice(near.from, near.to);
    const at = row * 4;
    const [pair] = await allOf([this.bytes(section, at, at + 8), this.#guess(section, row)]);
    const base = (this.#rows + 1) * 4;
    return this.bytes(section, base + readU32(pair, 0), base + readU32(pair, 4));
  }

  /**
   * Has the chunk in memory in which an id likely lies, while where it begins is still being read:
   * lengths of ids differ so little that sums of them hardly stray from their mean.
   */
  async #guess(section: number, row: number): Promise<void> {
    if (section !== SECTIONS.ids || this.#cache.limited) return;
    const base = (this.#rows + 1) * 4;
    const total = (this.#reader.ref.lengths[section] ?? 0) - base;
    const at = base + Math.floor(total * (row / this.#rows));
    // Should this fail, it does again for whoever needs it.
    const nothing = (): void => undefined;
    const chunk = Math.floor(at / this.#reader.chunkBytes(section));
    await this.#chunk(section, chunk, nothing).catch(nothing);
  }

  /** All blobs of a section, as the bytes of each row. */
  async blobs(section: number): Promise<Uint8Array[]> {
    const bytes = await this.#reader.read(section, 0, this.#reader.ref.lengths[section] ?? 0);
    const view = new DataView(bytes.buffer);
    const base = (this.#rows + 1) * 4;
    return Array.from({ length: this.#rows }, (_, row) => bytes.subarray(
      base + view.getUint32(row * 4, true), base + view.getUint32(row * 4 + 4, true),
    ));
  }
}
