/**
 * Whether a commit was built on one that is known: of an open handle, or of an anchor. Whoever can
 * write to the storage can put back what was there before, and one whose rights have ended can
 * carry on from there; neither descends from what came after.
 */
import { sameBytes } from './bytes.js';
import { SealvecError } from './errors.js';
import { type Manifest, MAX_ANCESTORS } from './manifest.js';

/** A commit as far as others are compared with it. */
export interface Point {
  readonly generation: number;
  /** BLAKE2b-256 of its manifest. */
  readonly hash: Uint8Array;
  /** The number of its key slots, which never falls. */
  readonly slots: number;
}

/** A commit that was read. */
export interface Loaded {
  readonly manifest: Manifest;
  readonly hash: Uint8Array;
}

/** The hash that a commit knows the one of a generation by; undefined when that is too long ago. */
function hashAt({ manifest, hash }: Loaded, generation: number): Uint8Array | undefined {
  if (generation === manifest.generation) return hash;
  const { ancestors } = manifest;
  const known = ancestors.find((one) => one.generation === generation);
  const forgotten = ancestors.length >= MAX_ANCESTORS &&
    (ancestors[0]?.generation ?? 0) > generation;
  return known?.hash ?? (forgotten ? undefined : new Uint8Array());
}

/** ROLLED_BACK unless a commit is `known` or may descend from it. */
export function assertDescends(indexName: string, loaded: Loaded, known: Point): void {
  const { generation, slots } = loaded.manifest;
  const expected = hashAt(loaded, known.generation);
  const older = generation < known.generation || slots.number < known.slots;
  if (!older && (!expected || sameBytes(expected, known.hash))) return;
  const how = older ? 'is older than' : 'does not descend from';
  const message = `generation ${generation} of index '${indexName}' ${how} generation ` +
    `${known.generation}, which is known`;
  throw new SealvecError('ROLLED_BACK', message);
}

export function pointOf({ manifest, hash }: Loaded): Point {
  return { generation: manifest.generation, hash, slots: manifest.slots.number };
}
