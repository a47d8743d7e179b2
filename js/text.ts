/** Checks of texts: names of indexes, ids of items, contents. */
import { invalid, readArray, refuse } from './validate.js';

const MAX_NAME = 80;
const MAX_ID = 1024;

// With the u flag a pair is one character, so that only a lone surrogate matches.
const SURROGATE = /\p{Surrogate}/u;
const encoder = /* @__PURE__ */ new TextEncoder();

/** A string that UTF-8 can hold without loss. */
export function readText(argument: string, value: unknown, maxBytes: number): string {
  if (typeof value !== 'string') invalid(argument, 'a string', value);
  const expected = `at most ${maxBytes} bytes of UTF-8`;
  if (value.length > maxBytes) refuse(argument, expected, `${value.length} characters`);
  if (SURROGATE.test(value)) refuse(argument, 'well-formed text', 'a lone surrogate');
  // At most 3 bytes per UTF-16 unit: only long texts need counting.
  if (value.length * 3 > maxBytes) {
    const bytes = encoder.encode(value).length;
    if (bytes > maxBytes) refuse(argument, expected, `${bytes} bytes`);
  }
  return value;
}

/** A text of at least one character. */
function readName(argument: string, value: unknown, maxBytes: number): string {
  const text = readText(argument, value, maxBytes);
  if (text === '') invalid(argument, `1 to ${maxBytes} bytes of UTF-8`, value);
  return text;
}

export function readIndexName(value: unknown): string {
  const name = readName('indexName', value, MAX_NAME);
  if (name.includes('\0')) refuse('indexName', 'text without a NUL character', 'one with it');
  return name;
}

export function readId(argument: string, value: unknown): string {
  return readName(argument, value, MAX_ID);
}

/** Refuses an id that comes twice; `name` is how the error calls the entry of one. */
export function checkDistinct(ids: readonly string[], name: (at: number) => string): void {
  if (new Set(ids).size === ids.length) return;
  const seen = new Set<string>();
  const at = ids.findIndex((id) => seen.has(id) || !seen.add(id));
  // By place: an id is the caller's data, which messages end up in logs without.
  refuse(name(at), 'an id that no other entry has', `that of ${name(ids.indexOf(ids[at] ?? ''))}`);
}

/** Distinct ids of 1 to 1,024 bytes, at least one. */
export function readIds(value: unknown): string[] {
  const ids = readArray('ids', value, 'an array of strings', (id, i) => readId(`ids[${i}]`, id));
  if (ids.length === 0) invalid('ids', 'at least one id', ids);
  checkDistinct(ids, (at) => `ids[${at}]`);
  return ids;
}
