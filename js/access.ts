/**
 * How calls reach an index: under which key, in which order, and what closing waits for.
 *
 * 1. Writes take their place when they are called, whatever they still wait for (a key of their
 *    own to be opened, texts to be embedded): the order of calls is the order of commits.
 * 2. A write that is aborted while it waits for its turn rejects at once and never begins.
 */
import { orAbort, throwIfAborted } from './abort.js';
import type { Bounds } from './bounds.js';
import { SealvecError } from './errors.js';
import type { OpenIndex } from './open-index.js';
import { reading } from './parts.js';
import type { ClientSettings } from './settings.js';
import type { CallKey } from './validate.js';
import type { AbortSignalLike, Embed } from '../types/api.js';

type Work<T> = (index: OpenIndex) => Promise<T>;
type Signal = AbortSignalLike | undefined;

/** What a handle is made of. */
export interface HandleParts {
  readonly open: OpenIndex | undefined;
  /** What the caller knew of the index when it was loaded, which holds for every call. */
  readonly bounds: Omit<Bounds, 'logger'>;
  readonly embed: Embed | undefined;
  /** Called once it is closed. */
  readonly closed: () => unknown;
}

function wipe(key: CallKey | undefined): void {
  key?.indexKey.fill(0);
}

export class Access {
  readonly settings: ClientSettings;
  readonly indexName: string;
  /** The index under the key given at load; undefined for a handle without one. */
  readonly own: OpenIndex | undefined;
  readonly #bounds: HandleParts['bounds'];
  /** Calls under way. */
  #active = 0;
  /** Called once there are none any more. */
  #drained: (() => void) | undefined;
  #writes: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(settings: ClientSettings, indexName: string, { open, bounds }: HandleParts) {
    this.settings = settings;
    this.indexName = indexName;
    this.own = open;
    this.#bounds = bounds;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The index's dimension, or 0 while this handle does not know it. */
  get dimension(): number {
    return this.own?.store.manifest.config.dimension ?? 0;
  }

  check(): void {
    if (this.#closed) throw new SealvecError('CLOSED', `index '${this.indexName}' is closed`);
  }

  /** Runs a call; `drain` waits for it. */
  async track<T>(work: () => Promise<T>): Promise<T> {
    this.check();
    this.#active++;
    try {
      return await work();
    } finally {
      if (--this.#active === 0) this.#drained?.();
    }
  }

  /** Runs a call that writes nothing, or that queues its writes itself. */
  async read<T>(key: CallKey | undefined, signal: Signal, work: Work<T>): Promise<T> {
    try {
      return await this.track(() => {
        throwIfAborted(signal);
        return this.#under(key, work);
      });
    } finally {
      wipe(key);
    }
  }

  /** Runs a call that writes; PERMISSION_DENIED under keys that may not: if byRoot, all users. */
  write<T>(
    key: CallKey | undefined, signal: Signal, work: Work<T>, byRoot = false,
  ): Promise<T> {
    const allowed: Work<T> = async (index) => {
      if (byRoot) index.store.wraps.requireRoot();
      else await index.store.requireWriter();
      return work(index);
    };
    return this.track(() => this.queue(() => this.#under(key, allowed), signal))
      .finally(() => wipe(key));
  }

  /** Queues a write behind those called before it. */
  async queue<T>(work: () => Promise<T>, signal?: Signal): Promise<T> {
    const before = this.#writes;
    const running = orAbort(signal, before, () => undefined).then(() => {
      throwIfAborted(signal);
      return work();
    });
    // Settles after both: a write that is aborted early does not let the next one overtake.
    this.#writes = Promise.allSettled([before, running]).then(() => undefined);
    return running;
  }

  /** Runs work on the index under its own key or, for this call alone, under another. */
  async #under<T>(key: CallKey | undefined, work: Work<T>): Promise<T> {
    if (!key && this.own) return work(this.own);
    if (!key) {
      const message = 'this handle was loaded without a key: give indexKey with the call';
      throw new SealvecError('WRONG_KEY', message);
    }
    const index = await this.#open(key);
    try {
      return await work(index);
    } finally {
      index.close();
    }
  }

  async #open(key: CallKey): Promise<OpenIndex> {
    const options = this.settings.openOptions(this.indexName, key, this.#bounds);
    const module = this.settings.module();
    const { OpenIndex } = await reading();
    return OpenIndex.open(module, options);
  }

  /** Lets no further call in. */
  end(): void {
    this.#closed = true;
  }

  /** Waits for the calls under way, then wipes keys and everything decrypted. */
  async drain(): Promise<void> {
    if (this.#active > 0) await new Promise<void>((resolve) => { this.#drained = resolve; });
    this.own?.close();
  }
}
