/** Where the rows of a segment lie: by list, and in the blocks they are held in memory by. */
import type { Core } from './core.js';
import { ByteReader } from './records.js';

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
  return { list, row, rows, codesAt, vectors: words(), codes: words() };
}

/**
 * Row starts out of the same pairs, run after run, whatever their lists: those of lists that the
 * index has no more, by which the rows were cut into blocks. Without pairs all rows are one run.
 */
export function readRuns(bytes: Uint8Array, rows: number): Uint32Array {
  const reader = new ByteReader(bytes, 'the lists of a segment');
  const starts = [0];
  let total = 0;
  while (reader.left > 0) {
    reader.u32();
    total += reader.u32();
    starts.push(total);
  }
  if (bytes.length === 0) starts.push(rows);
  else if (total !== rows) reader.fail('do not hold all its rows');
  return Uint32Array.from(starts);
}

/** Row starts per list out of the pairs (list u32, rows u32) of the lists section. */
export function readStarts(bytes: Uint8Array, rows: number, nLists: number): Uint32Array {
  const reader = new ByteReader(bytes, 'the lists of a segment');
  const starts = new Uint32Array(nLists + 1);
  let last = -1;
  let total = 0;
  while (reader.left > 0) {
    const list = reader.u32();
    const count = reader.u32();
    if (list <= last || list >= nLists) reader.fail('name a list out of order');
    starts[list + 1] = count;
    total += count;
    last = list;
  }
  // Summed apart: the starts are 32 bits each and could wrap to the right number.
  if (total !== rows) reader.fail('do not hold all its rows');
  for (let l = 0; l < nLists; l++) starts[l + 1] = (starts[l + 1] ?? 0) + (starts[l] ?? 0);
  return starts;
}
