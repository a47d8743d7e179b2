/**
 * The core and the training worker where a page finds them: in files beside this one. What moves
 * this file alone (many bundlers do) leaves them behind, but follows import(); so there is a copy
 * that is imported when a file is not where it should be.
 */
import { fromBase64 } from './base64.js';
import { download } from './download.js';
import { blobEndpoint, type Endpoint, moduleEndpoint } from './endpoint.js';
import { withSpare } from './spare.js';

declare const Worker: new (url: URL, options: { type: 'module' }) => never;

export const DOES_WITHOUT_WORKER = false;

/** The bytes of the core. */
export async function readCore(): Promise<Uint8Array> {
  try {
    return await download(new URL('./sealvec.wasm', import.meta.url).href);
  } catch (error) {
    const copy = await import('./embedded.js').catch(() => { throw error; });
    return fromBase64(copy.core);
  }
}

/** A training worker. */
export function startWorker(): Endpoint {
  return withSpare(
    // Bundlers look for exactly this expression.
    () => moduleEndpoint(() =>
      new Worker(new URL('./training-worker.js', import.meta.url), { type: 'module' })),
    async () => blobEndpoint((await import('./embedded.js')).worker),
  );
}
