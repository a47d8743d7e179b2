/** Giving way on the caller's thread. */

/** Milliseconds of work after which others have their turn. */
const PATIENCE = 5;

/** Lets whatever else waits on this thread run. */
export async function breathe(): Promise<void> {
  await new Promise((resolve) => { setTimeout(resolve, 0); });
}

/** Breathes once in a while; to be called between short pieces of work. */
export class Pace {
  #since = performance.now();

  /** Whether it was time to breathe. */
  async step(): Promise<boolean> {
    if (performance.now() - this.#since < PATIENCE) return false;
    await breathe();
    this.#since = performance.now();
    return true;
  }
}
