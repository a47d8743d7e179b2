/**
 * The only file that touches wasm memory: copy in, call, copy out. Any call may
 * grow the memory, which detaches what is a view of it: these are made anew then,
 * and nothing else keeps one.
 */
import type { CoreExports } from '../types/core.js';
import { SealvecError } from './errors.js';
import type { ErrorCode } from '../types/api.js';

/** What the codes of c/sv.h (SV_ERROR_LIST), -1 and down, are to a caller. */
const CODES: readonly ErrorCode[] = [
  'INVALID_ARGUMENT', 'CORRUPTED', 'WRONG_KEY', 'CORRUPTED', 'CORRUPTED', 'OUT_OF_MEMORY',
  'INVALID_ARGUMENT', 'INVALID_ARGUMENT', 'INVALID_ARGUMENT',
];
const MEANING_BYTES = 64;

type Plain = Uint8Array | Float32Array | Uint32Array | Float64Array;

/** Memory taken piece by piece, and wiped and freed at once. */
export class Arena {
  readonly #core: Core;
  readonly #taken: [number, number][] = [];

  constructor(core: Core) {
    this.#core = core;
  }

  /** Uninitialised bytes, aligned to 16. */
  take(size: number): number {
    const pointer = this.#core.alloc(Math.max(size, 1));
    this.#taken.push([pointer, size]);
    return pointer;
  }

  /** A copy of data. */
  put(data: Plain): number {
    const pointer = this.take(data.byteLength);
    this.#core.write(pointer, data);
    return pointer;
  }

  free(): void {
    for (const [pointer, size] of this.#taken.splice(0)) this.#core.release(pointer, size);
  }
}

export class Core {
  readonly exports: CoreExports;
  #bytes!: Uint8Array;
  #view!: DataView;

  protected constructor(exports: CoreExports) {
    this.exports = exports;
  }

  /** One instance of the compiled core, with a memory of its own. */
  static async instantiate(module: WebAssembly.Module): Promise<Core> {
    let core: Core | undefined;
    const env = { emscripten_notify_memory_growth: () => { if (core) core.#look(); } };
    const instance = await WebAssembly.instantiate(module, { env });
    const exports = instance.exports as unknown as CoreExports;
    exports._initialize?.();
    core = new this(exports);
    core.#look();
    return core;
  }

  /** Takes views of the memory as it is now. */
  #look(): void {
    const { buffer } = this.exports.memory;
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
  }

  /** Size of the whole wasm memory in bytes; it never shrinks. */
  get memoryBytes(): number {
    return this.#bytes.length;
  }

  alloc(size: number): number {
    const pointer = this.exports.sv_alloc(size) >>> 0;
    if (pointer === 0) {
      throw new SealvecError('OUT_OF_MEMORY', `no room for ${size} bytes of wasm memory`);
    }
    return pointer;
  }

  /** Wipes and gives back memory of this size. */
  release(pointer: number, size: number): void {
    if (pointer === 0) return;
    this.clear(pointer, size);
    this.exports.sv_free(pointer);
  }

  write(pointer: number, data: Plain): void {
    this.#bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), pointer);
  }

  /** Copies out: into a new array, or into `out`. */
  bytes(
    pointer: number, length: number, out = new Uint8Array(length),
  ): Uint8Array<ArrayBuffer> {
    out.set(this.#bytes.subarray(pointer, pointer + length));
    return out;
  }

  floats(pointer: number, length: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.exports.memory.buffer, pointer, length).slice();
  }

  doubles(pointer: number, length: number): Float64Array {
    return new Float64Array(this.exports.memory.buffer, pointer, length).slice();
  }

  words(pointer: number, length: number): Uint32Array {
    return new Uint32Array(this.exports.memory.buffer, pointer, length).slice();
  }

  /** A view of all memory, for single numbers. */
  get view(): DataView {
    return this.#view;
  }

  word(pointer: number): number {
    return this.#view.getUint32(pointer, true);
  }

  setWord(pointer: number, value: number): void {
    this.#view.setUint32(pointer, value, true);
  }

  clear(pointer: number, length: number): void {
    this.#bytes.fill(0, pointer, pointer + length);
  }

  /** Copies inside wasm memory; the ranges may overlap. */
  move(to: number, from: number, length: number): void {
    this.#bytes.copyWithin(to, from, from + length);
  }

  /** Memory of one piece of work that may await; `free` wipes and gives it back. */
  arena(): Arena {
    return new Arena(this);
  }

  /** Runs fn with memory that is wiped and freed when it returns or throws. */
  withScratch<T>(fn: (scratch: Arena) => T): T {
    const arena = new Arena(this);
    try {
      return fn(arena);
    } finally {
      arena.free();
    }
  }

  /** Zeroes all memory, stack and freed blocks among it; the instance is of no use afterwards. */
  wipe(): void {
    this.clear(0, this.memoryBytes);
  }

  /** Turns a negative code into the error it stands for; `what` names the object or argument. */
  check(code: number, what: string): number {
    if (code >= 0) return code;
    const text = this.bytes(this.exports.sv_error_meaning(code), MEANING_BYTES);
    const meaning = String.fromCharCode(...text.subarray(0, text.indexOf(0)));
    throw new SealvecError(CODES[-1 - code] ?? 'CORRUPTED', `${what}: ${meaning}`);
  }
}
