/** The newest generation committed through each storage of this process, by index. */
import { hex } from './bytes.js';
import type { Storage } from '../types/api.js';

const NAMES = new WeakMap<Uint8Array, string>();
const COMMITTED = new WeakMap<Storage, Map<string, number>>();

/** Tells the other handles of this process of a commit. */
export function tellCommitted(storage: Storage, indexId: Uint8Array, generation: number): void {
  const committed = COMMITTED.get(storage) ?? new Map<string, number>();
  COMMITTED.set(storage, committed.set(hex(indexId), generation));
}

/** Asked for by every query. */
function nameOf(indexId: Uint8Array): string {
  const name = NAMES.get(indexId) ?? hex(indexId);
  NAMES.set(indexId, name);
  return name;
}

/** The last commit of any handle of this process, 0 if there was none. */
export function lastCommitted(storage: Storage, indexId: Uint8Array): number {
  return COMMITTED.get(storage)?.get(nameOf(indexId)) ?? 0;
}
