/** Which lists have outgrown the others, and whose seats they get. */
import { MAX_LISTS } from './manifest.js';

/** Times the mean from which a list is split; training leaves at most twice the mean. */
const OUTGROWN = 3;
/** A list of fewer rows costs no query much. */
const LEAST_ROWS = 128;
/** Of the mean, at most this much is left in a list that gives up its seat. */
const EMPTIED = 1 / 8;

/** Lists to split, and into how many each; lists to give up. */
export interface Reseating {
  readonly outgrown: readonly { readonly list: number; readonly parts: number }[];
  /** Fewest rows first, no more than there are seats to fill. */
  readonly emptied: readonly number[];
}

/** Chooses by the rows that live in each list. */
export function chooseReseating(counts: Uint32Array): Reseating {
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  const lists = Array.from(counts, (count, list) => ({ count, list }));
  let seats = 0;
  const outgrown = lists
    .filter(({ count }) => count >= LEAST_ROWS && count > OUTGROWN * mean)
    .map(({ count, list }) => ({ list, parts: Math.round(count / mean) }))
    .filter(({ parts }) => {
      seats += parts - 1;
      return counts.length + seats <= MAX_LISTS;
    });
  const needed = outgrown.reduce((sum, { parts }) => sum + parts - 1, 0);
  const emptied = lists
    .filter(({ count }) => count <= EMPTIED * mean)
    .sort((x, y) => x.count - y.count)
    .slice(0, needed)
    .map(({ list }) => list);
  return { outgrown, emptied };
}
