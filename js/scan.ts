/** The memory of one query in the core, and the calls on it: `struct sv_scan` of c/sv.h. */
import type { Arena } from './core.js';
import { coreMetric, publicDistance, routeDimension } from './metric.js';
import type { Snapshot } from './snapshot.js';
import { stopRatio } from './stop-ratio.js';
import type { AbortSignalLike } from '../types/api.js';

/** Blocks whose places `ahead` gives at most. */
const WINDOW_BLOCKS = 4096;
/** Rows that candidates are compared by at a time, and their bytes: at most, one at least. */
const WINDOW_ROWS = 256;
const WINDOW_BYTES = 1 << 20;
/** Lists visited before the stop rule is asked. */
const MIN_PROBES = 1;
/** Candidates there is room for at first, 16 bytes each. */
const ROOM = 1024;
const CANDIDATE = 16;

/** Offsets in `struct sv_scan` under wasm32. */
const SCAN = {
  query: 0, blocks: 4, listStarts: 8, order: 12, orderDistances: 16, live: 20, origins: 24,
  probes: 28, candidates: 32, k: 36, count: 40, distances: 44, rows: 48, boundsK: 52,
  boundsDistances: 60, boundsRows: 64, packed: 68, halfNorms: 72, routed: 76, rankScratch: 80,
  listCodes: 84, signScratch: 88, maxNorm: 120, stopRatio: 124, z: 128, metric: 132, dim: 136,
  nLists: 140, nProbes: 144, minProbes: 148, nOrigins: 152, room: 156, nCandidates: 160,
  position: 164, rowsScanned: 176, size: 192,
} as const;
type Field = keyof typeof SCAN;
/** What a scan may want (enum sv_scan_wants). */
export const WANTS = { nothing: 0, codes: 1, vectors: 2, room: 3 } as const;

export interface SearchOptions {
  readonly topK: number;
  /** Lists to visit, or undefined to let targetRecall decide. */
  readonly nProbes: number | undefined;
  readonly targetRecall: number;
  /** Whether all blocks are gone through as they come, none first, because few rows are wanted. */
  readonly whole: boolean;
  /** In wasm memory, a bit per row that may be returned (0: all live rows), and their share. */
  readonly allowed: number;
  readonly share: number;
  readonly signal: AbortSignalLike | undefined;
}

/** A row that is to be compared: of the block at a place of the table. */
export interface Candidate {
  readonly number: number;
  readonly place: number;
  readonly row: number;
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

/** How many neighbours a scan must have room for. */
export function roomFor({ liveCount }: Snapshot, topK: number): number {
  return Math.min(topK, Math.max(liveCount, 1));
}

/** What lies in a scan's memory, and how large. What a query leaves behind comes first. */
function layOut({ core, manifest, nOrigins, nLists, clustering }: Snapshot, k: number) {
  const { config } = manifest;
  const { exports } = core;
  const coded = nOrigins > 0;
  const bounds = coded ? k : 0;
  const routed = clustering ? routeDimension(config.metric, config.dimension) : 0;
  return {
    query: config.dimension * 4,
    routed: routed * 4,
    probes: coded ? nOrigins * exports.sv_probe_size(config.dimension) : 0,
    distances: k * 8, boundsDistances: bounds * 8,
    rows: k * 4, boundsRows: bounds * 4,
    order: nLists * 4, orderDistances: nLists * 4,
    signScratch: coded ? exports.sv_signs_scratch_size(config.dimension) : 0,
    rankScratch: clustering ? exports.sv_list_ranking_size(nLists, routed) : 0,
  };
}

const aligned = (bytes: number): number => Math.ceil(bytes / 16) * 16;

/** Memory of one query at a time, which may be used again. */
export class Scan {
  readonly #snapshot: Snapshot;
  readonly #arena: Arena;
  readonly #pointer: number;
  readonly #query: number;
  /** Bytes there that come of a query. */
  readonly #left: number;
  /** The most neighbours there is room for. */
  readonly k: number;
  #candidates: { arena: Arena; room: number };

  constructor(snapshot: Snapshot, k: number) {
    this.#snapshot = snapshot;
    this.k = k;
    const { core, manifest: { config }, clustering } = snapshot;
    const sizes = layOut(snapshot, k);
    this.#arena = core.arena();
    const head = aligned(SCAN.size);
    this.#pointer = this.#arena.take(
      Object.values(sizes).reduce((sum, size) => sum + aligned(size), head),
    );
    core.clear(this.#pointer, SCAN.size);
    let at = this.#pointer + head;
    for (const [field, size] of Object.entries(sizes)) {
      if (size > 0) this.#set(field as Field, at);
      at += aligned(size);
    }
    this.#query = this.word('query');
    this.#left = aligned(sizes.query) + aligned(sizes.routed) + aligned(sizes.probes);
    this.#set('blocks', snapshot.table);
    this.#set('origins', snapshot.origins);
    this.#set('metric', coreMetric(config.metric));
    this.#set('dim', config.dimension);
    this.#set('minProbes', MIN_PROBES);
    this.#set('nOrigins', snapshot.nOrigins);
    if (clustering) {
      this.#set('packed', clustering.packed);
      this.#set('halfNorms', clustering.halfNorms);
      this.#set('listCodes', clustering.codes);
      core.view.setFloat32(this.#pointer + SCAN.maxNorm, clustering.maxNorm, true);
    }
    this.#candidates = { arena: core.arena(), room: 0 };
    if (snapshot.nOrigins > 0) this.grow();
  }

  #set(field: Field, value: number): void {
    this.#snapshot.core.setWord(this.#pointer + SCAN[field], value);
  }

