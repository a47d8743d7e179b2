/** One query over one snapshot: rank lists, scan blocks, load those that are missing, select. */
import type { Cache } from './cache.js';
import type { Arena } from './core.js';
import { coreMetric, publicDistance } from './metric.js';
import type { Snapshot } from './snapshot.js';
import { stopRatio } from './stop-ratio.js';
import { throwIfAborted } from './abort.js';
import type { AbortSignalLike } from '../types/api.js';

/** Bytes of blocks that are loaded in one go. */
const WINDOW_BYTES = 8 << 20;
/** Lists loaded ahead while the k-th distance is not known yet. */
const LISTS_AHEAD = 4;
/** Lists visited before the stop rule is asked. */
const MIN_PROBES = 1;

/** Offsets in `struct sv_scan` of c/sv.h under wasm32. */
const SCAN = {
  query: 0, blocks: 4, listStarts: 8, order: 12, orderDistances: 16, live: 20, k: 24, count: 28,
  distances: 32, rows: 36, queryNorm: 40, scale: 48, offset: 56, stopRatio: 64, metric: 68,
  dim: 72, nLists: 76, nProbes: 80, minProbes: 84, position: 88, block: 92, rowsScanned: 96,
  missing: 100, size: 104,
} as const;
const TOPK = SCAN.k;

export interface SearchOptions {
  readonly topK: number;
  /** Lists to visit, or undefined to let targetRecall decide. */
  readonly nProbes: number | undefined;
  readonly targetRecall: number;
  /** Bit per row that may be returned; undefined for all live rows. */
  readonly allowed: Uint8Array | undefined;
  readonly signal: AbortSignalLike | undefined;
}

export interface Hit {
  readonly row: number;
  readonly distance: number;
}

export interface SearchResult {
  readonly hits: Hit[];
  readonly rowsScanned: number;
  readonly exact: boolean;
}

/** Memory of one query under way, kept over awaits. */
class Scan {
  readonly #snapshot: Snapshot;
  readonly #arena: Arena;
  readonly pointer: number;
  readonly order: number;
  readonly orderDistances: number;

