/** One query over one snapshot: one call of the core, with what is missing loaded in between. */
import { throwIfAborted } from './abort.js';
import type { Cache } from './cache.js';
import type { Arena } from './core.js';
import { coreMetric, publicDistance, routeDimension } from './metric.js';
import type { Segment } from './segment.js';
import type { Snapshot } from './snapshot.js';
import { stopRatio } from './stop-ratio.js';
import type { AbortSignalLike } from '../types/api.js';

/** Bytes that are loaded in one go, and blocks at most. */
const WINDOW_BYTES = 8 << 20;
const WINDOW_BLOCKS = 4096;
/** Searches whose memory is kept for the next ones. */
const MOST_IDLE = 16;
/** Lists visited before the stop rule is asked. */
const MIN_PROBES = 1;
/** Candidates there is room for at first, 16 bytes each. */
const ROOM = 1024;
const CANDIDATE = 16;

/** Offsets in `struct sv_scan` of c/sv.h under wasm32. */
const SCAN = {
  query: 0, blocks: 4, listStarts: 8, order: 12, orderDistances: 16, live: 20, origins: 24,
  probes: 28, candidates: 32, k: 36, count: 40, distances: 44, rows: 48, boundsK: 52,
  boundsDistances: 60, boundsRows: 64, packed: 68, halfNorms: 72, routed: 76, rankScratch: 80,
  maxNorm: 112, stopRatio: 116, z: 120, metric: 124, dim: 128, nLists: 132, nProbes: 136,
  minProbes: 140, nSegments: 144, room: 148, nCandidates: 152, position: 156, rowsScanned: 168,
  size: 184,
} as const;
/** What a scan may want (enum sv_scan_wants). */
const WANTS = { nothing: 0, vectors: 2, room: 3 } as const;

export interface SearchOptions {
  readonly topK: number;
  /** Lists to visit, or undefined to let targetRecall decide. */
  readonly nProbes: number | undefined;
  readonly targetRecall: number;
  /** In wasm memory, a bit per row that may be returned (0: all live rows), and their share. */
  readonly allowed: number;
  readonly share: number;
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

/** Memory of one query at a time, which may be used again. */
class Scan {
  readonly #snapshot: Snapshot;
  readonly #arena: Arena;
  readonly #pointer: number;
  readonly #query: number;
  /** Bytes there that come of a query. */
  readonly #left: number;
  readonly #order: number;
  /** The most neighbours there is room for. */
  readonly k: number;
  #candidates: { arena: Arena; room: number };

