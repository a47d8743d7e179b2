/** Web Worker and worker_threads as one shape, seen from either side. */
import { SealvecError } from './errors.js';
import type { WorkerLike } from '../types/api.js';

export interface Endpoint {
  post(message: unknown, transfer?: readonly unknown[]): void;
  listen(onMessage: (message: unknown) => void, onError: (error: unknown) => void): void;
  close(): void;
}

export const OTHER_WAYS = 'pass worker: () => new Worker(...) with the URL of sealvec/worker, or ' +
  'worker: false to do without';

/** The caller's side of a Web Worker (or of anything like one). */
export function webEndpoint(worker: WorkerLike): Endpoint {
  return {
    post: (message, transfer) => worker.postMessage(message, transfer ?? []),
    listen: (onMessage, onError) => {
      worker.addEventListener('message', (event) => onMessage(event.data));
      worker.addEventListener('error', (event) => onError(new SealvecError(
        'UNSUPPORTED',
        // A worker whose file cannot be had says nothing at all.
        event.message ? `the training worker failed: ${event.message}`
          : `the training worker could not be loaded; ${OTHER_WAYS}`,
      )));
      worker.addEventListener('messageerror', () => onError(new SealvecError(
        'UNSUPPORTED', 'a message of the training worker could not be read',
      )));
    },
    close: () => void worker.terminate(),
  };
}

/** A Web Worker that may be refused when it is made. */
export function moduleEndpoint(make: () => WorkerLike): Endpoint {
  try {
    return webEndpoint(make());
  } catch (cause) {
    const why = `a training worker cannot be made here (${String(cause)})`;
    throw new SealvecError('UNSUPPORTED', `${why}; ${OTHER_WAYS}`, { cause });
  }
}

/** A Web Worker of a source text. */
export function blobEndpoint(source: string): Endpoint {
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
  const endpoint = moduleEndpoint(() => new Worker(url, { type: 'module' }));
  return { ...endpoint, close: () => { endpoint.close(); URL.revokeObjectURL(url); } };
}

interface Scope {
  postMessage(message: unknown, transfer?: readonly unknown[]): void;
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
}

/** The page as a worker of its own sees it. */
export function scopeEndpoint(): Endpoint {
  const scope = globalThis as unknown as Scope;
  return {
    post: (message, transfer) => scope.postMessage(message, transfer ?? []),
    listen: (onMessage) => scope.addEventListener('message', (event) => onMessage(event.data)),
    close: () => undefined,
  };
}
