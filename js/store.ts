/**
 * One index in a storage: its key slots and its chain of manifests; reading the newest, committing
 * the next, removing what no commit names any more.
 *
 *   index/<name>                    the header (header.ts)
 *   data/<index id>/slots/<number>  key slots (slots.ts)
 *   data/<index id>/manifest/<generation>   (sealed-manifest.ts)
 *   data/<index id>/manifest/removed        marks an index whose removal has begun (removal.ts)
 *   data/<index id>/object/<id>     segments, centroids, tombstones (object.ts)
 *
 * 1. A commit is `create(manifest/<generation + 1>)`. A loser re-reads, rebases and tries again.
 * 2. After a commit the older manifests are removed, so that cutting the newest can never bring an
 *    older state back unnoticed; the one before survives only a writer killed between the two.
 * 3. So an old number can be created again, by a writer that was held up. A manifest counts once
 *    nothing higher is listed beside it and the one it was built on still is. Where something
 *    higher is, the newest manifest tells: it names the last commit of each recent writer.
 * 4. An object that a commit drops is *condemned* in the manifest and removed one commit later.
 *    Orphans of killed writers are condemned the same way (by compact), so a slow writer whose
 *    objects were taken for orphans learns it while rebasing, and never names what is gone.
 * 5. What was written for a commit is removed only while no manifest can name it (draft.ts).
 */
import { allOf } from './all.js';
import { type Bounds, checkCommit } from './bounds.js';
import { hex, randomBytes } from './bytes.js';
import { lastCommitted, tellCommitted } from './committed.js';
import type { Core } from './core.js';
import { Draft, OrphanedError } from './draft.js';
import { SealvecError } from './errors.js';
import type { Keyring } from './keyring.js';
import { assertDescends, type Loaded, type Point, pointOf } from './lineage.js';
import { type Manifest, manifestKey, type WriterEntry } from './manifest.js';
import {
  listManifests, LOOK_PAUSE, LOOKS, MAX_ATTEMPTS, pause, type Place, staysTorn, vanished,
} from './newest.js';
import { isGone, missing, type ObjectContext, objectKey, objectPrefix } from './object.js';
import { fetchIndex, fetchNewest, openFetched, type Opened } from './opening.js';
import { Pins } from './pins.js';
import { manifestHash, sealManifest } from './sealed-manifest.js';
import { deriveWrap, type Wrap } from './slots.js';
import { type Change, follows, nextManifest } from './succession.js';
import type { CallKey } from './validate.js';
import { Wraps } from './wraps.js';
import type { Storage } from '../types/api.js';

type Build = (base: Manifest) => Change | undefined | Promise<Change | undefined>;

export class IndexStore implements ObjectContext {
  readonly core: Core;
  readonly storage: Storage;
  readonly indexName: string;
  readonly indexId: Uint8Array;
  readonly keyring: Keyring;
  readonly wraps: Wraps;
  readonly #place: Place;
  #writer: Uint8Array | undefined;
  readonly #pins = new Pins();
  #removed = new Set<string>();
  #newest: Loaded;
  /** The highest number of all manifests when they were last listed. */
  #top: number;
  #turn = 0;
  #checkedAt: number;

  private constructor(
    core: Core, place: Place, wrap: Wrap, opened: Opened, top: number, lookedAt: number,
  ) {
    this.core = core;
    this.storage = place.storage;
    this.indexName = place.indexName;
    this.indexId = place.indexId;
    this.#place = place;
    this.wraps = new Wraps(wrap);
    this.keyring = opened.keyring;
    this.#newest = opened;
    this.#top = top;
    this.#checkedAt = lookedAt;
  }

  /** Opens an index under a key; what it takes is read while the core is still being made. */
  static async open(
    made: Core | Promise<Core>, storage: Storage, indexName: string, key: CallKey, bounds: Bounds,
  ): Promise<IndexStore> {
    const lookedAt = performance.now();
    const [core, { place, fetched }] = await allOf([
      Promise.resolve(made), fetchIndex(storage, indexName, bounds),
    ]);
    const wrap = deriveWrap(core, place.indexId, key);
    let keyring: Keyring | undefined;
    try {
      const opened = openFetched(core, place, [wrap], fetched);
      if (!opened) throw new TypeError('no commit was known before');
      ({ keyring } = opened);
      checkCommit(indexName, place.indexId, opened, bounds);
      return new IndexStore(core, place, wrap, opened, fetched.top, lookedAt);
    } catch (error) {
      keyring?.wipe();
      wrap.secret.wipe();
      throw error;
    }
  }

