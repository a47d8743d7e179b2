/**
 * Checks of arguments: each names the argument and says what was expected and what came. A
 * caller's object is read once, property by property, so that one that changes or runs code when
 * it is read can neither be checked as one thing and used as another, nor throw anything untyped.
 */
import { SealvecError } from './errors.js';
import type { AbortSignalLike, Progress } from '../types/api.js';

type TypedArrayKind = 'Uint8Array' | 'Float32Array' | 'Float64Array';

const readTag = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype) as object, Symbol.toStringTag,
)?.get as (this: unknown) => string | undefined;

/** Which typed array a value is, of whatever realm; a Proxy of one is none. */
function kindOf(value: unknown): string | undefined {
  return readTag.call(value);
}

export function isKind<K extends TypedArrayKind>(
  value: unknown, kind: K,
): value is InstanceType<(typeof globalThis)[K]> {
  return kindOf(value) === kind;
}

function describeObject(value: object): string {
  const kind = kindOf(value);
  if (kind !== undefined) {
    const { buffer, length } = value as Uint8Array;
    try {
      new Uint8Array(buffer);
    } catch {
      return `a detached ${kind}`;
    }
    return `${kind}(${length})`;
  }
  if (Array.isArray(value)) return `an array of ${value.length}`;
  const name = (value as { constructor?: { name?: unknown } }).constructor?.name;
  return typeof name === 'string' && name !== 'Object' ? `a ${name}` : 'an object';
}

/** How a value is called in an error message; a text may be data, which is never quoted. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return `a string of ${value.length}`;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'bigint') return 'a bigint';
  if (typeof value !== 'object') return typeof value;
  try {
    return describeObject(value);
  } catch {
    return 'an object';
  }
}

/** Throws INVALID_ARGUMENT; `got` is said as it is. */
export function refuse(argument: string, expected: string, got: string): never {
  throw new SealvecError('INVALID_ARGUMENT', `${argument}: expected ${expected}, got ${got}`);
}

/** Throws INVALID_ARGUMENT for a value. */
export function invalid(argument: string, expected: string, value: unknown): never {
  return refuse(argument, expected, describe(value));
}

/** What a getter of the caller's that throws makes of its object. */
function unreadable(argument: string, cause: unknown): unknown {
  if (cause instanceof SealvecError) return cause;
  const message = `${argument}: expected data that can be read, got an error on reading it`;
  return new SealvecError('INVALID_ARGUMENT', message, { cause });
}

/** Runs what reads an object of the caller: a getter of it that throws makes it invalid. */
export function reading<T>(argument: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw unreadable(argument, cause);
  }
}

/** Whether an object is a plain one, of whatever realm. */
export function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/**
 * A copy of a plain object; anything else, and any key not in `known`, is refused. `prefix` is what
 * errors put before a key.
 */
export function readOptions<K extends string>(
  argument: string, value: unknown, known: readonly K[], prefix = '',
): Partial<Record<K, unknown>> {
  let at: string | undefined;
  try {
    if (!isPlain(value)) invalid(argument, 'a plain object', value);
    const copy: Partial<Record<K, unknown>> = {};
    for (const key of Object.keys(value)) {
      if (!known.includes(key as K)) {
        refuse(argument, `only ${known.join(', ')}`, `the unknown ${quote(key)}`);
      }
      at = key;
      copy[key as K] = value[key];
      at = undefined;
    }
    return copy;
  } catch (cause) {
    throw unreadable(at === undefined ? argument : prefix + at, cause);
  }
}

/**
 * The entries of an array, of `count` where that is given. Each is read once and by index, so that
 * no iterator of it is run.
 */
export function readArray<T>(
  argument: string, value: unknown, expected: string, read: (entry: unknown, at: number) => T,
  count?: number,
): T[] {
  return reading(argument, () => {
    if (!Array.isArray(value)) invalid(argument, expected, value);
    const { length } = value;
    if (count !== undefined && length !== count) {
      refuse(argument, expected, `an array of ${length}`);
    }
    const entries: T[] = [];
    for (let i = 0; i < length; i++) entries.push(read(value[i], i));
    return entries;
  });
}

export function readInteger(argument: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    invalid(argument, `an integer from ${min} to ${max}`, value);
  }
  return value;
}

/** A number with min <= value <= max, or min < value when `open`. */
export function readNumber(
  argument: string, value: unknown, min: number, max: number, open = false,
): number {
  if (typeof value !== 'number' || !(value <= max) || !(open ? value > min : value >= min)) {
    invalid(argument, `a number ${open ? 'above' : 'from'} ${min} up to ${max}`, value);
  }
  return value;
}

