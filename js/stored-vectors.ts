/** Stored vectors out of a segment, in windows that are opened while the next is being read. */
import type { Core } from './core.js';
import { type IndexConfig, SECTIONS, vectorBytes } from './manifest.js';
import { type ObjectContext, ObjectReader, type Sealed } from './object.js';
import type { Picks } from '../types/protocol.js';

/** Bytes of sealed vectors opened at a time. */
const WINDOW_BYTES = 2 << 20;

/** Rows of a segment that are opened together: within [from, to). */
interface Window {
  readonly rows: Uint32Array;
  readonly from: number;
  readonly to: number;
}

/** Windows in which rows lie (ascending), each from the first of them on. */
function cutWindows(rows: Uint32Array, config: IndexConfig): Window[] {
  const span = Math.max(1, Math.floor(WINDOW_BYTES / vectorBytes(config)));
  const windows: Window[] = [];
  for (let at = 0; at < rows.length;) {
    const [first, from] = [at, rows[at] ?? 0];
    while (at < rows.length && (rows[at] ?? 0) < from + span) at++;
    windows.push({ rows: rows.subarray(first, at), from, to: (rows[at - 1] ?? from) + 1 });
  }
  return windows;
}

/** Takes the rows of a window, which begins at `plain`, as float32. */
function takeRows(
  core: Core, config: IndexConfig, { rows, from, to }: Window, plain: number, target: number,
): void {
  const size = vectorBytes(config);
  const half = config.precision === 'float16';
  core.withScratch((s) => {
    const stored = half ? s.take(rows.length * size) : target;
    const picks = s.put(rows.map((row) => row - from));
    const n = rows.length;
    core.check(core.exports.sv_rows_gather(plain, to - from, size, picks, n, stored), 'vectors');
    if (!half) return;
    core.check(core.exports.sv_f16_decode(stored, n * config.dimension, target), 'vectors');
  });
}

/**
 * Opens the vectors of rows of segments as float32 at `out`, one after another. `onRows` is told
 * how many are done.
 */
export async function readVectors(
  context: ObjectContext, picks: readonly Picks[], config: IndexConfig, out: number,
  onRows?: (rows: number) => Promise<void>,
): Promise<void> {
  const size = vectorBytes(config);
  const windows = picks.flatMap(({ entry, rows }) => {
    const reader = new ObjectReader(context, entry.object);
    return cutWindows(rows, config).map((window) => ({ reader, window }));
  });
  const fetch = (at: number): Promise<Sealed> | undefined => {
    const one = windows[at];
    const range =
      one?.reader.fetch(SECTIONS.vectors, one.window.from * size, one.window.to * size);
    // Before anybody waits for it.
    range?.catch(() => undefined);
    return range;
  };
  let [next, done] = [fetch(0), 0];
  for (const [i, { reader, window }] of windows.entries()) {
    const range = await next;
    next = fetch(i + 1);
    if (!range) return;
    const target = out + done * config.dimension * 4;
    reader.openSealed(range, (plain) => takeRows(context.core, config, window, plain, target));
    done += window.rows.length;
    await onRows?.(done);
  }
}
