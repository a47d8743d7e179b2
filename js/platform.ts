/** What differs between Node and browsers; this is Node. Browsers take platform-browser. */
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Endpoint } from './endpoint.js';
import { SealvecError } from './errors.js';
import { fileStorage } from './storage/file.js';
import { indexedDBStorage } from './storage/indexeddb.js';
import type { Storage, UrlLike } from '../types/api.js';

export { fileStorage, indexedDBStorage };

/** The storage that a string names: a directory. */
export function namedStorage(directory: string): Storage {
  return fileStorage(directory);
}

/** The bytes of the core beside this file. */
export async function readCore(): Promise<Uint8Array> {
  return readFile(new URL('./sealvec.wasm', import.meta.url));
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

/** A training worker. */
export function startWorker(): Endpoint {
  // Options of this process, such as --input-type or a loader, are not meant for the worker.
  const worker = new Worker(new URL('./training-worker.js', import.meta.url), { execArgv: [] });
  worker.unref();
  return {
    post: (message, transfer) => worker.postMessage(message, transfer as never),
    listen: (onMessage, onError) => {
      worker.on('message', onMessage);
      worker.on('error', onError);
      worker.on('exit', (code) =>
        onError(new Error(`the training worker ended with code ${code}`)));
    },
    close: () => void worker.terminate(),
  };
}
