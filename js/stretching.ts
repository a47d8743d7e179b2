/** The part that makes keys of passphrases: in a worker, else in this thread. */
import { orAbort } from './abort.js';
import type { Endpoint } from './endpoint.js';
import { fromWire } from './errors.js';
import { stretch } from './stretch.js';
import { START_TIMEOUT, tooSlow, workerError } from './worker-errors.js';
import { doesWithoutWorker, newWorker, type WorkerOption } from './workers.js';
import type { AbortSignalLike } from '../types/api.js';
import type { Reply, StretchRequest } from '../types/protocol.js';

type Wanted = Omit<StretchRequest, 'type' | 'passphrase'> & { readonly passphrase: string };

/** The request for a key, with the passphrase in bytes that are wiped or moved to a worker. */
function requestFor(wanted: Wanted): StretchRequest {
  return { ...wanted, type: 'stretch', passphrase: new TextEncoder().encode(wanted.passphrase) };
}

/** The key that a worker makes. The passphrase is moved to it, not copied. */
async function ask(endpoint: Endpoint, request: StretchRequest): Promise<Uint8Array> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(tooSlow()), START_TIMEOUT);
      endpoint.listen((message) => {
        const reply = message as Reply;
        if (reply.type === 'done') resolve(reply.result as Uint8Array);
        if (reply.type === 'failed') reject(workerError(fromWire(reply.error)));
        if (reply.type === 'ready') clearTimeout(timer);
      }, (error) => reject(workerError(error)));
      endpoint.post(request, [request.passphrase.buffer]);
    });
  } finally {
    clearTimeout(timer);
  }
}

async function inWorker(
  wanted: Wanted, option: WorkerOption, signal: AbortSignalLike | undefined,
): Promise<Uint8Array | undefined> {
  const endpoint = newWorker(option);
  if (!endpoint) return undefined;
  const key = ask(endpoint, requestFor(wanted));
  return orAbort(signal, key, () => undefined).finally(() => endpoint.close());
}

export async function makeKey(
  wanted: Wanted, option: WorkerOption, signal: AbortSignalLike | undefined,
): Promise<Uint8Array> {
  const made = await inWorker(wanted, option, signal).catch((error: unknown) => {
    // A policy may refuse a worker only when it starts; this thread then takes its place.
    if (signal?.aborted || !doesWithoutWorker(option)) throw error;
    return undefined;
  });
  return made ?? stretch(requestFor(wanted));
}
