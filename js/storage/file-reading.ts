import { Buffer } from 'node:buffer';
import { closeSync, fstatSync, open, read, readSync } from 'node:fs';

/** Most bytes of one system call; Linux moves 2 GiB less a page at most. */
const MAX_TRANSFER = 2 ** 30;
/** Ranges up to this size are allocated before the size of the file is known. */
const SMALL_RANGE = 2 ** 22;
/** Ranges up to this size are read in this thread, as long as that takes no longer than SLOW ms. */
const SHORT_RANGE = 2 ** 16;
const SLOW = 0.5;
/** Ranges that other threads read after one that was slow here. */
const ELSEWHERE = 1024;
/** Files kept open at a time, and for how long (ms). Windows would not let go of their names. */
const MOST_KEPT = process.platform === 'win32' ? 0 : 32;
const KEPT_FOR = 2000;
/** For how long (ms) a file is taken to have its name still. */
const NAMED_FOR = 0.1;

interface Range {
  readonly offset: number;
  readonly length: number;
}

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
function allocate(length: number): Uint8Array {
  // Not zeroed first: what is handed out was read.
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
}

/** Reads an open file or a part of it; undefined when it is a folder. */
async function readOpen(file: number, range: Range | undefined): Promise<Uint8Array | undefined> {
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
  /** Least recently used first. */
  readonly #open = new Map<string, OpenFile>();
  #elsewhere = 0;
  #closing: ReturnType<typeof setTimeout> | undefined;

  /** read gives the bytes of a file or a part of it; undefined when path is a folder. */
  async read(path: string, range: Range | undefined): Promise<Uint8Array | undefined> {
    const one = this.#find(path);
    one.readers++;
    try {
      const file = one.file ?? await one.opening;
      if (range && this.#isHere(range)) return this.#readHere(file, range);
      return await readOpen(file, range);
    } finally {
      // What is read whole is not read again.
      if (!range || MOST_KEPT === 0) this.#forget(path, one);
      const isLast = --one.readers === 0;
      if (isLast && one.isForgotten) await one.opening.then(closeSync, () => undefined);
    }
  }

  /** The file as it is by now: one without a name may have become another. */
  #find(path: string): OpenFile {
    const known = this.#open.get(path);
    if (!known) return this.#openNew(path);
    if (known.file !== undefined && performance.now() - known.named > NAMED_FOR) {
      if (fstatSync(known.file).nlink === 0) {
        this.#forget(path, known);
        return this.#openNew(path);
      }
      known.named = performance.now();
    }
    this.#open.delete(path);
    this.#open.set(path, known);
    return known;
  }

  #openNew(path: string): OpenFile {
    const made: OpenFile =
      { opening: openFile(path), file: undefined, readers: 0, named: 0, isForgotten: false };
    made.opening.then((file) => { made.file = file; }, () => this.#forget(path, made));
    this.#open.set(path, made);
    for (const [other, one] of this.#open) {
      if (this.#open.size <= Math.max(MOST_KEPT, 1)) break;
      this.#forget(other, one);
    }
    this.#closing ??= setTimeout(() => this.#closeIdle(), KEPT_FOR).unref();
    return made;
  }

  #closeIdle(): void {
    this.#closing = undefined;
    for (const [path, one] of this.#open) if (one.readers === 0) this.#forget(path, one);
    if (this.#open.size > 0) {
      this.#closing = setTimeout(() => this.#closeIdle(), KEPT_FOR).unref();
    }
  }

  /** Whether a range is read in this thread. */
  #isHere({ length }: Range): boolean {
    if (this.#elsewhere > 0) this.#elsewhere--;
    else return length > 0 && length <= SHORT_RANGE;
    return false;
  }

  #readHere(file: number, { offset, length }: Range): Uint8Array {
    const bytes = allocate(length);
    const begun = performance.now();
    let filled = 0;
    for (let n = 1; n > 0 && filled < length; filled += n) {
      n = readSync(file, bytes, filled, length - filled, offset + filled);
    }
    if (performance.now() - begun > SLOW) this.#elsewhere = ELSEWHERE;
    return filled === length ? bytes : bytes.slice(0, filled);
  }

  /** A file that nobody reads is closed at once. */
  #forget(path: string, one: OpenFile): void {
    if (this.#open.get(path) === one) this.#open.delete(path);
    if (one.isForgotten) return;
    one.isForgotten = true;
    if (one.readers === 0 && one.file !== undefined) closeSync(one.file);
  }

  /** forget has the next reader of a file open it anew: it may be gone by then. */
  forget(path: string): void {
    const known = this.#open.get(path);
    if (known) this.#forget(path, known);
  }

  /** close lets go of all files. */
  close(): void {
    clearTimeout(this.#closing);
    for (const [path, one] of this.#open) this.#forget(path, one);
  }
}
