/** A worker that may fail to load, and a second one that then takes its place. */
import type { Endpoint } from './endpoint.js';

/**
 * Uses the first worker, and the spare one if the first fails before it has said anything. What
 * was posted until then is posted again; it must move nothing. If both fail, the error is that of
 * the first.
 */
export function withSpare(first: () => Endpoint, spare: () => Promise<Endpoint>): Endpoint {
  const posted: unknown[] = [];
  let current: Endpoint | undefined;
  let heard = false;
  let closed = false;
  return {
    post: (message, transfer) => {
      if (!heard) posted.push(message);
      current?.post(message, transfer);
    },
    listen: (onMessage, onError) => {
      const receive = (message: unknown): void => {
        heard = true;
        posted.length = 0;
        onMessage(message);
      };
      const replace = async (failure: unknown): Promise<void> => {
        current?.close();
        current = undefined;
        try {
          const next = await spare();
          if (closed) return next.close();
          current = next;
          next.listen(receive, (error) => onError(heard ? error : failure));
          for (const message of posted) next.post(message);
        } catch {
          onError(failure);
        }
      };
      try {
        const made = first();
        current = made;
        made.listen(receive, (error) => {
          if (heard) onError(error);
          else if (current === made) void replace(error);
        });
      } catch (error) {
        void replace(error);
      }
    },
    close: () => {
      closed = true;
      posted.length = 0;
      current?.close();
    },
  };
}
