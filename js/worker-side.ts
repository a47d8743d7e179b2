/**
 * The worker side of training: a core of its own, and storage read through the other side. It also
 * makes keys of passphrases.
 */
import { Core } from './core.js';
import type { Endpoint } from './endpoint.js';
import { toWire } from './errors.js';
import { WorkerKeyring } from './object-keys.js';
import { stretch } from './stretch.js';
import { TrainingTasks } from './training-tasks.js';
import type { Part, Storage } from '../types/api.js';
import type { Reply, Request, WireError } from '../types/protocol.js';

type Start = Extract<Request, { type: 'start' }>;
type Bytes = Extract<Request, { type: 'bytes' }>;

/** What a read failed of on the other side, to be sent back as it came. */
interface RemoteError {
  readonly wire: WireError;
}

/** Reads go to the other side; a worker writes nothing itself. */
class RemoteStorage implements Pick<Storage, 'read'> {
  readonly #post: (reply: Reply) => void;
  readonly #waiting = new Map<number, (answer: Bytes) => void>();
  #next = 0;

  constructor(post: (reply: Reply) => void) {
    this.#post = post;
  }

  async read(key: string, range?: Part): Promise<Uint8Array | undefined> {
    const id = this.#next++;
    const { bytes, error } = await new Promise<Bytes>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#post({ type: 'read', id, key, range });
    });
    if (error) throw { wire: error } satisfies RemoteError;
    return bytes;
  }

  arrived(answer: Bytes): void {
    this.#waiting.get(answer.id)?.(answer);
    this.#waiting.delete(answer.id);
  }
}

/** Milliseconds between two progress messages at least. */
const PROGRESS_INTERVAL = 50;

class WorkerSide {
  readonly #endpoint: Endpoint;
  readonly #storage: RemoteStorage;
  #tasks: TrainingTasks | undefined;
  #core: Core | undefined;
  #told = 0;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
    this.#storage = new RemoteStorage((reply) => this.#post(reply));
  }

  get #memory(): number {
    return this.#core?.memoryBytes ?? 0;
  }

  #post(reply: Reply, transfer?: readonly unknown[]): void {
    this.#endpoint.post(reply, transfer);
  }

  async receive(request: Request): Promise<void> {
    if (request.type === 'bytes') return this.#storage.arrived(request);
    try {
      if (request.type === 'stretch') {
        this.#post({ type: 'ready' });
        const key = await stretch(request);
        return this.#post({ type: 'done', result: key, memory: 0 }, [key.buffer]);
      }
      if (request.type === 'start') {
        await this.#start(request);
        return this.#post({ type: 'ready' });
      }
      const result = await this.#tasks?.run(request.task);
      this.#post({ type: 'done', result, memory: this.#memory }, buffersOf(result));
    } catch (error) {
      const { wire = toWire(error) } = error as Partial<RemoteError>;
      this.#post({ type: 'failed', error: wire, memory: this.#memory });
    }
  }

  async #start({ module, keys, indexId, config }: Start): Promise<void> {
    const core = await Core.instantiate(module);
    this.#core = core;
    const keyring = new WorkerKeyring(core, keys);
    const context = { core, keyring, storage: this.#storage, indexId };
    this.#tasks = new TrainingTasks(context, config, async (fraction) => {
      const now = Date.now();
      if (now - this.#told < PROGRESS_INTERVAL) return;
      this.#told = now;
      this.#post({ type: 'progress', fraction });
    });
  }
}

/** Buffers of a result that are its own, to be moved instead of copied. */
function buffersOf(result: unknown): ArrayBuffer[] {
  if (typeof result !== 'object' || result === null) return [];
  const parts = ArrayBuffer.isView(result) ? [result] : Object.values(result);
  return parts.filter(isWhole).map(({ buffer }) => buffer as ArrayBuffer);
}

/** Whether a value is an array that has its buffer to itself. */
function isWhole(value: unknown): value is ArrayBufferView {
  return ArrayBuffer.isView(value) && value.byteLength > 0 &&
    value.byteLength === value.buffer.byteLength;
}

/** Answers what comes through an endpoint, from now on. */
export function serve(endpoint: Endpoint): void {
  const side = new WorkerSide(endpoint);
  endpoint.listen((message) => void side.receive(message as Request), () => undefined);
}
