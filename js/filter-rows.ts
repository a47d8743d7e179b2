/**
 * Which rows match a filter. The metadata of a segment is cut into columns, one per field that
 * filters ask for, of distinct values and the rows that have each: a filter is tested on the values
 * and not on the rows. What filters matched last is kept with the snapshot.
 */
import { allOf } from './all.js';
import { compileQuery } from './filter.js';
import type { FieldQuery } from './filter-operations.js';
import type { Query } from './filter-reader.js';
import type { Column } from './sections.js';
import type { Segment } from './segment.js';
import type { Snapshot } from './snapshot.js';
import type { Metadata } from '../types/api.js';

/** Bytes of bitmaps that are kept per snapshot. */
const KEPT_BYTES = 1 << 20;

/** Rows that may be returned: a bit per row, and how many. */
export interface Allowed {
  readonly bits: Uint8Array;
  readonly count: number;
}

const kept = new WeakMap<Snapshot, Map<string, Allowed>>();

/** Rows of a segment by their value of a field; what has no such field is a value of its own. */
export function toColumn(all: readonly (Metadata | undefined)[], field: string): Column {
  const codes = new Map<unknown, number>();
  const values: unknown[] = [];
  const rowCodes = Uint32Array.from(all, (metadata) => {
    const has = metadata !== undefined && Object.hasOwn(metadata, field);
    const value = has ? metadata[field] : undefined;
    // Arrays and objects are each a value of their own.
    const code = codes.get(value) ?? values.length;
    if (code === values.length) {
      values.push(value);
      codes.set(value, code);
    }
    return code;
  });
  const starts = new Uint32Array(values.length + 1);
  for (const code of rowCodes) starts[code + 1] = (starts[code + 1] ?? 0) + 1;
  for (let c = 0; c < values.length; c++) starts[c + 1] = (starts[c + 1] ?? 0) + (starts[c] ?? 0);
  const next = starts.slice();
  const rows = new Uint32Array(rowCodes.length);
  rowCodes.forEach((code, row) => {
    rows[next[code] ?? 0] = row;
    next[code] = (next[code] ?? 0) + 1;
  });
  return { values, starts, rows };
}

/** The rows whose value of one field passes, as a bit per row of the segment. */
async function fieldRows(segment: Segment, query: FieldQuery): Promise<Uint8Array> {
  const [field = ''] = query.parts;
  const matches = compileQuery({ $field: query });
  const bits = new Uint8Array(Math.ceil(segment.rows / 8));
  await segment.useColumn(field, toColumn, ({ values, starts, rows }) => {
    values.forEach((value, code) => {
      if (!matches(value === undefined ? undefined : { [field]: value })) return;
      const end = starts[code + 1] ?? 0;
      for (let at = starts[code] ?? 0; at < end; at++) {
        const row = rows[at] ?? 0;
        bits[row >> 3] = (bits[row >> 3] ?? 0) | (1 << (row & 7));
      }
    });
  });
  return bits;
}

const COMBINE = {
  $and: (x: number, y: number): number => x & y,
  $or: (x: number, y: number): number => x | y,
  $nor: (x: number, y: number): number => x & ~y,
} as const;

/** A bit per row of the segment, 1 where its metadata matches. */
async function matchingRows(segment: Segment, query: Query): Promise<Uint8Array> {
  const result = new Uint8Array(Math.ceil(segment.rows / 8)).fill(255);
  const take = (
    combine: (x: number, y: number) => number, to: Uint8Array, from: Uint8Array,
  ): void => from.forEach((byte, i) => { to[i] = combine(to[i] ?? 0, byte); });
  for (const [key, value] of Object.entries(query)) {
    if (key === '$field') {
      take(COMBINE.$and, result, await fieldRows(segment, value as FieldQuery));
      continue;
    }
    const name = key as keyof typeof COMBINE;
    const parts = await allOf((value as Query[]).map((part) => matchingRows(segment, part)));
    if (name === '$or') {
      const either = new Uint8Array(result.length);
      for (const part of parts) take(COMBINE.$or, either, part);
      parts.splice(0, parts.length, either);
    }
    for (const part of parts) take(name === '$nor' ? COMBINE.$nor : COMBINE.$and, result, part);
  }
  return result;
}

/** Copies the bits of a segment's rows to where they are among all rows. */
function place(from: Uint8Array, rows: number, to: Uint8Array, base: number): void {
  const shift = base & 7;
  const last = rows & 7;
  for (let i = 0; i < from.length; i++) {
    const masked = i === from.length - 1 && last > 0 ? (1 << last) - 1 : 255;
    const bits = ((from[i] ?? 0) & masked) << shift;
    const at = (base >> 3) + i;
    to[at] = (to[at] ?? 0) | (bits & 255);
    if (bits > 255) to[at + 1] = (to[at + 1] ?? 0) | (bits >> 8);
  }
}

function countBits(bits: Uint8Array): number {
  let count = 0;
  for (let byte of bits) for (; byte > 0; byte &= byte - 1) count++;
  return count;
}

/** Live rows whose metadata matches. */
export async function allowedRows(snapshot: Snapshot, query: Query): Promise<Allowed> {
  const known = kept.get(snapshot) ?? new Map<string, Allowed>();
  kept.set(snapshot, known);
  const name = JSON.stringify(query);
  const before = known.get(name);
  if (before) {
    known.delete(name);
    known.set(name, before);
    return before;
  }
  const bits = new Uint8Array(Math.ceil(snapshot.totalRows / 8));
  for (const [s, segment] of snapshot.segments.entries()) {
    place(await matchingRows(segment, query), segment.rows, bits, snapshot.bases[s] ?? 0);
  }
  snapshot.live?.forEach((byte, i) => { bits[i] = (bits[i] ?? 0) & byte; });
  const allowed = { bits, count: countBits(bits) };
  known.set(name, allowed);
  for (const [oldest] of known) {
    if (known.size * bits.length <= KEPT_BYTES || oldest === name) break;
    known.delete(oldest);
  }
  return allowed;
}
