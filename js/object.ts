/**
 * Sealed objects: segments, centroids and tombstones share one envelope.
 *
 *   header 64: magic "SVOBJECT" | version u16 | suite u16 | type u8 | 0 * 3 | index id 16 |
 *              object id 16 | epoch u32 | chunks u32 | 0 * 8
 *   table:     BLAKE2b-256 of each page
 *   sections:  one after another, each cut into chunks of equal plain length, the last shorter;
 *              before each 64 chunks of a section, and before the last ones, lies their page
 *   page:      BLAKE2b-256 of each of these chunks
 *   chunk:     nonce 24 | ciphertext | tag 16
 *
 * The lengths of the sections and of their chunks, and the hash of header and table, stand in the
 * manifest (its `ObjectRef`), so a file's own words size nothing. Additional data of a chunk is the
 * header, then section u32 | chunk u32 | chunks of the section u32 | plain length u32.
 *
 * History: version 1, 2026.
 */
import { hex, sameBytes } from './bytes.js';
import type { Core } from './core.js';
import { hash } from './crypto.js';
import { SealvecError } from './errors.js';
import type { ObjectKeyring } from './object-keys.js';
import { type ChunkRun, HASH, HEADER, ObjectLayout, PAGE } from './object-layout.js';
import { FORMAT_VERSION, SUITE } from './version.js';
import { readParts } from './stored-parts.js';
import type { ErrorCode, Part, Storage } from '../types/api.js';
import type { ObjectRef, ObjectType } from '../types/format.js';

export type { ObjectRef };

/** Bytes between two parts of an object that are rather read along. */
const GAP_BYTES = 16_384;
const EMPTY = new Uint8Array();
const MAGIC = new TextEncoder().encode('SVOBJECT');

export const OBJECT_TYPES: Readonly<Record<ObjectType, number>> =
  { segment: 1, centroids: 2, tombstones: 3 };

/** All that sealing and reading objects of one index needs. */
export interface ObjectContext {
  readonly core: Core;
  readonly keyring: ObjectKeyring;
  readonly storage: Pick<Storage, 'read' | 'readParts'>;
  readonly indexId: Uint8Array;
}

export function objectPrefix(indexId: Uint8Array): string {
  return `data/${hex(indexId)}/object/`;
}

export function objectKey(indexId: Uint8Array, id: Uint8Array): string {
  return objectPrefix(indexId) + hex(id);
}

/** Whether an error says that an object is gone, as it is once newer commits no longer name it. */
export function isGone(error: unknown): error is SealvecError {
  return error instanceof SealvecError && error.code === 'NOT_FOUND';
}

/** What it means when an object is gone that the newest commit names. */
export function missing(error: SealvecError): SealvecError {
  const message = `the last commit names what is missing: ${error.message}`;
  return new SealvecError('CORRUPTED', message, { cause: error });
}

export function objectHeader(
  indexId: Uint8Array, { id, type, epoch }: Omit<ObjectRef, 'tableHash'>, chunks: number,
): Uint8Array {
  const bytes = new Uint8Array(HEADER);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint16(8, FORMAT_VERSION, true);
  view.setUint16(10, SUITE, true);
  bytes[12] = OBJECT_TYPES[type];
  bytes.set(indexId, 16);
  bytes.set(id, 32);
  view.setUint32(48, epoch, true);
  view.setUint32(52, chunks, true);
  return bytes;
}

/** Chunks of a section, [first, end). */
export interface Span {
  readonly first: number;
  readonly end: number;
}

/** Chunks as they were stored, and the hashes they must have. */
interface SealedRun extends Pick<ChunkRun, 'first' | 'count'> {
  readonly sealed: Uint8Array;
  readonly hashes: Uint8Array;
}

/** Chunks of a section that were read and not opened yet. */
export interface Sealed {
  readonly section: number;
  readonly count: number;
  readonly runs: readonly SealedRun[];
}

/** Those of which plain bytes from `from` on were asked for. */
export interface SealedRange extends Sealed {
  readonly from: number;
}

/** Reads byte ranges of the sections of one object, checking all it reads. */
export class ObjectReader {
  readonly ref: ObjectRef;
  readonly context: ObjectContext;
  readonly #key: string;
  readonly #layout: ObjectLayout;
  readonly #header: Uint8Array;
  #table: Promise<Uint8Array> | undefined;

  constructor(context: ObjectContext, ref: ObjectRef) {
    this.context = context;
    this.ref = ref;
    this.#key = objectKey(context.indexId, ref.id);
    this.#layout = new ObjectLayout(ref);
    this.#header = objectHeader(context.indexId, ref, this.#layout.chunks);
  }

  /** Plain bytes of the chunks of a section but for the last. */
  chunkBytes(section: number): number {
    return this.#layout.sections[section]?.chunkBytes ?? 1;
  }

  /** The chunks that hold plain bytes [from, to) of a section, which must have them. */
  span(section: number, from: number, to: number): Span {
    if (from > to || to > (this.ref.lengths[section] ?? 0)) this.#fail('is too short');
    const size = this.chunkBytes(section);
    return { first: Math.floor(from / size), end: Math.ceil(to / size) };
  }

