/** What differs between Node and browsers; this is browsers. */
import { SealvecError } from './errors.js';
import { download } from './download.js';
import { indexedDBStorage } from './storage/indexeddb.js';
import type { Storage, UrlLike } from '../types/api.js';

export { indexedDBStorage };

/** How long (ms) a turn is waited for: a tab that is suspended with it may never give it back. */
const PATIENCE = 300;

interface Locks {
  request<T>(
    name: string, options: { signal: AbortSignal }, work: () => Promise<T>,
  ): Promise<T>;
}

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

/** Runs work while no other tab has the turn of this name; all the same where that is no use. */
export async function takeTurn<T>(name: string, work: (alone: boolean) => Promise<T>): Promise<T> {
  const { navigator } = globalThis as { navigator?: { locks?: Locks } };
  const { locks } = navigator ?? {};
  let begun = false;
  try {
    return await (locks?.request(name, { signal: AbortSignal.timeout(PATIENCE) }, () => {
      begun = true;
      return work(true);
    }) ?? work(false));
  } catch (error) {
    // Only when the turn never came: the wait was too long, or locks are refused here.
    if (begun || !locks) throw error;
    return work(false);
  }
}
