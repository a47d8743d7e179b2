/**
 * Which rows training takes, in which batches, and which of them died meanwhile.
 *
 * Rows are known by numbers that run through all segments that training has met. Each segment
 * begins at a multiple of 8, so that bitmaps of dead rows are put together byte by byte.
 */
import { hex } from './bytes.js';
import { Pace } from './breathe.js';
import { type IndexConfig, SECTIONS, type SegmentEntry } from './manifest.js';
import { type ObjectContext, ObjectReader, readBytes } from './object.js';
import type { Picks, Piece, Source, Span } from '../types/protocol.js';

/** Bytes of a row beside its vector and documents: its place in the tables of ids and lists. */
const ROW_TABLES = 16;
/** Documents count more than vectors: they lie in memory more often on their way. */
const DOCUMENTS = 1.6;

/** Segments as sources whose numbers follow those of `known`. */
export function numberRows(
  entries: readonly SegmentEntry[], known: readonly Source[] = [],
): Source[] {
  const last = known.at(-1);
  let next = last ? last.base + Math.ceil(last.entry.rows / 8) * 8 : 0;
  return entries.map((entry) => {
    const base = next;
    next += Math.ceil(entry.rows / 8) * 8;
    return { entry, base };
  });
}

/** Bytes that a row of a segment takes decrypted, about. */
export function rowBytes(entry: SegmentEntry, config: IndexConfig): number {
  const length = (section: number): number => entry.object.lengths[section] ?? 0;
  const documents = length(SECTIONS.ids) + length(SECTIONS.metadata) + length(SECTIONS.contents);
  return config.dimension * 4 + DOCUMENTS * documents / entry.rows + ROW_TABLES;
}

/** Cuts sources into batches of at most so many bytes decrypted and so many rows, one at least. */
export function cutBatches(
  sources: readonly Source[], config: IndexConfig, bytes: number, rows: number,
): Span[][] {
  const batches: Span[][] = [];
  let [room, left] = [0, 0];
  for (const source of sources) {
    const size = rowBytes(source.entry, config);
    for (let from = 0; from < source.entry.rows;) {
      if (left < 1 || room < size) {
        batches.push([]);
        [room, left] = [bytes, rows];
      }
      const most = Math.max(1, Math.min(left, Math.floor(room / size)));
      const to = Math.min(from + most, source.entry.rows);
      batches.at(-1)?.push({ ...source, from, to });
      room -= (to - from) * size;
      left -= to - from;
      from = to;
    }
  }
  return batches;
}

/** A bit per row, 1 for dead; undefined when none is. */
export async function deadBits(
  context: ObjectContext, entry: SegmentEntry,
): Promise<Uint8Array | undefined> {
  if (entry.dead === 0) return undefined;
  const length = Math.ceil(entry.rows / 8);
  const bits = entry.tombstones
    ? await readBytes(new ObjectReader(context, entry.tombstones), 0, 0, length)
    : new Uint8Array(length);
  for (const row of entry.deadRows) bits[row >> 3] = (bits[row >> 3] ?? 0) | (1 << (row & 7));
  return bits;
}

/** Whether the bit of a row is set. */
export function isSet(bits: Uint8Array | undefined, row: number): boolean {
  return bits !== undefined && (((bits[row >> 3] ?? 0) >> (row & 7)) & 1) === 1;
}

/** Rows [from, to) that are alive. */
export function livingRows(bits: Uint8Array | undefined, from: number, to: number): Uint32Array {
  const rows = new Uint32Array(to - from);
  let count = 0;
  for (let row = from; row < to; row++) if (!isSet(bits, row)) rows[count++] = row;
  return rows.subarray(0, count);
}

/** The living rows of spans, and their numbers. */
export async function livingPieces(
  context: ObjectContext, spans: readonly Span[],
): Promise<{ pieces: Piece[]; numbers: Uint32Array }> {
  const pieces: Piece[] = [];
  const numbers = new Uint32Array(spans.reduce((sum, { from, to }) => sum + to - from, 0));
  let n = 0;
  for (const { entry, base, from, to } of spans) {
    const rows = livingRows(await deadBits(context, entry), from, to);
    const last = rows.at(-1);
    if (last === undefined) continue;
    pieces.push({ entry, from: rows[0] ?? 0, to: last + 1, rows });
    numbers.set(rows.map((row) => base + row), n);
    n += rows.length;
  }
  return { pieces, numbers: numbers.subarray(0, n) };
}

/** The rows at some places (ascending) among those of all runs. */
export function pickRows<T extends Picks>(runs: readonly T[], places: Uint32Array): T[] {
  let [first, at] = [0, 0];
  return runs.map((run) => {
    const [from, end] = [at, first + run.rows.length];
    while (at < places.length && (places[at] ?? 0) < end) at++;
    const rows = places.subarray(from, at).map((place) => run.rows[place - first] ?? 0);
    first = end;
    return { ...run, rows };
  }).filter(({ rows }) => rows.length > 0);
}

/**
 * A bit per row number, 1 for rows that the newest commit holds no more: they are dead, or another
 * writer rewrote their segment. Undefined when all of them are as they were.
 */
export async function goneRows(
  context: ObjectContext, sources: readonly Source[], newest: readonly SegmentEntry[],
): Promise<Uint8Array | undefined> {
  const now = new Map(newest.map((entry) => [hex(entry.object.id), entry]));
  const changed = sources.filter(({ entry }) => now.get(hex(entry.object.id))?.dead !== entry.dead);
  const last = sources.at(-1);
  if (changed.length === 0 || !last) return undefined;
  const gone = new Uint8Array((last.base + last.entry.rows + 7) >>> 3);
  for (const { entry, base } of changed) {
    const current = now.get(hex(entry.object.id));
    const dead = current && await deadBits(context, current);
    if (dead) gone.set(dead, base / 8);
    else gone.fill(255, base / 8, base / 8 + Math.ceil(entry.rows / 8));
  }
  return gone;
}

/** Rows of a new segment whose former numbers are gone. */
export async function goneFrom(
  numbers: Uint32Array, gone: Uint8Array | undefined, pace: Pace,
): Promise<number[]> {
  if (!gone) return [];
  const rows: number[] = [];
  numbers.forEach((number, row) => {
    if (isSet(gone, number)) rows.push(row);
  });
  await pace.step();
  return rows;
}

/** The sources that a commit still names, with the dead rows it knows of. */
export function stillNamed<T extends Source>(
  sources: readonly T[], newest: readonly SegmentEntry[],
): T[] {
  const entries = new Map(newest.map((entry) => [hex(entry.object.id), entry]));
  return sources.flatMap((source) => {
    const entry = entries.get(hex(source.entry.object.id));
    return entry ? [{ ...source, entry }] : [];
  });
}
