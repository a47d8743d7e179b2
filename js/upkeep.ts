/** Training and merging of one handle: never both at once, and neither after it is closed. */
import type { Access } from './access.js';
import { SealvecError } from './errors.js';
import { LateTraining } from './late-training.js';
import { liveRows, type Manifest } from './manifest.js';
import type { OpenIndex } from './open-index.js';
import { reading, writing } from './parts.js';
import type { Snapshot } from './snapshot.js';
import { chooseLists, readTrainPlan, type TrainPlan } from './train-plan.js';
import type { TrainResult } from '../types/api.js';

/** Vectors above which searching without lists is worth a warning. */
const UNTRAINED_WARNING = 50_000;
/** Share of the rows that come or go until the sizes of lists are looked at again. */
const LOOK_AGAIN = 1 / 16;

export class Upkeep {
  readonly #access: Access;
  #warned = false;
  #training: LateTraining | undefined;
  /** Rows of the index when the sizes of its lists were last looked at. */
  #lookedAt = 0;

  constructor(access: Access) {
    this.#access = access;
  }

  get isTraining(): boolean {
    return this.#training !== undefined;
  }

  /** Says once that training is due. */
  warnUntrained({ logger }: OpenIndex, { nLists, liveCount }: Snapshot): void {
    if (this.#warned || nLists > 0 || liveCount <= UNTRAINED_WARNING) return;
    this.#warned = true;
    logger.warn('Warning: querying untrained index with more than 50000 indexed vectors.');
  }

  refuseTraining(): void {
    if (!this.#training) return;
    const message = `index '${this.#access.indexName}' is being trained`;
    throw new SealvecError('TRAINING_IN_PROGRESS', message);
  }

  async train(index: OpenIndex, plan: TrainPlan): Promise<TrainResult> {
    await index.store.requireWriter();
    this.#access.check();
    this.refuseTraining();
    const training = new LateTraining(({ Training }) =>
      new Training(index, this.#access.settings, plan, (work) => this.#access.queue(work)));
    const running = training.run();
    this.#training = training;
    // An aborted training may still be cleaning up when it has rejected.
    void this.#access.track(() => training.settled);
    try {
      return await running;
    } finally {
      this.#training = undefined;
      await this.#merge(index);
    }
  }

  /** Ends training, if any is under way, and waits until nothing of it runs any more. */
  async stop(reason: string): Promise<void> {
    const training = this.#training;
    training?.stop(new SealvecError('CLOSED', reason));
    await training?.settled;
  }

  /** Keeps the index in shape after a write; to be called within its turn. */
  async afterWrite(index: OpenIndex): Promise<void> {
    await this.#merge(index);
    if (index === this.#access.own) this.#trainWhenDue(index);
    // Should the handle's own key open the index no more, its own calls will say so.
    else await this.#access.own?.store.refresh().catch(() => undefined);
  }

  /**
   * Merges segments and splits lists: in the background behind the writes so far, but under a key
   * that is there for one call only, at once.
   */
  async #merge(index: OpenIndex): Promise<void> {
    const work = async (): Promise<void> => {
      if (this.#training || this.#access.closed) return;
      const { chooseMerge } = await reading();
      const look = this.#mayHaveOutgrown(index.store.manifest);
      if (!look && chooseMerge(index.store.manifest).length === 0) return;
      const { maintain, splitLists } = await writing();
      if (look) await splitLists(index);
      await maintain(index);
    };
    const { own } = this.#access;
    const merging = (index === own ? this.#inBackground(work) : work()).catch((error: unknown) => {
      const { message } = error as Error;
      index.logger.warn(`Warning: merging segments failed: ${message}`);
    });
    if (index !== own) await merging;
  }

  /** Whether so many rows came or went that some lists may have outgrown the others. */
  #mayHaveOutgrown({ clustering, segments }: Manifest): boolean {
    const rows = segments.reduce((sum, entry) => sum + entry.rows, 0);
    const due = Math.abs(rows - this.#lookedAt) > rows * LOOK_AGAIN;
    if (due) this.#lookedAt = rows;
    return due && clustering !== undefined;
  }

  async #inBackground(work: () => Promise<void>): Promise<void> {
    if (!this.#access.closed) await this.#access.track(() => this.#access.queue(work));
  }

  /** An index with autoTrain trains itself once it is large, and again as it outgrows its lists. */
  #trainWhenDue(index: OpenIndex): void {
    const { settings, indexName } = this.#access;
    const { config, clustering } = index.store.manifest;
    const count = liveRows(index.store.manifest);
    const large = count > settings.retrainThreshold && count >= settings.minTrainVectors;
    const outgrown = chooseLists(count) > (clustering?.nLists ?? 0);
    if (!config.autoTrain || !large || !outgrown || this.#training || this.#access.closed) return;
    const plan = readTrainPlan({});
    this.#access.track(() => this.train(index, plan)).catch((error: unknown) => {
      if (this.#access.closed) return;
      const { message } = error as Error;
      index.logger.warn(`Warning: training index '${indexName}' failed: ${message}`);
    });
  }
}
