/** AbortSignal, as far as it is used: throw its reason, or race it. */
import type { AbortSignalLike } from '../types/api.js';

class AbortError extends Error {
  override readonly name = 'AbortError';
}

/** What an aborted call rejects with. */
function reasonOf(signal: AbortSignalLike): unknown {
  return signal.reason ?? new AbortError('this operation was aborted');
}

export function throwIfAborted(signal: AbortSignalLike | undefined): void {
  if (signal?.aborted) throw reasonOf(signal);
}

/**
 * The result of work, unless the signal aborts first. `stop` is then called, which ends the work,
 * or answers false when it is too late for that. Work that ends has `patience` ms to clean up
 * before the call rejects; what takes longer goes on behind it.
 */
export async function orAbort<T>(
  signal: AbortSignalLike | undefined, work: Promise<T>, stop: (reason: unknown) => unknown,
  patience = 0,
): Promise<T> {
  if (!signal) return work;
  let listener = (): void => undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const aborted = new Promise<never>((_, reject) => {
    listener = () => {
      const reason = reasonOf(signal);
      if (stop(reason) === false) return;
      if (patience === 0) reject(reason);
      else timer = setTimeout(() => reject(reason), patience);
    };
  });
  if (signal.aborted) listener();
  signal.addEventListener('abort', listener);
  try {
    return await Promise.race([work, aborted]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', listener);
    work.catch(() => undefined);
  }
}
