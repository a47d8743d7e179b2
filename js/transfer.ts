/** Export and import: sealed objects carried from one storage to another, without a key. */
import { throwIfAborted } from './abort.js';
import { hex } from './bytes.js';
import { SealvecError } from './errors.js';
import { manifestPrefix, readManifestHeader } from './manifest.js';
import { headerKey, MAX_ATTEMPTS, readIndexId } from './store.js';
import type { Watch } from './validate.js';
import type { Storage } from '../types/api.js';

export interface Transferred {
  objects: number;
  bytes: number;
}

/** One way of copying: what was copied so far, and how large it was. */
class Copy {
  readonly #from: Storage;
  readonly #to: Storage;
  readonly #watch: Watch;
  readonly #copied = new Map<string, number>();

  constructor(from: Storage, to: Storage, watch: Watch) {
    this.#from = from;
    this.#to = to;
    this.#watch = watch;
  }

  /** Copies an object unless that was done before; false when it vanished. */
  async object(key: string): Promise<boolean> {
    throwIfAborted(this.#watch.signal);
    if (this.#copied.has(key)) return true;
    const bytes = await this.#from.read(key);
    if (!bytes) return false;
    await this.#to.create(key, bytes);
    this.#copied.set(key, bytes.length);
    return true;
  }

  /** Copies objects in order; false when one vanished. */
  async all(keys: readonly string[]): Promise<boolean> {
    for (const [at, key] of keys.entries()) {
      if (!(await this.object(key))) return false;
      this.#watch.onProgress?.({ phase: 'copy', fraction: (at + 1) / (keys.length + 1) });
    }
    return true;
  }

  /** Removes what an earlier round, or an earlier copy that was cut short, left there. */
  async keepOnly(keys: readonly string[], prefix: string): Promise<void> {
    const wanted = new Set(keys);
    const stale = (await this.#to.list(prefix)).filter((key) => !wanted.has(key));
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

/** Manifests to copy, oldest first: the newest, and where it is torn the one that stands for it. */
async function manifestsOf(
  from: Storage, keys: readonly string[], indexId: Uint8Array,
): Promise<string[] | undefined> {
  const prefix = manifestPrefix(indexId);
  const manifests = keys.filter((key) => key.startsWith(prefix)).sort();
  const newest = manifests.at(-1);
  if (newest === undefined) return [];
  const bytes = await from.read(newest);
  if (!bytes) return undefined;
  const whole = readManifestHeader(bytes, indexId, Number(newest.slice(prefix.length)));
  return manifests.slice(whole ? -1 : -2);
}

function refuseTaken(indexName: string): never {
  throw new SealvecError('ALREADY_EXISTS', `an index named '${indexName}' exists in the target`);
}

/**
 * Copies all objects of an index, then its newest manifest, and last the header, so that a copy cut
 * short is no index. Writers may go on meanwhile: a round from which an object vanished is followed
 * by another.
 */
export async function copyIndex(
  from: Storage, to: Storage, indexName: string, watch: Watch,
): Promise<Transferred> {
  throwIfAborted(watch.signal);
  if (await to.read(headerKey(indexName))) refuseTaken(indexName);
  const indexId = await readIndexId(from, indexName);
  const [prefix, ofManifests] = [`data/${hex(indexId)}/`, manifestPrefix(indexId)];
  const copy = new Copy(from, to, watch);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const keys = await from.list(prefix);
    const manifests = await manifestsOf(from, keys, indexId);
    if (!manifests) continue;
    if (manifests.length === 0) {
      throw new SealvecError('NOT_FOUND', `index '${indexName}' has no data in this storage`);
    }
    const wanted = [...keys.filter((key) => !key.startsWith(ofManifests)), ...manifests];
    if (!(await copy.all(wanted))) continue;
    await copy.keepOnly(wanted, prefix);
    return copy.finish(indexName);
  }
  const message = `index '${indexName}' changed ${MAX_ATTEMPTS} times while being copied`;
  throw new SealvecError('CONFLICT', message);
}
