/**
 * Taking the name of an index, and removing it. A mark among its manifests ends an index: from then
 * on it is NOT_FOUND to everyone, a writer under way included, and what is left of it only waits to
 * be deleted. The header goes before the mark, so that a removal that was cut short can be told
 * from an index whose data vanished, and finished by whoever creates an index of that name.
 */
import { hex, sameBytes } from './bytes.js';
import { encodeHeader, headerKey, readIndexId } from './header.js';
import { listManifests, removalKey } from './newest.js';
import type { Storage } from '../types/api.js';

/** Removes all objects of an index. */
export async function removeIndex(
  storage: Storage, indexName: string, indexId: Uint8Array,
): Promise<void> {
  const mark = removalKey(indexId);
  await storage.create(mark, new Uint8Array());
  const keys = await storage.list(`data/${hex(indexId)}/`);
  await storage.delete(keys.filter((key) => key !== mark));
  const header = await storage.read(headerKey(indexName));
  if (header && sameBytes(header, encodeHeader(indexId))) {
    await storage.delete([headerKey(indexName)]);
  }
  await storage.delete([mark]);
}

/** Finishes the removal of an index, if one was begun; whether one was. */
async function finishRemoval(
  storage: Storage, indexName: string, indexId: Uint8Array,
): Promise<boolean> {
  if (!(await listManifests(storage, indexId)).removed) return false;
  await removeIndex(storage, indexName, indexId);
  return true;
}

/** Takes a name for an index whose slots and first manifest are written; false when it is taken. */
export async function takeName(
  storage: Storage, indexName: string, indexId: Uint8Array,
): Promise<boolean> {
  const key = headerKey(indexName);
  if (await storage.create(key, encodeHeader(indexId))) return true;
  const holder = await readIndexId(storage, indexName).catch(() => undefined);
  // A storage that tries again by itself can find what it had made already.
  if (holder && sameBytes(holder, indexId)) return true;
  if (!holder || !(await finishRemoval(storage, indexName, holder))) return false;
  return storage.create(key, encodeHeader(indexId));
}
