/** Drawn rows become a sample: opened, and routed to where the metric is squared L2 (c/sv.h). */
import type { Arena, Core } from './core.js';
import type { IndexConfig } from './manifest.js';
import { isRouted, routeDimension, routeRows } from './metric.js';
import { type ObjectContext, ObjectReader } from './object.js';
import { type KeptRows, readVectors } from './stored-vectors.js';
import type { Picks, SampleResult, Span } from '../types/protocol.js';

/** Bytes of rows measured between two ticks. */
const MEASURED_BYTES = 2 << 20;
/** Bytes of rows routed at a time. */
const ROUTE_BYTES = 1 << 20;

type Tick = (fraction: number) => Promise<void>;

/** n rows at `pointer`, in memory of the arena. */
export interface Sample {
  readonly arena: Arena;
  readonly pointer: number;
  readonly n: number;
}

/** The length of the longest of n rows. */
export async function longest(
  core: Core, config: IndexConfig, rows: number, n: number, tick: Tick,
): Promise<number> {
  const { dimension } = config;
  const step = Math.max(1, Math.floor(MEASURED_BYTES / (dimension * 4)));
  let most = 0;
  for (let at = 0; at < n; at += step) {
    const count = Math.min(step, n - at);
    core.withScratch((s) => {
      const norms = s.take(count * 4);
      const place = rows + at * dimension * 4;
      core.check(core.exports.sv_norms(place, count, dimension, norms), 'vectors');
      for (const norm of core.floats(norms, count)) most = Math.max(most, norm);
    });
    await tick(1);
  }
  return most;
}

/** Routes n rows to `out`, which may be the rows themselves where dimensions agree. */
export async function route(
  core: Core, config: IndexConfig, from: { rows: number; n: number; maxNorm: number }, out: number,
  tick: Tick,
): Promise<void> {
  const { rows, n, maxNorm } = from;
  const size = config.dimension * 4;
  const routed = routeDimension(config.metric, config.dimension) * 4;
  const step = Math.max(1, Math.floor(ROUTE_BYTES / routed));
  for (let at = 0; at < n; at += step) {
    const count = Math.min(step, n - at);
    core.withScratch((s) => {
      const part = s.take(count * routed);
      routeRows(core, config, rows + at * size, count, maxNorm, part);
      core.move(out + at * routed, part, count * routed);
    });
    await tick(1);
  }
}

/** Takes the rows at `places` (ascending) out of n rows; the others close up. */
function takeOut(
  core: Core, pointer: number, n: number, size: number, places: Uint32Array,
): Float32Array {
  const out = new Float32Array(places.length * size);
  const bytes = size * 4;
  places.forEach((place, i) => {
    out.set(core.floats(pointer + place * bytes, size), i * size);
    const next = places[i + 1] ?? n;
    const left = next - place - 1;
    core.move(pointer + (place - i) * bytes, pointer + (place + 1) * bytes, left * bytes);
  });
  return out;
}

/** Opens all rows of spans and keeps them. */
export async function keepSpans(
  context: ObjectContext, kept: KeptRows, spans: readonly Span[], tick: Tick,
): Promise<void> {
  const total = spans.reduce((sum, { from, to }) => sum + to - from, 0);
  let done = 0;
  for (const { entry, from, to } of spans) {
    const before = done;
    const reader = new ObjectReader(context, entry.object);
    await kept.open(reader, entry, from, to, (rows) => tick((before + rows) / total));
    done += to - from;
  }
}

/** Opens picked rows, one after another, in memory with room for more. */
export async function openPicks(
  context: ObjectContext, config: IndexConfig, picks: readonly Picks[], room: number,
  kept: KeptRows | undefined, tick: Tick,
): Promise<Sample> {
  const n = picks.reduce((sum, { rows }) => sum + rows.length, 0);
  const size = config.dimension * 4;
  const arena = context.core.arena();
  try {
    const pointer = arena.take(Math.max(room, n) * size);
    let done = 0;
    for (const { entry, rows } of picks) {
      const reader = new ObjectReader(context, entry.object);
      const before = done;
      const onRows = (count: number): Promise<void> => tick((before + count) / n);
      await readVectors(reader, rows, config, pointer + before * size, { kept, onRows });
      done += rows.length;
    }
    return { arena, pointer, n };
  } catch (error) {
    arena.free();
    throw error;
  }
}

/**
 * The sample out of rows as they were stored: routed, and the rows at `places`, on which recall is
 * measured, taken out. Frees the rows or makes their memory the sample's.
 */
export async function takeSample(
  core: Core, config: IndexConfig, { arena: raw, pointer: rows, n }: Sample, places: Uint32Array,
  tick: Tick,
): Promise<SampleResult & { sample: Sample }> {
  const size = routeDimension(config.metric, config.dimension);
  const same = size === config.dimension;
  const arena = same ? raw : core.arena();
  try {
    const maxNorm = same ? 0 : await longest(core, config, rows, n, tick);
    const pointer = same ? rows : arena.take(n * size * 4);
    if (!isRouted(config.metric)) {
      await route(core, config, { rows, n, maxNorm }, pointer, tick);
    }
    const queries = takeOut(core, pointer, n, size, places);
    return { maxNorm, queries, sample: { arena, pointer, n: n - places.length } };
  } catch (error) {
    arena.free();
    throw error;
  } finally {
    if (!same) raw.free();
  }
}
