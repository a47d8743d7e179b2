import { sep } from 'node:path';

/**
 * How object keys become paths. A segment of a key is a file or folder of the
 * same name, except where a file system would not have it:
 *
 * 1. A segment over 120 characters is cut into folders whose names end in `+`,
 *    because names end at 255 bytes (143 on eCryptfs) and keys only at 400.
 * 2. Device names of Windows (`nul`, `com1.x`), names that end in a dot, which
 *    Windows drops, and `.tmp`, which is ours, are put between two `~`.
 *
 * Neither mark can be in a key, so no two keys share a path.
 */

/** Holds objects until they are whole. */
export const TEMPORARY = '.tmp';

const PIECE = 120;
const SPECIAL = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)|\.$|^\.tmp$/;
const NAME = /^[a-z0-9\-_.%]+$/;

function nameOf(piece: string, continues: boolean): string {
  return (SPECIAL.test(piece) ? `~${piece}~` : piece) + (continues ? '+' : '');
}

function namesOf(segment: string): string[] {
  const names: string[] = [];
  for (let at = 0; at < segment.length; at += PIECE) {
    names.push(nameOf(segment.slice(at, at + PIECE), at + PIECE < segment.length));
  }
  return names;
}

/** pathOf is where the object (or, of a key's first segments, the folder) is; root is absolute. */
export function pathOf(root: string, key: string): string {
  if (key === '') return root;
  // Not join, which goes through all of it character by character, for each read.
  const base = root.endsWith(sep) ? root.slice(0, -1) : root;
  return [base, ...key.split('/').flatMap(namesOf)].join(sep);
}

/** keyPartOf undoes pathOf for one name; undefined for files that are not ours. */
export function keyPartOf(name: string, isFolder: boolean): string | undefined {
  const continues = name.endsWith('+');
  const marked = continues ? name.slice(0, -1) : name;
  const piece = /^~.*~$/.test(marked) ? marked.slice(1, -1) : marked;
  const ours =
    NAME.test(piece) &&
    piece.length <= PIECE &&
    nameOf(piece, continues) === name &&
    (!continues || (isFolder && piece.length === PIECE));
  if (!ours) return undefined;
  return isFolder && !continues ? `${piece}/` : piece;
}
