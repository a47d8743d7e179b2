/** What differs between Node and browsers; this is browsers. */
import { type Endpoint, OTHER_WAYS, webEndpoint } from './endpoint.js';
import { SealvecError } from './errors.js';
import { indexedDBStorage } from './storage/indexeddb.js';
import type { Storage, UrlLike, WorkerLike } from '../types/api.js';

export { indexedDBStorage };

interface FetchedResponse {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  arrayBuffer(): Promise<ArrayBuffer>;
}

declare const fetch: (url: string) => Promise<FetchedResponse>;
declare const Worker: new (url: URL, options: { type: 'module' }) => WorkerLike;

/** Browsers have no directories. */
export function fileStorage(directory: string): Storage {
  throw new SealvecError('UNSUPPORTED', `storage: '${directory}' is a directory, which browsers ` +
    'do not have; use indexedDBStorage(name)');
}

/** The storage that a string names: a database. */
export function namedStorage(name: string): Storage {
  return indexedDBStorage(name);
}

const FIXES = 'Either serve sealvec.wasm of the package there, as it is; or pass the URL it has ' +
  '(or its bytes, or a WebAssembly.Module) as the wasm option of Client; or keep the bundler ' +
  "from moving the library away from it (Vite: optimizeDeps: { exclude: ['sealvec'] })";

function unreachable(url: string, answer: string, cause?: unknown): SealvecError {
  return new SealvecError('UNSUPPORTED', `wasm: ${url} ${answer}. ${FIXES}`, { cause });
}

function isWasm(bytes: Uint8Array): boolean {
  return bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d;
}

async function download(url: string): Promise<Uint8Array> {
  let response: FetchedResponse;
  let bytes: Uint8Array;
  try {
    response = await fetch(url);
    bytes = new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw unreachable(url, `could not be fetched (${String(cause)})`, cause);
  }
  if (response.ok && isWasm(bytes)) return bytes;
  const type = response.headers.get('content-type') ?? 'none';
  const what = response.ok ? 'which is not WebAssembly' : 'which is no success';
  throw unreachable(url, `answered with status ${response.status}, content-type ${type}, ${what}`);
}

/** The bytes of the core beside this file. */
export async function readCore(): Promise<Uint8Array> {
  return download(new URL('./sealvec.wasm', import.meta.url).href);
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

/** A training worker. */
export function startWorker(): Endpoint {
  try {
    // Bundlers look for exactly this expression.
    return webEndpoint(
      new Worker(new URL('./training-worker.js', import.meta.url), { type: 'module' }),
    );
  } catch (cause) {
    const why = `a training worker cannot be made here (${String(cause)})`;
    throw new SealvecError('UNSUPPORTED', `${why}; ${OTHER_WAYS}`, { cause });
  }
}
