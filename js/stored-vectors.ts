/** Stored vectors out of a segment, in windows that are opened while the next is being read. */
import { hex } from './bytes.js';
import type { Arena, Core } from './core.js';
import { type IndexConfig, type SegmentEntry, SECTIONS, vectorBytes } from './manifest.js';
import type { ObjectReader, SealedRange } from './object.js';

/** Bytes of sealed vectors opened at a time. */
const WINDOW_BYTES = 2 << 20;

/** Stored rows [from, to) that are opened together. */
interface Window {
  readonly from: number;
  readonly to: number;
}

function windowRows(config: IndexConfig): number {
  return Math.max(1, Math.floor(WINDOW_BYTES / vectorBytes(config)));
}

/** Windows in which rows lie (ascending), each from the first of them on. */
function cutWindows(rows: Uint32Array, span: number): Window[] {
  const windows: Window[] = [];
  for (let at = 0; at < rows.length;) {
    const from = rows[at] ?? 0;
    while (at < rows.length && (rows[at] ?? 0) < from + span) at++;
    windows.push({ from, to: (rows[at - 1] ?? from) + 1 });
  }
  return windows;
}

/** Opens windows one after another; `use` is told where the bytes of each are. */
async function openWindows(
  reader: ObjectReader, config: IndexConfig, windows: readonly Window[],
  use: (window: Window, plain: number) => void, after: (window: Window) => Promise<void>,
  kept?: KeptRows,
): Promise<void> {
  const size = vectorBytes(config);
  const fetch = async (window: Window | undefined): Promise<SealedRange | number | undefined> =>
    window && (kept?.find(reader, window) ??
      reader.fetch(SECTIONS.vectors, window.from * size, window.to * size));
  let next = fetch(windows[0]);
  for (const [i, window] of windows.entries()) {
    const range = await next;
    next = fetch(windows[i + 1]);
    next.catch(() => undefined);
    if (typeof range === 'number') use(window, range);
    else if (range) reader.openFetched(range, (plain) => use(window, plain));
    await after(window);
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

interface Reading {
  /** Rows that need not be opened again. */
  readonly kept?: KeptRows | undefined;
  /** Is told how many rows are done. */
  readonly onRows?: (rows: number) => Promise<void>;
}

/** Opens the vectors of rows of a segment (ascending) as float32 at `out`. */
export async function readVectors(
  reader: ObjectReader, rows: Uint32Array, config: IndexConfig, out: number,
  { kept, onRows = async () => undefined }: Reading = {},
): Promise<void> {
  const { core } = reader.context;
  let done = 0;
  await openWindows(reader, config, cutWindows(rows, windowRows(config)), (window, plain) => {
    let end = done;
    while (end < rows.length && (rows[end] ?? 0) < window.to) end++;
    takeRows(
      core, config, window, rows.subarray(done, end), plain, out + done * config.dimension * 4,
    );
    done = end;
  }, () => onRows(done), kept);
}

/** Vectors as they are stored that stay decrypted from one task to another. */
export class KeptRows {
  readonly #arena: Arena;
  readonly #config: IndexConfig;
  readonly #runs: (Window & { readonly object: string; readonly pointer: number })[] = [];

  constructor(core: Core, config: IndexConfig) {
    this.#arena = core.arena();
    this.#config = config;
  }

  /** Opens rows [from, to) of a segment. */
  async open(
    reader: ObjectReader, entry: SegmentEntry, from: number, to: number,
    onRows: (rows: number) => Promise<void>,
  ): Promise<void> {
    const { core } = reader.context;
    const size = vectorBytes(this.#config);
    const pointer = this.#arena.take((to - from) * size);
    const span = windowRows(this.#config);
    const windows = Array.from({ length: Math.ceil((to - from) / span) }, (_, i) =>
      ({ from: from + i * span, to: Math.min(from + (i + 1) * span, to) }));
    await openWindows(reader, this.#config, windows, (window, plain) => {
      core.move(pointer + (window.from - from) * size, plain, (window.to - window.from) * size);
    }, (window) => onRows(window.to - from));
    this.#runs.push({ object: hex(entry.object.id), from, to, pointer });
  }

  /** Where the rows of a window are, if all of them were kept. */
  find({ ref }: ObjectReader, { from, to }: Window): number | undefined {
    const object = hex(ref.id);
    const run = this.#runs.find((one) =>
      one.object === object && one.from <= from && to <= one.to);
    return run && run.pointer + (from - run.from) * vectorBytes(this.#config);
  }

  free(): void {
    this.#arena.free();
  }
}
