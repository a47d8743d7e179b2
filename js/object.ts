/**
 * Sealed objects: segments, centroids and tombstones share one envelope.
 *
 *   header 64: magic "SVOBJECT" | version u16 | suite u16 | type u8 | 0 * 3 | index id 16 |
 *              object id 16 | epoch u32 | chunks u32 | 0 * 8
 *   table:     BLAKE2b-256 of each sealed chunk, 32 * chunks
 *   chunks:    section after section, each in chunks of 16,344 plain bytes, the last shorter;
 *              nonce 24 | ciphertext | tag 16
 *
 * The lengths of the sections, and the hash of header and table, stand in the manifest (its
 * `ObjectRef`), so a file's own words size nothing. Additional data of a chunk is the header, then
 * section u32 | chunk u32 | chunks of the section u32 | plain length u32.
 *
 * History: version 1, 2026.
 */
import { drawBytes, expectFresh, hex, sameBytes } from './bytes.js';
import type { Core } from './core.js';
import { hash } from './crypto.js';
import { SealvecError } from './errors.js';
import type { ObjectKeyring } from './object-keys.js';
import { FORMAT_VERSION, SUITE } from './version.js';
import type { Storage } from '../types/api.js';
import type { ObjectRef, ObjectType } from '../types/format.js';

export type { ObjectRef };

const MAGIC = new TextEncoder().encode('SVOBJECT');
export const HEADER = 64;
export const HASH = 32;
const NONCE = 24;
export const CHUNK_PLAIN = 16_344;
export const CHUNK_SEALED = 16_384;
const CHUNK_OVERHEAD = 40;
/** Chunks sealed before they are copied out, few enough to be in the cache still. */
const SEALED_AT_ONCE = 32;

export const OBJECT_TYPES: Readonly<Record<ObjectType, number>> =
  { segment: 1, centroids: 2, tombstones: 3 };

/** All that sealing and reading objects of one index needs. */
export interface ObjectContext {
  readonly core: Core;
  readonly keyring: ObjectKeyring;
  readonly storage: Pick<Storage, 'read'>;
  readonly indexId: Uint8Array;
}

/** Wasm memory that becomes a section. */
export interface SectionSource {
  readonly pointer: number;
  readonly length: number;
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

export function chunkCount(length: number): number {
  return Math.ceil(length / CHUNK_PLAIN);
}

export function sealedSize(length: number): number {
  return length + chunkCount(length) * CHUNK_OVERHEAD;
}

/** Bytes of the whole object in storage. */
export function objectSize(ref: Pick<ObjectRef, 'lengths'>): number {
  const size = (length: number): number => sealedSize(length) + chunkCount(length) * HASH;
  return ref.lengths.reduce((sum, length) => sum + size(length), HEADER);
}

function header(indexId: Uint8Array, ref: Omit<ObjectRef, 'tableHash'>): Uint8Array {
  const bytes = new Uint8Array(HEADER);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint16(8, FORMAT_VERSION, true);
  view.setUint16(10, SUITE, true);
  bytes[12] = OBJECT_TYPES[ref.type];
  bytes.set(indexId, 16);
  bytes.set(ref.id, 32);
  view.setUint32(48, ref.epoch, true);
  view.setUint32(52, ref.lengths.reduce((sum, length) => sum + chunkCount(length), 0), true);
  return bytes;
}

/** Seals sections that lie in wasm memory into the bytes of a new object under a random id. */
export function sealObject(
  context: ObjectContext, type: ObjectType, sections: readonly SectionSource[],
): { ref: ObjectRef; bytes: Uint8Array } {
  const { core, keyring, indexId } = context;
  const epoch = keyring.epoch;
  const lengths = sections.map((section) => section.length);
  const bare = { id: drawBytes(16), type, epoch, lengths };
  const head = header(indexId, bare);
  const bytes = new Uint8Array(objectSize(bare));
  bytes.set(head);
  let tableAt = HEADER;
  let chunkAt = HEADER + HASH * lengths.reduce((sum, length) => sum + chunkCount(length), 0);
  const tableEnd = chunkAt;
  core.withScratch((s) => {
    const aad = s.put(head);
    const most = Math.min(SEALED_AT_ONCE, Math.max(...lengths.map(chunkCount)));
    const out = s.take(most * CHUNK_SEALED);
    const hashes = s.take(most * HASH);
    sections.forEach(({ pointer, length }, number) => {
      const chunks = chunkCount(length);
      const nonces = s.put(drawBytes(chunks * NONCE));
      for (let first = 0; first < chunks; first += most) {
        const n = Math.min(most, chunks - first);
        const from = first * CHUNK_PLAIN;
        core.check(core.exports.sv_seal_chunks(
          keyring.keys(epoch).objects.pointer, aad, HEADER, number, length, first, n,
          nonces + first * NONCE, pointer + from, out, hashes,
        ), 'seal');
        const size = Math.min(n * CHUNK_PLAIN, length - from) + n * CHUNK_OVERHEAD;
        core.bytes(out, size, bytes.subarray(chunkAt, chunkAt + size));
        core.bytes(hashes, n * HASH, bytes.subarray(tableAt, tableAt + n * HASH));
        chunkAt += size;
        tableAt += n * HASH;
      }
    });
  });
  return { ref: { ...bare, tableHash: hash(core, bytes.subarray(0, tableEnd)) }, bytes };
}

/**
 * UNSUPPORTED if a nonce of an object came before. Asked where objects are written, and so also of
 * what workers have sealed: none of them knows the nonces of the others.
 */
export function expectFreshNonces({ lengths }: ObjectRef, bytes: Uint8Array): void {
  let at = bytes.length - lengths.reduce((sum, length) => sum + sealedSize(length), 0);
  for (const length of lengths) {
    const end = at + sealedSize(length);
    for (; at < end; at += CHUNK_SEALED) expectFresh(bytes.subarray(at, at + NONCE));
    at = end;
  }
}

/** Chunks of a section as they were stored, and the hashes they must have. */
export interface SealedRange {
  readonly section: number;
  /** The first plain byte that was asked for. */
  readonly from: number;
  readonly first: number;
  readonly count: number;
  readonly sealed: Uint8Array;
  readonly hashes: Uint8Array;
}

const NOTHING = new Uint8Array(0);

/** Reads byte ranges of the sections of one object, checking all it reads. */
export class ObjectReader {
  readonly ref: ObjectRef;
  readonly context: ObjectContext;
  readonly #key: string;
  readonly #sectionChunks: number[] = [];
  readonly #sectionOffsets: number[] = [];
  readonly #header: Uint8Array;
  #table: Promise<Uint8Array> | undefined;

