// Known secrets, and the search for them in bytes of any kind.

import { toHalf } from './oracle.js';

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** A key, and items of which every part can be recognised. */
export function makeSecrets(next, { count, dimension }) {
  const below = (n) => Math.floor(next() * n);
  const word = (n = 18) => Array.from({ length: n }, () => LETTERS[below(26)]).join('');
  const bytes = (n) => Uint8Array.from({ length: n }, () => below(256));
  const contents = [
    () => undefined, () => `contents-${word()}`, () => bytes(24),
    () => `${'long '.repeat(2000)}${word()}`,
  ];
  const metadata = [
    () => undefined, () => ({ secret: word() }), () => ({ deep: [{ secret: word() }], n: next() }),
  ];
  return {
    key: bytes(32), wrongKey: bytes(32), passphrase: word(30),
    items: Array.from({ length: count }, () => ({
      id: word(), vector: Array.from({ length: dimension }, () => Math.fround(next() - 0.5)),
      metadata: metadata[below(3)](), contents: contents[below(4)](),
    })),
  };
}

const words = ({ metadata }) => JSON.stringify(metadata ?? {}).match(/[a-z]{18}/g) ?? [];

/** Keys as bytes and as the texts that people write them as. */
export function keyForms(name, key) {
  const bytes = Buffer.from(key);
  const hex = bytes.toString('hex');
  const texts = [hex, hex.toUpperCase(), bytes.toString('base64'), bytes.toString('base64url')];
  return [bytes, ...texts.map((text) => Buffer.from(text)), Buffer.from([...bytes].join(','))]
    .map((form) => [name, form]);
}

/** A text in UTF-8 and UTF-16, and as base64 and hexadecimal write it. */
function textForms(name, text) {
  const bytes = Buffer.from(text);
  // Wherever in a longer text it stands, one of three cuts is what base64 makes of it.
  const cuts = [0, 1, 2].map((at) => bytes.subarray(at, at + 15).toString('base64'));
  return [text, bytes.toString('hex'), ...cuts].map((form) => [name, Buffer.from(form)])
    .concat([[name, Buffer.from(text, 'utf16le')]]);
}

/** The bits of the half that is nearest to a number. */
function halfBits(x) {
  const size = Math.abs(toHalf(x));
  const exponent = Math.floor(Math.log2(size));
  const bits = exponent < -14 ? size * 2 ** 24
    : ((exponent + 15) << 10) + (size / 2 ** exponent - 1) * 1024;
  return bits + (x < 0 ? 0x8000 : 0);
}

function vectorForms(vector) {
  const [f32, f64] = [Float32Array.from(vector), Float64Array.from(vector)];
  const forms = [
    Buffer.from(Uint16Array.from(vector.slice(-4), halfBits).buffer),
    Buffer.from(f32.buffer, 0, 12), Buffer.from(f32.buffer, f32.byteLength - 12),
    Buffer.from(f64.buffer, 0, 16), Buffer.from(vector.slice(0, 2).join(',')),
    Buffer.from(vector.slice(0, 2).join(', ')), Buffer.from(String(vector.at(-1))),
  ];
  // A number of few digits is no sign of anything.
  return forms.filter((form) => form.length >= 8).map((form) => ['a vector', form]);
}

/** What must not be found, [what it is, bytes]. */
export function needles({ key, wrongKey, passphrase, items }) {
  return [
    ...keyForms('the index key', key), ...keyForms('a wrong key', wrongKey),
    ...textForms('the passphrase', passphrase),
    ...items.flatMap((item) => [
      ...textForms('an id', item.id), ...vectorForms(item.vector),
      ...words(item).flatMap((text) => textForms('metadata', text)),
      ...(typeof item.contents === 'string' ? textForms('contents', item.contents.slice(-18)) : []),
      ...(typeof item.contents === 'object' ? keyForms('contents', item.contents) : []),
    ]),
  ];
}

/** Looks for many byte strings at once, each of 4 bytes at least. */
export class Finder {
  #pairs = new Uint8Array(65_536);
  #starts = new Map();

  constructor(all) {
    for (const [name, bytes] of all) {
      const start = bytes.readUInt32LE(0);
      this.#pairs[start & 0xffff] = 1;
      const same = this.#starts.get(start);
      if (same) same.push([name, bytes]);
      else this.#starts.set(start, [[name, bytes]]);
    }
  }

  /** What is found first in the bytes, or undefined. */
  find(array) {
    const bytes = Buffer.from(array.buffer, array.byteOffset, array.byteLength);
    const pairs = this.#pairs;
    for (let at = 0; at + 4 <= bytes.length; at++) {
      if (pairs[bytes[at] | bytes[at + 1] << 8] === 0) continue;
      const found = this.#starts.get(bytes.readUInt32LE(at))
        ?.find(([, needle]) => needle.equals(bytes.subarray(at, at + needle.length)));
      if (found) return found[0];
    }
    return undefined;
  }

  /** The same in wasm memory, most of which is zeros. */
  findInMemory({ buffer }) {
    const all = new BigUint64Array(buffer);
    for (let at = 0; at < all.length; at++) {
      if (all[at] === 0n) continue;
      let end = at;
      // A needle has no 64 zeros in it.
      for (let zeros = 0; end < all.length && zeros < 8; end++) {
        zeros = all[end] === 0n ? zeros + 1 : 0;
      }
      const found = this.find(new Uint8Array(buffer, at * 8, (end - at) * 8));
      if (found) return found;
      at = end - 1;
    }
    return undefined;
  }
}

/** How many components of the vectors are in memory, in whatever order they lie. */
export function countComponents({ buffer }, items) {
  const bits = new Set(items.flatMap(({ vector }) => [
    ...new Uint32Array(Float32Array.from(vector).buffer)]));
  const found = new Set();
  for (const word of new Uint32Array(buffer)) if (word !== 0 && bits.has(word)) found.add(word);
  return found.size;
}

/** All that is said of an error, its causes and its stack included. */
export function said(error, depth = 0) {
  if (typeof error !== 'object' || error === null || depth > 5) return String(error);
  const names = [...Object.getOwnPropertyNames(error), 'name', 'message'];
  const own = names.map((name) => `${name}: ${String(error[name])}`);
  let json = '';
  try {
    json = JSON.stringify(error);
  } catch {
    // A cycle: its parts are said one by one.
  }
  return [String(error), ...own, json, said(error.cause ?? '', depth + 1)].join('\n');
}

/** Everything in a message to or from a worker, as bytes. */
export function bytesOf(message, seen = new Set()) {
  if (typeof message === 'string') return Buffer.from(message);
  if (ArrayBuffer.isView(message)) {
    return Buffer.from(message.buffer.slice(
      message.byteOffset, message.byteOffset + message.byteLength));
  }
  if (message instanceof ArrayBuffer) return Buffer.from(message.slice(0));
  if (typeof message !== 'object' || message === null || seen.has(message)) return Buffer.alloc(0);
  seen.add(message);
  const parts = Object.entries(message).flatMap(([key, value]) => [key, value]);
  return Buffer.concat(parts.map((part) => Buffer.concat([bytesOf(part, seen), Buffer.alloc(4)])));
}