export function readBoolean(argument: string, value: unknown): boolean {
  if (typeof value !== 'boolean') invalid(argument, 'true or false', value);
  return value;
}

/** A text that is no data: a name of an option, or a choice. */
function quote(text: string): string {
  return text.length > 40 ? describe(text) : `'${text}'`;
}

function quoted(choices: readonly string[]): string {
  return choices.map(quote).join(', ');
}

export function readChoice<T extends string>(
  argument: string, value: unknown, choices: readonly T[],
): T {
  if (!choices.includes(value as T)) {
    const got = typeof value === 'string' ? quote(value) : describe(value);
    refuse(argument, `one of ${quoted(choices)}`, got);
  }
  return value as T;
}

/** A set of choices, from an array without others in it. */
export function readChoices<T extends string>(
  argument: string, value: unknown, choices: readonly T[],
): Set<T> {
  return new Set(readArray(argument, value, `an array of ${quoted(choices)}`, (choice, i) =>
    readChoice(`${argument}[${i}]`, choice, choices)));
}

export function readFunction(argument: string, value: unknown): (...args: never[]) => unknown {
  if (typeof value !== 'function') invalid(argument, 'a function', value);
  return value as (...args: never[]) => unknown;
}

/** A copy of exactly this many bytes. */
export function readKey(argument: string, value: unknown, length: number): Uint8Array {
  const expected = `a Uint8Array of ${length} bytes`;
  // What was given for a key may be one, in another form: it is never shown.
  if (typeof value === 'string') refuse(argument, expected, 'a string');
  if (!isKind(value, 'Uint8Array')) invalid(argument, expected, value);
  // The copy is as long as the array itself, whatever its own `length` may claim.
  const copy = copyTyped(argument, value, Uint8Array);
  return copy.length === length ? copy : invalid(argument, expected, copy);
}

/** A copy of a typed array in one go, of one in shared memory too; a detached one is refused. */
export function copyTyped<T extends Uint8Array | Float32Array>(
  argument: string, value: T, kind: new (source: T) => T,
): T {
  try {
    return new kind(value);
  } catch (error) {
    // Constructing from a detached buffer is a TypeError; want of memory is a RangeError.
    if (error instanceof RangeError) {
      throw new SealvecError('OUT_OF_MEMORY', `${argument}: no room for a copy`, { cause: error });
    }
    return invalid(argument, 'an array whose buffer is not detached', value);
  }
}

export interface Watch {
  readonly onProgress: ((progress: Progress) => void) | undefined;
  readonly signal: AbortSignalLike | undefined;
}

const SIGNAL_CALLS = ['addEventListener', 'removeEventListener'] as const;

export function readSignal(value: unknown): AbortSignalLike | undefined {
  if (value === undefined) return undefined;
  return reading('signal', () => {
    const signal = value as AbortSignalLike | null;
    if (typeof signal !== 'object' || signal === null || typeof signal.aborted !== 'boolean' ||
        SIGNAL_CALLS.some((call) => typeof signal[call] !== 'function')) {
      invalid('signal', 'an AbortSignal', value);
    }
    return signal;
  });
}

/** The options every watched call shares. A callback that throws ends the call with its error. */
export function readWatch(options: { onProgress?: unknown; signal?: unknown }): Watch {
  const signal = readSignal(options.signal);
  if (options.onProgress === undefined) return { onProgress: undefined, signal };
  const tell = readFunction('onProgress', options.onProgress) as (progress: Progress) => void;
  const onProgress = (progress: Progress): void => {
    try {
      tell(progress);
    } catch (error) {
      // At the end all is committed: there is nothing left to stop.
      if (progress.fraction < 1) throw error;
    }
  };
  return { onProgress, signal };
}

/** The options of calls that are watched, and of all that need a key. */
export const WATCH = ['onProgress', 'signal'] as const;
export const KEY = ['indexKey', 'userId'] as const;

/** The key of one call. */
export interface CallKey {
  readonly indexKey: Uint8Array;
  readonly userId: Uint8Array | undefined;
}

/** The key options of a call; undefined when it gives none. */
export function readCallKey(
  options: { indexKey?: unknown; userId?: unknown },
): CallKey | undefined {
  const userId = options.userId === undefined ? undefined : readKey('userId', options.userId, 16);
  if (options.indexKey === undefined) {
    if (userId) invalid('indexKey', "the user's key of 32 bytes along with userId", undefined);
    return undefined;
  }
  return { indexKey: readKey('indexKey', options.indexKey, 32), userId };
}
