/**
 * One commit of an index as queries see it: its segments, the table of their blocks in the order
 * of lists, and the bitmap of live rows. Rows are numbered through all segments; block tables lie
 * in wasm memory in the layout of `struct sv_block` (16 bytes).
 */
import type { Cache } from './cache.js';
import { Clustering } from './clustering.js';
import type { Core } from './core.js';
import { SealvecError } from './errors.js';
import { hex } from './bytes.js';
import { liveRows, type Manifest, type SegmentEntry } from './manifest.js';
import { coreMetric } from './metric.js';
import { type ObjectContext, ObjectReader } from './object.js';
import { Segment } from './segment.js';

const BLOCK = 16;

/** Marks the dead rows of a segment in a bitmap of live rows, from row `base` on. */
function bury(live: Uint8Array, base: number, rows: Iterable<number>): void {
  for (const row of rows) {
    const at = base + row;
    live[at >> 3] = (live[at >> 3] ?? 0) & ~(1 << (at & 7));
  }
}

function* setBits(bitmap: Uint8Array, count: number): Iterable<number> {
  for (let i = 0; i < count; i++) if (((bitmap[i >> 3] ?? 0) >> (i & 7)) & 1) yield i;
}

/** Dead rows of a segment, ascending, from its bitmap and the manifest. */
export async function deadRows(context: ObjectContext, entry: SegmentEntry): Promise<Set<number>> {
  const dead = new Set<number>(entry.deadRows);
  if (entry.tombstones) {
    const length = entry.tombstones.lengths[0] ?? 0;
    const bitmap = await new ObjectReader(context, entry.tombstones).read(0, 0, length);
    for (const row of setBits(bitmap, entry.rows)) dead.add(row);
  }
  if (dead.size !== entry.dead) {
    throw new SealvecError('CORRUPTED', `a segment has ${dead.size} dead rows, expected ${entry.dead}`);
  }
  return dead;
}

export class Snapshot {
  readonly core: Core;
  readonly manifest: Manifest;
  readonly segments: readonly Segment[];
  /** Number of the first row of each segment. */
  readonly bases: readonly number[];
  readonly totalRows: number;
  readonly liveCount: number;
  readonly clustering: Clustering | undefined;
  /** Bit per row, 1 for live; undefined when all are. */
  readonly live: Uint8Array | undefined;
  readonly nLists: number;
  /** Pointers of the block table, of the starts of its groups, and of the live bitmap (or 0). */
  readonly table: number;
  readonly starts: number;
  readonly livePointer: number;
  /** Which block of which segment stands at each place of the table. */
  readonly #places: { segment: Uint32Array; block: Uint32Array };
  /** The place of each block, per segment. */
  readonly #placeOf: Uint32Array[];
  readonly #watchers: ((block: number) => void)[];
  #uses = 1;
  readonly #release: () => void;