  constructor(snapshot: Snapshot, query: Float32Array, options: SearchOptions) {
    this.#snapshot = snapshot;
    const { core } = snapshot;
    this.#arena = core.arena();
    const nLists = Math.max(snapshot.nLists, 1);
    this.pointer = this.#arena.take(SCAN.size);
    this.order = this.#arena.take(nLists * 4);
    this.orderDistances = this.#arena.take(nLists * 4);
    core.fill(this.pointer, SCAN.size, 0);
    const word = (field: keyof typeof SCAN, value: number): void =>
      core.setWord(this.pointer + SCAN[field], value);
    const k = Math.min(options.topK, Math.max(snapshot.liveCount, 1));
    word('query', this.#arena.put(query));
    word('blocks', snapshot.table);
    word('listStarts', snapshot.starts);
    word('order', this.order);
    word('orderDistances', this.orderDistances);
    word('live', options.allowed ? this.#arena.put(options.allowed) : snapshot.livePointer);
    word('k', k);
    word('distances', this.#arena.take(k * 8));
    word('rows', this.#arena.take(k * 4));
    word('metric', coreMetric(snapshot.manifest.config.metric));
    word('dim', query.length);
    word('nLists', snapshot.nLists);
    word('nProbes', Math.min(options.nProbes ?? snapshot.nLists, snapshot.nLists));
    word('minProbes', MIN_PROBES);
    const { curve } = snapshot.clustering ?? {};
    const stop = curve && options.nProbes === undefined
      ? stopRatio(curve, options.targetRecall, k) : Infinity;
    core.view.setFloat32(this.pointer + SCAN.stopRatio, stop, true);
    const norm = Math.sqrt(query.reduce((sum, x) => sum + x * x, 0));
    core.view.setFloat64(this.pointer + SCAN.queryNorm, norm, true);
    this.#rank(query);
  }

  /** Orders the lists by the distance of the query to their centroids. */
  #rank(query: Float32Array): void {
    const { core, clustering, manifest } = this.#snapshot;
    if (!clustering) return;
    core.withScratch((s) => {
      const routed = s.take(clustering.dimension * 4);
      core.check(core.exports.sv_route_query(
        coreMetric(manifest.config.metric), core.word(this.pointer + SCAN.query), query.length,
        clustering.maxNorm, routed, this.pointer + SCAN.scale, this.pointer + SCAN.offset,
      ), 'queryVectors');
      core.check(core.exports.sv_rank_lists(
        routed, clustering.dimension, clustering.packed, clustering.halfNorms, clustering.nLists,
        this.order, this.orderDistances,
        s.take(core.exports.sv_rank_scratch_size(clustering.nLists)),
      ), 'queryVectors');
    });
  }

  word(field: keyof typeof SCAN): number {
    return this.#snapshot.core.word(this.pointer + SCAN[field]);
  }

  run(): boolean {
    const { core } = this.#snapshot;
    return core.check(core.exports.sv_scan_run(this.pointer), 'query') === 1;
  }

  /** Places of the blocks to load now: the missing one and those that will follow it. */
  *ahead(allowed: Uint8Array | undefined): Iterable<number> {
    const { core, nLists, starts } = this.#snapshot;
    const first = this.word('position');
    // A list that was begun is scanned to its end, whatever else is enough by then.
    const most = this.word('count') < this.word('k') ? nLists : this.word('nProbes');
    const last = Math.max(first, most);
    let from = this.word('missing');
    for (let position = first; position <= last; position++) {
      if (position > first && this.#stopsAt(position - 1, position - first)) return;
      const group = position === 0 ? nLists : core.word(this.order + (position - 1) * 4);
      const end = core.word(starts + group * 4 + 4);
      for (let place = Math.max(core.word(starts + group * 4), from); place < end; place++) {
        if (!allowed || this.#anyAllowed(place, allowed)) yield place;
      }
      from = 0;
    }
  }

  /** Whether the scan will stop before list number `list` of the order, as far as is known now. */
  #stopsAt(list: number, ahead: number): boolean {
    const { view } = this.#snapshot.core;
    const float = (at: number): number => view.getFloat32(at, true);
    const double = (at: number): number => view.getFloat64(at, true);
    const ratio = float(this.pointer + SCAN.stopRatio);
    if (ratio === Infinity) return false;
    if (this.word('count') < this.word('k')) return ahead > LISTS_AHEAD;
    const worst = double(this.word('distances'));
    const radius = double(this.pointer + SCAN.scale) * worst + double(this.pointer + SCAN.offset);
    const gap = float(this.orderDistances + list * 4) - float(this.orderDistances);
    return gap * (list + 1) ** 0.75 > ratio * radius;
  }

  #anyAllowed(place: number, allowed: Uint8Array): boolean {
    const { core, table } = this.#snapshot;
    const first = core.word(table + place * 16 + 12);
    const end = first + core.word(table + place * 16 + 8);
    for (let row = first; row < end; row++) {
      if (((allowed[row >> 3] ?? 0) >> (row & 7)) & 1) return true;
    }
    return false;
  }

  /** Hits, nearest first. */
  hits(): Hit[] {
    const { core, manifest } = this.#snapshot;
    core.exports.sv_topk_sort(this.pointer + TOPK);
    const count = this.word('count');
    const rows = core.words(this.word('rows'), count);
    const distances = core.doubles(this.word('distances'), count);
    return Array.from(rows, (row, i) => ({
      row, distance: publicDistance(manifest.config.metric, distances[i] ?? 0),
    }));
  }

  free(): void {
    this.#arena.free();
  }
}

/** Loads the missing block and what will follow, then scans on; true while more is missing. */
async function loadAndRun(
  snapshot: Snapshot, scan: Scan, cache: Cache, allowed: Uint8Array | undefined,
): Promise<boolean> {
  return cache.hold(async () => {
    const window = cache.limited ? Math.min(WINDOW_BYTES, Math.max(cache.limit, 1)) : WINDOW_BYTES;
    const loads: Promise<void>[] = [];
    let bytes = 0;
    for (const at of scan.ahead(allowed)) {
      const { segment, block } = snapshot.place(at);
      bytes += segment.blockBytes(block);
      if (loads.length > 0 && bytes > window) break;
      if (segment.blocks.vectors[block] === 0) loads.push(segment.loadBlock(block));
    }
    const failed = (await Promise.allSettled(loads)).find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
    return scan.run();
  });
}

/** Marks the lists a query visited as used, so that the cache lets go of others first. */
function touch(snapshot: Snapshot, scan: Scan): void {
  const { core, nLists } = snapshot;
  const visited = scan.word('position');
  for (let position = 0; position < visited; position++) {
    const group = position === 0 ? nLists : core.word(scan.order + (position - 1) * 4);
    const end = core.word(snapshot.starts + group * 4 + 4);
    for (let at = core.word(snapshot.starts + group * 4); at < end; at++) {
      const { segment, block } = snapshot.place(at);
      segment.touchBlock(block);
    }
  }
}

/** The topK nearest rows of one query. */
export async function search(
  snapshot: Snapshot, query: Float32Array, options: SearchOptions, cache: Cache,
): Promise<SearchResult> {
  const scan = new Scan(snapshot, query, options);
  try {
    let more = scan.run();
    while (more) {
      throwIfAborted(options.signal);
      more = await loadAndRun(snapshot, scan, cache, options.allowed ?? snapshot.live);
    }
    if (cache.limited) touch(snapshot, scan);
    const exact = scan.word('position') > snapshot.nLists;
    return { hits: scan.hits(), rowsScanned: scan.word('rowsScanned'), exact };
  } finally {
    scan.free();
  }
}
