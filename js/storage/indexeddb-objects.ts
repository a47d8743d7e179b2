/**
 * Objects in an IndexedDB database, one transaction per call.
 *
 *   objects   key           → { size, bytes }   bytes when size ≤ PART_BYTES
 *                           → { size }          otherwise, and then
 *   parts     [key, number] → PART_BYTES bytes each, the last one the rest
 *
 * 1. A part is small because a value is fetched whole: reading 64 KiB takes 1.5 ms out of parts of
 *    256 KiB, 2.2 of 512 KiB, 3.4 of 1 MiB and 17 out of one value of 8 MiB (Chromium 156), while
 *    writing and reading whole objects gains nothing above 256 KiB.
 * 2. Parts are handed over one at a time. All 8 MiB of an object at once would hold up the thread
 *    for 60 ms; so, no step takes more than a few.
 * 3. Values are ArrayBuffers of their own: cloning a view would store all of the buffer under it.
 */
import type { DBSchema, IDBPDatabase, IDBPTransaction } from 'idb';
import { SealvecError } from '../errors.js';
import type { Part } from '../../types/api.js';

interface StoredObject {
  readonly size: number;
  readonly bytes?: ArrayBuffer;
}

export interface Schema extends DBSchema {
  objects: { key: string; value: StoredObject };
  parts: { key: [key: string, number: number]; value: ArrayBuffer };
}

export type Database = IDBPDatabase<Schema>;
export type Durability = 'strict' | 'relaxed';
/** Bytes [from, to) of an object. */
interface Span {
  readonly from: number;
  readonly to: number;
}

type Stores = ('objects' | 'parts')[];
type Reading = IDBPTransaction<Schema, Stores, 'readonly'>;
type Writing = IDBPTransaction<Schema, Stores, 'readwrite'>;

const STORES: Stores = ['objects', 'parts'];
export const PART_BYTES = 256 * 1024;
/** Parts that are fetched at a time. */
const WINDOW = 16;
/** Larger sizes are damage: no ArrayBuffer of a browser holds more. */
const MAX_SIZE = 2 ** 33;

export function createStores(db: Database): void {
  for (const name of STORES) db.createObjectStore(name);
}

export function hasStores(db: Database): boolean {
  return STORES.every((name) => db.objectStoreNames.contains(name));
}

/** Parts of an object, as Storage.readParts. */
export async function readObjectParts(
  db: Database,
  key: string,
  wanted: readonly Part[],
): Promise<Uint8Array[] | undefined> {
  const tx = db.transaction(STORES, 'readonly');
  // Its requests tell what went wrong.
  tx.done.catch(() => undefined);
  const found = await tx.objectStore('objects').get(key);
  if (found === undefined) return undefined;
  const { size, bytes } = checkObject(key, found);
  const spans = wanted.map(({ offset, length }) => {
    const from = Math.min(offset, size);
    return { from, to: Math.min(from + length, size) };
  });
  if (bytes) return spans.map(({ from, to }) => new Uint8Array(bytes.slice(from, to)));
  return readStored(tx, key, size, spans);
}

/** Bytes of an object, as Storage.read. */
export async function readObject(
  db: Database,
  key: string,
  range: Part = { offset: 0, length: Infinity },
): Promise<Uint8Array | undefined> {
  return (await readObjectParts(db, key, [range]))?.[0];
}

function checkObject(key: string, { size, bytes }: StoredObject): StoredObject {
  const sound = bytes
    ? bytes.byteLength === size
    : Number.isSafeInteger(size) && size > PART_BYTES && size <= MAX_SIZE;
  if (!sound) throw new SealvecError('CORRUPTED', `object ${key} is damaged`);
  return { size, ...(bytes && { bytes }) };
}

