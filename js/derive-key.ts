import { orAbort } from './abort.js';
import { checkSource, loadModule } from './loader.js';
import { stretching } from './parts.js';
import { readText } from './text.js';
import { readInteger, readKey, readOptions, readSignal, refuse } from './validate.js';
import { readWorker } from './workers.js';
import type { DeriveKeyOptions } from '../types/api.js';

const OPTIONS = ['passphrase', 'salt', 'memory', 'passes', 'wasm', 'worker', 'signal'] as const;
const MAX_PASSPHRASE = 4096;
const SALT = 16;

/** What was given may be the passphrase in another form: it is never shown. */
function readPassphrase(value: unknown): string {
  const expected = 'a string that is not empty';
  if (typeof value !== 'string') refuse('passphrase', expected, typeof value);
  if (value === '') refuse('passphrase', expected, 'an empty one');
  return readText('passphrase', value, MAX_PASSPHRASE).normalize('NFKC');
}

/**
 * An index key from a passphrase: 32 bytes by Argon2id, with one lane. The same arguments make the
 * same key on every platform, so keep `salt`, `memory` and `passes` with your data; none of them is
 * secret. Make the salt once per key, from random bytes: it lets nobody prepare guesses in advance,
 * or guess for two keys at once.
 *
 * The passphrase is taken in Unicode form NFKC, because keyboards and systems differ in how they
 * write the same letter: é may be one character or two. No length makes a common phrase strong;
 * where 32 random bytes can be kept, `generateKey` is better.
 *
 * It takes `memory` MB for a fraction of a second at the defaults, in a worker that is ended
 * afterwards. `signal` ends it at once. With `worker: false` this thread stands still meanwhile,
 * and a signal is only looked at before. INVALID_ARGUMENT, OUT_OF_MEMORY, UNSUPPORTED.
 *
 * Source: RFC 9106.
 *
 * @example
 * const salt = crypto.getRandomValues(new Uint8Array(16)); // made once and stored
 * const indexKey = await deriveKey({ passphrase: 'orbit candle mosaic thunder velvet', salt });
 */
export async function deriveKey(options: DeriveKeyOptions): Promise<Uint8Array> {
  if (typeof options !== 'object') refuse('deriveKey', 'a plain object', typeof options);
  const { memory = 64, passes = 3, ...given } = readOptions('deriveKey', options, OPTIONS);
  const text = readPassphrase(given.passphrase);
  const cost = {
    salt: readKey('salt', given.salt, SALT),
    memory: readInteger('memory', memory, 64, 1024),
    passes: readInteger('passes', passes, 2, 16),
  };
  const source = given.wasm === undefined ? undefined : checkSource(given.wasm);
  const worker = readWorker(given.worker);
  const signal = readSignal(given.signal);
  const part = await orAbort(signal, stretching(), () => undefined);
  const module = await orAbort(signal, loadModule(source), () => undefined);
  return part.makeKey({ module, passphrase: text, ...cost }, worker, signal);
}
