/** How one manifest follows another: what becomes condemned, and which writers it remembers. */
import { hex, sameBytes } from './bytes.js';
import { SealvecError } from './errors.js';
import type { Keyring } from './keyring.js';
import {
  type Condemned, type Manifest, MAX_ANCESTORS, MAX_WRITERS, namedObjects, type WriterEntry,
} from './manifest.js';

/** The parts of a manifest that a change may replace. */
export type Change = Partial<Pick<Manifest, 'config' | 'clustering' | 'segments'>> & {
  /** Orphans to condemn. */
  readonly condemn?: readonly Uint8Array[];
  /** The keys of another table of slots, which the commit puts in force. */
  readonly keyring?: Keyring;
};

/**
 * The manifest that a change makes of `base`. `removed` are condemned objects that are gone by
 * now; `writer` is who commits, with the number of the commit.
 */
export function nextManifest(
  base: Manifest, baseHash: Uint8Array, change: Change, removed: ReadonlySet<string>,
  writer: WriterEntry,
): Manifest {
  const { generation } = writer;
  const { condemn = [], keyring, ...parts } = change;
  const { number, hash } = keyring?.table ?? base.slots;
  const before = [...base.ancestors, { generation: base.generation, hash: baseHash }];
  const ancestors = before.slice(-MAX_ANCESTORS);
  const next = { ...base, ...parts, generation, ancestors, slots: { number, hash } };
  const kept = base.condemned.filter(({ id }) => !removed.has(hex(id)));
  const known = new Set([...namedObjects(next), ...kept].map(({ id }) => hex(id)));
  // An orphan may have been named, or condemned by another writer, since it was found.
  const fresh = [...namedObjects(base).map(({ id }) => id), ...condemn]
    .filter((id) => !known.has(hex(id)))
    .map((id): Condemned => ({ id, since: generation }));
  const others = base.writers.filter(({ id }) => !sameBytes(id, writer.id));
  return {
    ...next, condemned: [...kept, ...fresh], writers: [...others, writer].slice(-MAX_WRITERS),
  };
}

/** Whether the newest commit was built on that of `writer`; CONFLICT when nobody can tell. */
export function follows({ writers }: Manifest, writer: WriterEntry): boolean {
  const own = writers.find(({ id }) => sameBytes(id, writer.id));
  if (own) return own.turn === writer.turn;
  const [oldest] = writers;
  const forgotten = writers.length >= MAX_WRITERS && oldest !== undefined &&
    oldest.generation > writer.generation;
  if (!forgotten) return false;
  const message = 'so many others wrote during this call that none can tell whether it took effect';
  throw new SealvecError('CONFLICT', message);
}
