/** Where the rows of a segment lie: by list, and in the blocks they are held in memory by. */
import type { Core } from './core.js';
import { SealvecError } from './errors.js';

/** A run of rows of one list, or of rows in no list. */
export interface BlockTable {
  readonly list: Uint32Array;
  readonly row: Uint32Array;
  readonly rows: Uint32Array;
  /** Where the codes of a block begin in their section; one more than blocks. */
  readonly codesAt: Float64Array;
  /** Pointers into wasm memory; 0 while not resident. */
  readonly vectors: Uint32Array;
  readonly codes: Uint32Array;
  /** Whether rows of a block have been read by themselves, 1 if so. */
  readonly visited: Uint8Array;
}

/** Cuts runs of rows, given by `starts` per list, into blocks, as the core does. */
export function cutBlocks({ exports }: Core, starts: Uint32Array, dimension: number): BlockTable {
  const most = exports.sv_block_rows(dimension);
  let count = 0;
  for (let l = 0; l + 1 < starts.length; l++) {
    count += Math.ceil(((starts[l + 1] ?? 0) - (starts[l] ?? 0)) / most);
  }
  const words = (): Uint32Array => new Uint32Array(count);
  const [list, row, rows, codesAt] = [words(), words(), words(), new Float64Array(count + 1)];
  // Lists are alike in size: the core is asked once for each.
  const sizes = new Float64Array(most + 1);
  let block = 0;
  for (let l = 0; l + 1 < starts.length; l++) {
    const end = starts[l + 1] ?? 0;
    for (let at = starts[l] ?? 0; at < end; at += most) {
      const n = Math.min(most, end - at);
      const size = sizes[n] ||= exports.sv_codes_size(n, dimension);
      list[block] = l;
      row[block] = at;
      rows[block] = n;
      codesAt[block + 1] = (codesAt[block] ?? 0) + size;
      block++;
    }
  }
  const visited = new Uint8Array(count);
  return { list, row, rows, codesAt, vectors: words(), codes: words(), visited };
}

/** The pairs (list u32, rows u32) of the lists section, as words. */
function readPairs(bytes: Uint8Array): Uint32Array {
  if (bytes.length % 8 !== 0) refuseLists('end too soon');
  return new Uint32Array(bytes.slice().buffer);
}

function refuseLists(why: string): never {
  throw new SealvecError('CORRUPTED', `the lists of a segment ${why}`);
}

/**
 * Row starts out of the same pairs, run after run, whatever their lists: those of lists that the
 * index has no more, by which the rows were cut into blocks. Without pairs all rows are one run.
 */
export function readRuns(bytes: Uint8Array, rows: number): Uint32Array {
  if (bytes.length === 0) return Uint32Array.of(0, rows);
  const pairs = readPairs(bytes);
  const starts = new Uint32Array(pairs.length / 2 + 1);
  let total = 0;
  for (let at = 0; at < pairs.length; at += 2) {
    total += pairs[at + 1] ?? 0;
    starts[at / 2 + 1] = total;
  }
  // Here and below, summed apart: the starts are 32 bits each and could wrap to the right number.
  if (total !== rows) refuseLists('do not hold all its rows');
  return starts;
}

/** Row starts per list out of the pairs of the lists section. */
export function readStarts(bytes: Uint8Array, rows: number, nLists: number): Uint32Array {
  const pairs = readPairs(bytes);
  const starts = new Uint32Array(nLists + 1);
  let last = -1;
  let total = 0;
  for (let at = 0; at < pairs.length; at += 2) {
    const list = pairs[at] ?? 0;
    if (list <= last || list >= nLists) refuseLists('name a list out of order');
    // Starts of lists that have no rows are those of the next that has.
    for (let l = last + 1; l <= list; l++) starts[l] = total;
    total += pairs[at + 1] ?? 0;
    last = list;
  }
  if (total !== rows) refuseLists('do not hold all its rows');
  return starts.fill(total, last + 1);
}