  /** The newest commit this store has seen. */
  get manifest(): Manifest {
    return this.#newest.manifest;
  }

  /** That commit as others are compared with it. */
  get point(): Point {
    return pointOf(this.#newest);
  }

  /** Whether the newest manifest was torn when it was last read. */
  get recovered(): boolean {
    return this.#top > this.manifest.generation;
  }

  /** Reads the newest commit of any writer; with `maxAge` (ms), only if the last look is older. */
  async refresh(maxAge = -1): Promise<Manifest> {
    const now = performance.now();
    const { generation } = this.manifest;
    const behind = lastCommitted(this.storage, this.indexId) > generation;
    if (now - this.#checkedAt <= maxAge && !behind) return this.manifest;
    const known = { generation, top: this.#top, keyring: this.keyring };
    const fetched = await fetchNewest(this.#place, generation, known);
    const { top, bytes, table, slotsNumber } = fetched;
    // Another look may have gone on to newer keys in this very moment.
    if (bytes && !table && slotsNumber !== this.keyring.table.number) return this.refresh(maxAge);
    const opened = openFetched(this.core, this.#place, this.wraps.all, fetched, this.keyring);
    // What is refused is refused at every look.
    if (opened) this.#advance(opened);
    this.#checkedAt = Math.max(this.#checkedAt, now);
    this.#top = Math.max(this.#top, top);
    return this.manifest;
  }

  /** PERMISSION_DENIED where the slot holds no writer seed, before any work is done in vain. */
  async requireWriter(): Promise<void> {
    // A user may have other rights by now, and a write that changes nothing signs nothing.
    if (!this.wraps.areRoot) await this.refresh();
    void this.keyring.writerSeed;
  }

  /** Goes on to a newer commit and its keys; what does not descend from the last is refused. */
  #advance(opened: Opened): void {
    const { manifest, keyring } = opened;
    const fresh = keyring === this.keyring ? undefined : keyring;
    try {
      if (manifest.generation > this.manifest.generation) {
        assertDescends(this.indexName, opened, pointOf(this.#newest));
        this.#newest = { manifest, hash: opened.hash };
        if (fresh) this.keyring.adopt(fresh);
      }
    } finally {
      fresh?.wipe();
    }
    this.#top = Math.max(this.#top, this.manifest.generation);
  }

  /** Keeps the objects of a manifest from being removed by this store until released. */
  pin(manifest: Manifest): () => void {
    return this.#pins.add(manifest);
  }

  /** A draft for a commit that builds on `base` or later. */
  draft(base = this.manifest): Draft {
    return new Draft(this, base);
  }

  /**
   * Commits what `build` makes of the newest manifest, as often as another writer comes first; to
   * be called again only when it has settled.
   * `draft` has the objects that the change names; CONFLICT when they were taken for orphans and
   * removed meanwhile. `build` may return undefined: then nothing is committed.
   */
  async commit(draft: Draft, build: Build): Promise<Manifest> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      // Taken together: what readers of this store learn meanwhile must not change the number.
      const [base, top] = [this.#newest, this.#top];
      const { number } = this.keyring.table;
      await draft.again();
      const change = await this.#build(base.manifest, draft, build);
      if (change === 'stale') continue;
      if (!change) return base.manifest;
      // So must nothing be sealed under keys that others have replaced.
      if (this.keyring.table.number !== number) continue;
      const { keyring = this.keyring } = change;
      draft.checkEpoch(keyring.epoch);
      const generation = Math.max(top, base.manifest.generation) + 1;
      const writer = { id: this.#writer ??= randomBytes(16), turn: ++this.#turn, generation };
      const manifest = nextManifest(base.manifest, base.hash, change, this.#removed, writer);
      const bytes = sealManifest(keyring, this.indexId, manifest);
      draft.fate = 'unknown';
      const made = { manifest, hash: manifestHash(keyring, bytes), keyring };
      if (await this.#publish(base.manifest, made, bytes, writer, draft)) {
        await draft.settle(manifest);
        tellCommitted(this.storage, this.indexId, generation);
        return manifest;
      }
      draft.fate = 'unnamed';
    }
    throw new SealvecError('CONFLICT', `other writers came first ${MAX_ATTEMPTS} times`);
  }

  /** The change for a base; 'stale' when the base named what newer commits have removed. */
  async #build(base: Manifest, draft: Draft, build: Build): Promise<Change | undefined | 'stale'> {
    await this.#stillThere(base, draft);
    try {
      return await build(base);
    } catch (error) {
      if (!isGone(error)) throw error;
      if ((await this.refresh()).generation === base.generation) throw missing(error);
      return 'stale';
    }
  }

  /** That none of a draft's objects was condemned by commits since it was last checked. */
  async #stillThere(base: Manifest, draft: Draft): Promise<void> {
    const since = base.generation - draft.checked;
    draft.checked = base.generation;
    const ids = draft.objects.map(({ id }) => hex(id));
    if (since === 0 || ids.length === 0) return;
    const condemned = new Set(base.condemned.map(({ id }) => hex(id)));
    // What is condemned stays listed for two commits at least; then the object is gone.
    const present = since <= 2 ? undefined
      : new Set(await this.storage.list(objectPrefix(this.indexId)));
    const lost = (id: string): boolean => condemned.has(id) ||
      (present !== undefined && !present.has(objectPrefix(this.indexId) + id));
    if (ids.some(lost)) throw new OrphanedError();
  }

  /** Creates a manifest; true when it is in the chain of commits, false when it is in no one's. */
  async #publish(
    base: Manifest, opened: Opened, bytes: Uint8Array, writer: WriterEntry, draft: Draft,
  ): Promise<boolean> {
    const { manifest } = opened;
    const key = manifestKey(this.indexId, manifest.generation);
    // Should this fail, the commit may exist nevertheless: the next reader looks.
    this.#checkedAt = -Infinity;
    const made = await this.storage.create(key, bytes);
    const place = made ? await this.#placeOf(base, manifest.generation) : 'beaten';
    if (typeof place !== 'string') {
      this.#advance(opened);
      this.#checkedAt = performance.now();
      await this.#sweep(manifest, place);
      return true;
    }
    if (place === 'beaten' && follows(await this.refresh(), writer)) return true;
    if (made) await this.storage.delete([key]);
    if (place !== 'vanished') return false;
    draft.fate = 'unnamed';
    throw vanished(this.indexName);
  }

  /**
   * Where a manifest just made stands: the numbers below it if it is the newest commit, 'beaten'
   * if something higher is there, 'late' if one it stepped over was completed after all,
   * 'vanished' if its index is gone.
   */
  async #placeOf(
    base: Manifest, generation: number,
  ): Promise<readonly number[] | 'beaten' | 'late' | 'vanished'> {
    for (let look = 0; look < LOOKS; look++) {
      const { generations, removed } = await listManifests(this.storage, this.indexId);
      if (removed) return 'vanished';
      if (generations.some((other) => other > generation)) return 'beaten';
      if (generations.includes(base.generation)) {
        const older = generations.filter((other) => other < generation);
        for (const torn of older.filter((other) => other > base.generation)) {
          if (!(await staysTorn(this.#place, torn))) return 'late';
        }
        return older;
      }
      await pause(LOOK_PAUSE);
    }
    return 'vanished';
  }

  /** Removes older manifests, and what an earlier commit condemned and no reader here uses. */
  async #sweep(manifest: Manifest, older: readonly number[]): Promise<void> {
    const ids = manifest.condemned
      .filter(({ id, since }) => since < manifest.generation && !this.#pins.has(id))
      .map(({ id }) => id);
    const keys = [
      ...older.map((generation) => manifestKey(this.indexId, generation)),
      ...ids.map((id) => objectKey(this.indexId, id)),
    ];
    try {
      await this.storage.delete(keys);
      this.#removed = new Set(ids.map(hex));
    } catch {
      // The commit stands; the next one sweeps again.
    }
  }

  /** Wipes all keys. */
  wipe(): void {
    this.keyring.wipe();
    this.wraps.wipe();
  }
}
