/** The core and the training worker, carried inside and run by a page. */
import { fromBase64 } from './base64.js';
import { core, worker } from './embedded.js';
import { blobEndpoint, type Endpoint } from './endpoint.js';

/** Workers from a Blob are refused by many policies, and service workers have none. */
export const DOES_WITHOUT_WORKER = true;

/** The bytes of the core. */
export async function readCore(): Promise<Uint8Array> {
  return fromBase64(core);
}

/** A training worker. */
export function startWorker(): Endpoint {
  return blobEndpoint(worker);
}