  constructor(context: ObjectContext, ref: ObjectRef) {
    this.context = context;
    this.ref = ref;
    this.#key = objectKey(context.indexId, ref.id);
    this.#header = header(context.indexId, ref);
    let chunks = 0;
    let offset = 0;
    for (const length of ref.lengths) {
      this.#sectionChunks.push(chunks);
      this.#sectionOffsets.push(offset);
      chunks += chunkCount(length);
      offset += sealedSize(length);
    }
    this.#sectionChunks.push(chunks);
  }

  get #tableSize(): number {
    return (this.#sectionChunks.at(-1) ?? 0) * HASH;
  }

  async #read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = await this.context.storage.read(this.#key, { offset, length });
    if (!bytes) throw new SealvecError('NOT_FOUND', `object ${this.#key} is gone`);
    if (bytes.length !== length) {
      throw new SealvecError('CORRUPTED', `object ${this.#key} is cut short`);
    }
    return bytes;
  }

  async #readTable(): Promise<Uint8Array> {
    const bytes = await this.#read(0, HEADER + this.#tableSize);
    const { core } = this.context;
    if (!sameBytes(bytes.subarray(0, HEADER), this.#header) ||
        !sameBytes(hash(core, bytes), this.ref.tableHash)) {
      throw new SealvecError('CORRUPTED', `object ${this.#key}: authentication failed`);
    }
    return bytes.slice(HEADER);
  }

  /** Reads and checks the header and the table of hashes, once. */
  async table(): Promise<Uint8Array> {
    this.#table ??= this.#readTable();
    try {
      return await this.#table;
    } catch (error) {
      this.#table = undefined;
      throw error;
    }
  }

  /** Reads the chunks that hold plain bytes [from, to) of a section, still sealed. */
  async fetch(section: number, from: number, to: number): Promise<SealedRange> {
    const length = this.ref.lengths[section] ?? 0;
    if (from > to || to > length) {
      const message = `object ${this.#key}: a range runs past a section`;
      throw new SealvecError('CORRUPTED', message);
    }
    if (from === to) return { section, from, first: 0, count: 0, sealed: NOTHING, hashes: NOTHING };
    const first = Math.floor(from / CHUNK_PLAIN);
    const count = Math.ceil(to / CHUNK_PLAIN) - first;
    const start = first * CHUNK_SEALED;
    const end = Math.min((first + count) * CHUNK_SEALED, sealedSize(length));
    const base = HEADER + this.#tableSize + (this.#sectionOffsets[section] ?? 0);
    const table = await this.table();
    const hashAt = ((this.#sectionChunks[section] ?? 0) + first) * HASH;
    const hashes = table.subarray(hashAt, hashAt + count * HASH);
    const sealed = await this.#read(base + start, end - start);
    return { section, from, first, count, sealed, hashes };
  }

  /** Opens all chunks that were fetched, one after another, to `out` in wasm memory. */
  openTo({ section, first, count, sealed, hashes }: SealedRange, out: number): void {
    const { core, keyring } = this.context;
    core.withScratch((s) => {
      core.check(core.exports.sv_open_chunks(
        keyring.keys(this.ref.epoch).objects.pointer, s.put(this.#header), HEADER, section,
        this.ref.lengths[section] ?? 0, first, count, s.put(sealed), sealed.length, s.put(hashes),
        out,
      ), `object ${this.#key}`);
    });
  }

  /**
   * Opens what was fetched and hands the place of its first byte in wasm memory to `use`, which
   * must take what it wants before it returns.
   */
  openFetched<T>(range: SealedRange, use: (pointer: number) => T): T {
    const { from, first, count } = range;
    if (count === 0) return use(0);
    return this.context.core.withScratch((s) => {
      const out = s.take(count * CHUNK_PLAIN);
      this.openTo(range, out);
      return use(out + from - first * CHUNK_PLAIN);
    });
  }

  /** Fetches and opens plain bytes [from, to) of a section. */
  async open<T>(
    section: number, from: number, to: number, use: (pointer: number) => T,
  ): Promise<T> {
    return this.openFetched(await this.fetch(section, from, to), use);
  }

  /** Plain bytes [from, to) of a section. */
  async read(section: number, from: number, to: number): Promise<Uint8Array> {
    return this.open(section, from, to, (pointer) => this.context.core.bytes(pointer, to - from));
  }
}
