import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Every file under a folder. */
export async function filesUnder(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

/**
 * Looks for many byte strings, each of 8 bytes or more, in files, at every offset: a plain search
 * that knows nothing of the formats.
 */
export class NeedleFinder {
  #needles = new Map();
  // One bit per hash of four bytes, so that most offsets cost one look.
  #filter = new Uint8Array(1 << 20);
  found = new Set();
  bytes = 0;

  constructor(needles) {
    for (const needle of needles) {
      if (needle.length < 8) throw new Error(`${needle.length} bytes would be found by chance`);
      const first = Buffer.from(needle.buffer, needle.byteOffset, needle.length).readUInt32LE(0);
      this.#filter[hash(first)] = 1;
      if (!this.#needles.has(first)) this.#needles.set(first, []);
      this.#needles.get(first).push(Buffer.from(needle));
    }
  }

  async scanFile(path) {
    this.scan(await readFile(path));
  }

  scan(bytes) {
    this.bytes += bytes.length;
    let window = 0;
    for (let end = 0; end < bytes.length; end++) {
      window = (window >>> 8) | (bytes[end] << 24);
      if (end < 3 || this.#filter[hash(window)] === 0) continue;
      const at = end - 3;
      for (const needle of this.#needles.get(window >>> 0) ?? []) {
        if (needle.equals(bytes.subarray(at, at + needle.length))) {
          this.found.add(needle.toString('latin1'));
        }
      }
    }
  }
}

function hash(word) {
  return Math.imul(word, 0x9e3779b1) >>> 12;
}
