/** The runners of one training: started, counted, given work, and ended together. */
import { allOf } from './all.js';
import { ExpiredError } from './draft.js';
import type { Endpoint } from './endpoint.js';
import { SealvecError } from './errors.js';
import type { IndexConfig } from './manifest.js';
import { InlineRunner, type OwnContext, type Runner, WorkerRunner } from './runner.js';
import type { ClientSettings } from './settings.js';

/** What follows a piece of work and may overlap with the next one. */
export type Follow = () => Promise<void>;

/** Says which of `count` items each of some runners is to take next; undefined at the end. */
function shareOut(count: number, runners: number): (runner: number) => number | undefined {
  const edge = (runner: number): number => Math.floor(count * runner / runners);
  const left = Array.from({ length: runners }, (_, runner) => (
    Array.from({ length: edge(runner + 1) - edge(runner) }, (__, i) => edge(runner) + i)
  ));
  return (runner) => {
    const own = left[runner]?.shift();
    if (own !== undefined) return own;
    const longest = left.reduce((most, part) => part.length > most.length ? part : most, []);
    return longest.pop();
  };
}

export class Team {
  readonly #settings: ClientSettings;
  readonly #context: OwnContext;
  readonly #epoch: number;
  readonly #started = new WeakSet<Runner>();
  #runners: Runner[] = [];
  #ended: { reason: unknown } | undefined;
  #peak = 0;
  #size = 0;
  /** Whether the work is done in the caller's thread. */
  inline = false;

  constructor(settings: ClientSettings, context: OwnContext) {
    this.#settings = settings;
    this.#context = context;
    this.#epoch = context.keyring.epoch;
  }

  /** Why training failed: if others changed the keys meanwhile, that; workers have no others. */
  blame(error: unknown): unknown {
    const { epoch } = this.#context.keyring;
    return epoch === this.#epoch ? error : new ExpiredError({ cause: error });
  }

  /** Most runners at a time. */
  get size(): number {
    return this.#size;
  }

  /** Most wasm memory of all runners at a time. */
  get peak(): number {
    const now = this.#runners.reduce((sum, { memory }) => sum + memory, 0);
    return Math.max(this.#peak, now);
  }

  get first(): Runner {
    const [runner] = this.#runners;
    if (!runner) throw this.#ended?.reason ?? new SealvecError('CLOSED', 'training has ended');
    return runner;
  }

  get all(): readonly Runner[] {
    return this.#runners;
  }

  /** Makes the first runner, and so finds out whether the caller's thread does the work. */
  recruit(): void {
    if (this.#runners.length === 0 && !this.#ended) this.#runners.push(this.#newRunner());
  }

  /** Starts runners until there are `count`; in the caller's thread there is never but one. */
  async grow(count: number, config: IndexConfig): Promise<void> {
    const module = await this.#settings.module();
    this.recruit();
    while (!this.#ended && !this.inline && this.#runners.length < count) {
      this.#runners.push(this.#newRunner());
    }
    const fresh = this.#runners.filter((runner) => !this.#started.has(runner));
    try {
      await Promise.all(fresh.map((runner) => {
        this.#started.add(runner);
        return runner.start(module, config);
      }));
    } catch (error) {
      if (this.#ended || this.inline || !this.#settings.doesWithoutWorker) throw error;
      // A policy may refuse a worker only when it starts; this thread then takes their place.
      this.dismiss();
      const runner = this.#runHere();
      this.#runners.push(runner);
      this.#started.add(runner);
      await runner.start(module, config);
    }
    if (this.#ended) throw this.#ended.reason;
    this.#size = Math.max(this.#size, this.#runners.length);
  }

  #newRunner(): Runner {
    const endpoint = this.#endpoint();
    return endpoint ? new WorkerRunner(endpoint, this.#context) : this.#runHere();
  }

  #endpoint(): Endpoint | undefined {
    try {
      return this.#settings.startWorker();
    } catch (error) {
      if (this.#settings.doesWithoutWorker) return undefined;
      throw error;
    }
  }

  #runHere(): Runner {
    this.inline = true;
    return new InlineRunner(this.#context);
  }

  /** Ends the runners so far; others may be started. The memory of wasm never shrinks. */
  dismiss(): void {
    this.#peak = this.peak;
    const reason = new SealvecError('CLOSED', 'this worker was dismissed');
    for (const runner of this.#runners) runner.close(reason);
    this.#runners = [];
    this.inline = false;
  }

  /** Ends everything; what runs rejects with the reason. */
  close(reason: unknown): void {
    this.#ended ??= { reason };
    for (const runner of this.#runners) runner.close(reason);
  }

  /**
   * Gives each runner its part of the items, in their order, and then what others have left, from
   * the end. What `work` answers runs beside the runner's
   * next item, one such at a time; the last of them are still running when this resolves, and
   * `rest` waits for them. The first failure ends the team; it is thrown once nothing runs.
   */
  async forEach<T>(
    items: readonly T[], work: (runner: Runner, item: T, at: number) => Promise<Follow>,
  ): Promise<{ rest: Promise<void> }> {
    const next = shareOut(items.length, this.#runners.length);
    const last = this.#runners.map(() => Promise.resolve());
    const loop = async (runner: Runner, i: number): Promise<void> => {
      try {
        for (let at = next(i); at !== undefined; at = next(i)) {
          const follow = await work(runner, items[at] as T, at);
          await last[i];
          last[i] = follow();
          last[i].catch(() => undefined);
        }
      } catch (error) {
        this.close(error);
        throw error;
      }
    };
    const ends = await Promise.allSettled(this.#runners.map(loop));
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed || this.#ended) {
      await Promise.allSettled(last);
      throw this.#ended ? this.#ended.reason : failed?.reason;
    }
    const rest = allOf(last).then(() => undefined);
    rest.catch(() => undefined);
    return { rest };
  }
}