  #expect(found: Uint8Array, expected: Uint8Array): void {
    if (!sameBytes(found, expected)) this.#fail('is not authentic');
  }

  #fail(why: string, code: ErrorCode = 'CORRUPTED'): never {
    throw new SealvecError(code, `object ${this.#key} ${why}`);
  }

  /** Bytes as they are stored, those of each part. */
  async #read(parts: readonly Part[]): Promise<Uint8Array[]> {
    const read = await readParts(this.context.storage, this.#key, parts);
    if (!read) this.#fail('is gone', 'NOT_FOUND');
    if (read.some((bytes, i) => bytes.length !== parts[i]?.length)) this.#fail('is too short');
    return read;
  }

  /** Reads and checks the header and the table of hashes, once. */
  async table(): Promise<Uint8Array> {
    const read = async (): Promise<Uint8Array> => {
      const [bytes = EMPTY] = await this.#read([{ offset: 0, length: this.#layout.head }]);
      this.#expect(bytes.subarray(0, HEADER), this.#header);
      this.#expect(hash(this.context.core, bytes), this.ref.tableHash);
      return bytes.slice(HEADER);
    };
    this.#table ??= read().catch((error: unknown) => {
      this.#table = undefined;
      throw error;
    });
    return this.#table;
  }

  /** A page of hashes that need not be read. */
  protected knownPage(_page: number): Uint8Array | undefined {
    return undefined;
  }

  /** Told of a page that was read and checked. */
  protected tookPage(_section: number, _page: number, _bytes: Uint8Array): void {
    // Kept by readers of single chunks.
  }

  /** Reads chunks, and the pages that have their hashes unless these are known. */
  async fetchSpans(section: number, spans: readonly Span[]): Promise<Sealed> {
    const runs = spans.flatMap(({ first, end }) => this.#layout.runs(section, first, end));
    const table = this.#table ? await this.#table : await this.table();
    const pages = new Map<number, Uint8Array | undefined>();
    const wanted: Part[] = [];
    for (const { page, pageAt, pageBytes, at, bytes } of runs) {
      if (!pages.has(page)) {
        pages.set(page, this.knownPage(page));
        if (!pages.get(page)) wanted.push({ offset: pageAt, length: pageBytes });
      }
      wanted.push({ offset: at, length: bytes });
    }
    const parts = joinParts(wanted);
    const cut = cutter(parts, await this.#read(parts));
    let count = 0;
    const sealed = runs.map(({ first, count: n, page, pageAt, pageBytes, at, bytes }) => {
      let hashes = pages.get(page);
      if (!hashes) {
        hashes = cut(pageAt, pageBytes);
        const expected = table.subarray(page * HASH, (page + 1) * HASH);
        this.#expect(hash(this.context.core, hashes), expected);
        pages.set(page, hashes);
        this.tookPage(section, page, hashes);
      }
      count += n;
      const from = first % PAGE * HASH;
      return {
        first, count: n, sealed: cut(at, bytes), hashes: hashes.subarray(from, from + n * HASH),
      };
    });
    return { section, count, runs: sealed };
  }

  /** Reads the chunks that hold plain bytes [from, to) of a section, still sealed. */
  async fetch(section: number, from: number, to: number): Promise<SealedRange> {
    return { ...await this.fetchSpans(section, [this.span(section, from, to)]), from };
  }

  /**
   * Opens all chunks that were fetched, one after another, and hands the place of the first in wasm
   * memory to `use`, which must take what it wants before it returns.
   */
  openSealed<T>({ section, count, runs }: Sealed, use: (pointer: number) => T): T {
    const { core, keyring } = this.context;
    const { objects } = keyring.keys(this.ref.epoch);
    const [length, size] = [this.ref.lengths[section] ?? 0, this.chunkBytes(section)];
    return core.withScratch((s) => {
      const header = s.put(this.#header);
      const out = s.take(count * size);
      const sealedAt = s.take(Math.max(0, ...runs.map(({ sealed }) => sealed.length)));
      const hashesAt = s.take(PAGE * HASH);
      let to = out;
      for (const { first, count: n, sealed, hashes } of runs) {
        core.write(sealedAt, sealed);
        core.write(hashesAt, hashes);
        core.check(core.exports.sv_open_chunks(
          objects.pointer, header, HEADER, section, length, size, first, n,
          sealedAt, sealed.length, hashesAt, to,
        ), `object ${this.#key}`);
        to += n * size;
      }
      return use(out);
    });
  }

  /** As openSealed, with the place of the first byte that was asked for. */
  openFetched<T>(range: SealedRange, use: (pointer: number) => T): T {
    return this.openSealed(range, (out) => use(out + range.from % this.chunkBytes(range.section)));
  }

  /** Fetches and opens plain bytes [from, to) of a section. */
  async open<T>(
    section: number, from: number, to: number, use: (pointer: number) => T,
  ): Promise<T> {
    return this.openFetched(await this.fetch(section, from, to), use);
  }
}

/** Plain bytes [from, to) of a section. */
export async function readBytes(
  reader: ObjectReader, section: number, from: number, to: number,
): Promise<Uint8Array> {
  const { core } = reader.context;
  return reader.open(section, from, to, (pointer) => core.bytes(pointer, to - from));
}

/** Parts (ascending) of which those that lie near each other are one. */
function joinParts(parts: readonly Part[]): Part[] {
  const joined: { offset: number; length: number }[] = [];
  for (const { offset, length } of parts) {
    const last = joined.at(-1);
    if (last && offset - last.offset - last.length <= GAP_BYTES) {
      last.length = offset + length - last.offset;
    } else {
      joined.push({ offset, length });
    }
  }
  return joined;
}

/** Cuts bytes that lie `at` in an object (ascending) out of the parts that were read of it. */
function cutter(
  parts: readonly Part[], read: readonly Uint8Array[],
): (at: number, length: number) => Uint8Array {
  let i = 0;
  return (at, length) => {
    while (at >= (parts[i]?.offset ?? 0) + (parts[i]?.length ?? Infinity)) i++;
    const from = at - (parts[i]?.offset ?? 0);
    return (read[i] ?? EMPTY).subarray(from, from + length);
  };
}
