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

/** The result of work, unless the signal aborts first; `onAbort` then stops the work. */
export async function orAbort<T>(
  signal: AbortSignalLike | undefined, work: Promise<T>, onAbort: () => void,
): Promise<T> {
  if (!signal) return work;
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => {
      onAbort();
      reject(reasonOf(signal));
    };
  });
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop);
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
    work.catch(() => undefined);
  }
}
