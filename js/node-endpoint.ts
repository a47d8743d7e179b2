/** Threads of Node as endpoints, seen from either side. */
import { parentPort, Worker } from 'node:worker_threads';
import type { Endpoint } from './endpoint.js';

/** Kinds of Electron's processes that have threads; plain Node has no kind. */
const THREADED: ReadonlySet<unknown> = new Set([undefined, 'browser', 'utility']);

/**
 * Starts the module at a URL in a thread of its own, which does not keep the process alive.
 * Undefined in Electron's renderers: their preload scripts, pages and workers may have the modules
 * of Node, but no threads.
 */
export function startThread(url: URL): Endpoint | undefined {
  if (!THREADED.has((process as { type?: unknown }).type)) return undefined;
  // Options of this process, such as --input-type or a loader, are not meant for the worker.
  const worker = new Worker(url, { execArgv: [] });
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

/** The thread that started this one. */
export function parentEndpoint(): Endpoint {
  return {
    post: (message, transfer) => parentPort?.postMessage(message, transfer as never),
    listen: (onMessage) => void parentPort?.on('message', onMessage),
    close: () => undefined,
  };
}
