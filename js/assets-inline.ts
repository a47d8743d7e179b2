/** The core and the training worker, carried inside and run by Node. */
import { fromBase64 } from './base64.js';
import { core, worker } from './embedded.js';
import type { Endpoint } from './endpoint.js';
import { startThread } from './node-endpoint.js';

export const DOES_WITHOUT_WORKER = false;

/** The bytes of the core. */
export async function readCore(): Promise<Uint8Array> {
  return fromBase64(core);
}

/** A training worker, where there are threads. */
export function startWorker(): Endpoint | undefined {
  return startThread(new URL(`data:text/javascript,${encodeURIComponent(worker)}`));
}
