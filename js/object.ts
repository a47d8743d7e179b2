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

/** Chunks as they were stored, and the page with the hashes they must have. */
export interface SealedRun extends Pick<ChunkRun, 'first' | 'count'> {
  readonly sealed: Uint8Array;
  readonly page: Uint8Array;
}

/** Chunks of a section that were read and not opened yet; of the first, bytes from `from` on. */
export interface Sealed {
  readonly section: number;
  readonly from: number;
  readonly count: number;
  readonly runs: readonly SealedRun[];
}

/** Reads byte ranges of the sections of one object, checking all it reads. */
export class ObjectReader {
  readonly ref: ObjectRef;
  readonly context: ObjectContext;
  protected readonly key: string;
  protected readonly layout: ObjectLayout;
  readonly #header: Uint8Array;
  #table: Promise<Uint8Array> | undefined;

  constructor(context: ObjectContext, ref: ObjectRef) {
    this.context = context;
    this.ref = ref;
    this.key = objectKey(context.indexId, ref.id);
    this.layout = new ObjectLayout(ref);
    this.#header = objectHeader(context.indexId, ref, this.layout.chunks);
  }

  /** Plain bytes of the chunks of a section but for the last. */
  chunkBytes(section: number): number {
    return this.layout.sections[section]?.chunkBytes ?? 1;
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
    throw new SealvecError(code, `object ${this.key} ${why}`);
  }

  /** Bytes as they are stored, if they are as many as were asked for. */
  protected checkRead(bytes: Uint8Array | undefined, length: number): Uint8Array {
    if (bytes?.length === length) return bytes;
    return bytes ? this.#fail('is too short') : this.#fail('is gone', 'NOT_FOUND');
  }

  async #readStored(offset: number, length: number): Promise<Uint8Array> {
    return this.checkRead(await this.context.storage.read(this.key, { offset, length }), length);
  }

  /** Reads and checks the header and the table of hashes, once. */
  async table(): Promise<Uint8Array> {
    const read = async (): Promise<Uint8Array> => {
      const bytes = await this.#readStored(0, this.layout.head);
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
  protected checkPage(table: Uint8Array, page: number, bytes: Uint8Array): Uint8Array {
    this.#expect(hash(this.context.core, bytes), table.subarray(page * HASH, (page + 1) * HASH));
    return bytes;
  }

  /** Reads chunks and their pages, which lie one after another. */
  protected async readRuns(_section: number, runs: readonly ChunkRun[]): Promise<SealedRun[]> {
    const [head, last] = [runs[0], runs.at(-1)];
    if (!head || !last) return [];
    const begin = head.pageAt;
    const table = await this.table();
    const bytes = await this.#readStored(begin, last.at + last.bytes - begin);
    const cut = (at: number, length: number): Uint8Array =>
      bytes.subarray(at - begin, at - begin + length);
    return runs.map((run) => ({
      ...run, sealed: cut(run.at, run.bytes),
      page: this.checkPage(table, run.page, cut(run.pageAt, run.pageBytes)),
    }));
  }

  /** Reads the chunks that hold plain bytes [from, to) of a section, still sealed. */
  async fetch(section: number, from: number, to: number): Promise<Sealed> {
    const { first, end } = this.span(section, from, to);
    const runs = await this.readRuns(section, this.layout.runs(section, first, end));
    return { section, from, count: end - first, runs };
  }

  /**
   * Opens what was read, one chunk after another, and hands the place of the first byte in wasm
   * memory to `use`, which must take what it wants before it returns.
   */
  openSealed<T>({ section, from, count, runs }: Sealed, use: (pointer: number) => T): T {
    const { core, keyring } = this.context;
    const { objects } = keyring.keys(this.ref.epoch);
    const [length, size] = [this.ref.lengths[section] ?? 0, this.chunkBytes(section)];
    return core.withScratch((s) => {
      const header = s.put(this.#header);
      const out = s.take(count * size);
      const pageAt = s.take(PAGE * HASH);
      const sealedAt = s.take(Math.min(count, PAGE) * (size + OVERHEAD));
      let to = out;
      for (const { first, count: n, sealed, page } of runs) {
        core.write(sealedAt, sealed);
        core.write(pageAt, page);
        core.check(core.exports.sv_open_chunks(
          objects.pointer, header, HEADER, section, length, size, first, n,
          sealedAt, sealed.length, pageAt + first % PAGE * HASH, to,
        ), `object ${this.key}`);
        to += n * size;
      }
      return use(out + from % size);
    });
  }

  /** Fetches and opens plain bytes [from, to) of a section. */
  async open<T>(
    section: number, from: number, to: number, use: (pointer: number) => T,
  ): Promise<T> {
    return this.openSealed(await this.fetch(section, from, to), use);
  }
}

/** Plain bytes [from, to) of a section. */
export async function readBytes(
  reader: ObjectReader, section: number, from: number, to: number,
): Promise<Uint8Array> {
  const { core } = reader.context;
  return reader.open(section, from, to, (pointer) => core.bytes(pointer, to - from));
}