  constructor(snapshot: Snapshot, k: number) {
    this.#snapshot = snapshot;
    this.k = k;
    const { core, manifest: { config }, clustering } = snapshot;
    const { exports } = core;
    const arena = core.arena();
    this.#arena = arena;
    this.#pointer = arena.take(SCAN.size);
    core.fill(this.#pointer, SCAN.size, 0);
    const probes = snapshot.origins === 0 ? 0
      : snapshot.segments.length * exports.sv_probe_size(config.dimension);
    const routed = routeDimension(config.metric, config.dimension) * 4;
    // What a query leaves behind lies together, to be wiped at its end.
    this.#left = Math.ceil(config.dimension / 4) * 16 + Math.ceil(routed / 16) * 16 + probes;
    this.#query = arena.take(this.#left);
    const { nLists } = snapshot;
    this.#order = arena.take(nLists * 4);
    this.#set('query', this.#query);
    this.#set('blocks', snapshot.table);
    this.#set('listStarts', snapshot.starts);
    this.#set('order', this.#order);
    this.#set('orderDistances', arena.take(nLists * 4));
    this.#set('origins', snapshot.origins);
    this.#set('distances', arena.take(k * 8));
    this.#set('rows', arena.take(k * 4));
    this.#set('metric', coreMetric(config.metric));
    this.#set('dim', config.dimension);
    this.#set('nLists', nLists);
    this.#set('minProbes', MIN_PROBES);
    if (clustering) {
      this.#set('packed', clustering.packed);
      this.#set('halfNorms', clustering.halfNorms);
      this.#set('routed', this.#query + Math.ceil(config.dimension / 4) * 16);
      this.#set('rankScratch', arena.take(exports.sv_rank_scratch_size(nLists)));
      core.view.setFloat32(this.#pointer + SCAN.maxNorm, clustering.maxNorm, true);
    }
    this.#candidates = { arena: core.arena(), room: 0 };
    if (snapshot.origins === 0) return;
    const { length } = snapshot.segments;
    this.#set('nSegments', length);
    this.#set('probes', this.#query + this.#left - probes);
    this.#set('boundsDistances', arena.take(k * 8));
    this.#set('boundsRows', arena.take(k * 4));
    this.grow();
  }

  #set(field: keyof typeof SCAN, value: number): void {
    this.#snapshot.core.setWord(this.#pointer + SCAN[field], value);
  }

  word(field: keyof typeof SCAN): number {
    return this.#snapshot.core.word(this.#pointer + SCAN[field]);
  }

  /** Makes room for more candidates. */
  grow(): void {
    const { core } = this.#snapshot;
    const room = Math.max(ROOM, this.#candidates.room * 2);
    const arena = core.arena();
    const pointer = arena.take(room * CANDIDATE);
    core.move(pointer, this.word('candidates'), this.word('nCandidates') * CANDIDATE);
    this.#candidates.arena.free();
    this.#candidates = { arena, room };
    this.#set('candidates', pointer);
    this.#set('room', room);
  }

  /** Begins a query; what the core wants to go on. */
  begin(query: Float32Array, options: SearchOptions): number {
    const { nProbes, targetRecall, allowed, share } = options;
    const { core, liveCount, nLists, clustering, livePointer, manifest } = this.#snapshot;
    const k = Math.min(options.topK, Math.max(liveCount, 1));
    for (const name of ['k', 'boundsK'] as const) this.#set(name, k);
    this.#set('live', allowed || livePointer);
    const probes = Math.min(nProbes ?? nLists, nLists);
    this.#set('nProbes', probes);
    // Of a share s of the rows the k-th nearest is about the (k / s)-th of all.
    const stop = clustering?.curve && nProbes === undefined
      ? stopRatio(clustering.curve, targetRecall, k / share) : Infinity;
    core.view.setFloat32(this.#pointer + SCAN.stopRatio, stop, true);
    const exhaustive = probes >= nLists && stop === Infinity;
    const z = exhaustive ? Math.sqrt(manifest.config.dimension) / 2 * 1.001 : 1;
    core.view.setFloat32(this.#pointer + SCAN.z, z, true);
    core.write(this.#query, query);
    return core.check(core.exports.sv_scan_begin(this.#pointer), 'queryVectors');
  }

  next(): number {
    const { core } = this.#snapshot;
    return core.check(core.exports.sv_scan_next(this.#pointer), 'query');
  }

  /** Places of the blocks to load now: the missing one and those that will follow it. */
  ahead(wanted: number): Uint32Array {
    const { core } = this.#snapshot;
    return core.withScratch((s) => {
      const places = s.take(WINDOW_BLOCKS * 4);
      const vectors = wanted === WANTS.vectors ? 1 : 0;
      const count = core.exports.sv_scan_ahead(this.#pointer, vectors, WINDOW_BLOCKS, places);
      return core.words(places, count);
    });
  }

  /** Hits, nearest first. */
  hits(): Hit[] {
    const { core, manifest: { config: { metric } } } = this.#snapshot;
    const { view } = core;
    const [rows, distances] = [this.word('rows'), this.word('distances')];
    return Array.from({ length: this.word('count') }, (_, i) => ({
      row: view.getUint32(rows + i * 4, true),
      distance: publicDistance(metric, view.getFloat64(distances + i * 8, true)),
    }));
  }

  /** Numbers of the lists visited, and that of the rows in no list. */
  *visited(): Iterable<number> {
    const { core, nLists } = this.#snapshot;
    const position = this.word('position');
    for (let p = 0; p < position; p++) {
      yield p === 0 ? nLists : core.word(this.#order + (p - 1) * 4);
    }
  }

  /** Wipes what is left of a query, and waits for the next one. */
  rest(): void {
    const { core, idle } = this.#snapshot;
    core.exports.sv_wipe(this.#query, this.#left);
    if (idle.length < MOST_IDLE) idle.push(this);
    else this.free();
  }

  free(): void {
    this.#arena.free();
    this.#candidates.arena.free();
  }
}

/** Loads what is missing and what will follow it, then scans on; what is wanted next. */
async function loadAndRun(
  snapshot: Snapshot, scan: Scan, cache: Cache, wants: number,
): Promise<number> {
  return cache.hold(async () => {
    // Others may have loaded what was missing, which must not be let go of for what follows it.
    const wanted = cache.limited ? scan.next() : wants;
    if (wanted === WANTS.nothing || wanted === WANTS.room) return wanted;
    const most = cache.limited ? Math.min(WINDOW_BYTES, Math.max(cache.limit, 1)) : WINDOW_BYTES;
    const vectors = wanted === WANTS.vectors;
    const blocks: { segment: Segment; block: number }[] = [];
    let bytes = 0;
    for (const at of scan.ahead(wanted)) {
      const { segment, block } = snapshot.place(at);
      const size = vectors ? segment.blockBytes(block) : segment.codeBytes(block);
      if (blocks.length > 0 && bytes + size > most) break;
      blocks.push({ segment, block });
      bytes += size;
    }
    cache.makeRoom(bytes);
    const loads = blocks.map(({ segment, block }) =>
      vectors ? segment.loadBlock(block) : segment.loadCodes(block));
    const failed = (await Promise.allSettled(loads)).find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
    return scan.next();
  });
}

/** Marks the lists a query visited as used, so that the cache lets go of others first. */
function touch(snapshot: Snapshot, scan: Scan): void {
  const { core } = snapshot;
  for (const group of scan.visited()) {
    const end = core.word(snapshot.starts + group * 4 + 4);
    for (let at = core.word(snapshot.starts + group * 4); at < end; at++) {
      const { segment, block } = snapshot.place(at);
      segment.touchBlock(block);
    }
  }
}

/** Loads and scans until the core wants nothing more. */
async function runOn(
  snapshot: Snapshot, scan: Scan, options: SearchOptions, cache: Cache, wants: number,
): Promise<void> {
  for (let wanted = wants; wanted !== WANTS.nothing;) {
    throwIfAborted(options.signal);
    if (wanted === WANTS.room) {
      scan.grow();
      wanted = scan.next();
    } else {
      wanted = await loadAndRun(snapshot, scan, cache, wanted);
    }
  }
}

/** Memory for a search of this many neighbours: that of one that ended, if it is large enough. */
function takeScan(snapshot: Snapshot, topK: number): Scan {
  const k = Math.min(topK, Math.max(snapshot.liveCount, 1));
  const known = snapshot.idle.pop() as Scan | undefined;
  if (known && known.k >= k) return known;
  known?.free();
  return new Scan(snapshot, k);
}

function resultOf(snapshot: Snapshot, scan: Scan, cache: Cache): SearchResult {
  if (cache.limited) touch(snapshot, scan);
  const exact = scan.word('position') > snapshot.nLists;
  return { hits: scan.hits(), rowsScanned: scan.word('rowsScanned'), exact };
}

/** The topK nearest rows of one query: at once when nothing has to be read for it. */
export function search(
  snapshot: Snapshot, query: Float32Array, options: SearchOptions, cache: Cache,
): SearchResult | Promise<SearchResult> {
  const scan = takeScan(snapshot, options.topK);
  let wanted: number;
  try {
    wanted = scan.begin(query, options);
  } catch (error) {
    scan.rest();
    throw error;
  }
  const done = (): SearchResult => {
    try {
      return resultOf(snapshot, scan, cache);
    } finally {
      scan.rest();
    }
  };
  return wanted === WANTS.nothing ? done()
    : runOn(snapshot, scan, options, cache, wanted).then(done, (error: unknown) => {
      scan.rest();
      throw error;
    });
}
