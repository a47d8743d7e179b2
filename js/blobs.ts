/** Blob sections (c/segment.c): the bytes of each row, behind a table of where they begin. */
import type { Arena, Core } from './core.js';
import type { SectionSource } from './seal-object.js';

const encoder = /* @__PURE__ */ new TextEncoder();

/** A blob section out of the bytes of each row. */
export function blobSection(blobs: readonly (Uint8Array | undefined)[]): Uint8Array {
  const base = (blobs.length + 1) * 4;
  const total = blobs.reduce((sum, blob) => sum + (blob?.length ?? 0), 0);
  const out = new Uint8Array(base + total);
  const offsets = new DataView(out.buffer);
  let at = 0;
  blobs.forEach((blob, i) => {
    if (blob) out.set(blob, base + at);
    at += blob?.length ?? 0;
    offsets.setUint32((i + 1) * 4, at, true);
  });
  return out;
}

/** A blob section of texts. */
export function textSection(texts: readonly string[]): Uint8Array {
  const joined = encoder.encode(texts.join(''));
  const ascii = joined.length === texts.reduce((sum, text) => sum + text.length, 0);
  if (!ascii) return blobSection(texts.map((text) => encoder.encode(text)));
  const base = (texts.length + 1) * 4;
  const out = new Uint8Array(base + joined.length);
  const offsets = new DataView(out.buffer);
  out.set(joined, base);
  texts.reduce((at, text, i) => {
    offsets.setUint32((i + 1) * 4, at + text.length, true);
    return at + text.length;
  }, 0);
  return out;
}

/** A section, if it is one of n rows. */
export function checkBlobs(core: Core, section: SectionSource, n: number): SectionSource {
  core.check(core.exports.sv_blobs_check(section.pointer, section.length, n), 'a segment');
  return section;
}

/** The blobs of the rows at `picks`, of a section of n rows, in memory of the arena. */
export function gatherBlobs(
  core: Core, arena: Arena, section: SectionSource, n: number, picks: number, count: number,
): SectionSource {
  const { exports } = core;
  const { pointer: from } = checkBlobs(core, section, n);
  const size = exports.sv_blobs_gather_size(from, n, picks, count);
  const length = core.check(size, 'a segment');
  const pointer = arena.take(length);
  core.check(exports.sv_blobs_gather(from, n, picks, count, pointer, length), 'a segment');
  return { pointer, length };
}

/** One blob section out of several, which have so many rows each. */
export function concatBlobs(
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
