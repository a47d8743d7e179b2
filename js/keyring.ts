/** The keys that an open slot gives: the right to read, with the writer seed that to write. */
import type { Core } from './core.js';
import { deriveSubkey, exposed, type Secret } from './crypto.js';
import { SealvecError } from './errors.js';
import { type ObjectKeyring, type ObjectKeys, unknownEpoch } from './object-keys.js';
import { type OpenTable, wipeTable } from './slots.js';
import type { ExposedKeys } from '../types/protocol.js';

/** Subkeys of one epoch, one for each purpose. */
export interface EpochKeys extends ObjectKeys {
  readonly manifest: Secret;
}

function deriveEpoch(data: Secret): EpochKeys {
  return {
    manifest: deriveSubkey(data, 'manifest'),
    objects: deriveSubkey(data, 'objects'),
    ids: deriveSubkey(data, 'ids'),
  };
}

export class Keyring implements ObjectKeyring {
  readonly core: Core;
  #table: OpenTable;
  /** Of all tables so far: a snapshot may still read what an epoch sealed that is dropped since. */
  readonly #epochs = new Map<number, EpochKeys>();

  constructor(core: Core, table: OpenTable) {
    this.core = core;
    this.#table = table;
  }

  /** The table of slots that these keys come from. */
  get table(): OpenTable {
    return this.#table;
  }

  get epoch(): number {
    return Math.max(...this.#table.data.keys());
  }

  /** Whether the table holds the data key of an epoch. */
  holds(epoch: number): boolean {
    return this.#table.data.has(epoch);
  }

  /** The writer's signing key; PERMISSION_DENIED where the slot holds none. */
  get writerSeed(): Secret {
    const { writerSeed } = this.#table;
    if (writerSeed) return writerSeed;
    throw new SealvecError('PERMISSION_DENIED', 'this key may read the index but not write to it');
  }

  keys(epoch: number): EpochKeys {
    const known = this.#epochs.get(epoch);
    if (known) return known;
    const data = this.#table.data.get(epoch);
    if (!data) throw unknownEpoch(epoch);
    const keys = deriveEpoch(data);
    this.#epochs.set(epoch, keys);
    return keys;
  }

  /** What a training worker needs, to be handed to it; fill it with 0 after use. */
  expose(): ExposedKeys[] {
    return [...this.#table.data.keys()].map((epoch) => {
      const { objects, ids } = this.keys(epoch);
      return { epoch, objects: exposed(objects), ids: exposed(ids) };
    });
  }

  /** Takes over a newer table and all keys of `fresh`, which is left empty. */
  adopt(fresh: Keyring): void {
    for (const epoch of this.#table.data.keys()) this.keys(epoch);
    wipeTable(this.#table);
    this.#table = fresh.#table;
    fresh.#table = { ...fresh.#table, data: new Map(), writerSeed: undefined };
    fresh.wipe();
  }

  wipe(): void {
    wipeTable(this.#table);
    for (const keys of this.#epochs.values()) {
      for (const secret of Object.values(keys) as Secret[]) secret.wipe();
    }
    this.#epochs.clear();
  }
}
