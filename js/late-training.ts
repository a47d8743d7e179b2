/** A training whose code may still have to be loaded. */
import { training } from './parts.js';
import type { Training } from './training.js';
import type { TrainResult } from '../types/api.js';

type Part = Awaited<ReturnType<typeof training>>;

export class LateTraining {
  /** Settles when nothing of this training runs any more; that may be after `run` rejected. */
  settled: Promise<void> = Promise.resolve();
  readonly #make: (part: Part) => Training;
  #training: Training | undefined;
  #stopped: { reason: unknown } | undefined;

  constructor(make: (part: Part) => Training) {
    this.#make = make;
  }

  run(): Promise<TrainResult> {
    const running = this.#run();
    const settle = (): Promise<void> | undefined => this.#training?.settled;
    this.settled = running.then(settle, settle);
    return running;
  }

  async #run(): Promise<TrainResult> {
    const part = await training();
    if (this.#stopped) throw this.#stopped.reason;
    this.#training = this.#make(part);
    return this.#training.run();
  }

  /** Ends training; `run` rejects with the reason unless it is too late. */
  stop(reason: unknown): void {
    this.#stopped ??= { reason };
    this.#training?.stop(reason);
  }
}
