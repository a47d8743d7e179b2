/** Parts of one stored object, in one call where the storage has one for that. */
import { allOf } from './all.js';
import type { Part, Storage } from '../types/api.js';

/** The bytes of each part; undefined when there is no such object. */
export async function readParts(
  storage: Pick<Storage, 'read' | 'readParts'>, key: string, parts: readonly Part[],
): Promise<Uint8Array[] | undefined> {
  if (storage.readParts) return storage.readParts(key, parts);
  const read = await allOf(parts.map((part) => storage.read(key, part)));
  return read.every((bytes) => bytes !== undefined) ? read : undefined;
}
