/** The rows of some lists, out of all segments, and what is drawn from them. */
import { breathe } from './breathe.js';
import type { Arena } from './core.js';
import type { IndexConfig, SegmentEntry } from './manifest.js';
import { isRouted, routeDimension } from './metric.js';
import type { ObjectContext } from './object.js';
import type { Snapshot } from './snapshot.js';
import { readVectors } from './stored-vectors.js';
import { pickRows } from './training-rows.js';
import { longest, route } from './training-sample.js';

/** Living rows of one list in one segment, ascending. */
export interface Run {
  readonly entry: SegmentEntry;
  readonly list: number;
  readonly rows: Uint32Array;
}

/** How many rows live in each list. */
export function countLists(snapshot: Snapshot): Uint32Array {
  const counts = new Uint32Array(snapshot.nLists);
  for (const [s, { listed, starts, rows }] of snapshot.segments.entries()) {
    if (!listed) continue;
    for (let list = 0; list + 1 < starts.length; list++) {
      counts[list] = (counts[list] ?? 0) + (starts[list + 1] ?? 0) - (starts[list] ?? 0);
    }
    if (snapshot.manifest.segments[s]?.dead === 0) continue;
    const base = snapshot.bases[s] ?? 0;
    for (let row = 0, list = 0; row < rows; row++) {
      while ((starts[list + 1] ?? rows) <= row) list++;
      if (!snapshot.isLive(base + row)) counts[list] = (counts[list] ?? 0) - 1;
    }
  }
  return counts;
}

/** The living rows of some lists. */
export function listRuns(snapshot: Snapshot, lists: ReadonlySet<number>): Run[] {
  return snapshot.segments.flatMap((segment, s) => {
    const entry = snapshot.manifest.segments[s];
    if (!segment.listed || !entry) return [];
    const base = snapshot.bases[s] ?? 0;
    return [...lists].flatMap((list) => {
      const [from = 0, to = 0] = [segment.starts[list], segment.starts[list + 1]];
      const rows = Uint32Array.from({ length: Math.max(to - from, 0) }, (_, i) => from + i)
        .filter((row) => snapshot.isLive(base + row));
      return rows.length > 0 ? [{ entry, list, rows }] : [];
    });
  });
}

/** Places of about `most` rows among those of all runs, evenly; ascending. */
export function drawEvenly(runs: readonly Run[], most: number): Uint32Array {
  const n = runs.reduce((sum, { rows }) => sum + rows.length, 0);
  const count = Math.min(n, most);
  return Uint32Array.from({ length: count }, (_, i) => Math.floor(i * n / count));
}

/** Rows in memory of the arena. */
export interface OpenRows {
  readonly pointer: number;
  readonly n: number;
}

/** Opens the rows at some places as float32. */
async function openRows(
  context: ObjectContext, config: IndexConfig, arena: Arena, runs: readonly Run[],
  places: Uint32Array,
): Promise<OpenRows> {
  const size = config.dimension * 4;
  const pointer = arena.take(places.length * size);
  const picked = pickRows(runs, places);
  await readVectors(context, picked, config, pointer);
  return { pointer, n: picked.reduce((sum, { rows }) => sum + rows.length, 0) };
}

/** Opens the rows at some places, routed to where lists are made. */
export async function openRouted(
  context: ObjectContext, config: IndexConfig, arena: Arena, runs: readonly Run[],
  places: Uint32Array, maxNorm: number,
): Promise<OpenRows> {
  const { pointer: rows, n } = await openRows(context, config, arena, runs, places);
  if (isRouted(config.metric)) return { pointer: rows, n };
  const pointer = arena.take(n * routeDimension(config.metric, config.dimension) * 4);
  await route(context.core, config, { rows, n, maxNorm }, pointer, breathe);
  return { pointer, n };
}

/** The longest of the rows at some places, or `known` if that is more; 0 where no one asks. */
export async function longestRow(
  context: ObjectContext, config: IndexConfig, runs: readonly Run[],
  places: Uint32Array, known: number,
): Promise<number> {
  if (routeDimension(config.metric, config.dimension) === config.dimension) return known;
  const arena = context.core.arena();
  try {
    const { pointer, n } = await openRows(context, config, arena, runs, places);
    return Math.max(known, await longest(context.core, config, pointer, n, breathe));
  } finally {
    arena.free();
  }
}
