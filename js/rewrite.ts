/**
 * Rows of old segments become a new segment: what merging, compaction and training share. Runs on
 * any core, the caller's or a worker's.
 */
import { allOf } from './all.js';
import { checkBlobs, concatBlobs, gatherBlobs } from './blobs.js';
import type { Arena } from './core.js';
import { type IndexConfig, SECTIONS } from './manifest.js';
import { type ObjectContext, ObjectReader } from './object.js';
import type { SectionSource } from './seal-object.js';
import type { RowBatch } from './pack.js';
import { readVectors } from './stored-vectors.js';
import type { Piece } from '../types/protocol.js';

export type { Piece };

/** The sections of a segment beside its vectors that are taken over. */
const DOCUMENTS = [SECTIONS.ids, SECTIONS.metadata, SECTIONS.contents];

/** Bytes that a piece takes decrypted, all sections, about. */
export function pieceBytes(piece: Piece, config: IndexConfig): number {
  const share = (piece.to - piece.from) / piece.entry.rows;
  const { lengths } = piece.entry.object;
  const documents = DOCUMENTS.reduce((sum, section) => sum + (lengths[section] ?? 0), 0);
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
  return reader.open(section, base, base + size, (plain) => {
    const whole = arena.take(table + size);
    core.write(whole, offsets.map((offset) => offset - first));
    core.move(whole + table, plain, size);
    const blobs = { pointer: whole, length: table + size };
    if (piece.rows.length === n) return checkBlobs(core, blobs, n);
    const picks = arena.put(piece.rows.map((row) => row - from));
    return gatherBlobs(core, arena, blobs, n, picks, piece.rows.length);
  });
}

/** The rows of all pieces, one after another, in memory of the arena; or of `kept` vectors. */
export async function readPieces(
  context: ObjectContext, arena: Arena, pieces: readonly Piece[], config: IndexConfig,
  kept = 0,
): Promise<RowBatch> {
  const { core } = context;
  const counts = pieces.map((piece) => piece.rows.length);
  const n = counts.reduce((sum, count) => sum + count, 0);
  const vectors = kept || arena.take(n * config.dimension * 4);
  const documents: SectionSource[][] = DOCUMENTS.map(() => []);
  let at = 0;
  for (const piece of pieces) {
    const reader = new ObjectReader(context, piece.entry.object);
    const target = vectors + at * config.dimension * 4;
    // All under way at once: what takes time is to wait for the storage.
    await allOf([
      kept ? Promise.resolve() : readVectors(context, [piece], config, target),
      ...DOCUMENTS.map(async (section, i) => {
        documents[i]?.push(await readBlobs(reader, arena, piece, section));
      }),
    ]);
    at += piece.rows.length;
  }
  const join = (i: number): SectionSource => concatBlobs(core, arena, documents[i] ?? [], counts);
  return { n, vectors, ids: join(0), metadata: join(1), contents: join(2) };
}
