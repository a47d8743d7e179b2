/**
 * One index in a storage: its header, its key slots and its chain of manifests; reading the newest,
 * committing the next, removing what no commit names any more.
 *
 *   index/<name>                    header 64: magic "SVINDEX1" | version u16 | suite u16 | 0 u32 |
 *                                   index id 16 | 0 * 32
 *   data/<index id>/slots/<number>  key slots (keys.ts)
 *   data/<index id>/manifest/<generation>   (manifest.ts)
 *   data/<index id>/object/<id>     segments, centroids, tombstones (object.ts)
 *   data/<index id>/deleted         marks an index whose removal has begun
 *
 * 1. A commit is `create(manifest/<generation + 1>)`. A loser re-reads, rebases and tries again.
 * 2. After a commit the older manifests are removed, so that cutting the newest can never bring an
 *    older state back unnoticed; the one before survives only a writer killed between the two.
 * 3. An object that a commit drops is *condemned* in the manifest and removed one commit later.
 *    Orphans of killed writers are condemned the same way (by compact), so a slow writer whose
 *    objects were taken for orphans learns it while rebasing, and never names what is gone.
 */
import { ByteWriter, hex, randomBytes, sameBytes } from './bytes.js';
import type { Core } from './core.js';
import { SealvecError } from './errors.js';
import { createSlots, FORMAT_VERSION, type Keyring, openSlots, SUITE } from './keys.js';
import {
  type Condemned, type IndexConfig, type Manifest, manifestHash, manifestKey, manifestPrefix,
  namedObjects, openManifest, readManifestHeader, sealManifest,
} from './manifest.js';
import { type ObjectContext, objectKey, type ObjectRef } from './object.js';
import type { Logger, Storage } from '../types/api.js';

const MAGIC = new TextEncoder().encode('SVINDEX1');
const HEADER_PREFIX = 'index/';
/** The newest generation committed through each storage of this process, by index. */
const COMMITTED = new WeakMap<Storage, Map<string, number>>();
/** How often a reader or writer starts again before it gives up. */
export const MAX_ATTEMPTS = 100;

/** The parts of a manifest that a change may replace. */
export type Change = Partial<Pick<Manifest, 'config' | 'clustering' | 'segments'>> & {
  /** Orphans to condemn. */
  readonly condemn?: readonly Uint8Array[];
};

/** A name as a storage key: lower case, digits, `-` and `_`; every other byte as %xx. */
export function headerKey(indexName: string): string {
  const bytes = new TextEncoder().encode(indexName);
  const safe = /[a-z0-9_-]/;
  const name = Array.from(bytes, (byte) => {
    const char = String.fromCharCode(byte);
    return safe.test(char) ? char : `%${byte.toString(16).padStart(2, '0')}`;
  }).join('');
  return HEADER_PREFIX + name;
}

/** Names of all indexes in a storage. */
export async function listIndexNames(storage: Storage): Promise<string[]> {
  const keys = await storage.list(HEADER_PREFIX);
  return keys.map((key) => decodeURIComponent(key.slice(HEADER_PREFIX.length))).sort();
}

function encodeHeader(indexId: Uint8Array): Uint8Array {
  return new ByteWriter().bytes(MAGIC).u16(FORMAT_VERSION).u16(SUITE).u32(0).bytes(indexId)
    .bytes(new Uint8Array(32)).done();
}

/** The id of an index by name; NOT_FOUND when there is none. */
export async function readIndexId(storage: Storage, indexName: string): Promise<Uint8Array> {
  const bytes = await storage.read(headerKey(indexName));
  if (!bytes) throw new SealvecError('NOT_FOUND', `no index named '${indexName}'`);
  const indexId = bytes.slice(16, 32);
  if (!sameBytes(bytes.slice(0, 8), MAGIC)) {
    throw new SealvecError('CORRUPTED', `the header of index '${indexName}' is damaged`);
  }
  if (!sameBytes(bytes, encodeHeader(indexId))) {
    const version = new DataView(bytes.buffer, bytes.byteOffset).getUint16(8, true);
    throw version === FORMAT_VERSION
      ? new SealvecError('CORRUPTED', `the header of index '${indexName}' is damaged`)
      : new SealvecError('UNSUPPORTED', `index '${indexName}' has format ${version}, this library reads ${FORMAT_VERSION}`);
  }
  return indexId;
}

function slotsKey(indexId: Uint8Array, number: number): string {
  return `data/${hex(indexId)}/slots/${String(number).padStart(8, '0')}`;
}

function deletedKey(indexId: Uint8Array): string {
  return `data/${hex(indexId)}/deleted`;
}

