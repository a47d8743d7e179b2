/**
 * Anchors: a commit as a short text that the caller keeps elsewhere, by which a storage that was
 * put back is noticed. It is no secret, and it is worth what the place it is kept in is worth.
 *
 *   "sealvec-anchor-1:" | hexadecimal of: index id 16 | generation u64 | slots number u32 |
 *   BLAKE2b-256 of the manifest | FNV-1a of all that precedes it in this list, u32
 *
 * The checksum tells a text that was cut or mixed up from one that says what it should. It need not
 * be a signature: whoever can write where the anchor is kept can put an older, genuine one there.
 */
import { hex } from './bytes.js';
import type { Point } from './lineage.js';
import { ByteReader, ByteWriter } from './records.js';
import { invalid } from './validate.js';

const PREFIX = 'sealvec-anchor-1:';
const FORM = new RegExp(`^${PREFIX}([0-9a-f]{128})$`);
const CHECKED = 60;

export interface Anchor extends Point {
  readonly indexId: Uint8Array;
}

function checksum(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => Math.imul(sum ^ byte, 0x01000193) >>> 0, 0x811c9dc5);
}

export function writeAnchor({ indexId, generation, slots, hash }: Anchor): string {
  const bytes = new ByteWriter().bytes(indexId).u64(generation).u32(slots).bytes(hash).done();
  return PREFIX + hex(bytes) + hex(new ByteWriter().u32(checksum(bytes)).done());
}

/** What `anchor()` gave; INVALID_ARGUMENT for any other text. */
export function readAnchor(text: string): Anchor {
  const [, digits = ''] = FORM.exec(text) ?? [];
  const bytes = Uint8Array.from(digits.match(/../g) ?? [], (byte) => parseInt(byte, 16));
  const body = bytes.subarray(0, CHECKED);
  const view = new DataView(bytes.buffer);
  if (bytes.length === 0 || checksum(body) !== view.getUint32(CHECKED, true) ||
      view.getBigUint64(16, true) > Number.MAX_SAFE_INTEGER) {
    invalid('anchor', 'a text that anchor() gave', text);
  }
  const reader = new ByteReader(body, 'the anchor');
  return {
    indexId: reader.bytes(16), generation: reader.u64(), slots: reader.u32(),
    hash: reader.bytes(32),
  };
}
