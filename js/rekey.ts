/**
 * Re-encryption of a whole index under a new data key, while others read and write.
 *
 * 1. It begins an epoch, so that all that is written from then on is sealed in it; rewrites what
 *    was sealed before, a few segments in each commit; and last drops the keys of older epochs.
 * 2. What is done stays done: ended at any moment, by whatever cause, it goes on when it is called
 *    again, for the root slot says that it had begun.
 * 3. Each step takes its turn among the writes of its handle.
 */
import { throwIfAborted } from './abort.js';
import { sameBytes } from './bytes.js';
import { type Draft, mustRewrite } from './draft.js';
import { SealvecError } from './errors.js';
import { changeSlots } from './key-changes.js';
import { type Manifest, namedObjects, type SegmentEntry } from './manifest.js';
import { sweepAll, tryRewrite } from './merge.js';
import { MERGE_BYTES } from './merge-choice.js';
import { MAX_ATTEMPTS } from './newest.js';
import { isGone, ObjectReader, type ObjectRef, readBytes } from './object.js';
import { objectSize } from './object-layout.js';
import { sealObject } from './seal-object.js';
import type { OpenIndex } from './open-index.js';
import type { Watch } from './validate.js';
import type { KeysChanged } from '../types/api.js';

type Queue = <T>(work: () => Promise<T>) => Promise<T>;

function isOutdated({ object, tombstones }: SegmentEntry, epoch: number): boolean {
  return object.epoch !== epoch || (tombstones !== undefined && tombstones.epoch !== epoch);
}

/** Some of the segments that are to be rewritten, one at least if there are any. */
function chooseOutdated({ segments }: Manifest, epoch: number): SegmentEntry[] {
  let bytes = 0;
  return segments.filter((entry) => isOutdated(entry, epoch))
    .filter(({ object }, i) => (bytes += objectSize(object)) <= MERGE_BYTES || i === 0);
}

/** Writes the plain sections of an object again, under the newest data key. */
async function reseal(draft: Draft, ref: ObjectRef): Promise<ObjectRef> {
  const { context } = draft;
  const reader = new ObjectReader(context, ref);
  const sections: Uint8Array[] = [];
  for (const [section, length] of ref.lengths.entries()) {
    sections.push(await readBytes(reader, section, 0, length));
  }
  const sealed = context.core.withScratch((s) => sealObject(context, ref.type, sections.map(
    (bytes, section) => (
      { pointer: s.put(bytes), length: bytes.length, chunkBytes: reader.chunkBytes(section) }),
  )));
  for (const bytes of sections) bytes.fill(0);
  await draft.write(sealed.ref, sealed.bytes);
  return sealed.ref;
}

/** Commits the centroids of `base` sealed anew, unless they were replaced meanwhile. */
async function resealCentroids({ store }: OpenIndex, { clustering }: Manifest): Promise<void> {
  if (!clustering) return;
  const draft = store.draft();
  try {
    const object = await reseal(draft, clustering.object);
    await store.commit(draft, (newest) => {
      const now = newest.clustering;
      const same = now && sameBytes(now.object.id, clustering.object.id);
      return same ? { clustering: { ...now, object } } : undefined;
    });
  } catch (error) {
    // Another writer trained, or changed keys: what is outdated then is found again.
    if (!isGone(error) && !mustRewrite(error)) throw error;
  } finally {
    await draft.discard();
  }
}

class Rekeying {
  readonly #index: OpenIndex;
  readonly #watch: Watch;
  readonly #queue: Queue;
  readonly #signal: Pick<Watch, 'signal'>;
  #misses = 0;
  #total = 0;
  #fraction = 0;

  constructor(index: OpenIndex, watch: Watch, queue: Queue) {
    this.#index = index;
    this.#watch = watch;
    this.#queue = queue;
    this.#signal = { signal: watch.signal };
  }

  /** Tells how much is done, by the bytes that are left. */
  #report(manifest: Manifest, epoch: number): void {
    const left = namedObjects(manifest).filter((ref) => ref.epoch !== epoch)
      .reduce((sum, ref) => sum + objectSize(ref), 0);
    this.#total = Math.max(this.#total, left);
    const done = this.#total === 0 ? 1 : 1 - left / this.#total;
    this.#fraction = Math.max(this.#fraction, 0.98 * done);
    this.#watch.onProgress?.({ phase: 'rewrite', fraction: this.#fraction });
  }

  /** Rewrites some of what is outdated; false when nothing is. */
  async #step(): Promise<boolean> {
    const { store } = this.#index;
    throwIfAborted(this.#watch.signal);
    const base = await store.refresh(0);
    const { epoch } = store.keyring;
    this.#report(base, epoch);
    const old = chooseOutdated(base, epoch);
    if (old.length > 0) this.#count(await tryRewrite(this.#index, base, old, this.#signal));
    else if (base.clustering && base.clustering.object.epoch !== epoch) {
      await resealCentroids(this.#index, base);
    } else return false;
    return true;
  }

  /** Gives up when others have changed what is rewritten each time. */
  #count(done: boolean): void {
    this.#misses = done ? 0 : this.#misses + 1;
    if (this.#misses < MAX_ATTEMPTS) return;
    throw new SealvecError('CONFLICT', `other writers came first ${MAX_ATTEMPTS} times`);
  }

  /** Drops the keys of older epochs unless something is sealed under them; whether it did. */
  async #drop(): Promise<boolean> {
    let done = true;
    await changeSlots(this.#index.store, (root, base) => {
      done = namedObjects(base).every((ref) => ref.epoch === root.epoch);
      if (!done) return false;
      root.dropOldEpochs();
      root.rekeying = 0;
      return true;
    });
    return done;
  }

  async run(): Promise<KeysChanged> {
    const { store } = this.#index;
    await this.#queue(() => changeSlots(store, (root) => {
      if (root.rekeying > 0) return false;
      root.beginEpoch();
      root.rekeying = root.epoch;
      return true;
    }));
    do {
      while (await this.#queue(() => this.#step()));
    } while (!(await this.#queue(() => this.#drop())));
    await this.#queue(() => sweepAll(this.#index));
    this.#watch.onProgress?.({ phase: 'commit', fraction: 1 });
    return { generation: store.manifest.generation };
  }
}

/** Re-encrypts everything; `queue` gives each step its turn among the writes of a handle. */
export async function rekeyIndex(
  index: OpenIndex, watch: Watch, queue: Queue,
): Promise<KeysChanged> {
  return new Rekeying(index, watch, queue).run();
}
