/** Drawn rows become a sample: opened, and routed to where the metric is squared L2 (c/sv.h). */
import type { Arena, Core } from './core.js';
import type { IndexConfig } from './manifest.js';
import { isRouted, routeDimension, routeRows } from './metric.js';
import type { SampleResult } from '../types/protocol.js';

/** Bytes of rows measured or routed between two ticks. */
const RUN_BYTES = 1 << 20;

type Tick = (fraction: number) => Promise<void>;

/** n rows at `pointer`, in memory of the arena. */
export interface Sample {
  readonly arena: Arena;
  readonly pointer: number;
  readonly n: number;
}

/** Runs `use` on runs of n rows, of so many bytes in all but for the last one. */
async function inRuns(
  n: number, rowBytes: number, tick: Tick,
  use: (at: number, count: number) => void,
): Promise<void> {
  const step = Math.max(1, Math.floor(RUN_BYTES / rowBytes));
  for (let at = 0; at < n; at += step) {
    use(at, Math.min(step, n - at));
    await tick(1);
  }
}

/** The length of the longest of n rows. */
export async function longest(
  core: Core, config: IndexConfig, rows: number, n: number, tick: Tick,
): Promise<number> {
  const { dimension } = config;
  let most = 0;
  await inRuns(n, dimension * 4, tick, (at, count) => core.withScratch((s) => {
    const norms = s.take(count * 4);
    const place = rows + at * dimension * 4;
    core.exports.sv_norms(place, count, dimension, norms);
    for (const norm of core.floats(norms, count)) most = Math.max(most, norm);
  }));
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
  await inRuns(n, routed, tick, (at, count) => {
    routeRows(core, config, rows + at * size, count, maxNorm, out + at * routed);
  });
}

/** Takes the rows at `places` (ascending) out of n rows; the last ones move to their places. */
function takeOut(
  core: Core, pointer: number, n: number, size: number, places: Uint32Array,
): Float32Array {
  const out = new Float32Array(places.length * size);
  const bytes = size * 4;
  for (let i = places.length - 1, last = n - 1; i >= 0; i--, last--) {
    const place = pointer + (places[i] ?? 0) * bytes;
    out.set(core.floats(place, size), i * size);
    core.move(place, pointer + last * bytes, bytes);
  }
  return out;
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
