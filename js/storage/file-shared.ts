import { open, type FileHandle } from 'node:fs/promises';

/**
 * SharedFiles opens a file once for all who read it at a time: where a query
 * reads forty parts of a file, opening it for each takes as long again.
 */
export class SharedFiles {
  readonly #open = new Map<string, { file: Promise<FileHandle>; readers: number }>();
  readonly #onClosing: (closing: Promise<void>) => void;

  /** onClosing is told of each file that is being closed, which nobody waits for. */
  constructor(onClosing: (closing: Promise<void>) => void) {
    this.#onClosing = onClosing;
  }

  async use<T>(path: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
    const shared = this.#open.get(path) ?? { file: open(path, 'r'), readers: 0 };
    this.#open.set(path, shared);
    shared.readers++;
    try {
      return await work(await shared.file);
    } finally {
      if (--shared.readers === 0) {
        if (this.#open.get(path) === shared) this.#open.delete(path);
        this.#onClosing(shared.file.then((file) => file.close()).catch(() => undefined));
      }
    }
  }

  /** forget has the next reader of a file open it anew: it may be gone by then. */
  forget(path: string): void {
    this.#open.delete(path);
  }
}
