import { Buffer } from 'node:buffer';
import { closeSync, fstatSync, open, read, readSync } from 'node:fs';
import type { Part } from '../../types/api.js';
import { allOf } from '../all.js';

/** Most bytes of one system call; Linux moves 2 GiB less a page at most. */
const MAX_TRANSFER = 2 ** 30;
/** Ranges up to this size are allocated before the size of the file is known. */
const SMALL_RANGE = 2 ** 22;
/** Ranges up to this size are read in this thread, as long as that takes no longer than SLOW ms. */
const SHORT_RANGE = 2 ** 16;
const SLOW = 0.5;
/** Memory that short parts are read into, one after another. */
const SLAB = 2 ** 18;
/** Ranges that other threads read after one that was slow here. */
const ELSEWHERE = 1024;
/** Files kept open at a time, and for how long (ms). Windows would not let go of their names. */
const MOST_KEPT = process.platform === 'win32' ? 0 : 32;
const KEPT_FOR = 2000;
/** For how long (ms) a file is taken to have its name still. */
const NAMED_FOR = 0.1;

/** A file of which ranges are read. */
interface OpenFile {
  readonly opening: Promise<number>;
  file: number | undefined;
  readers: number;
  /** When it was seen to have its name. */
  named: number;
  /** Whether it is to be closed when its last reader is done. */
  isForgotten: boolean;
}

function openFile(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, 'r', (error, file) => (error ? reject(error) : resolve(file)));
  });
}

/** Reads into bytes from `filled` on; how many came. */
function readInto(
  file: number, bytes: Uint8Array, filled: number, position: number,
): Promise<number> {
  const most = Math.min(bytes.length - filled, MAX_TRANSFER);
  return new Promise((resolve, reject) => {
    read(file, bytes, filled, most, position, (error, n) => (error ? reject(error) : resolve(n)));
  });
}

/** Memory that is filled at once. */
function allocate(length: number): Uint8Array<ArrayBuffer> {
  // Not zeroed first: what is handed out was read.
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
}

/** Reads an open file or a part of it; undefined when it is a folder. */
async function readOpen(file: number, range: Part | undefined): Promise<Uint8Array | undefined> {
  const offset = range?.offset ?? 0;
  let length = range?.length ?? Infinity;
  if (length > SMALL_RANGE || length === 0) {
    const info = fstatSync(file);
    if (info.isDirectory()) return undefined;
    length = Math.max(0, Math.min(length, info.size - offset));
  }
  const bytes = allocate(length);
  for (let filled = 0; filled < length;) {
    const n = await readInto(file, bytes, filled, offset + filled);
    if (n === 0) return bytes.slice(0, filled);
    filled += n;
  }
  return bytes;
}

/**
 * FileReader reads files with as few calls to other threads as it takes: each
 * costs ten times what reading a chunk takes that is in memory. So short ranges
 * are read here until one is slow, as it is where it comes from a disk; others
 * read the next thousand then. Files of which ranges are read stay open for a
 * while, as long as they have a name.
 */
export class FileReader {
  readonly #pathOf: (key: string) => string;
  /** Least recently used first. */
  readonly #open = new Map<string, OpenFile>();
  #elsewhere = 0;
  #slab = new Uint8Array();
  #slabUsed = 0;
  #closing: ReturnType<typeof setTimeout> | undefined;

  /** pathOf says where the file of a key is. */
  constructor(pathOf: (key: string) => string) {
    this.#pathOf = pathOf;
  }

