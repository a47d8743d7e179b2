/** What differs between Node and browsers; this is Node. Browsers take platform-browser. */
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { SealvecError } from './errors.js';
import { fileStorage } from './storage/file.js';
import { indexedDBStorage } from './storage/indexeddb.js';
import type { Storage, UrlLike } from '../types/api.js';

export { fileStorage, indexedDBStorage };

/** The storage that a string names: a directory. */
export function namedStorage(directory: string): Storage {
  return fileStorage(directory);
}

/** The bytes of a core that the caller keeps elsewhere. */
export async function readFrom(place: string | UrlLike): Promise<Uint8Array> {
  const text = typeof place === 'string' ? place : place.href;
  const url = /^[a-z][a-z0-9+.-]+:/i.test(text) ? new URL(text) : undefined;
  if (url && url.protocol !== 'file:') {
    const message = `wasm: in Node give a file or the bytes, got ${url.protocol}`;
    throw new SealvecError('UNSUPPORTED', message);
  }
  return readFile(url ? fileURLToPath(url) : text);
}

/** How many workers can run at once. */
export function coreCount(): number {
  return availableParallelism();
}

/** A setting of the environment, or undefined. */
export function environment(name: string): string | undefined {
  return process.env[name];
}
