/** Which rows of a segment carry an id: the table of the hashes of its ids. */
import type { CacheScope } from './cache.js';
import { Entry } from './cache-entry.js';
import { SECTIONS } from './manifest.js';
import type { ObjectReader } from './object.js';

/** Hands the table of id hashes, in wasm memory, to `use`. */
async function withTable<T>(
  reader: ObjectReader, cache: CacheScope, rows: number, use: (table: number) => T,
): Promise<T> {
  const { core } = reader.context;
  const bytes = rows * 12;
  return cache.load('idtable', async () => {
    const pointer = core.alloc(bytes);
    try {
      await reader.open(SECTIONS.idTable, 0, bytes, (plain) => {
        core.move(pointer, plain, bytes);
      });
      core.check(core.exports.sv_ids_check(pointer, bytes, rows), 'the id table of a segment');
    } catch (error) {
      core.release(pointer, bytes);
      throw error;
    }
    return new Entry(pointer, bytes, () => core.release(pointer, bytes));
  }, use);
}

/**
 * Candidate rows of a segment of `rows` by index of hash; more than one only where 64-bit hashes
 * collide.
 */
export async function findEntries(
  reader: ObjectReader, cache: CacheScope, rows: number, hashes: Uint8Array,
): Promise<Map<number, number[]>> {
  const { core } = reader.context;
  return withTable(reader, cache, rows, (table) => core.withScratch((s) => {
    const m = hashes.length / 8;
    const entries = s.take(m * 4);
    const found = new Map<number, number[]>();
    const { sv_ids_find: find } = core.exports;
    if (core.check(find(table, rows, s.put(hashes), m, entries), 'ids') === 0) return found;
    core.words(entries, m).forEach((entry, i) => {
      if (entry === 0xffffffff) return;
      const same: number[] = [];
      const [low, high] = [core.word(table + entry * 12), core.word(table + entry * 12 + 4)];
      for (let at = entry; at < rows; at++) {
        const pointer = table + at * 12;
        if (core.word(pointer) !== low || core.word(pointer + 4) !== high) break;
        same.push(core.word(pointer + 8));
      }
      found.set(i, same);
    });
    return found;
  }));
}
