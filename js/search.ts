/** Queries over one snapshot: calls of the core, with what is missing loaded in between. */
import { throwIfAborted } from './abort.js';
import { allOf } from './all.js';
import type { Cache } from './cache.js';
import { roomFor, Scan, type SearchOptions, type SearchResult, WANTS } from './scan.js';
import type { Segment } from './segment.js';
import type { Snapshot } from './snapshot.js';

/** Bytes that are loaded in one go. */
const WINDOW_BYTES = 8 << 20;
/** Searches whose memory is kept for the next ones. */
const MOST_IDLE = 16;

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
 * Compares candidates whose vectors are not in memory: by the rows alone, which are read from
 * storage or found in what is left of the cache, or where all fits in that by whole blocks, from
 * the second time on that a block is visited.
 */
async function compareCandidates(
  snapshot: Snapshot, scan: Scan, whole: boolean, cache: Cache,
): Promise<void> {
  const { core, manifest: { config } } = snapshot;
  const again = new Set<number>();
  const rows = scan.candidates().filter(({ place }) => {
    const { segment, block } = snapshot.place(place);
    const known = whole && segment.blocks.visited[block] === 1;
    if (known) again.add(place);
    return !known;
  });
  const arena = core.arena();
  try {
    const size = config.dimension * 4;
    const pointer = arena.take(rows.length * size);
    const wanted = new Map<Segment, { rows: number[]; pointers: number[] }>();
    rows.forEach(({ place, row }, i) => {
      const { segment, block } = snapshot.place(place);
      segment.blocks.visited[block] = 1;
      let of = wanted.get(segment);
      if (!of) wanted.set(segment, of = { rows: [], pointers: [] });
      of.rows.push((segment.blocks.row[block] ?? 0) + row);
      of.pointers.push(pointer + i * size);
    });
    const reading = Array.from(wanted, ([segment, of]) =>
      whole ? segment.openRows(of.rows, of.pointers) : segment.near.open(of.rows, of.pointers));
    await allOf([loadBlocks(snapshot, again, true, cache), ...reading]);
    scan.compare(rows, pointer);
  } finally {
    arena.free();
  }
}

/** Loads what is missing and what will follow it, then scans on; what is wanted next. */
async function loadAndRun(
  snapshot: Snapshot, scan: Scan, cache: Cache, wants: number,
): Promise<number> {
  const ofCandidates = wants === WANTS.vectors && snapshot.nOrigins > 0;
  const whole = !cache.limited || cache.limit >= snapshot.memoryBytes;
  const load = async (): Promise<number> => {
    // Others may have loaded what was missing, which must not be let go of for what follows it.
    const wanted = cache.limited ? scan.next() : wants;
    if (wanted === WANTS.nothing || wanted === WANTS.room) return wanted;
    if (ofCandidates) await compareCandidates(snapshot, scan, whole, cache);
    else await loadBlocks(snapshot, scan.ahead(), wanted === WANTS.vectors, cache);
    return scan.next();
  };
  return ofCandidates && !whole ? load() : cache.hold(load);
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

function resultOf(snapshot: Snapshot, scan: Scan, cache: Cache): SearchResult {
  if (cache.limited) touch(snapshot, scan);
  return scan.result();
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
    giveBack(snapshot, scan);
    throw error;
  }
  const done = (): SearchResult => {
    try {
      return resultOf(snapshot, scan, cache);
    } finally {
      giveBack(snapshot, scan);
    }
  };
  return wanted === WANTS.nothing ? done()
    : runOn(snapshot, scan, options, cache, wanted).then(done, (error: unknown) => {
      giveBack(snapshot, scan);
      throw error;
    });
}
