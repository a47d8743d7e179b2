/** What differs between Node and browsers; this is browsers. */
import { type Endpoint, webEndpoint } from './endpoint.js';
import { SealvecError } from './errors.js';
import type { Storage, UrlLike, WorkerLike } from '../types/api.js';

declare const fetch: (url: string | UrlLike) => Promise<{ ok: boolean; status: number; arrayBuffer(): Promise<ArrayBuffer> }>;
declare const Worker: new (url: URL, options: { type: 'module' }) => WorkerLike;

/** Browsers have no directories. */
export function fileStorage(directory: string): Storage {
  throw new SealvecError('UNSUPPORTED', `storage: '${directory}' is a directory, which browsers do not have; pass a Storage object`);
}

/** The storage that a string names. */
export function namedStorage(name: string): Storage {
  return fileStorage(name);
}

async function download(place: string | UrlLike): Promise<Uint8Array> {
  const response = await fetch(place);
  if (!response.ok) {
    throw new SealvecError('UNSUPPORTED', `wasm: ${String(place)} answers ${response.status}; pass the wasm option of Client`);
  }
  return new Uint8Array(await response.arrayBuffer());
}

/** The bytes of the core beside this file. */
export async function readCore(): Promise<Uint8Array> {
  return download(new URL('./sealvec.wasm', import.meta.url));
}

/** The bytes of a core that the caller keeps elsewhere. */
export async function readFrom(place: string | UrlLike): Promise<Uint8Array> {
  return download(place);
}

/** How many workers can run at once. */
export function coreCount(): number {
  return (globalThis as { navigator?: { hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ?? 1;
}

/** Browsers have no environment. */
export function environment(): undefined {
  return undefined;
}

/** A training worker. */
export function startWorker(): Endpoint {
  return webEndpoint(new Worker(new URL('./training-worker.js', import.meta.url), { type: 'module' }));
}
