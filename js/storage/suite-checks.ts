import type { Storage } from '../../types/api.js';

/** What the tests of storageSuite share. */

export interface Context {
  storage: Storage;
  reopen(): Promise<Storage>;
  check(condition: boolean, message: string): void;
}

/** Bytes that differ by size, seed and place, so that no mix-up goes unseen. */
export function sample(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2654435761 + length) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export function same(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export function sameKeys(a: string[], b: string[]): boolean {
  return JSON.stringify([...a].sort()) === JSON.stringify([...b].sort());
}

/** The code of what a call rejects with; undefined when it resolves. */
export async function codeOf(call: () => Promise<unknown>): Promise<unknown> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}
