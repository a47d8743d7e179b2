import { allOf } from '../all.js';
import type { Part, Storage } from '../../types/api.js';

/**
 * readParts gives parts of one object, in one call where the storage has one
 * for that; undefined when there is no such object.
 */
export async function readParts(
  storage: Pick<Storage, 'read' | 'readParts'>,
  key: string,
  parts: readonly Part[],
): Promise<Uint8Array[] | undefined> {
  if (storage.readParts) return storage.readParts(key, parts);
  const read = await allOf(parts.map((part) => storage.read(key, part)));
  const found = read.filter((bytes) => bytes !== undefined);
  return found.length === parts.length ? found : undefined;
}
