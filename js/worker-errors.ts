/** What a worker that fails, or does not even start, is called. */
import { OTHER_WAYS } from './endpoint.js';
import { SealvecError } from './errors.js';

/** How long (ms) a worker may take to start. */
export const START_TIMEOUT = 15_000;

/** What a worker died of, as an error of this library. */
export function workerError(cause: unknown): SealvecError {
  if (cause instanceof SealvecError) return cause;
  const { code, message } = (cause ?? {}) as { code?: unknown; message?: unknown };
  const full = code === 'ERR_WORKER_OUT_OF_MEMORY';
  const reason = typeof message === 'string' ? message : 'no reason given';
  return new SealvecError(
    full ? 'OUT_OF_MEMORY' : 'UNSUPPORTED', `the training worker failed: ${reason}`, { cause },
  );
}

export function tooSlow(): SealvecError {
  const message = `the training worker did not start within ${START_TIMEOUT / 1000} s`;
  return new SealvecError('UNSUPPORTED', `${message}; ${OTHER_WAYS}`);
}
