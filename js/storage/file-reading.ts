import { Buffer } from 'node:buffer';
import { closeSync, fstatSync, open, read } from 'node:fs';

/** Most bytes of one system call; Linux moves 2 GiB less a page at most. */
const MAX_TRANSFER = 2 ** 30;
/** Ranges up to this size are allocated before the size of the file is known. */
const SMALL_RANGE = 2 ** 22;

interface Range {
  readonly offset: number;
  readonly length: number;
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

/** The bytes of a file or a part of it; undefined when it is a folder. */
async function readOpen(file: number, range: Range | undefined): Promise<Uint8Array | undefined> {
  const offset = range?.offset ?? 0;
  let length = range?.length ?? Infinity;
  if (length > SMALL_RANGE || length === 0) {
    const info = fstatSync(file);
    if (info.isDirectory()) return undefined;
    length = Math.max(0, Math.min(length, info.size - offset));
  }
  // Not zeroed first: what is handed out was read.
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
  for (let filled = 0; filled < length;) {
    const n = await readInto(file, bytes, filled, offset + filled);
    if (n === 0) return bytes.slice(0, filled);
    filled += n;
  }
  return bytes;
}

/**
 * FileReader reads files with as few calls to other threads as it takes, each
 * of which costs more than reading a chunk that is in memory. A file of which
 * several parts are read at a time is opened once. What asks a file that is
 * open, or closes it after reading, has nothing to wait for: that is done here.
 */
export class FileReader {
  readonly #open = new Map<string, { file: Promise<number>; readers: number }>();

  /** read gives the bytes of a file or a part of it; undefined when path is a folder. */
  async read(path: string, range: Range | undefined): Promise<Uint8Array | undefined> {
    const shared = this.#open.get(path) ?? { file: openFile(path), readers: 0 };
    this.#open.set(path, shared);
    shared.readers++;
    try {
      return await readOpen(await shared.file, range);
    } finally {
      if (--shared.readers === 0) {
        this.forget(path, shared);
        await shared.file.then(closeSync, () => undefined);
      }
    }
  }

  /** forget has the next reader of a file open it anew: it may be gone by then. */
  forget(path: string, only = this.#open.get(path)): void {
    if (this.#open.get(path) === only) this.#open.delete(path);
  }
}
