/**
 * One segment as it is read: where its lists lie, its blocks of vectors, its documents. The
 * bytes of its sections are described in c/segment.c.
 */
import { allOf } from './all.js';
import { type BlockTable, cutBlocks, readRuns, readStarts } from './blocks.js';
import { hex } from './bytes.js';
import type { Cache, CacheScope } from './cache.js';
import { Entry } from './cache-entry.js';
import { SealvecError } from './errors.js';
import { GatheredReader } from './gathered.js';
import { findEntries } from './id-table.js';
import { type IndexConfig, type SegmentEntry, SECTIONS, vectorBytes } from './manifest.js';
import { coreMetric } from './metric.js';
import { NearRows } from './near-rows.js';
import { type ObjectContext, type ObjectReader, readBytes } from './object.js';
import { PagedReader } from './paged-reader.js';
import { type Column, decodeShort, decoder, Sections } from './sections.js';
import type { Contents, Metadata } from '../types/api.js';

const TEXT = 1;

export class Segment {
  readonly reader: ObjectReader;
  readonly rows: number;
  readonly config: IndexConfig;
  readonly epoch: number;
  readonly name: string;
  /** Rows of list l are [starts[l], starts[l + 1]); of some run of them when not listed. */
  readonly starts: Uint32Array;
  readonly listed: boolean;
  readonly blocks: BlockTable;
  /** What codes are counted from; empty where rows have none. */
  readonly origin: Float32Array;
  /** Told which block came into memory or went. */
  readonly watchers = new Set<(block: number) => void>();
  /** Of this instance alone: another one of the same segment may cut its blocks otherwise. */
  readonly #cache: CacheScope;
  /** Of each block what a query touches of it first: codes, or vectors where it has none. */
  readonly #ranked: Uint32Array;
  readonly #entries: (Entry<true> | undefined)[] = [];
  /** Single rows as they are kept while there is room. */
  readonly near: NearRows;
  readonly #gathered: GatheredReader;
  readonly #sections: Sections;

  private constructor(
    reader: PagedReader, entry: SegmentEntry, config: IndexConfig, cache: CacheScope,
    starts: Uint32Array, origin: Float32Array,
  ) {
    this.reader = reader;
    this.rows = entry.rows;
    this.listed = entry.listed;
    this.config = config;
    this.epoch = entry.object.epoch;
    this.name = hex(entry.object.id);
    this.starts = starts;
    this.origin = origin;
    this.blocks = cutBlocks(reader.context.core, starts, config.dimension);
    this.#ranked = origin.length > 0 ? this.blocks.codes : this.blocks.vectors;
    this.#cache = cache;
    this.#gathered = new GatheredReader(reader);
    const open = this.openRows.bind(this);
    this.near = new NearRows(reader.context.core, cache, this.rows, config.dimension * 4, open);
    this.#sections = new Sections(this.#gathered, cache, this.rows);
    if (this.blocks.codesAt.at(-1) !== (entry.object.lengths[SECTIONS.codes] ?? 0)) {
      throw new SealvecError('CORRUPTED', `segment ${this.name}: its rows do not have a code each`);
    }
  }

  /** Reads the table of hashes and the directory of lists; no vector, id or document. */
  static async open(
    context: ObjectContext, entry: SegmentEntry, config: IndexConfig, nLists: number, cache: Cache,
  ): Promise<Segment> {
    const scope = cache.scope();
    // Of vectors that are kept themselves no page is wanted twice.
    const unpaged = cache.limited ? undefined : SECTIONS.vectors;
    const reader = new PagedReader(context, entry.object, scope, unpaged);
    const coded = context.core.exports.sv_codes_size(entry.rows, config.dimension) > 0;
    const head = coded ? config.dimension * 4 : 0;
    const length = entry.object.lengths[SECTIONS.lists] ?? 0;
    const lists = await readBytes(reader, SECTIONS.lists, 0, length);
    if (lists.length < head) {
      throw new SealvecError('CORRUPTED', 'the lists of a segment are cut short');
    }
    const origin = new Float32Array(lists.slice(0, head).buffer);
    const pairs = lists.subarray(head);
    const starts = entry.listed
      ? readStarts(pairs, entry.rows, nLists) : readRuns(pairs, entry.rows);
    return new Segment(reader, entry, config, scope, starts, origin);
  }

