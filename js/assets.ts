/**
 * Where the core and the training worker are; here, in files beside this one, read by Node.
 * Browsers take assets-browser, and the builds that carry both inside assets-inline and
 * assets-browser-inline.
 */
import { readFile } from 'node:fs/promises';
import type { Endpoint } from './endpoint.js';
import { startThread } from './node-endpoint.js';

/** Whether training does without a worker where none can be had. */
export const DOES_WITHOUT_WORKER = false;

/** The bytes of the core. */
export async function readCore(): Promise<Uint8Array> {
  return readFile(new URL('./sealvec.wasm', import.meta.url));
}

/** A training worker, where there are threads. */
export function startWorker(): Endpoint | undefined {
  return startThread(new URL('./training-worker-node.js', import.meta.url));
}
