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
/** A worker whose file cannot be had says nothing at all. */
const NOT_LOADED = `the training worker could not be loaded; ${OTHER_WAYS}`;

/** The caller's side of a Web Worker (or of anything like one). */
export function webEndpoint(worker: WorkerLike): Endpoint {
  return {
    post: (message, transfer) => worker.postMessage(message, transfer ?? []),
    listen: (onMessage, onError) => {
      worker.addEventListener('message', (event) => onMessage(event.data));
      worker.addEventListener('error', (event) => onError(new SealvecError(
        'UNSUPPORTED', event.message ? `the training worker failed: ${event.message}` : NOT_LOADED,
      )));
      worker.addEventListener('messageerror', () => onError(new SealvecError(
        'UNSUPPORTED', 'a message of the training worker could not be read',
      )));
    },
    close: () => void worker.terminate(),
  };
}

interface Scope {
  postMessage(message: unknown, transfer?: readonly unknown[]): void;
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
}

interface Port {
  postMessage(message: unknown, transfer?: readonly unknown[]): void;
  on(type: 'message', listener: (message: unknown) => void): void;
}

/** The worker's own side: the port of worker_threads where there is one, else the global scope. */
export async function ownEndpoint(): Promise<Endpoint> {
  const { process } = globalThis as { process?: { versions?: { node?: string } } };
  if (process?.versions?.node !== undefined && !('WorkerGlobalScope' in globalThis)) {
    const name = 'node:worker_threads';
    const threads = await import(/* @vite-ignore */ /* webpackIgnore: true */ name) as unknown;
    const { parentPort } = threads as { parentPort: Port };
    return {
      post: (message, transfer) => parentPort.postMessage(message, transfer),
      listen: (onMessage) => parentPort.on('message', onMessage),
      close: () => undefined,
    };
  }
  const scope = globalThis as unknown as Scope;
  return {
    post: (message, transfer) => scope.postMessage(message, transfer ?? []),
    listen: (onMessage) => scope.addEventListener('message', (event) => onMessage(event.data)),
    close: () => undefined,
  };
}