  private constructor(
    core: Core, manifest: Manifest, parts: { segments: Segment[]; clustering?: Clustering; live?: Uint8Array },
    release: () => void,
  ) {
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
    const { order, starts } = this.#order();
    this.#places = order;
    this.table = core.alloc(Math.max(order.segment.length, 1) * BLOCK);
    this.starts = core.alloc(starts.byteLength);
    core.write(this.starts, starts);
    this.livePointer = parts.live ? core.alloc(parts.live.length) : 0;
    if (parts.live) core.write(this.livePointer, parts.live);
    this.#placeOf = parts.segments.map((segment) => new Uint32Array(segment.blocks.list.length));
    order.segment.forEach((s, at) => { (this.#placeOf[s] ?? [])[order.block[at] ?? 0] = at; });
    this.#watchers = parts.segments.map((_, s) => (block) => this.#setPlace(s, block));
    parts.segments.forEach((segment, s) => segment.watchers.add(this.#watchers[s] ?? (() => undefined)));
    this.#fillTable();
    parts.clustering?.use();
  }

  /** Opens what a manifest names, taking over the segments of `before` that it still names. */
  static async open(
    context: ObjectContext, manifest: Manifest, cache: Cache, before: Snapshot | undefined,
    release: () => void,
  ): Promise<Snapshot> {
    const { config } = manifest;
    const known = new Map(before?.segments.map((segment) => [`${segment.name}${segment.listed}`, segment]));
    const name = manifest.clustering ? hex(manifest.clustering.object.id) : '';
    let { clustering } = before ?? {};
    if (clustering?.name !== name) {
      clustering = manifest.clustering && await Clustering.open(context, manifest.clustering, config, name);
    }
    const nLists = clustering?.nLists ?? 0;
    const segments = await Promise.all(manifest.segments.map((entry) =>
      known.get(`${hex(entry.object.id)}${entry.listed}`) ??
      Segment.open(context, entry, config, nLists, cache)));
    let live: Uint8Array | undefined;
    let base = 0;
    for (const entry of manifest.segments) {
      if (entry.dead > 0) {
        live ??= new Uint8Array(Math.ceil(manifest.segments.reduce((n, e) => n + e.rows, 0) / 8)).fill(255);
        bury(live, base, await deadRows(context, entry));
      }
      base += entry.rows;
    }
    return new Snapshot(context.core, manifest, { segments, clustering, live }, release);
  }

  /** Blocks by group: list after list, then the rows in no list. */
  #order(): { order: { segment: Uint32Array; block: Uint32Array }; starts: Uint32Array } {
    const starts = new Uint32Array(this.nLists + 2);
    const group = (segment: Segment, block: number): number =>
      segment.listed ? segment.blocks.list[block] ?? 0 : this.nLists;
    for (const segment of this.segments) {
      segment.blocks.list.forEach((_, block) => {
        const g = group(segment, block);
        starts[g + 1] = (starts[g + 1] ?? 0) + 1;
      });
    }
    for (let g = 0; g <= this.nLists; g++) starts[g + 1] = (starts[g + 1] ?? 0) + (starts[g] ?? 0);
    const next = starts.slice();
    const total = starts[this.nLists + 1] ?? 0;
    const order = { segment: new Uint32Array(total), block: new Uint32Array(total) };
    this.segments.forEach((segment, s) => segment.blocks.list.forEach((_, block) => {
      const g = group(segment, block);
      const at = next[g] ?? 0;
      next[g] = at + 1;
      order.segment[at] = s;
      order.block[at] = block;
    }));
    return { order, starts };
  }

  #fillTable(): void {
    const { segment, block } = this.#places;
    this.core.fill(this.table, segment.length * BLOCK, 0);
    segment.forEach((s, at) => {
      const { blocks } = this.segments[s] ?? {};
      const b = block[at] ?? 0;
      this.core.setWord(this.table + at * BLOCK + 8, blocks?.rows[b] ?? 0);
      this.core.setWord(this.table + at * BLOCK + 12, (this.bases[s] ?? 0) + (blocks?.row[b] ?? 0));
      if (blocks?.vectors[b]) this.#setPlace(s, b);
    });
  }

  #setPlace(s: number, block: number): void {
    const { vectors, rows } = this.segments[s]?.blocks ?? {};
    const pointer = vectors?.[block] ?? 0;
    const { config } = this.manifest;
    const hasNorms = pointer !== 0 && coreMetric(config.metric) !== 0;
    const place = this.table + (this.#placeOf[s]?.[block] ?? 0) * BLOCK;
    this.core.setWord(place, pointer);
    this.core.setWord(place + 4, hasNorms ? pointer + (rows?.[block] ?? 0) * config.dimension * 4 : 0);
  }

  /** The block at a place of the table. */
  place(at: number): { segment: Segment; block: number } {
    const segment = this.segments[this.#places.segment[at] ?? 0];
    if (!segment) throw new SealvecError('CORRUPTED', 'a block belongs to no segment');
    return { segment, block: this.#places.block[at] ?? 0 };
  }

  /** The segment and row of a row number. */
  locate(row: number): { segment: Segment; row: number } {
    let at = this.bases.length - 1;
    while (at > 0 && (this.bases[at] ?? 0) > row) at--;
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
    this.clustering?.free();
    core.release(this.table, Math.max(this.#places.segment.length, 1) * BLOCK);
    core.release(this.starts, (this.nLists + 2) * 4);
    if (this.live) core.release(this.livePointer, this.live.length);
    this.#release();
  }
}
