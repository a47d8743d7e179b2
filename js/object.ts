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
import { type ChunkRun, HASH, HEADER, ObjectLayout, OVERHEAD, PAGE } from './object-layout.js';
import { FORMAT_VERSION, SUITE } from './version.js';
import type { ErrorCode, Storage } from '../types/api.js';
import type { ObjectRef, ObjectType } from '../types/format.js';

export type { ObjectRef };

const MAGIC = new TextEncoder().encode('SVOBJECT');

export const OBJECT_TYPES: Readonly<Record<ObjectType, number>> =
  { segment: 1, centroids: 2, tombstones: 3 };

/** All that sealing and reading objects of one index needs. */
export interface ObjectContext {
  readonly core: Core;
  readonly keyring: ObjectKeyring;
  readonly storage: Pick<Storage, 'read'>;
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

/** Chunks as they were stored, and the hashes they must have. */
export interface SealedRun extends Pick<ChunkRun, 'first' | 'count'> {
  readonly sealed: Uint8Array;
  readonly hashes: Uint8Array;
}

/** Chunks of a section one after another, of which plain bytes from `from` on were asked for. */
export interface SealedRange {
  readonly section: number;
  readonly from: number;
  readonly first: number;
  readonly count: number;
  readonly runs: readonly SealedRun[];
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

  /** Bytes as they are stored. */
  async readStored(offset: number, length: number): Promise<Uint8Array> {
    const bytes = await this.context.storage.read(this.#key, { offset, length });
    if (!bytes) this.#fail('is gone', 'NOT_FOUND');
    if (bytes.length !== length) this.#fail('is too short');
    return bytes;
  }

  #expect(found: Uint8Array, expected: Uint8Array): void {
    if (!sameBytes(found, expected)) this.#fail('is not authentic');
  }

  #fail(why: string, code: ErrorCode = 'CORRUPTED'): never {
    throw new SealvecError(code, `object ${this.#key} ${why}`);
  }

  /** Reads and checks the header and the table of hashes, once. */
  async table(): Promise<Uint8Array> {
    const read = async (): Promise<Uint8Array> => {
      const bytes = await this.readStored(0, this.#layout.head);
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

  /** Checks a page that was read. */
  checkPage(table: Uint8Array, page: number, bytes: Uint8Array): Uint8Array {
    this.#expect(hash(this.context.core, bytes), table.subarray(page * HASH, (page + 1) * HASH));
    return bytes;
  }

  /** Reads chunks, from the page of the first of them on. */
  async readRuns(runs: readonly ChunkRun[]): Promise<SealedRun[]> {
    const last = runs.at(-1);
    if (!last) return [];
    const begin = runs[0]?.pageAt ?? 0;
    const table = await this.table();
    const bytes = await this.readStored(begin, last.at + last.bytes - begin);
    return runs.map((run) => {
      const at = run.pageAt - begin;
      const page = this.checkPage(table, run.page, bytes.subarray(at, at + run.pageBytes));
      return cutRun(run, page, bytes, begin);
    });
  }

  /** Reads the chunks that hold plain bytes [from, to) of a section, still sealed. */
  async fetch(section: number, from: number, to: number): Promise<SealedRange> {
    if (from > to || to > (this.ref.lengths[section] ?? 0)) this.#fail('is too short');
    const size = this.chunkBytes(section);
    const first = Math.floor(from / size);
    const end = Math.ceil(to / size);
    const runs = await this.readRuns(this.#layout.runs(section, first, end));
    return { section, from, first, count: end - first, runs };
  }

  /** Opens all chunks that were fetched, one after another, to `out` in wasm memory. */
  openTo({ section, first, runs }: SealedRange, out: number): void {
    const { core, keyring } = this.context;
    const { objects } = keyring.keys(this.ref.epoch);
    const [length, size] = [this.ref.lengths[section] ?? 0, this.chunkBytes(section)];
    for (const { first: at, count, sealed, hashes } of runs) {
      core.withScratch((s) => {
        core.check(core.exports.sv_open_chunks(
          objects.pointer, s.put(this.#header), HEADER, section, length, size, at, count,
          s.put(sealed), sealed.length, s.put(hashes), out + (at - first) * size,
        ), `object ${this.#key}`);
      });
    }
  }

  /**
   * Opens what was fetched and hands the place of its first byte in wasm memory to `use`, which
   * must take what it wants before it returns.
   */
  openFetched<T>(range: SealedRange, use: (pointer: number) => T): T {
    const { section, from, first, count } = range;
    const size = this.chunkBytes(section);
    return this.context.core.withScratch((s) => {
      const out = s.take(count * size);
      this.openTo(range, out);
      return use(out + from - first * size);
    });
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

/** The chunks of a run out of bytes that begin at `begin`, with their hashes out of their page. */
export function cutRun(
  { first, count, at, bytes: length }: ChunkRun, page: Uint8Array, bytes: Uint8Array,
  begin: number,
): SealedRun {
  const sealed = bytes.subarray(at - begin, at - begin + length);
  const hashAt = first % PAGE * HASH;
  return { first, count, sealed, hashes: page.subarray(hashAt, hashAt + count * HASH) };
}

/** The chunks of a fetched range from `first` on. */
export function cutRange(
  { section, runs }: SealedRange, from: number, first: number, count: number, chunkBytes: number,
): SealedRange {
  const full = chunkBytes + OVERHEAD;
  const kept = runs.flatMap((run): SealedRun[] => {
    const begin = Math.max(run.first, first);
    const n = Math.min(run.first + run.count, first + count) - begin;
    if (n <= 0) return [];
    const skip = begin - run.first;
    return [{
      first: begin, count: n, sealed: run.sealed.subarray(skip * full, (skip + n) * full),
      hashes: run.hashes.subarray(skip * HASH, (skip + n) * HASH),
    }];
  });
  return { section, from, first, count, runs: kept };
}