/** Bytes of an object that is stored in parts, each of which is fetched once. */
async function readStored(
  tx: Reading,
  key: string,
  size: number,
  spans: readonly Span[],
): Promise<Uint8Array[]> {
  const outs = spans.map(({ from, to }) => new Uint8Array(to - from));
  const parts = tx.objectStore('parts');
  const copy = async (number: number): Promise<void> => {
    const start = number * PART_BYTES;
    const part = await parts.get([key, number]);
    if (part?.byteLength !== Math.min(PART_BYTES, size - start)) {
      throw new SealvecError('CORRUPTED', `part ${number} of object ${key} is damaged or missing`);
    }
    spans.forEach(({ from, to }, i) => {
      if (from >= start + part.byteLength || to <= start) return;
      const wanted = new Uint8Array(part).subarray(Math.max(from - start, 0), to - start);
      outs[i]?.set(wanted, Math.max(start - from, 0));
    });
  };
  const numbers = numbersOf(spans);
  for (let at = 0; at < numbers.length; at += WINDOW) {
    await Promise.all(numbers.slice(at, at + WINDOW).map(copy));
  }
  return outs;
}

/** Numbers of the parts in which the spans lie. */
function numbersOf(spans: readonly Span[]): number[] {
  const numbers = new Set<number>();
  for (const { from, to } of spans) {
    const end = from < to ? Math.ceil(to / PART_BYTES) : 0;
    for (let number = Math.floor(from / PART_BYTES); number < end; number++) numbers.add(number);
  }
  return [...numbers];
}

/** Makes an object; false when the key exists. All of it is committed, or nothing. */
export async function addObject(
  db: Database,
  key: string,
  bytes: Uint8Array,
  durability: Durability,
): Promise<boolean> {
  const cut = (from: number, to: number): ArrayBuffer =>
    new Uint8Array(bytes.subarray(from, to)).buffer;
  const size = bytes.length;
  try {
    await write(db, durability, async (tx) => {
      const inline = size <= PART_BYTES;
      await tx.objectStore('objects').add({ size, ...(inline && { bytes: cut(0, size) }) }, key);
      for (let from = 0; !inline && from < size; from += PART_BYTES) {
        await tx.objectStore('parts').put(cut(from, from + PART_BYTES), [key, from / PART_BYTES]);
      }
    });
    return true;
  } catch (error) {
    if ((error as { name?: unknown } | null)?.name === 'ConstraintError') return false;
    throw error;
  }
}

export async function deleteObjects(
  db: Database,
  keys: readonly string[],
  durability: Durability,
): Promise<void> {
  if (keys.length === 0) return;
  await write(db, durability, async (tx) => {
    await Promise.all(keys.flatMap((key) => [
      tx.objectStore('objects').delete(key),
      tx.objectStore('parts').delete(IDBKeyRange.bound([key, 0], [key, Infinity])),
    ]));
  });
}

/** Keys that begin with prefix; keys are ASCII. */
export async function listObjects(db: Database, prefix: string): Promise<string[]> {
  return db.getAllKeys('objects', IDBKeyRange.bound(prefix, `${prefix}\uffff`));
}

/** Runs act in a transaction and waits until that is committed, or throws why it was not. */
async function write(
  db: Database,
  durability: Durability,
  act: (tx: Writing) => Promise<void>,
): Promise<void> {
  const tx = db.transaction(STORES, 'readwrite', { durability });
  // Not tx.done: it rejects before the abort that says why, such as a quota.
  tx.done.catch(() => undefined);
  const ended = new Promise<DOMException | null | undefined>((resolve) => {
    tx.addEventListener('complete', () => resolve(undefined));
    tx.addEventListener('abort', () => resolve(tx.error));
  });
  let failure: unknown;
  try {
    await act(tx);
  } catch (error) {
    failure = error ?? new SealvecError('STORAGE', 'the transaction failed');
    try {
      // What was written so far would be committed otherwise.
      tx.abort();
    } catch {
      // A failed request has aborted it already.
    }
  }
  const error = await ended;
  if (error === undefined) return;
  throw error ?? failure ?? new DOMException('the transaction was aborted', 'AbortError');
}
