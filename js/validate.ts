/** Checks of arguments: each names the argument and says what was expected and what came. */
import { SealvecError } from './errors.js';
import type { AbortSignalLike } from '../types/api.js';

/** How a value is called in an error message. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return value.length > 40 ? `a string of ${value.length}` : `'${value}'`;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${(value as Uint8Array).length})`;
  if (typeof value !== 'object') return typeof value;
  const name = (value as { constructor?: { name?: unknown } }).constructor?.name;
  return typeof name === 'string' && name !== 'Object' ? `a ${name}` : 'an object';
}

/** Throws INVALID_ARGUMENT. */
export function invalid(argument: string, expected: string, got: unknown): never {
  throw new SealvecError('INVALID_ARGUMENT', `${argument}: expected ${expected}, got ${describe(got)}`);
}

/** A plain object; anything else, and any key not in `known`, is refused. */
export function readOptions<K extends string>(
  argument: string, value: unknown, known: readonly K[],
): Partial<Record<K, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
    invalid(argument, 'an options object', value);
  }
  const copy: Partial<Record<K, unknown>> = {};
  for (const key of Object.keys(value)) {
    if (!known.includes(key as K)) {
      throw new SealvecError('INVALID_ARGUMENT', `${argument}: unknown option '${key}'; known are ${known.join(', ')}`);
    }
    copy[key as K] = (value as Record<string, unknown>)[key];
  }
  return copy;
}

export function readInteger(argument: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    invalid(argument, `an integer from ${min} to ${max}`, value);
  }
  return value;
}

/** A number with min <= value <= max, or min < value when `open`. */
export function readNumber(argument: string, value: unknown, min: number, max: number, open = false): number {
  if (typeof value !== 'number' || !(value <= max) || !(open ? value > min : value >= min)) {
    invalid(argument, `a number ${open ? 'above' : 'from'} ${min} ${max === Infinity ? 'up' : `to ${max}`}`, value);
  }
  return value;
}

export function readBoolean(argument: string, value: unknown): boolean {
  if (typeof value !== 'boolean') invalid(argument, 'true or false', value);
  return value;
}

export function readChoice<T extends string>(argument: string, value: unknown, choices: readonly T[]): T {
  if (!choices.includes(value as T)) invalid(argument, `one of ${choices.map((c) => `'${c}'`).join(', ')}`, value);
  return value as T;
}

/** A set of choices, as an array without others in it. */
export function readChoices<T extends string>(argument: string, value: unknown, choices: readonly T[]): Set<T> {
  if (!Array.isArray(value)) invalid(argument, `an array of ${choices.map((c) => `'${c}'`).join(', ')}`, value);
  return new Set(value.map((choice, i) => readChoice(`${argument}[${i}]`, choice, choices)));
}

export function readFunction(argument: string, value: unknown): (...args: never[]) => unknown {
  if (typeof value !== 'function') invalid(argument, 'a function', value);
  return value as (...args: never[]) => unknown;
}

/** A copy of exactly this many bytes. */
export function readKey(argument: string, value: unknown, length: number): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== length) {
    invalid(argument, `a Uint8Array of ${length} bytes`, value);
  }
  return Uint8Array.from(value);
}

const SURROGATE = /\p{Surrogate}/u;
const encoder = new TextEncoder();

/** A string that UTF-8 can hold without loss. */
export function readText(argument: string, value: unknown, maxBytes: number): string {
  if (typeof value !== 'string') invalid(argument, 'a string', value);
  if (SURROGATE.test(value)) invalid(argument, 'well-formed text', 'text with a lone surrogate');
  // At most 3 bytes per UTF-16 unit: only long texts need counting.
  if (value.length * 3 > maxBytes && encoder.encode(value).length > maxBytes) {
    invalid(argument, `at most ${maxBytes} bytes of UTF-8`, value);
  }
  return value;
}

/** A text of at least one character. */
export function readName(argument: string, value: unknown, maxBytes: number): string {
  const text = readText(argument, value, maxBytes);
  if (text === '') invalid(argument, `1 to ${maxBytes} bytes of UTF-8`, value);
  return text;
}

export function readIndexName(value: unknown): string {
  const name = readName('indexName', value, 80);
  if (name.includes('\0')) invalid('indexName', 'text without a NUL character', value);
  return name;
}

/** Distinct ids of 1 to 1,024 bytes, at least one. */
export function readIds(argument: string, value: unknown): string[] {
  if (!Array.isArray(value)) invalid(argument, 'an array of strings', value);
  if (value.length === 0) invalid(argument, 'at least one id', value);
  const ids = Array.from(value, (id, i) => readName(`${argument}[${i}]`, id, 1024));
  if (new Set(ids).size !== ids.length) {
    const seen = new Set<string>();
    const at = ids.findIndex((id) => seen.has(id) || !seen.add(id));
    throw new SealvecError('INVALID_ARGUMENT', `${argument}[${at}]: expected distinct ids, got ${describe(ids[at])} twice`);
  }
  return ids;
}

export function readSignal(value: unknown): AbortSignalLike | undefined {
  if (value === undefined) return undefined;
  const signal = value as AbortSignalLike | null;
  if (typeof signal !== 'object' || signal === null || typeof signal.aborted !== 'boolean' ||
      typeof signal.addEventListener !== 'function') {
    invalid('signal', 'an AbortSignal', value);
  }
  return signal;
}

/** The options every watched call shares. */
export function readWatch(options: { onProgress?: unknown; signal?: unknown }): {
  onProgress: ((progress: { phase: string; fraction: number }) => void) | undefined;
  signal: AbortSignalLike | undefined;
} {
  const { onProgress } = options;
  if (onProgress !== undefined) readFunction('onProgress', onProgress);
  return {
    onProgress: onProgress as ((progress: { phase: string; fraction: number }) => void) | undefined,
    signal: readSignal(options.signal),
  };
}

/** The key of one call. */
export interface CallKey {
  readonly indexKey: Uint8Array;
  readonly userId: Uint8Array | undefined;
}

/** The key options of a call; undefined when it gives none. */
export function readCallKey(options: { indexKey?: unknown; userId?: unknown }): CallKey | undefined {
  const userId = options.userId === undefined ? undefined : readKey('userId', options.userId, 16);
  if (options.indexKey === undefined) {
    if (userId) invalid('indexKey', "the user's key of 32 bytes along with userId", undefined);
    return undefined;
  }
  return { indexKey: readKey('indexKey', options.indexKey, 32), userId };
}
