/** Objects written for a commit to name, which go again when it does not come about. */
import { hex } from './bytes.js';
import { SealvecError } from './errors.js';
import { type Manifest, namedObjects } from './manifest.js';
import { type ObjectContext, objectKey, type ObjectRef } from './object.js';
import { expectFreshNonces } from './seal-object.js';
import type { Storage } from '../types/api.js';

/** What was written was condemned by another writer, who took it for the orphans of a dead one. */
export class OrphanedError extends SealvecError {
  constructor() {
    super('CONFLICT', 'another writer compacted the index during this call');
  }
}

/** What was written was sealed under a data key that others have replaced meanwhile. */
export class ExpiredError extends SealvecError {
  constructor(options?: ErrorOptions) {
    super('CONFLICT', 'the keys of the index were changed during this call', options);
  }
}

/** Whether all that is wrong is that what was written must be written again. */
export function mustRewrite(error: unknown): boolean {
  return error instanceof OrphanedError || error instanceof ExpiredError;
}

/** An index that objects can be written to. */
type DraftContext = ObjectContext & { readonly storage: Storage };

export class Draft {
  readonly context: DraftContext;
  /** The last commit that is known not to have taken these objects for orphans. */
  checked: number;
  /**
   * Whether a commit names them: it may as soon as its manifest is being written, and then none of
   * them is removed here. If it came to nothing after all, compact collects them.
   */
  fate: 'unnamed' | 'unknown' | 'named' = 'unnamed';
  readonly #lasting: ObjectRef[] = [];
  #passing: ObjectRef[] = [];

  /** `base` is the newest commit known before anything is written. */
  constructor(context: DraftContext, base: Manifest) {
    this.context = context;
    this.checked = base.generation;
  }

  get objects(): readonly ObjectRef[] {
    return [...this.#lasting, ...this.#passing];
  }

  async #create(ref: ObjectRef, bytes: Uint8Array): Promise<void> {
    const { storage, indexId } = this.context;
    expectFreshNonces(ref, bytes);
    if (!(await storage.create(objectKey(indexId, ref.id), bytes))) {
      throw new SealvecError('STORAGE', 'a random object id was used before');
    }
  }

  /** Writes an object that is kept for as many attempts as the commit takes. */
  async write(ref: ObjectRef, bytes: Uint8Array): Promise<void> {
    this.#lasting.push(ref);
    await this.#create(ref, bytes);
  }

  /** Writes an object for this attempt only. */
  async writePassing(ref: ObjectRef, bytes: Uint8Array): Promise<void> {
    this.#passing.push(ref);
    await this.#create(ref, bytes);
  }

  /**
   * ExpiredError when something was not sealed in this epoch: one whose rights have ended could
   * read it.
   */
  checkEpoch(epoch: number): void {
    if (this.objects.some((ref) => ref.epoch !== epoch)) throw new ExpiredError();
  }

  /** Begins another attempt: what the last one wrote for itself goes. */
  async again(): Promise<void> {
    await this.#remove(this.#passing);
    this.#passing = [];
  }

  /** A commit has come about: what it did not name after all goes. */
  async settle(commit: Manifest): Promise<void> {
    this.fate = 'named';
    const named = new Set(namedObjects(commit).map(({ id }) => hex(id)));
    await this.#remove(this.objects.filter(({ id }) => !named.has(hex(id))));
  }

  /** Removes all of it, unless a commit may name it. */
  async discard(): Promise<void> {
    if (this.fate === 'unnamed') await this.#remove(this.objects);
  }

  /** Best effort: what cannot be removed is an orphan, which compact collects. */
  async #remove(refs: readonly ObjectRef[]): Promise<void> {
    const { storage, indexId } = this.context;
    const keys = refs.map((ref) => objectKey(indexId, ref.id));
    if (keys.length > 0) await storage.delete(keys).catch(() => undefined);
  }
}
