/** Export and import: sealed objects carried from one storage to another, without a key. */
import { throwIfAborted } from './abort.js';
import { hex } from './bytes.js';
import { SealvecError } from './errors.js';
import { headerKey, readIndexId } from './header.js';
import { manifestKey, manifestPrefix } from './manifest.js';
import { listManifests, MAX_ATTEMPTS, type Manifests } from './newest.js';
import { readManifestHeader } from './sealed-manifest.js';
import { slotsKey } from './slots.js';
import type { Watch } from './validate.js';
import type { Storage } from '../types/api.js';

export interface Transferred {
  objects: number;
  bytes: number;
}

interface Commit {
  readonly generation: number;
  /** The key of its slots, which go at once when others take their place. */
  readonly slots: string;
  /** Manifests by key. */
  readonly manifests: ReadonlyMap<string, Uint8Array>;
}

function noData(): SealvecError {
  return new SealvecError('NOT_FOUND', 'the index has no data in this storage');
}

function refuseTaken(indexName: string): never {
  throw new SealvecError('ALREADY_EXISTS', `an index named '${indexName}' exists in the target`);
}

/** One index on its way. What an earlier round copied is not copied again. */
class Copy {
  readonly #from: Storage;
  readonly #to: Storage;
  readonly #watch: Watch;
  readonly #indexId: Uint8Array;
  readonly #prefix: string;
  readonly #manifests: string;
  readonly #copied = new Map<string, number>();

  constructor(from: Storage, to: Storage, indexId: Uint8Array, watch: Watch) {
    this.#from = from;
    this.#to = to;
    this.#watch = watch;
    this.#indexId = indexId;
    this.#prefix = `data/${hex(indexId)}/`;
    this.#manifests = manifestPrefix(indexId);
  }

  /**
   * Copies all that one commit needs; false when too many followed meanwhile. An object that a
   * commit drops is removed by the second one after it: while at most one has followed, whatever
   * vanished was not needed.
   */
  async round(): Promise<boolean> {
    const commit = await this.#readCommit();
    const keys = await this.#from.list(this.#prefix);
    const objects = keys.filter((key) => !key.startsWith(this.#manifests));
    for (const [at, key] of objects.entries()) {
      throwIfAborted(this.#watch.signal);
      if (!this.#copied.has(key)) await this.#copy(key, await this.#from.read(key));
      this.#watch.onProgress?.({ phase: 'copy', fraction: (at + 1) / (objects.length + 1) });
    }
    const [newest = 0] = (await this.#list()).generations;
    if (!commit || newest > commit.generation + 1 || !this.#copied.has(commit.slots)) return false;
    for (const [key, bytes] of commit.manifests) await this.#copy(key, bytes);
    await this.#keepOnly([...objects, ...commit.manifests.keys()]);
    return true;
  }

  async #copy(key: string, bytes: Uint8Array | undefined): Promise<void> {
    if (!bytes) return;
    await this.#to.create(key, bytes);
    this.#copied.set(key, bytes.length);
  }

  async #list(): Promise<Manifests> {
    const manifests = await listManifests(this.#from, this.#indexId);
    if (manifests.removed) throw noData();
    return manifests;
  }

  /**
   * The manifest of the last commit and, where the newest one is torn, that one too, oldest first;
   * undefined when one vanished.
   */
  async #readCommit(): Promise<Commit | undefined> {
    const { generations } = await this.#list();
    if (generations.length === 0) throw noData();
    const manifests: [string, Uint8Array][] = [];
    for (const generation of generations) {
      const key = manifestKey(this.#indexId, generation);
      const bytes = await this.#from.read(key);
      if (!bytes) return undefined;
      manifests.unshift([key, bytes]);
      const header = readManifestHeader(bytes, this.#indexId, generation);
      if (header) {
        const slots = slotsKey(this.#indexId, header.slotsNumber);
        return { generation, slots, manifests: new Map(manifests) };
      }
    }
    throw new SealvecError('CORRUPTED', 'every manifest of the index is cut short');
  }

  /** Removes what an earlier round, or an earlier copy that was cut short, left there. */
  async #keepOnly(keys: readonly string[]): Promise<void> {
    const wanted = new Set(keys);
    const stale = (await this.#to.list(this.#prefix)).filter((key) => !wanted.has(key));
    if (stale.length > 0) await this.#to.delete(stale);
    for (const key of stale) this.#copied.delete(key);
  }

  /** Makes the copy an index. */
  async finish(indexName: string): Promise<Transferred> {
    throwIfAborted(this.#watch.signal);
    const header = await this.#from.read(headerKey(indexName));
    if (!header) throw new SealvecError('NOT_FOUND', `no index named '${indexName}'`);
    if (!(await this.#to.create(headerKey(indexName), header))) refuseTaken(indexName);
    this.#watch.onProgress?.({ phase: 'copy', fraction: 1 });
    const sizes = [...this.#copied.values(), header.length];
    return { objects: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
  }
}

/**
 * Copies the objects of an index, then its newest manifest, and last the header, so that a copy
 * that was cut short is no index. Writers may go on meanwhile.
 */
export async function copyIndex(
  from: Storage, to: Storage, indexName: string, watch: Watch,
): Promise<Transferred> {
  throwIfAborted(watch.signal);
  if (await to.read(headerKey(indexName))) refuseTaken(indexName);
  const copy = new Copy(from, to, await readIndexId(from, indexName), watch);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    if (await copy.round()) return copy.finish(indexName);
  }
  const message = `index '${indexName}' changed ${MAX_ATTEMPTS} times while being copied`;
  throw new SealvecError('CONFLICT', message);
}
