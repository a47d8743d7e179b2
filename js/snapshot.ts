/**
 * One commit of an index as queries see it: its segments, the table of their blocks in the order
 * of lists, and the bitmap of live rows. Rows are numbered through all segments; block tables lie
 * in wasm memory in the layout of `struct sv_block`.
 */
import { allOf } from './all.js';
import { BLOCK, type BlockOrder, orderBlocks } from './block-order.js';
import { hex } from './bytes.js';
import type { Cache } from './cache.js';
import type { Arena, Core } from './core.js';
import { SealvecError } from './errors.js';
import { withHead } from './head.js';
import { RankedLists } from './list-codes.js';
import { liveRows, type Manifest, SECTIONS, type SegmentEntry } from './manifest.js';
import { coreMetric } from './metric.js';
import type { ObjectContext } from './object.js';
import { Segment } from './segment.js';
import { deadRows } from './tombstones.js';

/** Marks the dead rows of a segment in a bitmap of live rows, from row `base` on. */
function bury(live: Uint8Array, base: number, rows: Iterable<number>): void {
  for (const row of rows) {
    const at = base + row;
    live[at >> 3] = (live[at >> 3] ?? 0) & ~(1 << (at & 7));
  }
}

/** What a snapshot is made of. */
interface Parts {
  readonly segments: Segment[];
  readonly clustering: RankedLists | undefined;
  readonly live: Uint8Array | undefined;
}

/** The centroids that a manifest names: those of `before`, or opened; undefined without any. */
async function openClustering(
  context: ObjectContext, { clustering, config }: Manifest, before: RankedLists | undefined,
): Promise<RankedLists | undefined> {
  if (!clustering) return undefined;
  const name = hex(clustering.object.id);
  if (before?.name === name) return before;
  return withHead(context, clustering.object, clustering.object.lengths.length, (near) =>
    RankedLists.open(near, clustering, config, name));
}

/** A segment of a manifest: the one of those known, or opened. */
async function openSegment(
  context: ObjectContext, { config, clustering }: Manifest, entry: SegmentEntry, cache: Cache,
  known: readonly Segment[],
): Promise<Segment> {
  const name = hex(entry.object.id);
  return known.find((one) => one.name === name && one.listed === entry.listed) ??
    withHead(context, entry.object, SECTIONS.lists + 1, (near) =>
      Segment.open(near, entry, config, clustering?.nLists ?? 0, cache));
}

/** Bit per row of all segments, 1 for live; undefined when all are. */
async function openLive(
  context: ObjectContext, { segments }: Manifest,
): Promise<Uint8Array | undefined> {
  if (segments.every((entry) => entry.dead === 0)) return undefined;
  const rows = segments.reduce((sum, entry) => sum + entry.rows, 0);
  const live = new Uint8Array(Math.ceil(rows / 8)).fill(255);
  const dead = await allOf(segments.map((entry) =>
    entry.dead > 0 ? deadRows(context, entry) : Promise.resolve([])));
  let base = 0;
  segments.forEach((entry, s) => {
    bury(live, base, dead[s] ?? []);
    base += entry.rows;
  });
  return live;
}

export class Snapshot {
  readonly core: Core;
  readonly manifest: Manifest;
  readonly segments: readonly Segment[];
  /** Number of the first row of each segment. */
  readonly bases: readonly number[];
  readonly totalRows: number;
  readonly liveCount: number;
  readonly clustering: RankedLists | undefined;
  /** Bit per row, 1 for live; undefined when all are. */
  readonly live: Uint8Array | undefined;
  readonly nLists: number;
  readonly nBlocks: number;
  /** About what all vectors, codes and signs take in memory. */
  readonly memoryBytes: number;
  /** About what of that a scan goes through: codes, or vectors where rows have none. */
  readonly scannedBytes: number;
  /** Pointers of the block table, of the starts of its groups, and of the live bitmap (or 0). */
  readonly table: number;
  readonly starts: number;
  /** Of the starts of one group that has all blocks. */
  readonly whole: number;
  readonly livePointer: number;
  /** Pointer of the table of origins of codes (0 where rows have none), and their number. */
  readonly origins: number;
  readonly nOrigins: number;
  /** Memory of queries that ended, for the next ones. */
  readonly idle: { free(): void }[] = [];
  readonly #arena: Arena;
  readonly #order: Omit<BlockOrder, 'table' | 'origins'>;
  readonly #watchers: ((block: number) => void)[];
  #uses = 1;
  readonly #release: () => void;

