/**
 * The rows that training clusters, and others on which it measures recall: drawn from all living
 * rows, opened, and routed to where the metric is squared L2 (c/sv.h). The two never overlap, so
 * the recall is that of rows which no centroid has followed.
 */
import type { Arena, Core } from './core.js';
import type { IndexConfig } from './manifest.js';
import { coreMetric, isRouted, routeDimension } from './metric.js';
import { type ObjectContext, ObjectReader } from './object.js';
import { readVectors } from './rewrite.js';
import { deadBits, livingRows } from './training-rows.js';
import type { Draw, OpenTask, SampleResult, Source } from '../types/protocol.js';

/** Bytes of rows measured between two ticks. */
const MEASURED_BYTES = 2 << 20;
/** Bytes of rows routed at a time. */
const ROUTE_BYTES = 1 << 20;

type Tick = (fraction: number) => Promise<void>;

/** n routed rows at `pointer`, in memory of the arena. */
export interface Sample {
  readonly arena: Arena;
  readonly pointer: number;
  readonly n: number;
}

/** Rows of one source that were drawn. */
interface Drawn extends Source {
  readonly rows: Uint32Array;
}

/** m distinct numbers below n, ascending; the same for the same seed. */
function draw(core: Core, n: number, m: number, seed: bigint): Uint32Array {
  return core.withScratch((s) => {
    const out = s.take(m * 4);
    core.check(core.exports.sv_sample(n, m, seed, out), 'seed');
    return core.words(out, m);
  });
}

/** Rows of the sources by their ranks among all that are alive. */
async function locate(
  context: ObjectContext, sources: readonly Source[], ranks: Uint32Array,
): Promise<Drawn[]> {
  const drawn: Drawn[] = [];
  let first = 0;
  let at = 0;
  for (const source of sources) {
    const { entry } = source;
    const from = at;
    const end = first + entry.rows - entry.dead;
    while (at < ranks.length && (ranks[at] ?? 0) < end) at++;
    if (at > from) {
      const living = livingRows(await deadBits(context, entry), 0, entry.rows);
      const rows = ranks.subarray(from, at).map((rank) => living[rank - first] ?? 0);
      drawn.push({ ...source, rows });
    }
    first = end;
  }
  return drawn;
}

/** Opens the rows that were drawn, one after another, at `out`. */
async function openRows(
  context: ObjectContext, config: IndexConfig, drawn: readonly Drawn[], out: number, tick: Tick,
): Promise<void> {
  const total = drawn.reduce((sum, { rows }) => sum + rows.length, 0);
  let done = 0;
  for (const { entry, rows } of drawn) {
    const reader = new ObjectReader(context, entry.object);
    const piece = { entry, from: rows[0] ?? 0, to: (rows.at(-1) ?? 0) + 1, rows };
    const before = done;
    await readVectors(reader, piece, config, out + before * config.dimension * 4, (count) =>
      tick((before + count) / total));
    done += rows.length;
  }
}

/** The length of the longest of n rows. */
async function longest(
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
async function route(
  core: Core, config: IndexConfig, from: { rows: number; n: number; maxNorm: number }, out: number,
  tick: Tick,
): Promise<void> {
  const { rows, n, maxNorm } = from;
  const size = config.dimension * 4;
  const routed = routeDimension(config.metric, config.dimension) * 4;
  const step = Math.max(1, Math.floor(ROUTE_BYTES / routed));
  const metric = coreMetric(config.metric);
  for (let at = 0; at < n; at += step) {
    const count = Math.min(step, n - at);
    core.withScratch((s) => {
      const part = s.take(count * routed);
      core.check(core.exports.sv_route_rows(
        metric, rows + at * size, count, config.dimension, maxNorm, part,
      ), 'vectors');
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

/** Ranks, among the living, of all rows drawn; and which of them are queries. */
function drawAll(
  core: Core, { sources, rows, queries, seed }: Draw,
): { ranks: Uint32Array; places: Uint32Array } {
  const alive = sources.reduce((sum, { entry }) => sum + entry.rows - entry.dead, 0);
  const n = rows + queries;
  return {
    ranks: draw(core, alive, n, BigInt(seed)),
    places: draw(core, n, queries, BigInt(seed) + (1n << 32n)),
  };
}

/** Opens one part of the rows drawn, in memory of the arena that has room for `room` of them. */
export async function openPart(
  context: ObjectContext, config: IndexConfig, arena: Arena, task: OpenTask, tick: Tick,
): Promise<{ pointer: number; n: number }> {
  const { part, parts } = task;
  const { ranks } = drawAll(context.core, task.draw);
  const edge = (at: number): number => Math.floor(ranks.length * at / parts);
  const mine = ranks.subarray(edge(part), edge(part + 1));
  const drawn = await locate(context, task.draw.sources, mine);
  const room = part === 0 ? ranks.length : mine.length;
  const pointer = arena.take(room * config.dimension * 4);
  await openRows(context, config, drawn, pointer, tick);
  return { pointer, n: mine.length };
}

/**
 * The sample, of the rows at `rows` in memory of `raw`: routed, and what recall is measured on
 * taken out of it. Frees `raw` or makes it the sample's.
 */
export async function takeSample(
  context: ObjectContext, config: IndexConfig, raw: Arena, rows: number, task: Draw, tick: Tick,
): Promise<SampleResult & { sample: Sample }> {
  const { core } = context;
  const { ranks, places } = drawAll(core, task);
  const n = ranks.length;
  const held = await locate(context, task.sources, places.map((place) => ranks[place] ?? 0));
  const numbers = Uint32Array.from(held.flatMap(({ base, rows: found }) =>
    Array.from(found, (row) => base + row)));
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
    return { maxNorm, queries, numbers, sample: { arena, pointer, n: task.rows } };
  } catch (error) {
    arena.free();
    throw error;
  } finally {
    if (!same) raw.free();
  }
}
