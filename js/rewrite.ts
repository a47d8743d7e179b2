/**
 * Rows of old segments become a new segment: what merging, compaction and training share. Runs on
 * any core, the caller's or a worker's.
 */
import { allOf } from './all.js';
import type { Arena, Core } from './core.js';
import { type IndexConfig, type SegmentEntry, SECTIONS } from './manifest.js';
import { type ObjectContext, ObjectReader, type SectionSource } from './object.js';
import type { RowBatch } from './pack.js';
import { type KeptRows, readVectors } from './stored-vectors.js';

/** Live rows of one segment, ascending, within [from, to). */
export interface Piece {
  readonly entry: SegmentEntry;
  readonly from: number;
  readonly to: number;
  /** Row numbers within the segment. */
  readonly rows: Uint32Array;
}

/** Bytes that a piece takes decrypted, all sections, about. */
export function pieceBytes(piece: Piece, config: IndexConfig): number {
  const share = (piece.to - piece.from) / piece.entry.rows;
  const blobs = [SECTIONS.ids, SECTIONS.metadata, SECTIONS.contents];
  const { lengths } = piece.entry.object;
  const documents = blobs.reduce((sum, section) => sum + (lengths[section] ?? 0), 0);
  return piece.rows.length * config.dimension * 4 + documents * share;
}

/** Row numbers of a segment that are alive. */
export function livingRows(rows: number, dead: ReadonlySet<number>): Uint32Array {
  const living = new Uint32Array(rows - dead.size);
  let at = 0;
  for (let row = 0; row < rows; row++) if (!dead.has(row)) living[at++] = row;
  return living;
}

/** Opens the blobs of a piece's rows as a blob section of its own. */
async function readBlobs(
  reader: ObjectReader, arena: Arena, piece: Piece, section: number,
): Promise<SectionSource> {
  const { core } = reader.context;
  const { from, to, entry } = piece;
  const n = to - from;
  const table = (n + 1) * 4;
  const offsets = await reader.open(section, from * 4, (to + 1) * 4, (plain) =>
    core.words(plain, n + 1));
  const first = offsets[0] ?? 0;
  const size = (offsets[n] ?? 0) - first;
  const base = (entry.rows + 1) * 4 + first;
  const whole = arena.take(table + Math.max(size, 0));
  core.write(whole, offsets.map((offset) => offset - first));
  if (size > 0) {
    await reader.open(section, base, base + size, (plain) => {
      core.move(whole + table, plain, size);
    });
  }
  core.check(core.exports.sv_blobs_check(whole, table + size, n), 'a segment');
  if (piece.rows.length === n) return { pointer: whole, length: table + size };
  return gatherBlobs(core, arena, whole, n, piece);
}

/** The blobs of a piece's rows, out of those of all its rows from first to last. */
function gatherBlobs(
  core: Core, arena: Arena, whole: number, n: number, { from, rows }: Piece,
): SectionSource {
  const { exports } = core;
  const picks = arena.put(rows.map((row) => row - from));
  const size = exports.sv_blobs_gather_size(whole, n, picks, rows.length);
  const length = core.check(size, 'a segment');
  const pointer = arena.take(length);
  core.check(
    exports.sv_blobs_gather(whole, n, picks, rows.length, pointer, length), 'a segment',
  );
  return { pointer, length };
}

/** One blob section out of those of several pieces. */
function concat(
  core: Core, arena: Arena, parts: readonly SectionSource[], rows: readonly number[],
): SectionSource {
  const [only] = parts;
  if (parts.length === 1 && only) return only;
  const lengths = arena.put(Uint32Array.from(parts, (part) => part.length));
  const counts = arena.put(Uint32Array.from(rows));
  const total = parts.reduce((sum, part) => sum + part.length, 0);
  const joined = arena.take(total);
  parts.reduce((at, part) => {
    core.move(joined + at, part.pointer, part.length);
    return at + part.length;
  }, 0);
  const { exports } = core;
  const n = parts.length;
  const length = core.check(exports.sv_blobs_concat_size(lengths, counts, n), 'segments');
  const pointer = arena.take(length);
  core.check(exports.sv_blobs_concat(joined, lengths, counts, n, pointer, length), 'segments');
  return { pointer, length };
}

/** The rows of all pieces, one after another, in memory of the arena. */
export async function readPieces(
  context: ObjectContext, arena: Arena, pieces: readonly Piece[], config: IndexConfig,
  kept?: KeptRows,
): Promise<RowBatch> {
  const { core } = context;
  const counts = pieces.map((piece) => piece.rows.length);
  const n = counts.reduce((sum, count) => sum + count, 0);
  const vectors = arena.take(n * config.dimension * 4);
  const ids: SectionSource[] = [];
  const metadata: SectionSource[] = [];
  const contents: SectionSource[] = [];
  let at = 0;
  for (const piece of pieces) {
    const reader = new ObjectReader(context, piece.entry.object);
    const blobs = (section: number): Promise<SectionSource> =>
      readBlobs(reader, arena, piece, section);
    // All under way at once: what takes time is to wait for the storage.
    const [, ...parts] = await allOf([
      readVectors(reader, piece.rows, config, vectors + at * config.dimension * 4, { kept }),
      blobs(SECTIONS.ids), blobs(SECTIONS.metadata), blobs(SECTIONS.contents),
    ]);
    ids.push(parts[0]);
    metadata.push(parts[1]);
    contents.push(parts[2]);
    at += piece.rows.length;
  }
  return {
    n, vectors, ids: concat(core, arena, ids, counts),
    metadata: concat(core, arena, metadata, counts),
    contents: concat(core, arena, contents, counts),
  };
}