  word(field: Field): number {
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
    const { nProbes, targetRecall, whole, allowed, share, topK } = options;
    const { core, clustering, livePointer, manifest } = this.#snapshot;
    const nLists = whole ? 0 : this.#snapshot.nLists;
    const k = roomFor(this.#snapshot, topK);
    const { view } = core;
    const set = (field: Field, value: number): void =>
      view.setUint32(this.#pointer + SCAN[field], value, true);
    set('k', k);
    set('boundsK', k);
    set('live', allowed || livePointer);
    const probes = Math.min(nProbes ?? nLists, nLists);
    set('nProbes', probes);
    set('nLists', nLists);
    set('listStarts', whole ? this.#snapshot.whole : this.#snapshot.starts);
    // Of a share s of the rows the k-th nearest is about the (k / s)-th of all.
    const stop = clustering && !whole && nProbes === undefined
      ? stopRatio(clustering.curve, targetRecall, k / share) : Infinity;
    view.setFloat32(this.#pointer + SCAN.stopRatio, stop, true);
    const exhaustive = probes >= nLists && stop === Infinity;
    const z = exhaustive ? Math.sqrt(manifest.config.dimension) / 2 * 1.001 : 1;
    view.setFloat32(this.#pointer + SCAN.z, z, true);
    core.write(this.#query, query);
    return core.check(core.exports.sv_scan_begin(this.#pointer), 'queryVectors');
  }

  next(): number {
    const { core } = this.#snapshot;
    return core.check(core.exports.sv_scan_next(this.#pointer), 'query');
  }

  /** Places of the blocks to load now: the missing one and those that will follow it. */
  ahead(): Uint32Array {
    const { core } = this.#snapshot;
    return core.withScratch((s) => {
      const places = s.take(WINDOW_BLOCKS * 4);
      const count = core.exports.sv_scan_ahead(this.#pointer, WINDOW_BLOCKS, places);
      return core.words(places, count);
    });
  }

  /** The candidates to compare now whose vectors are not in memory. */
  candidates(): Candidate[] {
    const { core, manifest: { config } } = this.#snapshot;
    const fitting = Math.floor(WINDOW_BYTES / (config.dimension * 4));
    const most = Math.max(1, Math.min(WINDOW_ROWS, fitting));
    const numbers = core.withScratch((s) => {
      const out = s.take(most * 4);
      return core.words(out, core.exports.sv_scan_candidates(this.#pointer, most, out));
    });
    const all = this.word('candidates');
    return Array.from(numbers, (number) => {
      const at = all + number * CANDIDATE;
      return { number, place: core.word(at + 8), row: core.word(at + 12) };
    });
  }

  /** Compares candidates by their vectors, which lie one after another at `rows`. */
  compare(candidates: readonly Candidate[], rows: number): void {
    const { core } = this.#snapshot;
    core.withScratch((s) => {
      const numbers = s.put(Uint32Array.from(candidates, ({ number }) => number));
      core.exports.sv_scan_compare(this.#pointer, candidates.length, numbers, rows);
    });
  }

  result(): SearchResult {
    const { core, manifest: { config: { metric } } } = this.#snapshot;
    const { view } = core;
    const word = (field: Field): number => view.getUint32(this.#pointer + SCAN[field], true);
    const [rows, distances, count] = [word('rows'), word('distances'), word('count')];
    const hits = new Array<Hit>(count);
    for (let i = 0; i < count; i++) {
      const distance = publicDistance(metric, view.getFloat64(distances + i * 8, true));
      hits[i] = { row: view.getUint32(rows + i * 4, true), distance };
    }
    return { hits, rowsScanned: word('rowsScanned'), exact: word('position') > word('nLists') };
  }

  /** Numbers of the lists visited, and that of the rows in no list. */
  *visited(): Iterable<number> {
    const { core, nLists } = this.#snapshot;
    const [position, order] = [this.word('position'), this.word('order')];
    const whole = this.word('nLists') < nLists;
    for (let p = 0; whole && p <= nLists; p++) yield p;
    for (let p = 0; !whole && p < position; p++) {
      yield p === 0 ? nLists : core.word(order + (p - 1) * 4);
    }
  }

  /** Wipes what is left of a query. */
  wipe(): void {
    this.#snapshot.core.exports.sv_wipe(this.#query, this.#left);
  }

  free(): void {
    this.#arena.free();
    this.#candidates.arena.free();
  }
}
