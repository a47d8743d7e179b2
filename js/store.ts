/**
 * One index in a storage: its key slots and its chain of manifests; reading the newest, committing
 * the next, removing what no commit names any more.
 *
 *   index/<name>                    the header (header.ts)
 *   data/<index id>/slots/<number>  key slots (keys.ts)
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
import { hex, randomBytes, sameBytes } from './bytes.js';
import { lastCommitted, tellCommitted } from './committed.js';
import type { Core } from './core.js';
import { Draft, OrphanedError } from './draft.js';
import { SealvecError } from './errors.js';
import { readIndexId } from './header.js';
import { createSlots, type Keyring, openSlots, slotsKey } from './keys.js';
import {
  type IndexConfig, type Manifest, manifestKey, namedObjects, type WriterEntry,
} from './manifest.js';
import {
  findNewest, listManifests, LOOK_PAUSE, LOOKS, MAX_ATTEMPTS, pause, type Place, staysTorn,
  vanished,
} from './newest.js';
import { isGone, missing, type ObjectContext, objectKey, objectPrefix } from './object.js';
import { Pins } from './pins.js';
import { takeName } from './removal.js';
import { manifestHash, openManifest, sealManifest } from './sealed-manifest.js';
import { type Change, follows, nextManifest } from './succession.js';
import type { Logger, Storage } from '../types/api.js';

type Build = (base: Manifest) => Change | undefined | Promise<Change | undefined>;

interface Loaded {
  readonly manifest: Manifest;
  readonly hash: Uint8Array;
}

export class IndexStore implements ObjectContext {
  readonly core: Core;
  readonly storage: Storage;
  readonly indexName: string;
  readonly indexId: Uint8Array;
  readonly keyring: Keyring;
  readonly #place: Place;
  readonly #writer = randomBytes(16);
  readonly #pins = new Pins();
  #removed = new Set<string>();
  #newest: Loaded;
  /** The highest number of all manifests when they were last listed. */
  #top: number;
  #turn = 0;
  #checkedAt = -Infinity;

  private constructor(core: Core, place: Place, keyring: Keyring, newest: Loaded, top: number) {
    this.core = core;
    this.storage = place.storage;
    this.indexName = place.indexName;
    this.indexId = place.indexId;
    this.#place = place;
    this.keyring = keyring;
    this.#newest = newest;
    this.#top = top;
  }

  /** Writes a new, empty index; ALREADY_EXISTS when the name is taken. */
  static async create(
    core: Core, storage: Storage, indexName: string, indexKey: Uint8Array, config: IndexConfig,
  ): Promise<void> {
    const indexId = randomBytes(16);
    const slots = createSlots(core, { indexId, indexName }, indexKey);
    const keyring = openSlots(core, { indexId, indexName }, 1, slots, indexKey);
    const manifest: Manifest = {
      generation: 1, previousHash: new Uint8Array(32), slotsHash: manifestHash(keyring, slots),
      config, clustering: undefined, segments: [], condemned: [], writers: [],
    };
    const bytes = sealManifest(keyring, indexId, manifest);
    keyring.wipe();
    await storage.create(slotsKey(indexId, 1), slots);
    await storage.create(manifestKey(indexId, 1), bytes);
    if (await takeName(storage, indexName, indexId)) return;
    await storage.delete([slotsKey(indexId, 1), manifestKey(indexId, 1)]);
    throw new SealvecError('ALREADY_EXISTS', `an index named '${indexName}' exists`);
  }

  /** Checks without a key that an index exists and is not older than minGeneration. */
  static async find(
    storage: Storage, indexName: string, minGeneration: number, logger: Logger,
  ): Promise<void> {
    const indexId = await readIndexId(storage, indexName);
    await findNewest({ storage, indexName, indexId, logger }, minGeneration);
  }

  /** Opens an index under a key. */
  static async open(
    core: Core, storage: Storage, indexName: string, indexKey: Uint8Array,
    options: { userId?: Uint8Array; minGeneration?: number; logger: Logger },
  ): Promise<IndexStore> {
    const indexId = await readIndexId(storage, indexName);
    const place = { storage, indexName, indexId, logger: options.logger };
    const { generation, top, slotsNumber, bytes = new Uint8Array() } =
      await findNewest(place, options.minGeneration ?? 0);
    const table = await storage.read(slotsKey(indexId, slotsNumber));
    if (!table) throw new SealvecError('CORRUPTED', `key slots ${slotsNumber} are missing`);
    const keyring = openSlots(core, place, slotsNumber, table, indexKey, options.userId);
    try {
      const manifest = openManifest(keyring, indexId, generation, bytes);
      if (!sameBytes(manifest.slotsHash, manifestHash(keyring, table))) {
        throw new SealvecError('CORRUPTED', 'the key slots are not those of the newest commit');
      }
      const newest = { manifest, hash: manifestHash(keyring, bytes) };
      return new IndexStore(core, place, keyring, newest, top);
    } catch (error) {
      keyring.wipe();
      throw error;
    }
  }

  /** The newest commit this store has seen. */
  get manifest(): Manifest {
    return this.#newest.manifest;
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
    const found = await findNewest(this.#place, generation, { generation, top: this.#top });
    this.#checkedAt = Math.max(this.#checkedAt, now);
    this.#top = Math.max(this.#top, found.top);
    if (found.bytes && found.generation > this.manifest.generation) {
      const manifest = openManifest(this.keyring, this.indexId, found.generation, found.bytes);
      this.#advance({ manifest, hash: manifestHash(this.keyring, found.bytes) });
    }
    return this.manifest;
  }

  #advance(loaded: Loaded): void {
    if (loaded.manifest.generation > this.manifest.generation) this.#newest = loaded;
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
      await draft.again();
      const change = await this.#build(base.manifest, draft, build);
      if (change === 'stale') continue;
      if (!change) return base.manifest;
      const generation = Math.max(top, base.manifest.generation) + 1;
      const writer = { id: this.#writer, turn: ++this.#turn, generation };
      const manifest = nextManifest(base.manifest, base.hash, change, this.#removed, writer);
      const bytes = sealManifest(this.keyring, this.indexId, manifest);
      draft.fate = 'unknown';
      if (await this.#publish(base.manifest, manifest, bytes, writer, draft)) {
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
    base: Manifest, manifest: Manifest, bytes: Uint8Array, writer: WriterEntry, draft: Draft,
  ): Promise<boolean> {
    const key = manifestKey(this.indexId, manifest.generation);
    // Should this fail, the commit may exist nevertheless: the next reader looks.
    this.#checkedAt = -Infinity;
    const made = await this.storage.create(key, bytes);
    const place = made ? await this.#placeOf(base, manifest.generation) : 'beaten';
    if (typeof place !== 'string') {
      this.#advance({ manifest, hash: manifestHash(this.keyring, bytes) });
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

  /** Ids of objects in storage that the newest manifest neither names nor condemns. */
  async orphans(): Promise<Uint8Array[]> {
    const keys = await this.storage.list(objectPrefix(this.indexId));
    const known = new Set([...namedObjects(this.manifest), ...this.manifest.condemned]
      .map(({ id }) => hex(id)));
    const ids = keys.map((key) => key.slice(key.lastIndexOf('/') + 1));
    return ids.filter((id) => !known.has(id) && /^[0-9a-f]{32}$/.test(id))
      .map((id) => Uint8Array.from(id.match(/../g) ?? [], (byte) => parseInt(byte, 16)));
  }
}
