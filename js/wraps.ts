/** What may open the slots of an index that is open. */
import { SealvecError } from './errors.js';
import type { Wrap } from './slots.js';

export class Wraps {
  #all: Wrap[];

  constructor(wrap: Wrap) {
    this.#all = [wrap];
  }

  /** The wrap of the key; while that is being changed, those of both keys. */
  get all(): readonly Wrap[] {
    return this.#all;
  }

  /** Whether they are made of index keys, not of a user's key. */
  get areRoot(): boolean {
    return this.#all.some(({ kind }) => kind === 'root');
  }

  /** PERMISSION_DENIED for the key of a user: only the root slot has what changing keys takes. */
  requireRoot(): void {
    if (this.areRoot) return;
    throw new SealvecError('PERMISSION_DENIED', 'only the index key may do this, no user');
  }

  /** Adds the wrap of a key that is to be in force, before it may be. */
  offer(wrap: Wrap): void {
    this.#all.push(wrap);
  }

  /** Forgets all but one. */
  keep(wrap: Wrap): void {
    for (const other of this.#all) if (other !== wrap) other.secret.wipe();
    this.#all = [wrap];
  }

  wipe(): void {
    for (const { secret } of this.#all) secret.wipe();
  }
}