/** Removes all objects of an index; its header goes once nothing but the mark is left. */
export async function removeIndex(storage: Storage, indexName: string, indexId: Uint8Array): Promise<void> {
  await storage.create(deletedKey(indexId), new Uint8Array());
  const keys = await storage.list(`data/${hex(indexId)}/`);
  await storage.delete(keys.filter((key) => key !== deletedKey(indexId)));
  const header = await storage.read(headerKey(indexName));
  if (header && sameBytes(header, encodeHeader(indexId))) await storage.delete([headerKey(indexName)]);
  await storage.delete([deletedKey(indexId)]);
}

/** Finishes a removal that was cut short; true when there was one. */
async function finishRemoval(storage: Storage, indexName: string, indexId: Uint8Array): Promise<boolean> {
  if (!(await storage.read(deletedKey(indexId)))) return false;
  await removeIndex(storage, indexName, indexId);
  return true;
}

interface Loaded {
  manifest: Manifest;
  hash: Uint8Array;
}

export class IndexStore implements ObjectContext {
  readonly core: Core;
  readonly storage: Storage;
  readonly indexName: string;
  readonly indexId: Uint8Array;
  readonly keyring: Keyring;
  /** Whether the newest manifest was torn when it was last read. */
  recovered = false;
  readonly #logger: Logger;
  readonly #id: string;
  readonly #removed = new Set<string>();
  readonly #pins = new Map<string, number>();
  #newest: Loaded;
  #checkedAt = 0;

  private constructor(
    parts: { core: Core; storage: Storage; indexName: string; indexId: Uint8Array; logger: Logger },
    keyring: Keyring, newest: Loaded,
  ) {
    this.core = parts.core;
    this.storage = parts.storage;
    this.indexName = parts.indexName;
    this.indexId = parts.indexId;
    this.#logger = parts.logger;
    this.#id = hex(parts.indexId);
    this.keyring = keyring;
    this.#newest = newest;
  }

  /** Writes a new, empty index; ALREADY_EXISTS when the name is taken. */
  static async create(
    core: Core, storage: Storage, indexName: string, indexKey: Uint8Array, config: IndexConfig,
  ): Promise<void> {
    const indexId = randomBytes(16);
    const slots = createSlots(core, indexId, indexKey);
    const keyring = openSlots(core, indexId, 1, slots, indexKey);
    const manifest: Manifest = {
      generation: 1, previousHash: new Uint8Array(32), slotsHash: manifestHash(keyring, slots),
      config, clustering: undefined, segments: [], condemned: [],
    };
    const bytes = sealManifest(keyring, indexId, manifest);
    keyring.wipe();
    await storage.create(slotsKey(indexId, 1), slots);
    await storage.create(manifestKey(indexId, 1), bytes);
    if (await storage.create(headerKey(indexName), encodeHeader(indexId))) return;
    const holder = await readIndexId(storage, indexName).catch(() => undefined);
    if (holder && (await finishRemoval(storage, indexName, holder)) &&
        (await storage.create(headerKey(indexName), encodeHeader(indexId)))) return;
    await storage.delete([slotsKey(indexId, 1), manifestKey(indexId, 1)]);
    throw new SealvecError('ALREADY_EXISTS', `an index named '${indexName}' exists`);
  }

  /** Checks without a key that an index exists and is not older than minGeneration. */
  static async find(storage: Storage, indexName: string, minGeneration: number, logger: Logger): Promise<void> {
    const indexId = await readIndexId(storage, indexName);
    await findNewest({ storage, indexName, indexId, logger }, minGeneration);
  }

  /** Opens an index under a key. */
  static async open(
    core: Core, storage: Storage, indexName: string, indexKey: Uint8Array,
    options: { userId?: Uint8Array; minGeneration?: number; logger: Logger },
  ): Promise<IndexStore> {
    const indexId = await readIndexId(storage, indexName);
    const parts = { core, storage, indexName, indexId, logger: options.logger };
    const found = await findNewest(parts, options.minGeneration ?? 0);
    const table = await storage.read(slotsKey(indexId, found.slotsNumber));
    if (!table) throw new SealvecError('CORRUPTED', `key slots ${found.slotsNumber} are missing`);
    const keyring = openSlots(core, indexId, found.slotsNumber, table, indexKey, options.userId);
    try {
      const manifest = openManifest(keyring, indexId, found.generation, found.bytes);
      if (!sameBytes(manifest.slotsHash, manifestHash(keyring, table))) {
        throw new SealvecError('CORRUPTED', 'the key slots are not those of the newest commit');
      }
      const store = new IndexStore(parts, keyring, { manifest, hash: manifestHash(keyring, found.bytes) });
      store.recovered = found.recovered;
      store.#checkedAt = Date.now();
      return store;
    } catch (error) {
      keyring.wipe();
      throw error;
    }
  }

