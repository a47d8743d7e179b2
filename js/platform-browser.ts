/** What differs between Node and browsers; this is browsers. */
import { SealvecError } from './errors.js';
import { download } from './download.js';
import { indexedDBStorage } from './storage/indexeddb.js';
import type { Storage, UrlLike } from '../types/api.js';

export { indexedDBStorage };

/** Browsers have no directories. */
export function fileStorage(directory: string): Storage {
  throw new SealvecError('UNSUPPORTED', `storage: '${directory}' is a directory, which browsers ` +
    'do not have; use indexedDBStorage(name)');
}

/** The storage that a string names: a database. */
export function namedStorage(name: string): Storage {
  return indexedDBStorage(name);
}

/** The bytes of a core that the caller keeps elsewhere. */
export async function readFrom(place: string | UrlLike): Promise<Uint8Array> {
  return download(typeof place === 'string' ? place : place.href);
}

/** How many workers can run at once. */
export function coreCount(): number {
  const { navigator } = globalThis as { navigator?: { hardwareConcurrency?: number } };
  return navigator?.hardwareConcurrency ?? 1;
}

/** Browsers have no environment. */
export function environment(): undefined {
  return undefined;
}