  /** Bytes of a block in memory: its vectors as float32 and, if the metric needs them, norms. */
  blockBytes(block: number): number {
    const norms = coreMetric(this.config.metric) === 0 ? 0 : 4;
    return (this.blocks.rows[block] ?? 0) * (this.config.dimension * 4 + norms);
  }

  #codeLength(block: number): number {
    const { codesAt } = this.blocks;
    return (codesAt[block + 1] ?? 0) - (codesAt[block] ?? 0);
  }

  /** Bytes of the signs of a block (c/signs.c), which lie in memory behind its codes. */
  #signLength(block: number): number {
    const { exports } = this.reader.context.core;
    return exports.sv_signs_size(this.blocks.rows[block] ?? 0, this.config.dimension);
  }

  /** Bytes in memory of the codes of a block, and its signs. */
  codeBytes(block: number): number {
    return this.#codeLength(block) + this.#signLength(block);
  }

  /** Pointer of the signs of a block; 0 where it has none, or is not resident. */
  signs(block: number): number {
    const codes = this.blocks.codes[block] ?? 0;
    return codes > 0 && this.#signLength(block) > 0 ? codes + this.#codeLength(block) : 0;
  }

  /** Opens rows [from, to) as float32 at `pointer` in wasm memory. */
  async openVectors(from: number, to: number, pointer: number): Promise<void> {
    const size = vectorBytes(this.config);
    const range = { from: from * size, to: to * size };
    await this.#gathered.openAll(SECTIONS.vectors, [range], (_, plain) =>
      this.#decode(plain, pointer, to - from));
  }

  /** Opens single rows, each as float32 to a place of its own in wasm memory. */
  async openRows(rows: readonly number[], pointers: readonly number[]): Promise<void> {
    const size = vectorBytes(this.config);
    const ranges = rows.map((row) => ({ from: row * size, to: (row + 1) * size }));
    await this.#gathered.openAll(SECTIONS.vectors, ranges, (i, plain) =>
      this.#decode(plain, pointers[i] ?? 0, 1));
  }

  /** Writes stored vectors, which lie at `plain`, as float32 to `pointer`. */
  #decode(plain: number, pointer: number, rows: number): void {
    const { core } = this.reader.context;
    const count = rows * this.config.dimension;
    if (this.config.precision === 'float32') core.move(pointer, plain, count * 4);
    else core.check(core.exports.sv_f16_decode(plain, count, pointer), 'vectors');
  }

  /** Makes the vectors of a block resident; where rows have codes, not in place of these. */
  async loadBlock(block: number): Promise<void> {
    const keep = this.origin.length > 0 ? 'briefly' : 'must';
    await this.#cache.load(`block/${block}`, () => this.#openBlock(block), () => undefined, keep);
  }

  /** Makes the codes of a block resident. */
  async loadCodes(block: number): Promise<void> {
    const nothing = (): void => undefined;
    await this.#cache.load(`codes/${block}`, () => this.#openCodes(block), nothing, 'must');
  }

  async #openCodes(block: number): Promise<Entry<true>> {
    const { core } = this.reader.context;
    const { codes, codesAt } = this.blocks;
    const from = codesAt[block] ?? 0;
    const length = this.#codeLength(block);
    return this.#hold(codes, block, this.codeBytes(block), (pointer) =>
      this.#gathered.open(SECTIONS.codes, from, from + length, (plain) => {
        core.move(pointer, plain, length);
        core.clear(pointer + length, this.#signLength(block));
      }));
  }

  async #openBlock(block: number): Promise<Entry<true>> {
    const { core } = this.reader.context;
    const { vectors, row, rows } = this.blocks;
    const [from = 0, n = 0] = [row[block], rows[block]];
    const { dimension, metric } = this.config;
    return this.#hold(vectors, block, this.blockBytes(block), async (pointer) => {
      await this.openVectors(from, from + n, pointer);
      if (coreMetric(metric) === 0) return;
      core.exports.sv_norms(pointer, n, dimension, pointer + n * dimension * 4);
    });
  }

  /** Memory for a block, which `fill` fills, named in `table` for as long as it is kept. */
  async #hold(
    table: Uint32Array, block: number, bytes: number, fill: (pointer: number) => Promise<void>,
  ): Promise<Entry<true>> {
    const { core } = this.reader.context;
    const pointer = core.alloc(bytes);
    try {
      await fill(pointer);
    } catch (error) {
      core.release(pointer, bytes);
      throw error;
    }
    const set = (value: number, entry?: Entry<true>): void => {
      table[block] = value;
      if (table === this.#ranked) this.#entries[block] = entry;
      for (const watcher of this.watchers) watcher(block);
    };
    const entry = new Entry<true>(true, bytes, () => {
      set(0);
      core.release(pointer, bytes);
    });
    set(pointer, entry);
    return entry;
  }

  /** Marks the codes of a block, or its vectors where it has none, as just used. */
  touchBlock(block: number): void {
    const entry = this.#entries[block];
    if (entry) this.#cache.touch(entry);
  }

  /** The id of a row, if it is in memory. */
  peekId(row: number): string | undefined {
    return this.#sections.peekText(SECTIONS.ids, row);
  }

  async id(row: number): Promise<string> {
    return decodeShort(await this.#sections.blob(SECTIONS.ids, row));
  }

  async metadata(row: number): Promise<Metadata | undefined> {
    return parseMetadata(await this.#sections.blob(SECTIONS.metadata, row));
  }

  async contents(row: number): Promise<Contents | undefined> {
    const blob = await this.#sections.blob(SECTIONS.contents, row);
    if (blob.length === 0) return undefined;
    return blob[0] === TEXT ? decoder.decode(blob.subarray(1)) : blob.slice(1);
  }

  async vector(row: number): Promise<Float32Array> {
    const size = vectorBytes(this.config);
    const bytes = await this.#sections.bytes(SECTIONS.vectors, row * size, (row + 1) * size);
    const { core } = this.reader.context;
    return core.withScratch((s) => {
      const out = s.take(this.config.dimension * 4);
      this.#decode(s.put(bytes), out, 1);
      return core.floats(out, this.config.dimension);
    });
  }

  /** The ids of all rows, dead ones too. */
  async ids(): Promise<string[]> {
    return (await this.#sections.blobs(SECTIONS.ids)).map((id) => decodeShort(id));
  }

  /** The metadata of all rows, parsed once and kept in the cache. */
  async allMetadata(): Promise<readonly (Metadata | undefined)[]> {
    // Parsed objects take several times their text; counted as four times.
    const bytes = (this.reader.ref.lengths[SECTIONS.metadata] ?? 0) * 4;
    return this.#cache.load('metadata', async () => {
      const value = (await this.#sections.blobs(SECTIONS.metadata)).map(parseMetadata);
      return new Entry(value, bytes);
    }, (value) => value);
  }

  /** Hands the column of a field, made once of the metadata and kept in the cache, to `use`. */
  async useColumn<T>(
    field: string, make: (all: readonly (Metadata | undefined)[], field: string) => Column,
    use: (column: Column) => T,
  ): Promise<T> {
    return this.#cache.load(`column/${field}`, async () => {
      const value = make(await this.allMetadata(), field);
      // A value that is text or an object is counted as 64 bytes.
      const bytes = this.rows * 4 + value.values.length * 68;
      return new Entry(value, bytes);
    }, use);
  }

  /**
   * Rows of this segment that carry the ids, each one row at most; hashes are those of the
   * segment's epoch.
   */
  async find(ids: readonly string[], hashes: Uint8Array): Promise<Map<string, number>> {
    const entries = await findEntries(this.reader, this.#cache, this.rows, hashes);
    const found = new Map<string, number>();
    await allOf(Array.from(entries, async ([i, rows]) => {
      for (const row of rows) if ((await this.id(row)) === ids[i]) found.set(ids[i], row);
    }));
    return found;
  }

  /** Forgets everything decrypted of this segment, for good. */
  drop(): void {
    this.origin.fill(0);
    this.#cache.close();
  }
}

function parseMetadata(blob: Uint8Array): Metadata | undefined {
  return blob.length === 0 ? undefined : JSON.parse(decoder.decode(blob)) as Metadata;
}
