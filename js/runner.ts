/** Where training tasks run: a worker, or this thread in short steps. One task at a time each. */
import { Core } from './core.js';
import type { Endpoint } from './endpoint.js';
import { fromWire, SealvecError, toWire } from './errors.js';
import { Keyring } from './keys.js';
import type { IndexConfig } from './manifest.js';
import type { ObjectContext } from './object.js';
import { TrainingTasks } from './training-tasks.js';
import type { Reply, Request, Task, TaskResults } from '../types/protocol.js';

/** How long (ms) a worker may take to start. */
const START_TIMEOUT = 15_000;

export interface Runner {
  run<T extends Task>(task: T, onProgress?: (fraction: number) => void): Promise<TaskResults[T['name']]>;
  /** Largest wasm memory so far. */
  readonly memory: number;
  /** Ends at once; what runs rejects. */
  close(reason: unknown): void;
}

/** A runner in a worker of its own. */
export class WorkerRunner implements Runner {
  readonly #endpoint: Endpoint;
  readonly #context: ObjectContext;
  #settle: { resolve: (value: unknown) => void; reject: (error: unknown) => void } | undefined;
  #progress: ((fraction: number) => void) | undefined;
  #ended: { reason: unknown } | undefined;
  memory = 0;

  private constructor(endpoint: Endpoint, context: ObjectContext) {
    this.#endpoint = endpoint;
    this.#context = context;
    endpoint.listen((message) => this.#receive(message as Reply), (error) => this.close(error));
  }

  static async start(endpoint: Endpoint, module: WebAssembly.Module, context: ObjectContext, config: IndexConfig): Promise<WorkerRunner> {
    const runner = new WorkerRunner(endpoint, context);
    const keys = context.keyring.expose();
    const timer = setTimeout(() => runner.close(new SealvecError('UNSUPPORTED',
      `the training worker did not start within ${START_TIMEOUT / 1000} s; pass worker: () => new Worker(...) ` +
      'with the URL of sealvec/worker, or worker: false to train in this thread')), START_TIMEOUT);
    try {
      await runner.#ask({ type: 'start', module, keys, indexId: context.indexId, config });
    } finally {
      clearTimeout(timer);
      for (const [, key] of keys) key.fill(0);
    }
    return runner;
  }

  #ask(request: Request): Promise<unknown> {
    if (this.#ended) return Promise.reject(this.#ended.reason);
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#endpoint.post(request);
    });
  }

  async run<T extends Task>(task: T, onProgress?: (fraction: number) => void): Promise<TaskResults[T['name']]> {
    this.#progress = onProgress;
    return await this.#ask({ type: 'task', task }) as TaskResults[T['name']];
  }

  #receive(reply: Reply): void {
    switch (reply.type) {
      case 'read': return void this.#read(reply);
      case 'progress': return this.#progress?.(reply.fraction);
      case 'failed': return this.#settle?.reject(fromWire(reply.error));
      case 'ready': return this.#settle?.resolve(undefined);
      case 'done':
        this.memory = Math.max(this.memory, reply.memory);
        this.#settle?.resolve(reply.result);
    }
  }

  async #read({ id, key, range }: Extract<Reply, { type: 'read' }>): Promise<void> {
    let answer: Extract<Request, { type: 'bytes' }>;
    try {
      const bytes = await this.#context.storage.read(key, range);
      answer = { type: 'bytes', id, bytes, error: undefined };
    } catch (error) {
      answer = { type: 'bytes', id, bytes: undefined, error: toWire(error) };
    }
    // The bytes are this reader's alone (Storage hands out copies), so they may be moved.
    if (!this.#ended) this.#endpoint.post(answer, answer.bytes ? [answer.bytes.buffer] : []);
  }

  close(reason: unknown): void {
    if (this.#ended) return;
    this.#ended = { reason };
    this.#endpoint.close();
    this.#settle?.reject(reason);
  }
}

/** A runner in this thread: it yields between steps of about 10 ms. */
export class InlineRunner implements Runner {
  readonly #core: Core;
  readonly #keyring: Keyring;
  readonly #tasks: TrainingTasks;
  #progress: ((fraction: number) => void) | undefined;
  #ended: { reason: unknown } | undefined;
  #running = false;

  private constructor(core: Core, keyring: Keyring, context: ObjectContext, config: IndexConfig) {
    this.#core = core;
    this.#keyring = keyring;
    this.#tasks = new TrainingTasks({ ...context, core, keyring }, config, async (fraction) => {
      this.#progress?.(fraction);
      await new Promise((resolve) => { setTimeout(resolve, 0); });
      if (this.#ended) throw this.#ended.reason;
    });
  }

  static async start(module: WebAssembly.Module, context: ObjectContext, config: IndexConfig): Promise<InlineRunner> {
    const core = await Core.instantiate(module);
    const keyring = Keyring.forWorker(core, context.keyring.expose());
    const { storage, indexId } = context;
    return new InlineRunner(core, keyring, { core, keyring, storage, indexId }, config);
  }

  get memory(): number {
    return this.#core.memoryBytes;
  }

  async run<T extends Task>(task: T, onProgress?: (fraction: number) => void): Promise<TaskResults[T['name']]> {
    this.#progress = onProgress;
    this.#running = true;
    try {
      return await this.#tasks.run(task) as TaskResults[T['name']];
    } finally {
      this.#running = false;
      if (this.#ended) this.#keyring.wipe();
    }
  }

  close(reason: unknown): void {
    if (this.#ended) return;
    this.#ended = { reason };
    if (!this.#running) this.#keyring.wipe();
  }
}
