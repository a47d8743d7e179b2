/** What one commit says of the whole index; sealed-manifest.ts turns it into bytes and back. */
import { hex, sameBytes } from './bytes.js';
import type { IndexConfig, ObjectRef, SegmentEntry } from '../types/format.js';

export type { IndexConfig, SegmentEntry };

export const MAX_DIMENSION = 16_384;
export const MAX_LISTS = 1_048_576;
/** Writers, and commits before it, that a manifest remembers. */
export const MAX_WRITERS = 32;
export const MAX_ANCESTORS = 64;

/** Sections of a segment, in file order; see c/segment.c for the bytes of each. */
export const SECTIONS = {
  lists: 0, codes: 1, vectors: 2, ids: 3, idTable: 4, metadata: 5, contents: 6,
} as const;
export const SECTION_COUNT = 7;

export interface Clustering {
  readonly object: ObjectRef;
  readonly nLists: number;
}

/** An object that no later commit names and that may be removed. */
export interface Condemned {
  readonly id: Uint8Array;
  /** The commit that dropped it. */
  readonly since: number;
}

/** The last commit of one writer, by which one that was held up learns whether it had committed. */
export interface WriterEntry {
  readonly id: Uint8Array;
  /** Counts the attempts of this writer. */
  readonly turn: number;
  readonly generation: number;
}

/** A commit that others were built on. */
export interface Ancestor {
  readonly generation: number;
  readonly hash: Uint8Array;
}

/** Which table of key slots is in force. */
export interface SlotsRef {
  readonly number: number;
  readonly hash: Uint8Array;
}

export interface Manifest {
  readonly generation: number;
  /** Oldest first; the last is the commit that this one was built on. */
  readonly ancestors: readonly Ancestor[];
  readonly slots: SlotsRef;
  readonly config: IndexConfig;
  readonly clustering: Clustering | undefined;
  readonly segments: readonly SegmentEntry[];
  readonly condemned: readonly Condemned[];
  /** Least recent first. */
  readonly writers: readonly WriterEntry[];
}

export function manifestKey(indexId: Uint8Array, generation: number): string {
  return `${manifestPrefix(indexId)}${String(generation).padStart(16, '0')}`;
}

export function manifestPrefix(indexId: Uint8Array): string {
  return `data/${hex(indexId)}/manifest/`;
}

/** Rows that are alive in a manifest. */
export function liveRows(manifest: Manifest): number {
  return manifest.segments.reduce((sum, entry) => sum + entry.rows - entry.dead, 0);
}

/** Every object a manifest names. */
export function namedObjects(manifest: Manifest): ObjectRef[] {
  const refs: ObjectRef[] = manifest.clustering ? [manifest.clustering.object] : [];
  for (const entry of manifest.segments) {
    refs.push(entry.object);
    if (entry.tombstones) refs.push(entry.tombstones);
  }
  return refs;
}

/** Whether two commits have the same centroids. */
export function sameClustering(x: Manifest, y: Manifest): boolean {
  const [a, b] = [x.clustering?.object.id, y.clustering?.object.id];
  return a === b || (a !== undefined && b !== undefined && sameBytes(a, b));
}

/** Bytes of one stored vector. */
export function vectorBytes(config: Pick<IndexConfig, 'dimension' | 'precision'>): number {
  return config.dimension * (config.precision === 'float16' ? 2 : 4);
}
