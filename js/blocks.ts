import { ByteReader } from './records.js';
/** Where the rows of a segment lie: by list, and in the blocks they are held in memory by. */

/** The most bytes of vectors in one block, so that a bounded cache can turn over in small steps. */
const BLOCK_BYTES = 1 << 20;

/** A run of rows of one list (or of rows in no list) that is resident or not as a whole. */
export interface BlockTable {
  readonly list: Uint32Array;
  readonly row: Uint32Array;
  readonly rows: Uint32Array;
  /** Pointers into wasm memory; 0 while not resident. */
  readonly vectors: Uint32Array;
}

/** Cuts runs of rows, given by `starts` per list, into blocks. */
export function cutBlocks(starts: Uint32Array, dimension: number): BlockTable {
  const most = Math.max(1, Math.floor(BLOCK_BYTES / (4 * dimension)));
  const list: number[] = [];
  const row: number[] = [];
  const rows: number[] = [];
  for (let l = 0; l + 1 < starts.length; l++) {
    const end = starts[l + 1] ?? 0;
    for (let at = starts[l] ?? 0; at < end; at += most) {
      list.push(l);
      row.push(at);
      rows.push(Math.min(most, end - at));
    }
  }
  return {
    list: Uint32Array.from(list), row: Uint32Array.from(row), rows: Uint32Array.from(rows),
    vectors: new Uint32Array(list.length),
  };
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