  /** The newest commit this store has seen. */
  get manifest(): Manifest {
    return this.#newest.manifest;
  }

  /** Whether another handle of this process has committed since this one looked. */
  #isBehind(): boolean {
    const committed = COMMITTED.get(this.storage)?.get(this.#id) ?? 0;
    return committed > this.manifest.generation;
  }

  #tellOthers({ generation }: Manifest): void {
    const committed = COMMITTED.get(this.storage) ?? new Map<string, number>();
    COMMITTED.set(this.storage, committed.set(this.#id, generation));
  }

  /** Reads the newest commit of any writer; with `maxAge` (ms), only if the last look is older. */
  async refresh(maxAge = -1): Promise<Manifest> {
    if (Date.now() - this.#checkedAt <= maxAge && !this.#isBehind()) return this.manifest;
    const found = await findNewest(this.#parts(), this.manifest.generation, this.manifest.generation);
    this.#checkedAt = Date.now();
    if (found.generation > this.manifest.generation) {
      const manifest = openManifest(this.keyring, this.indexId, found.generation, found.bytes);
      this.#newest = { manifest, hash: manifestHash(this.keyring, found.bytes) };
      this.recovered = found.recovered;
    }
    return this.manifest;
  }

  #parts(): { storage: Storage; indexName: string; indexId: Uint8Array; logger: Logger } {
    return { storage: this.storage, indexName: this.indexName, indexId: this.indexId, logger: this.#logger };
  }

  /** Keeps the objects of a manifest from being removed by this store until released. */
  pin(manifest: Manifest): () => void {
    const ids = namedObjects(manifest).map((ref) => hex(ref.id));
    for (const id of ids) this.#pins.set(id, (this.#pins.get(id) ?? 0) + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      for (const id of ids) {
        const count = (this.#pins.get(id) ?? 1) - 1;
        if (count === 0) this.#pins.delete(id);
        else this.#pins.set(id, count);
      }
    };
  }

  /**
   * Commits what `build` makes of the newest manifest, as often as another writer comes first.
   * `created` are objects already written that the change names; CONFLICT when they were taken
   * for orphans and removed meanwhile. `build` may return undefined: then nothing is committed.
   */
  async commit(
    created: readonly ObjectRef[], build: (base: Manifest) => Change | undefined | Promise<Change | undefined>,
  ): Promise<Manifest> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const base = attempt === 0 ? this.#newest : await this.refresh().then(() => this.#newest);
      if (attempt > 0) await this.#stillThere(base.manifest, created);
      const change = await build(base.manifest);
      if (!change) return base.manifest;
      const manifest = this.#next(base, change);
      if (this.recovered) await this.#dropTorn(manifest.generation);
      const bytes = sealManifest(this.keyring, this.indexId, manifest);
      if (await this.#take(manifest.generation, bytes)) {
        this.#newest = { manifest, hash: manifestHash(this.keyring, bytes) };
        this.#checkedAt = Date.now();
        this.#tellOthers(manifest);
        await this.#sweep(manifest);
        return manifest;
      }
    }
    throw new SealvecError('CONFLICT', `other writers came first ${MAX_ATTEMPTS} times`);
  }

  #next(base: Loaded, change: Change): Manifest {
    const generation = base.manifest.generation + 1;
    const { condemn = [], ...parts } = change;
    const next = { ...base.manifest, ...parts, generation, previousHash: base.hash };
    const named = new Set(namedObjects(next).map((ref) => hex(ref.id)));
    const dropped = namedObjects(base.manifest).map((ref) => ref.id)
      .filter((id) => !named.has(hex(id)));
    const fresh = [...dropped, ...condemn].map((id): Condemned => ({ id, since: generation }));
    const condemned = base.manifest.condemned.filter(({ id }) => !this.#removed.has(hex(id)));
    return { ...next, condemned: [...condemned, ...fresh] };
  }

