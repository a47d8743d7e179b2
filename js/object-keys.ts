/** The keys by which objects are sealed and ids hashed; they open no manifest and sign nothing. */
import type { Core } from './core.js';
import { Secret } from './crypto.js';
import { SealvecError } from './errors.js';
import type { ExposedKeys } from '../types/protocol.js';

/** Subkeys of one epoch. */
export interface ObjectKeys {
  readonly objects: Secret;
  readonly ids: Secret;
}

export interface ObjectKeyring {
  /** The epoch that new objects are sealed under. */
  readonly epoch: number;
  /** Subkeys of an epoch; CORRUPTED when the keyring does not hold it. */
  keys(epoch: number): ObjectKeys;
}

export function unknownEpoch(epoch: number): SealvecError {
  return new SealvecError('CORRUPTED', `epoch ${epoch} has no key`);
}

/** The keyring of a training worker. Wipes what it is made of. */
export class WorkerKeyring implements ObjectKeyring {
  readonly epochs: ReadonlyMap<number, ObjectKeys>;

  constructor(core: Core, exposed: readonly ExposedKeys[]) {
    this.epochs = new Map(exposed.map(({ epoch, objects, ids }) => (
      [epoch, { objects: new Secret(core, objects), ids: new Secret(core, ids) }]
    )));
    wipeExposed(exposed);
  }

  get epoch(): number {
    return Math.max(...this.epochs.keys());
  }

  keys(epoch: number): ObjectKeys {
    const keys = this.epochs.get(epoch);
    if (!keys) throw unknownEpoch(epoch);
    return keys;
  }
}

export function wipeKeyring({ epochs }: WorkerKeyring): void {
  for (const { objects, ids } of epochs.values()) {
    objects.wipe();
    ids.wipe();
  }
}

export function wipeExposed(exposed: readonly ExposedKeys[]): void {
  for (const { objects, ids } of exposed) {
    objects.fill(0);
    ids.fill(0);
  }
}
