/** Queries over one snapshot: calls of the core, with what is missing loaded in between. */
import { throwIfAborted } from './abort.js';
import { allOf } from './all.js';
import type { Cache } from './cache.js';
import {
  type Candidate, roomFor, Scan, type SearchOptions, type SearchResult, WANTS,
} from './scan.js';
import type { Segment } from './segment.js';
import type { Snapshot } from './snapshot.js';

/** Bytes that are loaded in one go, of blocks and of single rows each. */
const WINDOW_BYTES = 8 << 20;
/** Queries of one call that wait for what is read at a time. */
const MOST_RUNNING = 64;
/** Searches whose memory is kept for the next ones. */
const MOST_IDLE = 16;

/** A query under way, and what it wants to go on. */
interface Running {
  readonly q: number;
  readonly scan: Scan;
  wants: number;
}

/** Loads blocks, those that come first up to the limit; at least one. */
async function loadBlocks(
  snapshot: Snapshot, places: Iterable<number>, vectors: boolean, cache: Cache,
): Promise<void> {
  const most = cache.limited ? Math.min(WINDOW_BYTES, Math.max(cache.limit, 1)) : WINDOW_BYTES;
  const blocks: { segment: Segment; block: number }[] = [];
  let bytes = 0;
  for (const at of places) {
    const { segment, block } = snapshot.place(at);
    const size = vectors ? segment.blockBytes(block) : segment.codeBytes(block);
    if (blocks.length > 0 && bytes + size > most) break;
    blocks.push({ segment, block });
    bytes += size;
  }
  cache.makeRoom(bytes);
  await allOf(blocks.map(({ segment, block }) =>
    vectors ? segment.loadBlock(block) : segment.loadCodes(block)));
}

/**
 * What several want, each in its order: first what each wants first, beginning with what most of
 * them do, and nothing twice.
 */
function* merge(lists: readonly Uint32Array[]): Generator<number> {
  const merged = new Set<number>();
  const longest = Math.max(0, ...lists.map((list) => list.length));
  for (let i = 0; i < longest; i++) {
    const counts = new Map<number, number>();
    for (const list of lists) {
      const place = list[i];
      if (place === undefined || merged.has(place)) continue;
      counts.set(place, (counts.get(place) ?? 0) + 1);
    }
    const wanted = counts.size > 1 ? [...counts].sort((x, y) => y[1] - x[1]) : counts;
    for (const [place] of wanted) {
      merged.add(place);
      yield place;
    }
  }
}

/** Whether a query wants whole blocks: of codes, or of vectors where rows have no codes. */
function wantsBlocks({ nOrigins }: Snapshot, { wants }: Running): boolean {
  return wants === WANTS.codes || (wants === WANTS.vectors && nOrigins === 0);
}

/** Loads the blocks that queries want next, each once for all of them, and has them go on. */
async function runBlocks(
  snapshot: Snapshot, running: readonly Running[], cache: Cache,
): Promise<void> {
  // Others may have loaded what was missing, which must not be let go of for what follows it.
  if (cache.limited) for (const one of running) one.wants = one.scan.next();
  const missing = running.filter((one) => wantsBlocks(snapshot, one));
  const places = merge(missing.map(({ scan }) => scan.ahead()));
  await loadBlocks(snapshot, places, snapshot.nOrigins === 0, cache);
  for (const one of missing) one.wants = one.scan.next();
}

/**
 * Compares candidates whose vectors are not in memory: by the rows alone, which are read from
 * storage or found in what is left of the cache, or where all fits in that by whole blocks, from
 * the second time on that a block is visited.
 */
async function runCandidates(
  snapshot: Snapshot, running: readonly Running[], whole: boolean, cache: Cache,
): Promise<void> {
  const { core, manifest: { config } } = snapshot;
  const size = config.dimension * 4;
  const arena = core.arena();
  const blocks = new Set<number>();
  const wanted = new Map<Segment, { rows: number[]; pointers: number[] }>();
  const compared: { one: Running; rows: Candidate[]; pointer: number }[] = [];
  let bytes = 0;
  try {
    for (const one of running) {
      if (bytes > WINDOW_BYTES) break;
      const rows = one.scan.candidates().filter(({ place }) => {
        const { segment, block } = snapshot.place(place);
        const again = whole && segment.blocks.visited[block] === 1;
        if (again) blocks.add(place);
        return !again;
      });
      const pointer = arena.take(rows.length * size);
      bytes += rows.length * size;
      compared.push({ one, rows, pointer });
      rows.forEach(({ place, row }, i) => {
        const { segment, block } = snapshot.place(place);
        let of = wanted.get(segment);
        if (!of) wanted.set(segment, of = { rows: [], pointers: [] });
        of.rows.push((segment.blocks.row[block] ?? 0) + row);
        of.pointers.push(pointer + i * size);
      });
    }
    for (const { place } of compared.flatMap(({ rows }) => rows)) {
      const { segment, block } = snapshot.place(place);
      segment.blocks.visited[block] = 1;
    }
    const reading = Array.from(wanted, ([segment, { rows, pointers }]) =>
      whole ? segment.openRows(rows, pointers) : segment.near.open(rows, pointers));
    await allOf([loadBlocks(snapshot, blocks, true, cache), ...reading]);
    for (const { one, rows, pointer } of compared) {
      one.scan.compare(rows, pointer);
      one.wants = one.scan.next();
    }
  } finally {
    arena.free();
  }
}