  /** Creates a manifest; true when it now is the newest or others built on it. */
  async #take(generation: number, bytes: Uint8Array): Promise<boolean> {
    const key = manifestKey(this.indexId, generation);
    if (!(await this.storage.create(key, bytes))) return false;
    const above = manifestKey(this.indexId, generation + 1);
    const keys = await this.storage.list(manifestPrefix(this.indexId));
    const higher = keys.filter((other) => other > key).sort();
    if (higher.length === 0) return true;
    // A stalled writer can create a number that was used and collected long ago.
    const next = higher.includes(above) ? await this.storage.read(above) : undefined;
    if (next && readManifestHeader(next, this.indexId, generation + 1)) {
      const { previousHash } = openManifest(this.keyring, this.indexId, generation + 1, next);
      if (sameBytes(previousHash, manifestHash(this.keyring, bytes))) return true;
    }
    await this.storage.delete([key]);
    return false;
  }

  /** A torn manifest was never acknowledged; its number must be free for the next commit. */
  async #dropTorn(generation: number): Promise<void> {
    const key = manifestKey(this.indexId, generation);
    const bytes = await this.storage.read(key);
    if (bytes && !readManifestHeader(bytes, this.indexId, generation)) await this.storage.delete([key]);
    this.recovered = false;
  }

  async #stillThere(base: Manifest, created: readonly ObjectRef[]): Promise<void> {
    const condemned = new Set(base.condemned.map(({ id }) => hex(id)));
    for (const { id } of created) {
      const range = { offset: 0, length: 1 };
      if (condemned.has(hex(id)) || !(await this.storage.read(objectKey(this.indexId, id), range))) {
        throw new SealvecError('CONFLICT', 'another writer compacted the index during this call');
      }
    }
  }

  /** Removes older manifests, and objects condemned by an earlier commit that no reader here uses. */
  async #sweep(manifest: Manifest): Promise<void> {
    const keys = await this.storage.list(manifestPrefix(this.indexId));
    const older = keys.filter((key) => key < manifestKey(this.indexId, manifest.generation));
    const ids = manifest.condemned
      .filter(({ id, since }) => since < manifest.generation && !this.#pins.has(hex(id)))
      .map(({ id }) => id);
    await this.storage.delete([...older, ...ids.map((id) => objectKey(this.indexId, id))]);
    this.#removed.clear();
    for (const id of ids) this.#removed.add(hex(id));
  }

  /** Ids of objects in storage that the newest manifest neither names nor condemns. */
  async orphans(): Promise<Uint8Array[]> {
    const keys = await this.storage.list(`data/${hex(this.indexId)}/object/`);
    const known = new Set([...namedObjects(this.manifest), ...this.manifest.condemned]
      .map(({ id }) => hex(id)));
    const ids = keys.map((key) => key.slice(key.lastIndexOf('/') + 1));
    return ids.filter((id) => !known.has(id) && /^[0-9a-f]{32}$/.test(id))
      .map((id) => Uint8Array.from(id.match(/../g) ?? [], (byte) => parseInt(byte, 16)));
  }
}

interface Found {
  generation: number;
  bytes: Uint8Array;
  slotsNumber: number;
  recovered: boolean;
}

/** Reads the newest manifest. `known` skips reading when nothing newer than it exists. */
async function findNewest(
  parts: { storage: Storage; indexName: string; indexId: Uint8Array; logger: Logger },
  minGeneration: number, known = 0,
): Promise<Found> {
  const { storage, indexName, indexId, logger } = parts;
  const prefix = manifestPrefix(indexId);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const keys = (await storage.list(prefix)).sort().reverse();
    const generations = keys.map((key) => Number(key.slice(prefix.length)));
    const newest = generations[0];
    if (newest === undefined || !Number.isSafeInteger(newest)) {
      await finishRemoval(storage, indexName, indexId);
      throw new SealvecError('NOT_FOUND', `index '${indexName}' has no data in this storage`);
    }
    if (newest < minGeneration) {
      throw new SealvecError('ROLLED_BACK', `index '${indexName}' is at generation ${newest}, expected at least ${minGeneration}`);
    }
    if (newest === known) return { generation: known, bytes: new Uint8Array(), slotsNumber: 0, recovered: false };
    const bytes = await storage.read(manifestKey(indexId, newest));
    if (!bytes) continue;
    const header = readManifestHeader(bytes, indexId, newest);
    if (header) return { generation: newest, bytes, slotsNumber: header.slotsNumber, recovered: false };
    if (generations[1] !== newest - 1) throw new SealvecError('CORRUPTED', `manifest ${newest} is cut short`);
    const before = await storage.read(manifestKey(indexId, newest - 1));
    const older = before && readManifestHeader(before, indexId, newest - 1);
    if (!before || !older) throw new SealvecError('CORRUPTED', `manifests ${newest - 1} and ${newest} are cut short`);
    logger.warn(`Warning: manifest ${newest} of index '${indexName}' is torn; using ${newest - 1}.`);
    return { generation: newest - 1, bytes: before, slotsNumber: older.slotsNumber, recovered: true };
  }
  throw new SealvecError('CONFLICT', `index '${indexName}' changed ${MAX_ATTEMPTS} times while being opened`);
}