  private constructor(core: Core, manifest: Manifest, parts: Parts, release: () => void) {
    this.core = core;
    this.manifest = manifest;
    this.segments = parts.segments;
    this.clustering = parts.clustering;
    this.live = parts.live;
    this.nLists = parts.clustering?.nLists ?? 0;
    this.#release = release;
    let rows = 0;
    this.bases = parts.segments.map((segment) => (rows += segment.rows) - segment.rows);
    this.totalRows = rows;
    this.liveCount = liveRows(manifest);
    const { table, origins, ...order } = orderBlocks(parts.segments, this.bases, this.nLists);
    this.#order = order;
    this.table = core.alloc(Math.max(table.byteLength, 1));
    core.write(this.table, table);
    this.starts = core.alloc(order.starts.byteLength);
    core.write(this.starts, order.starts);
    this.livePointer = parts.live ? core.alloc(parts.live.length) : 0;
    if (parts.live) core.write(this.livePointer, parts.live);
    this.#arena = core.arena();
    this.whole = this.#arena.put(Uint32Array.of(0, order.segment.length));
    this.nOrigins = origins.length;
    this.origins = origins.length === 0 ? 0
      : this.#arena.put(Uint32Array.from(origins, (origin) => this.#arena.put(origin)));
    this.nBlocks = order.segment.length;
    // Signs take half of what codes take.
    const codeBytes = parts.segments.reduce((sum, { reader: { ref } }) =>
      sum + (ref.lengths[SECTIONS.codes] ?? 0) * 1.5, 0);
    this.memoryBytes = rows * (manifest.config.dimension + 1) * 4 + codeBytes;
    this.scannedBytes = this.nOrigins > 0 ? codeBytes : this.memoryBytes;
    this.#watchers = parts.segments.map((_, s) => (block) => this.#setPlace(s, block));
    parts.segments.forEach((segment, s) => {
      segment.watchers.add(this.#watchers[s] ?? (() => undefined));
    });
    this.#enterResident();
  }

  /**
   * Opens what a manifest names, taking over what `before`, which must stay in use meanwhile, has
   * open of it. Calls `release` when the snapshot goes, or cannot be opened.
   */
  static async open(
    context: ObjectContext, manifest: Manifest, cache: Cache, before: Snapshot | undefined,
    release: () => void,
  ): Promise<Snapshot> {
    const { segments: known = [] } = before ?? {};
    const using: Promise<RankedLists | undefined> =
      openClustering(context, manifest, before?.clustering).then((found) => found?.use());
    try {
      const [clustering, segments, live] = await allOf([
        using,
        allOf(manifest.segments.map((entry) =>
          openSegment(context, manifest, entry, cache, known))),
        openLive(context, manifest),
      ]);
      return new Snapshot(context.core, manifest, { segments, clustering, live }, release);
    } catch (error) {
      await using.then((clustering) => clustering?.free(), () => undefined);
      release();
      throw error;
    }
  }

  /** Enters the blocks that are in memory already. */
  #enterResident(): void {
    this.segments.forEach(({ blocks: { vectors, codes } }, s) => {
      for (let b = 0; b < vectors.length; b++) if (vectors[b] || codes[b]) this.#setPlace(s, b);
    });
  }

  #setPlace(s: number, block: number): void {
    const segment = this.segments[s];
    const { vectors, codes, rows } = segment?.blocks ?? {};
    const pointer = vectors?.[block] ?? 0;
    const { metric, dimension } = this.manifest.config;
    const norms = pointer === 0 || coreMetric(metric) === 0 ? 0
      : pointer + (rows?.[block] ?? 0) * dimension * 4;
    const place = this.table + (this.#order.placeOf[s]?.[block] ?? 0) * BLOCK.size;
    this.core.setWord(place + BLOCK.vectors, pointer);
    this.core.setWord(place + BLOCK.norms, norms);
    this.core.setWord(place + BLOCK.codes, codes?.[block] ?? 0);
    this.core.setWord(place + BLOCK.signs, segment?.signs(block) ?? 0);
  }

  /** The block at a place of the table. */
  place(at: number): { segment: Segment; block: number } {
    const segment = this.segments[this.#order.segment[at] ?? 0];
    if (!segment) throw new SealvecError('CORRUPTED', 'a block belongs to no segment');
    return { segment, block: this.#order.block[at] ?? 0 };
  }

  /** Which segment a row number belongs to. */
  segmentOf(row: number): number {
    let at = this.bases.length - 1;
    while (at > 0 && (this.bases[at] ?? 0) > row) at--;
    return at;
  }

  /** The segment and row of a row number. */
  locate(row: number): { segment: Segment; row: number } {
    const at = this.segmentOf(row);
    const segment = this.segments[at];
    if (!segment) throw new SealvecError('CORRUPTED', 'a row belongs to no segment');
    return { segment, row: row - (this.bases[at] ?? 0) };
  }

  isLive(row: number): boolean {
    return !this.live || (((this.live[row >> 3] ?? 0) >> (row & 7)) & 1) === 1;
  }

  use(): this {
    this.#uses++;
    return this;
  }

  /** Gives up one use; the last one frees the tables. */
  release(): void {
    if (--this.#uses > 0) return;
    const { core } = this;
    this.segments.forEach((segment, s) => {
      const watcher = this.#watchers[s];
      if (watcher) segment.watchers.delete(watcher);
      if (segment.watchers.size === 0) segment.drop();
    });
    for (const scan of this.idle.splice(0)) scan.free();
    this.#arena.free();
    this.clustering?.free();
    core.release(this.table, Math.max(this.#order.segment.length * BLOCK.size, 1));
    core.release(this.starts, (this.nLists + 2) * 4);
    if (this.live) core.release(this.livePointer, this.live.length);
    this.#release();
  }
}
