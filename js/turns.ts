/**
 * Turns of the writers of one index, where the platform has locks that tabs share. They save work
 * and nothing rests on them: a commit is safe without (store.ts), and a tab that is suspended with
 * the turn holds up nobody for long.
 */
import { takeTurn } from './platform.js';

/** How long (ms) writers go on taking turns after they were last in each other's way. */
const LASTING = 2000;

export class Turns {
  readonly #name: string;
  #until = -Infinity;

  constructor(name: string) {
    this.#name = name;
  }

  /** Tells that another writer came first. */
  met(): void {
    this.#until = performance.now() + LASTING;
  }

  /** Runs an attempt to commit; `alone` says whether other writers wait for it. */
  async take<T>(work: (alone: boolean) => Promise<T>): Promise<T> {
    return performance.now() < this.#until ? takeTurn(this.#name, work) : work(false);
  }
}
