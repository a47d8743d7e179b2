/** Metadata and contents as callers give them become bytes at once. */
import { readText } from './text.js';
import { copyTyped, invalid, isKind, isPlain, reading, refuse } from './validate.js';

const MAX_DEPTH = 32;
const MAX_METADATA = 1 << 20;
const MAX_CONTENTS = 16 << 20;
const TEXT = 1;
const BYTES = 2;
const FORBIDDEN: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

const encoder = /* @__PURE__ */ new TextEncoder();

/**
 * Copies plain JSON data; refuses what JSON cannot hold and what poisons prototypes. It counts
 * what it copies, since an object that names another twice, and so on, is exponentially large.
 */
class JsonCopier {
  #left = MAX_METADATA;

  copy(path: string, value: unknown, depth: number): unknown {
    this.#spend(path, 1);
    if (typeof value === 'string') this.#spend(path, value.length);
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
    if (typeof value === 'number') {
      return Number.isFinite(value) ? value : invalid(path, 'a finite number', value);
    }
    if (typeof value !== 'object') invalid(path, 'JSON data', value);
    if (depth >= MAX_DEPTH) refuse(path, `at most ${MAX_DEPTH} levels`, 'more');
    if (Array.isArray(value)) return this.#array(path, value, depth);
    return this.#object(path, value, depth);
  }

  #spend(path: string, bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0) refuse(path, 'at most 1 MiB of JSON in all', 'more');
  }

  #array(path: string, value: readonly unknown[], depth: number): unknown[] {
    const copy: unknown[] = [];
    const { length } = value;
    for (let i = 0; i < length; i++) copy.push(this.copy(`${path}[${i}]`, value[i], depth + 1));
    return copy;
  }

  #object(path: string, value: object, depth: number): object {
    if (!isPlain(value)) invalid(path, 'a plain object', value);
    const copy: Record<string, unknown> = {};
    for (const key of Object.keys(value)) {
      if (FORBIDDEN.has(key)) refuse(path, `no key '${key}'`, 'one');
      this.#spend(path, key.length);
      const item = value[key];
      if (item !== undefined) copy[key] = this.copy(`${path}.${key}`, item, depth + 1);
    }
    return copy;
  }
}

/** Metadata as JSON bytes; undefined and null are none. */
export function readMetadata(argument: string, value: unknown): Uint8Array | undefined {
  if (value === undefined || value === null) return undefined;
  return reading(argument, () => {
    if (!isPlain(value)) invalid(argument, 'a plain object of JSON data', value);
    const bytes = encoder.encode(JSON.stringify(new JsonCopier().copy(argument, value, 0)));
    if (bytes.length > MAX_METADATA) refuse(argument, 'at most 1 MiB of JSON', 'more');
    return bytes;
  });
}

/** A text that stands for a vector. */
export function readEmbeddable(argument: string, value: unknown): string {
  if (typeof value !== 'string') invalid(argument, 'a text to embed', value);
  return readText(argument, value, MAX_CONTENTS);
}

/** Contents as kind byte and bytes; undefined and null are none. */
export function readContents(argument: string, value: unknown): Uint8Array | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') {
    return withKind(TEXT, encoder.encode(readText(argument, value, MAX_CONTENTS)));
  }
  if (!isKind(value, 'Uint8Array')) invalid(argument, 'a string or a Uint8Array', value);
  const bytes = copyTyped(argument, value, Uint8Array);
  if (bytes.length > MAX_CONTENTS) invalid(argument, `at most ${MAX_CONTENTS} bytes`, bytes);
  return withKind(BYTES, bytes);
}

function withKind(kind: number, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length + 1);
  out[0] = kind;
  out.set(bytes, 1);
  return out;
}
