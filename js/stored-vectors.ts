/** Stored vectors out of a segment, in windows that are opened while the next is being read. */
import { hex } from './bytes.js';
import type { Arena, Core } from './core.js';
import { type IndexConfig, SECTIONS, vectorBytes } from './manifest.js';
import { type ObjectContext, ObjectReader, type ObjectRef, type SealedRange } from './object.js';
import { MOST_CHUNK } from './object-layout.js';
import type { Piece, Span } from '../types/protocol.js';

/** Bytes of sealed vectors opened at a time. */
const WINDOW_BYTES = 2 << 20;

/** Stored rows [from, to) that are opened together. */
interface Window {
  readonly from: number;
  readonly to: number;
}

/** Windows in which rows lie (ascending), each from the first of them on. */
function cutWindows(rows: Uint32Array, config: IndexConfig): Window[] {
  const span = Math.max(1, Math.floor(WINDOW_BYTES / vectorBytes(config)));
  const windows: Window[] = [];
  for (let at = 0; at < rows.length;) {
    const from = rows[at] ?? 0;
    while (at < rows.length && (rows[at] ?? 0) < from + span) at++;
    windows.push({ from, to: (rows[at - 1] ?? from) + 1 });
  }
  return windows;
}

/** Fetches windows one after another, each while the one before it is used. */
async function eachWindow<T extends Window & { readonly reader: ObjectReader }>(
  windows: readonly T[], config: IndexConfig,
  use: (window: T, range: SealedRange) => Promise<void>,
): Promise<void> {
  const size = vectorBytes(config);
  const fetch = (window: T | undefined): Promise<SealedRange> | undefined => {
    const range = window?.reader.fetch(SECTIONS.vectors, window.from * size, window.to * size);
    range?.catch(() => undefined);
    return range;
  };
  let next = fetch(windows[0]);
  for (const [i, window] of windows.entries()) {
    const range = await next;
    next = fetch(windows[i + 1]);
    if (range) await use(window, range);
  }
}

/** Takes rows of a window, whose bytes are at `plain`, as float32. */
function takeRows(
  core: Core, config: IndexConfig, { from, to }: Window, rows: Uint32Array, plain: number,
  target: number,
): void {
  const size = vectorBytes(config);
  const n = rows.length;
  const half = config.precision === 'float16';
  core.withScratch((s) => {
    const stored = half ? s.take(n * size) : target;
    const picks = s.put(rows.map((row) => row - from));
    core.check(core.exports.sv_rows_gather(plain, to - from, size, picks, n, stored), 'vectors');
    if (!half) return;
    core.check(core.exports.sv_f16_decode(stored, n * config.dimension, target), 'vectors');
  });
}

/**
 * Opens the vectors of rows of a segment (ascending) as float32 at `out`, or takes them out of
 * those that are kept. `onRows` is told how many rows are done.
 */
export async function readVectors(
  reader: ObjectReader, rows: Uint32Array, config: IndexConfig, out: number,
  kept?: KeptRows, onRows?: (rows: number) => Promise<void>,
): Promise<void> {
  const { core } = reader.context;
  const all = { from: rows[0] ?? 0, to: (rows.at(-1) ?? -1) + 1 };
  const place = rows.length && kept?.find(reader.ref, all);
  if (place) {
    takeRows(core, config, all, rows, place, out);
    return onRows?.(rows.length);
  }
  let done = 0;
  const windows = cutWindows(rows, config).map((window) => ({ reader, ...window }));
  await eachWindow(windows, config, async (window, range) => {
    let end = done;
    for (; end < rows.length && (rows[end] ?? 0) < window.to;) end++;
    const target = out + done * config.dimension * 4;
    reader.openFetched(range, (plain) =>
      takeRows(core, config, window, rows.subarray(done, end), plain, target));
    done = end;
    await onRows?.(done);
  });
}

/** Vectors as they are stored that stay decrypted from one task to another. */
export class KeptRows {
  readonly #context: ObjectContext;
  readonly #arena: Arena;
  readonly #config: IndexConfig;
  readonly #runs: (Window & { readonly object: string; readonly pointer: number })[] = [];

  constructor(context: ObjectContext, config: IndexConfig) {
    this.#context = context;
    this.#arena = context.core.arena();
    this.#config = config;
  }

  /** Opens all rows of spans, where they are to stay: whole segments lie one after another. */
  async open(spans: readonly Span[], tick: (fraction: number) => Promise<void>): Promise<void> {
    const size = vectorBytes(this.#config);
    const rows = spans.reduce((sum, { from, to }) => sum + to - from, 0);
    // The chunks of a part reach beyond its rows, by as much as keeps rows aligned at most.
    const reach = Math.ceil(MOST_CHUNK / 16) * 16;
    let pointer = this.#arena.take(rows * size + 2 * reach * spans.length);
    const windows = spans.flatMap(({ entry, from, to }) => {
      const reader = new ObjectReader(this.#context, entry.object);
      pointer += from > 0 ? reach : 0;
      const first = pointer - from * size;
      this.#runs.push({ object: hex(entry.object.id), from, to, pointer });
      pointer += (to - from) * size + (to < entry.rows ? reach : 0);
      const rowsOfSpan = new Uint32Array(to - from).map((_, i) => from + i);
      return cutWindows(rowsOfSpan, this.#config).map((window) => ({ reader, first, ...window }));
    });
    let done = 0;
    // Where two windows share a chunk it is opened twice, to the same place.
    await eachWindow(windows, this.#config, ({ reader, first, from, to }, range) => {
      reader.openTo(range, first + range.first * reader.chunkBytes(SECTIONS.vectors));
      done += to - from;
      return tick(done / rows);
    });
  }

  /** Where the rows of a window of a segment are, if all of them were kept. */
  find({ id }: ObjectRef, { from, to }: Window): number | undefined {
    const run = this.#runs.find((one) =>
      one.object === hex(id) && one.from <= from && to <= one.to);
    return run && run.pointer + (from - run.from) * vectorBytes(this.#config);
  }

  /** Where the rows of pieces are as float32, if they lie there one after another. */
  place(pieces: readonly Piece[]): number | undefined {
    const [head] = pieces;
    const first = head && this.find(head.entry.object, head);
    let end = first ?? NaN;
    return pieces.every(({ entry, rows, ...window }) => {
      const follows = this.find(entry.object, window) === end;
      end += rows.length * this.#config.dimension * 4;
      return follows && rows.length === window.to - window.from;
    }) && this.#config.precision === 'float32' ? first : undefined;
  }

  free(): void {
    this.#arena.free();
  }
}