/** Loads what queries want, and has them go on: blocks first, so that rows come together. */
async function runOn(
  snapshot: Snapshot, running: readonly Running[], cache: Cache,
): Promise<void> {
  for (const one of running) {
    while (one.wants === WANTS.room) {
      one.scan.grow();
      one.wants = one.scan.next();
    }
  }
  const blocks = running.filter((one) => wantsBlocks(snapshot, one));
  const rows = running.filter(({ wants }) => wants === WANTS.vectors);
  const whole = !cache.limited || cache.limit >= snapshot.memoryBytes;
  if (blocks.length > 0) await cache.hold(() => runBlocks(snapshot, blocks, cache));
  else if (whole) await cache.hold(() => runCandidates(snapshot, rows, whole, cache));
  else await runCandidates(snapshot, rows, whole, cache);
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

/** Memory for a search of this many neighbours: that of one that ended, if it is large enough. */
function takeScan(snapshot: Snapshot, topK: number): Scan {
  const k = roomFor(snapshot, topK);
  const known = snapshot.idle.pop() as Scan | undefined;
  if (known && known.k >= k) return known;
  known?.free();
  return new Scan(snapshot, k);
}

/** Keeps the memory of a search that ended for the next one. */
function giveBack({ idle }: Snapshot, scan: Scan): void {
  scan.wipe();
  if (idle.length < MOST_IDLE) idle.push(scan);
  else scan.free();
}

/** Queries of one call: they go on together, so that what several want is loaded once. */
class Search {
  readonly #snapshot: Snapshot;
  readonly #queries: readonly Float32Array[];
  readonly #options: SearchOptions;
  readonly #cache: Cache;
  readonly #results: SearchResult[] = [];
  /** Queries that may wait at a time. */
  readonly #most: number;
  #running: Running[] = [];
  #begun = 0;

  constructor(
    snapshot: Snapshot, queries: readonly Float32Array[], options: SearchOptions, cache: Cache,
  ) {
    this.#snapshot = snapshot;
    this.#queries = queries;
    this.#options = options;
    this.#cache = cache;
    // Where not all fits, what is loaded for many drives out what each has yet to come to, unless
    // there are so few blocks that most want the same.
    const { scannedBytes, nBlocks } = snapshot;
    this.#most = cache.limit < scannedBytes && nBlocks > MOST_RUNNING ? 1 : MOST_RUNNING;
  }

  /** Begins queries; the results when all have ended at once. */
  begin(): SearchResult[] | undefined {
    try {
      while (this.#begun < this.#queries.length && this.#running.length < this.#most) {
        throwIfAborted(this.#options.signal);
        this.#beginOne(this.#begun++);
      }
    } catch (error) {
      this.#stop();
      throw error;
    }
    return this.#running.length === 0 ? this.#results : undefined;
  }

  #beginOne(q: number): void {
    const query = this.#queries[q] ?? new Float32Array();
    const one = { q, scan: takeScan(this.#snapshot, this.#options.topK), wants: 0 };
    this.#running.push(one);
    one.wants = one.scan.begin(query, this.#options);
    if (one.wants === WANTS.nothing) this.#end();
  }

  /** Takes the results of those that want nothing more. */
  #end(): void {
    this.#running = this.#running.filter(({ q, scan, wants }) => {
      if (wants !== WANTS.nothing) return true;
      if (this.#cache.limited) touch(this.#snapshot, scan);
      this.#results[q] = scan.result();
      giveBack(this.#snapshot, scan);
      return false;
    });
  }

  #stop(): void {
    for (const { scan } of this.#running.splice(0)) giveBack(this.#snapshot, scan);
  }

  /** Goes on until all have ended. */
  async finish(): Promise<SearchResult[]> {
    try {
      while (this.#running.length > 0) {
        throwIfAborted(this.#options.signal);
        await runOn(this.#snapshot, this.#running, this.#cache);
        this.#end();
        this.begin();
      }
    } finally {
      this.#stop();
    }
    return this.#results;
  }
}

/** The topK nearest rows of each query: at once when nothing has to be read for them. */
export function search(
  snapshot: Snapshot, queries: readonly Float32Array[], options: SearchOptions, cache: Cache,
): SearchResult[] | Promise<SearchResult[]> {
  const one = new Search(snapshot, queries, options, cache);
  return one.begin() ?? one.finish();
}
