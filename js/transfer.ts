/** Export and import: an index's sealed objects carried from one storage to another, without a key. */
import { throwIfAborted } from './abort.js';
import { SealvecError } from './errors.js';
import { hex } from './bytes.js';
import { manifestPrefix } from './manifest.js';
import { headerKey, MAX_ATTEMPTS, readIndexId } from './store.js';
import { invalid } from './validate.js';
import type { AbortSignalLike, Progress, Storage } from '../types/api.js';

interface Watch {
  readonly onProgress: ((progress: Progress) => void) | undefined;
  readonly signal: AbortSignalLike | undefined;
}

async function copyObject(from: Storage, to: Storage, key: string): Promise<number | undefined> {
  const bytes = await from.read(key);
  if (!bytes) return undefined;
  await to.create(key, bytes);
  return bytes.length;
}

/** Copies all but the manifests that are new since the last round; false when one vanished. */
async function copyRound(from: Storage, to: Storage, keys: readonly string[], copied: Map<string, number>, watch: Watch): Promise<boolean> {
  for (const [at, key] of keys.entries()) {
    throwIfAborted(watch.signal);
    if (!copied.has(key)) {
      const size = await copyObject(from, to, key);
      if (size === undefined) return false;
      copied.set(key, size);
    }
    watch.onProgress?.({ phase: 'copy', fraction: (at + 1) / (keys.length + 2) });
  }
  return true;
}

/**
 * Copies what the newest manifest needs, that manifest, and last the header, so that a copy cut
 * short is no index. Writers may go on meanwhile: a round whose newest manifest was replaced is
 * followed by another.
 */
async function copyIndex(from: Storage, to: Storage, indexName: string, watch: Watch): Promise<{ objects: number; bytes: number }> {
  const indexId = await readIndexId(from, indexName);
  const prefix = manifestPrefix(indexId);
  const copied = new Map<string, number>();
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const keys = await from.list(`data/${hex(indexId)}/`);
    const newest = keys.filter((key) => key.startsWith(prefix)).sort().at(-1);
    if (!newest) throw new SealvecError('NOT_FOUND', `index '${indexName}' has no data in this storage`);
    const objects = keys.filter((key) => !key.startsWith(prefix));
    if (!(await copyRound(from, to, objects, copied, watch))) continue;
    const size = await copyObject(from, to, newest);
    if (size === undefined) continue;
    const stale = [...copied.keys()].filter((key) => !objects.includes(key));
    await to.delete(stale);
    const header = await copyObject(from, to, headerKey(indexName));
    watch.onProgress?.({ phase: 'copy', fraction: 1 });
    const bytes = objects.reduce((sum, key) => sum + (copied.get(key) ?? 0), size + (header ?? 0));
    return { objects: objects.length + 2, bytes };
  }
  throw new SealvecError('CONFLICT', `index '${indexName}' changed ${MAX_ATTEMPTS} times while being copied`);
}

function readTarget(argument: string, value: unknown): Storage {
  const storage = value as Storage | null;
  if (typeof storage !== 'object' || storage === null || typeof storage.create !== 'function') {
    invalid(argument, 'a Storage object', value);
  }
  return storage;
}

/** Copies an index out of `from` into a storage where its name is free. */
export async function exportIndex(from: Storage, indexName: string, to: unknown, watch: Watch): Promise<{ objects: number; bytes: number }> {
  const target = readTarget('to', to);
  await refuseExisting(target, indexName);
  return copyIndex(from, target, indexName, watch);
}

/** Copies an index that was exported into `to`. */
export async function importIndex(to: Storage, indexName: string, from: unknown, watch: Watch): Promise<{ objects: number; bytes: number }> {
  const source = readTarget('from', from);
  await refuseExisting(to, indexName);
  return copyIndex(source, to, indexName, watch);
}

async function refuseExisting(storage: Storage, indexName: string): Promise<void> {
  if (await storage.read(headerKey(indexName))) {
    throw new SealvecError('ALREADY_EXISTS', `an index named '${indexName}' exists in the target`);
  }
}
