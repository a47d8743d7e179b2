/** Where training tasks run: a worker, or this thread in short steps. One task at a time each. */
import { Pace } from './breathe.js';
import { Core } from './core.js';
import { wipeStack } from './crypto.js';
import type { Endpoint } from './endpoint.js';
import { fromWire, toWire } from './errors.js';
import type { Keyring } from './keyring.js';
import type { IndexConfig } from './manifest.js';
import type { ObjectContext } from './object.js';
import { WorkerKeyring, wipeExposed, wipeKeyring } from './object-keys.js';
import { isGiven } from './storage/typed.js';
import { TrainingTasks } from './training-tasks.js';
import { START_TIMEOUT, tooSlow, workerError } from './worker-errors.js';
import type { Storage } from '../types/api.js';
import type { Reply, Request, Task, TaskResults } from '../types/protocol.js';

type Read = Extract<Reply, { type: 'read' }>;
type OnProgress = (fraction: number) => void;
export type Result<T extends Task> = TaskResults[T['name']];

/** The context of the thread that trains: it has the storage, and the keys that workers need. */
export type OwnContext = ObjectContext & { readonly keyring: Keyring; readonly storage: Storage };

export interface Runner {
  start(module: WebAssembly.Module, config: IndexConfig): Promise<void>;
  run<T extends Task>(task: T, onProgress?: OnProgress): Promise<Result<T>>;
  /** Largest wasm memory so far. */
  readonly memory: number;
  /** Ends at once; what runs rejects. */
  close(reason: unknown): void;
}

/** A runner in a worker of its own. */
export class WorkerRunner implements Runner {
  readonly #endpoint: Endpoint;
  readonly #context: OwnContext;
  #settle: { resolve: (value: unknown) => void; reject: (error: unknown) => void } | undefined;
  #progress: OnProgress | undefined;
  #ended: { reason: unknown } | undefined;
  memory = 0;

  constructor(endpoint: Endpoint, context: OwnContext) {
    this.#endpoint = endpoint;
    this.#context = context;
    endpoint.listen(
      (message) => this.#receive(message as Reply), (error) => this.close(workerError(error)),
    );
  }

  async start(module: WebAssembly.Module, config: IndexConfig): Promise<void> {
    const { keyring, indexId } = this.#context;
    const keys = keyring.expose();
    const timer = setTimeout(() => this.close(tooSlow()), START_TIMEOUT);
    try {
      await this.#ask({ type: 'start', module, keys, indexId, config });
    } finally {
      clearTimeout(timer);
      wipeExposed(keys);
    }
  }

  #ask(request: Request, transfer?: readonly ArrayBuffer[]): Promise<unknown> {
    if (this.#ended) return Promise.reject(this.#ended.reason);
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#endpoint.post(request, transfer);
    });
  }

  async run<T extends Task>(task: T, onProgress?: OnProgress): Promise<Result<T>> {
    this.#progress = onProgress;
    const moved = 'given' in task ? task.given.map(({ buffer }) => buffer) : [];
    return await this.#ask({ type: 'task', task }, moved) as Result<T>;
  }

  #receive(reply: Reply): void {
    if (this.#ended) return;
    switch (reply.type) {
      case 'read': return void this.#read(reply);
      case 'progress': return this.#progress?.(reply.fraction);
      case 'ready': return this.#settle?.resolve(undefined);
      case 'failed':
        this.memory = Math.max(this.memory, reply.memory);
        return this.#settle?.reject(workerError(fromWire(reply.error)));
      case 'done':
        this.memory = Math.max(this.memory, reply.memory);
        this.#settle?.resolve(reply.result);
    }
  }

  async #read({ id, key, range }: Read): Promise<void> {
    let bytes: Uint8Array<ArrayBuffer> | undefined;
    let failed: unknown;
    try {
      const { storage } = this.#context;
      const read = await storage.read(key, range) as Uint8Array<ArrayBuffer> | undefined;
      // Moved as it is or as a copy: what a caller's storage hands out may be what it keeps.
      if (read) bytes = isGiven(storage, read) ? read : new Uint8Array(read);
    } catch (error) {
      failed = error;
    }
    if (this.#ended) return;
    const error = failed === undefined ? undefined : toWire(failed);
    this.#endpoint.post({ type: 'bytes', id, bytes, error }, bytes ? [bytes.buffer] : []);
  }

  close(reason: unknown): void {
    if (this.#ended) return;
    this.#ended = { reason };
    this.#endpoint.close();
    this.#settle?.reject(reason);
  }
}

/** A runner in this thread: it gives way between steps of about 10 ms. */
export class InlineRunner implements Runner {
  readonly #context: OwnContext;
  #core: Core | undefined;
  #keyring: WorkerKeyring | undefined;
  #tasks: TrainingTasks | undefined;
  #progress: OnProgress | undefined;
  #ended: { reason: unknown } | undefined;
  readonly #pace = new Pace();
  #running = false;

  constructor(context: OwnContext) {
    this.#context = context;
  }

  async start(module: WebAssembly.Module, config: IndexConfig): Promise<void> {
    const { storage, indexId, keyring: owner } = this.#context;
    const core = await Core.instantiate(module);
    if (this.#ended) throw this.#ended.reason;
    const keyring = new WorkerKeyring(core, owner.expose());
    this.#core = core;
    this.#keyring = keyring;
    this.#tasks = new TrainingTasks(
      { core, keyring, storage, indexId }, config, (fraction) => this.#tick(fraction),
    );
  }

  async #tick(fraction: number): Promise<void> {
    if (await this.#pace.step()) this.#progress?.(fraction);
    if (this.#ended) throw this.#ended.reason;
  }

  get memory(): number {
    return this.#core?.memoryBytes ?? 0;
  }

  async run<T extends Task>(task: T, onProgress?: OnProgress): Promise<Result<T>> {
    if (this.#ended) throw this.#ended.reason;
    this.#progress = onProgress;
    this.#running = true;
    try {
      return await this.#tasks?.run(task) as Result<T>;
    } finally {
      this.#running = false;
      if (this.#ended) this.#wipe();
    }
  }

  close(reason: unknown): void {
    if (this.#ended) return;
    this.#ended = { reason };
    if (!this.#running) this.#wipe();
  }

  #wipe(): void {
    if (this.#keyring) wipeKeyring(this.#keyring);
    this.#tasks?.wipe();
    if (this.#core) wipeStack(this.#core);
    this.#tasks = undefined;
    this.#core = undefined;
  }
}
