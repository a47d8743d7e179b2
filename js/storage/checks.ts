import type { Part } from '../../types/api.js';
import { SealvecError } from '../errors.js';

/** The argument checks that every storage shares. */

/** Longest key, in characters. */
const MAX_KEY = 400;

const ALLOWED = /^[a-z0-9\-_.%/]*$/;
const EXPECTED =
  `1 to ${MAX_KEY} characters of a-z 0-9 - _ . % / ` + 'without empty, "." or ".." segments';

function invalid(argument: string, expected: string, got: unknown): SealvecError {
  const shown =
    typeof got === 'string'
      ? JSON.stringify(got.length > 80 ? `${got.slice(0, 80)}…` : got)
      : typeof got === 'number'
        ? String(got)
        : got === null
          ? 'null'
          : typeof got;
  return new SealvecError('INVALID_ARGUMENT', `${argument}: expected ${expected}, got ${shown}`);
}

/** checkKey throws INVALID_ARGUMENT for anything that is not an object key. */
export function checkKey(key: unknown, argument = 'key'): asserts key is string {
  if (typeof key !== 'string') throw invalid(argument, 'a string', key);
  const sound =
    key.length <= MAX_KEY &&
    ALLOWED.test(key) &&
    key.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');
  if (!sound) throw invalid(argument, EXPECTED, key);
}

export function checkKeys(keys: unknown): asserts keys is string[] {
  if (!Array.isArray(keys)) throw invalid('keys', 'an array of keys', keys);
  keys.forEach((key, i) => checkKey(key, `keys[${i}]`));
}

/** checkPrefix accepts any beginning of a key, the empty string included. */
export function checkPrefix(prefix: unknown): asserts prefix is string {
  const sound =
    typeof prefix === 'string' &&
    prefix.length <= MAX_KEY &&
    ALLOWED.test(prefix) &&
    prefix
      .split('/')
      .slice(0, -1)
      .every((segment) => segment !== '' && segment !== '.' && segment !== '..');
  if (!sound) throw invalid('prefix', 'the beginning of a key', prefix);
}

export function checkBytes(bytes: unknown): asserts bytes is Uint8Array {
  // By tag, not by class: a Uint8Array of another realm is one too.
  if (Object.prototype.toString.call(bytes) !== '[object Uint8Array]') {
    throw invalid('bytes', 'a Uint8Array', bytes);
  }
}

export function checkRange(range: Part | undefined): void {
  if (range === undefined) return;
  for (const part of ['offset', 'length'] as const) {
    if (!Number.isSafeInteger(range[part]) || range[part] < 0) {
      throw invalid(`range.${part}`, 'a whole number from 0 up', range[part]);
    }
  }
}

export function closedError(): SealvecError {
  return new SealvecError('CLOSED', 'the storage has been closed');
}
