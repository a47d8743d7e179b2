/** The blocks of all segments, list after list, as the core's table of them lies in memory. */
import type { BlockTable } from './blocks.js';

/** Offsets in `struct sv_block` of c/sv.h under wasm32. */
export const BLOCK = {
  vectors: 0, norms: 4, codes: 8, signs: 12, nRows: 16, firstRow: 20, origin: 24, size: 28,
} as const;

/** What of a segment decides where its blocks stand. */
interface Blocks {
  readonly listed: boolean;
  readonly blocks: BlockTable;
  readonly origin: Float32Array;
}

export interface BlockOrder {
  /** Where the blocks of each list begin; after all lists come those of rows in no list. */
  readonly starts: Uint32Array;
  /** Which block of which segment stands at each place. */
  readonly segment: Uint32Array;
  readonly block: Uint32Array;
  /** The place of each block, per segment. */
  readonly placeOf: readonly Uint32Array[];
  /** The table, with nothing resident. */
  readonly table: Uint32Array;
  /** The different origins of codes, by the numbers that the table has. */
  readonly origins: readonly Float32Array[];
}

/** Segments that were written under one clustering have the same origin. */
function numberOrigins(
  segments: readonly Blocks[],
): { origins: Float32Array[]; numbers: number[] } {
  const origins: Float32Array[] = [];
  const numbers = segments.map(({ origin }) => {
    if (origin.length === 0) return 0;
    const known = origins.findIndex((other) => other.every((x, t) => x === origin[t]));
    return known < 0 ? origins.push(origin) - 1 : known;
  });
  return { origins, numbers };
}

function groupStarts(segments: readonly Blocks[], nLists: number): Uint32Array {
  const starts = new Uint32Array(nLists + 2);
  for (const { listed, blocks: { list } } of segments) {
    if (!listed) starts[nLists + 1] = (starts[nLists + 1] ?? 0) + list.length;
    else for (const l of list) starts[l + 1] = (starts[l + 1] ?? 0) + 1;
  }
  for (let g = 0; g <= nLists; g++) starts[g + 1] = (starts[g + 1] ?? 0) + (starts[g] ?? 0);
  return starts;
}

/** Orders the blocks of segments, of which `bases` are the numbers of the first rows. */
export function orderBlocks(
  segments: readonly Blocks[], bases: readonly number[], nLists: number,
): BlockOrder {
  const starts = groupStarts(segments, nLists);
  const next = starts.slice();
  const total = starts[nLists + 1] ?? 0;
  const [segment, block] = [new Uint32Array(total), new Uint32Array(total)];
  const table = new Uint32Array(total * BLOCK.size / 4);
  const { origins, numbers } = numberOrigins(segments);
  const placeOf = segments.map(({ listed, blocks: { list, row, rows } }, s) => {
    const base = bases[s] ?? 0;
    const places = new Uint32Array(list.length);
    for (let b = 0; b < list.length; b++) {
      const g = listed ? list[b] ?? 0 : nLists;
      const at = next[g] ?? 0;
      next[g] = at + 1;
      segment[at] = s;
      block[at] = b;
      places[b] = at;
      const entry = at * BLOCK.size / 4;
      table[entry + BLOCK.nRows / 4] = rows[b] ?? 0;
      table[entry + BLOCK.firstRow / 4] = base + (row[b] ?? 0);
      table[entry + BLOCK.origin / 4] = numbers[s] ?? 0;
    }
    return places;
  });
  return { starts, segment, block, placeOf, table, origins };
}
