/**
 * The rows that training clusters, and others on which it measures recall: drawn from all living
 * rows, opened, and routed to where the metric is squared L2 (c/sv.h). The two never overlap, so
 * the recall is that of rows which no centroid has followed.
 */
import type { Arena, Core } from './core.js';
import type { IndexConfig } from './manifest.js';
import { coreMetric, isRouted, routeDimension } from './metric.js';
import { type ObjectContext, ObjectReader } from './object.js';
import { type KeptRows, readVectors } from './stored-vectors.js';
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
  context: ObjectContext, config: IndexConfig, drawn: readonly Drawn[], out: number,
  kept: KeptRows | undefined, tick: Tick,
): Promise<void> {
  const total = drawn.reduce((sum, { rows }) => sum + rows.length, 0);
  let done = 0;
  for (const { entry, rows } of drawn) {
    const reader = new ObjectReader(context, entry.object);
    const before = done;
    const onRows = (count: number): Promise<void> => tick((before + count) / total);
    await readVectors(
      reader, rows, config, out + before * config.dimension * 4, { kept, onRows },
    );
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

/** Rows [from, to) of a source. */
interface Range extends Source {
  readonly from: number;
  readonly to: number;
}

/** One of so many parts of all rows, equal but for the last row. */
function cutPart(sources: readonly Source[], part: number, parts: number): Range[] {
  const total = sources.reduce((sum, { entry }) => sum + entry.rows, 0);
  const low = Math.floor(total * part / parts);
  const high = Math.floor(total * (part + 1) / parts);
  let first = 0;
  return sources.map((source) => {
    const { rows } = source.entry;
    const within = (at: number): number => Math.min(Math.max(at - first, 0), rows);
    const range = { ...source, from: within(low), to: within(high) };
    first += rows;
    return range;
  }).filter(({ from, to }) => from < to);
}

/** Opens all rows of one part and keeps them. */
export async function keepPart(
  context: ObjectContext, kept: KeptRows, { draw: { sources }, part, parts }: OpenTask, tick: Tick,
): Promise<void> {
  const ranges = cutPart(sources, part, parts);
  const total = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
  let done = 0;
  for (const { entry, from, to } of ranges) {
    const before = done;
    const reader = new ObjectReader(context, entry.object);
    await kept.open(reader, entry, from, to, (rows) => tick((before + rows) / total));
    done += to - from;
  }
}

/** Opens the rows drawn of one part, in memory of the arena that has room for those of all. */
export async function openPart(
  context: ObjectContext, config: IndexConfig, arena: Arena, task: OpenTask,
  kept: KeptRows | undefined, tick: Tick,
): Promise<{ pointer: number; n: number }> {
  const { part, parts, draw: { sources } } = task;
  const { ranks } = drawAll(context.core, task.draw);
  const ranges = new Map(cutPart(sources, part, parts).map((range) => [range.base, range]));
  const mine = (await locate(context, sources, ranks)).map((drawn) => {
    const { from, to } = ranges.get(drawn.base) ?? { from: 0, to: 0 };
    return { ...drawn, rows: drawn.rows.filter((row) => row >= from && row < to) };
  });
  const n = mine.reduce((sum, { rows }) => sum + rows.length, 0);
  const pointer = arena.take((part === 0 ? ranks.length : n) * config.dimension * 4);
  await openRows(context, config, mine, pointer, kept, tick);
  return { pointer, n };
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