  /** read gives the bytes of a file or a part of it; undefined when the key is a folder's. */
  async read(key: string, range: Part | undefined): Promise<Uint8Array | undefined> {
    return this.#use(key, async (file) => (range && this.#isHere(range)
      ? this.#readHere(file, range, allocate(range.length))
      : readOpen(file, range)
      // What is read whole is not read again.
    ), !range);
  }

  /** readParts gives parts of a file; undefined when the key is a folder's. */
  async readParts(key: string, parts: readonly Part[]): Promise<Uint8Array[] | undefined> {
    return this.#use(key, async (file) => {
      const read = new Array<Uint8Array | undefined>(parts.length);
      const away: (readonly [number, Part])[] = [];
      for (const [i, part] of parts.entries()) {
        if (this.#isHere(part)) read[i] = this.#readHere(file, part, this.#take(part.length));
        else away.push([i, part]);
      }
      if (away.length > 0) {
        await allOf(away.map(async ([i, part]) => { read[i] = await readOpen(file, part); }));
      }
      return read.every((bytes) => bytes !== undefined) ? read : undefined;
    });
  }

  /** Runs fn with an open file, which is closed afterwards if it is wanted `once`. */
  async #use<T>(key: string, fn: (file: number) => Promise<T>, once = false): Promise<T> {
    const one = this.#find(key);
    one.readers++;
    try {
      return await fn(one.file ?? await one.opening);
    } finally {
      if (once || MOST_KEPT === 0) this.#forget(key, one);
      const isLast = --one.readers === 0;
      if (isLast && one.isForgotten) await one.opening.then(closeSync, () => undefined);
    }
  }

  /** The file as it is by now: one without a name may have become another. */
  #find(key: string): OpenFile {
    const known = this.#open.get(key);
    if (!known) return this.#openNew(key);
    if (known.file !== undefined && performance.now() - known.named > NAMED_FOR) {
      if (fstatSync(known.file).nlink === 0) {
        this.#forget(key, known);
        return this.#openNew(key);
      }
      known.named = performance.now();
    }
    this.#open.delete(key);
    this.#open.set(key, known);
    return known;
  }

  #openNew(key: string): OpenFile {
    const made: OpenFile = {
      opening: openFile(this.#pathOf(key)),
      file: undefined, readers: 0, named: 0, isForgotten: false,
    };
    made.opening.then((file) => { made.file = file; }, () => this.#forget(key, made));
    this.#open.set(key, made);
    for (const [other, one] of this.#open) {
      if (this.#open.size <= Math.max(MOST_KEPT, 1)) break;
      this.#forget(other, one);
    }
    this.#closing ??= setTimeout(() => this.#closeIdle(), KEPT_FOR).unref();
    return made;
  }

  #closeIdle(): void {
    this.#closing = undefined;
    for (const [key, one] of this.#open) if (one.readers === 0) this.#forget(key, one);
    if (this.#open.size > 0) {
      this.#closing = setTimeout(() => this.#closeIdle(), KEPT_FOR).unref();
    }
  }

  /** Whether a range is read in this thread. */
  #isHere({ length }: Part): boolean {
    if (this.#elsewhere > 0) this.#elsewhere--;
    else return length > 0 && length <= SHORT_RANGE;
    return false;
  }

  /** Memory for a part, of a piece for many: to get one costs more than to fill it. */
  #take(length: number): Uint8Array {
    if (length > this.#slab.length - this.#slabUsed) {
      this.#slab = allocate(SLAB);
      this.#slabUsed = 0;
    }
    this.#slabUsed += length;
    return this.#slab.subarray(this.#slabUsed - length, this.#slabUsed);
  }

  #readHere(file: number, { offset, length }: Part, bytes: Uint8Array): Uint8Array {
    const begun = performance.now();
    let filled = 0;
    for (let n = 1; n > 0 && filled < length; filled += n) {
      n = readSync(file, bytes, filled, length - filled, offset + filled);
    }
    if (performance.now() - begun > SLOW) this.#elsewhere = ELSEWHERE;
    return filled === length ? bytes : bytes.slice(0, filled);
  }

  /** A file that nobody reads is closed at once. */
  #forget(key: string, one: OpenFile): void {
    if (this.#open.get(key) === one) this.#open.delete(key);
    if (one.isForgotten) return;
    one.isForgotten = true;
    if (one.readers === 0 && one.file !== undefined) closeSync(one.file);
  }

  /** isOpen says whether the file of a key is open, which it is for a while after it was read. */
  isOpen(key: string): boolean {
    return this.#open.has(key);
  }

  /** forget has the next reader of a file open it anew: it may be gone by then. */
  forget(key: string): void {
    const known = this.#open.get(key);
    if (known) this.#forget(key, known);
  }

  /** close lets go of all files. */
  close(): void {
    clearTimeout(this.#closing);
    for (const [key, one] of this.#open) this.#forget(key, one);
  }
}
