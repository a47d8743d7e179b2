/** Workers as a caller asks for them. */
import { DOES_WITHOUT_WORKER, startWorker } from './assets.js';
import { type Endpoint, webEndpoint } from './endpoint.js';
import { readBoolean } from './validate.js';
import type { WorkerLike } from '../types/api.js';

/** Who makes workers: this library, the caller, or with false nobody. */
export type WorkerOption = boolean | (() => WorkerLike);

export function readWorker(value: unknown = true): WorkerOption {
  return typeof value === 'function' ? value as () => WorkerLike : readBoolean('worker', value);
}

/** A new worker, or undefined when the work is to be done in this thread. */
export function newWorker(option: WorkerOption): Endpoint | undefined {
  if (option === false) return undefined;
  return option === true ? startWorker() : webEndpoint(option());
}

/** Whether this thread is to take the place of a worker that cannot be had. */
export function doesWithoutWorker(option: WorkerOption): boolean {
  return DOES_WITHOUT_WORKER && option === true;
}
