/**
 * Where the parts of a sealed object lie (object.ts), by what the manifest says of it: nothing here
 * depends on a file's own words.
 */
import type { ObjectRef } from '../types/format.js';

export const HEADER = 64;
export const HASH = 32;
/** What sealing adds to a chunk: nonce and tag. */
export const OVERHEAD = 40;
export const NONCE = 24;
/** Chunks whose hashes make one page. */
export const PAGE = 64;

/** Plain bytes of the chunks of a section that is read in parts, and of one that is read whole. */
export const PART_CHUNK = 4_056;
export const WHOLE_CHUNK = 16_344;
/** Bytes of the vectors that are read to have one of them: as many rows as fit, at least one. */
const ROWS_CHUNK = 1_024;
/** What a manifest may name. */
export const LEAST_CHUNK = 512;
export const MOST_CHUNK = 32_768;

type Sized = Pick<ObjectRef, 'lengths' | 'chunkBytes'>;

/** Plain bytes of the chunks of vectors, which begin where rows do. */
export function rowsChunk(rowBytes: number): number {
  if (rowBytes > MOST_CHUNK) return Math.ceil(rowBytes / 2);
  return rowBytes * Math.max(1, Math.floor(ROWS_CHUNK / rowBytes));
}

/** Chunks of one section, one after another, that have their hashes in the same page. */
export interface ChunkRun {
  readonly first: number;
  readonly count: number;
  /** The number of the page among those of the object, where it lies, and how long it is. */
  readonly page: number;
  readonly pageAt: number;
  readonly pageBytes: number;
  /** Where the chunks lie, and how long they are together. */
  readonly at: number;
  readonly bytes: number;
}

/** A section: its first page, and where it begins behind header and table. */
interface SectionLayout {
  readonly length: number;
  readonly chunkBytes: number;
  readonly chunks: number;
  readonly page: number;
  readonly at: number;
}

export class ObjectLayout {
  readonly sections: readonly SectionLayout[];
  /** Bytes of header and table. */
  readonly head: number;
  /** Bytes of all. */
  readonly size: number;
  readonly chunks: number;

  constructor({ lengths, chunkBytes: sizes }: Sized) {
    let [all, page, at] = [0, 0, 0];
    this.sections = lengths.map((length, i) => {
      const chunkBytes = sizes[i] ?? PART_CHUNK;
      const chunks = Math.ceil(length / chunkBytes);
      const section = { length, chunkBytes, chunks, page, at };
      all += chunks;
      page += Math.ceil(chunks / PAGE);
      at += length + chunks * (OVERHEAD + HASH);
      return section;
    });
    this.chunks = all;
    this.head = HEADER + HASH * page;
    this.size = this.head + at;
  }

  /** Chunks [first, end) of a section, cut where pages end. */
  runs(section: number, first: number, end: number): ChunkRun[] {
    const runs: ChunkRun[] = [];
    const layout = this.sections[section];
    if (!layout) return runs;
    const { length, chunkBytes, chunks, page, at } = layout;
    const sealed = chunkBytes + OVERHEAD;
    for (let from = first; from < end;) {
      const begin = from - from % PAGE;
      const to = Math.min(begin + PAGE, end);
      const pageBytes = Math.min(PAGE, chunks - begin) * HASH;
      const pageAt = this.head + at + begin * (sealed + HASH);
      const plain = Math.min(to * chunkBytes, length) - from * chunkBytes;
      runs.push({
        first: from, count: to - from, page: page + begin / PAGE, pageAt, pageBytes,
        at: pageAt + pageBytes + (from - begin) * sealed,
        bytes: plain + (to - from) * OVERHEAD,
      });
      from = to;
    }
    return runs;
  }
}

/** Bytes of the whole object in storage. */
export function objectSize(ref: Sized): number {
  return new ObjectLayout(ref).size;
}
