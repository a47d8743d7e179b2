import type { Stats } from 'node:fs';
import { link, mkdir, open, readdir, rename, rmdir, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Part, Storage } from '../../types/api.js';
import { SealvecError, storageError } from '../errors.js';
import { checkBytes, checkKey, checkKeys, checkPrefix, checkRange, closedError } from './checks.js';
import { codeOf, syncFolder, writeAndSync } from './file-io.js';
import { keyPartOf, pathOf, TEMPORARY } from './file-names.js';
import { FileReader } from './file-reading.js';
import { claimTemporary, releaseTemporary, sweep } from './file-temporary.js';
import { giving } from './typed.js';

/**
 * fileStorage keeps each object in a file under `directory`, which is made on
 * the first create. Any number of processes may use one directory at a time.
 *
 * create writes a file in `.tmp`, syncs it, hard-links it to its name (one of
 * several creators succeeds, and nobody sees half an object), syncs the folder
 * and those it is the first to use, and only then resolves. `bytes` must not
 * change until it does. When it rejects, the object exists whole or not at all.
 *
 * Where there are no hard links (exFAT, some network drives) create claims the
 * name with an empty file and renames the written one over it. There a reader,
 * or a crash between the two steps, can show an empty object for a whole one.
 *
 * A key cannot be the folder of another (`a` beside `a/b`): `STORAGE`.
 */
export function fileStorage(directory: string): Storage {
  if (typeof directory !== 'string' || directory === '') {
    throw new SealvecError('INVALID_ARGUMENT', 'directory: expected the path of a directory');
  }
  return giving(new FileStorage(resolve(directory)));
}

/** Calls at work at a time: each holds a file open, and systems allow as few as 256. */
const MAX_ACTIVE = 64;
/** A folder that vanishes between mkdir and link is remade this often. */
const MAX_ATTEMPTS = 100;

const NO_HARD_LINKS = new Set(['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EXDEV']);
const NO_OBJECT = new Set(['ENOENT', 'ENOTDIR', 'EISDIR']);
// What libuv makes of "invalid function", the answer of FAT to a hard link.
if (process.platform === 'win32') NO_HARD_LINKS.add('EISDIR');

class FileStorage implements Storage {
  readonly #root: string;
  readonly #temporary: string;
  /** Folders known to be durable, each with its identity: another process may remake one. */
  readonly #durable = new Map<string, string>();
  readonly #pending = new Set<Promise<unknown>>();
  readonly #waiting: (() => void)[] = [];
  readonly #files = new FileReader((key) => pathOf(this.#root, key));
  #active = 0;
  #swept = false;
  #closed = false;

  constructor(root: string) {
    this.#root = root;
    this.#temporary = join(root, TEMPORARY);
  }

  async read(
    key: string,
    range?: Part,
  ): Promise<Uint8Array | undefined> {
    checkRange(range);
    return this.#read(key, () => this.#files.read(key, range));
  }

  async readParts(key: string, parts: readonly Part[]): Promise<Uint8Array[] | undefined> {
    parts.forEach(checkRange);
    return this.#read(key, () => this.#files.readParts(key, parts));
  }

  async #read<T>(key: string, read: () => Promise<T>): Promise<T | undefined> {
    if (!this.#files.isOpen(key)) checkKey(key);
    return this.#run(`read ${key}`, async () => {
      try {
        return await read();
      } catch (error) {
        if (NO_OBJECT.has(codeOf(error))) return undefined;
        throw error;
      }
    });
  }

  async create(key: string, bytes: Uint8Array): Promise<boolean> {
    checkKey(key);
    checkBytes(bytes);
    return this.#run(`create ${key}`, async () => {
      const path = pathOf(this.#root, key);
      const temporary = await claimTemporary(this.#temporary);
      try {
        const file = await this.#inside(this.#temporary, () => open(temporary, 'wx'));
        await writeAndSync(file, bytes);
        const created = await this.#publish(temporary, path);
        // Also when another was first: what it made may not be durable yet.
        await this.#persist(dirname(path));
        return created;
      } finally {
        // A leftover does no harm and is swept once this process is gone.
        await unlink(temporary).catch(() => {});
        releaseTemporary(temporary);
        if (!this.#swept) this.#sweepLater();
      }
    });
  }

  async delete(keys: string[]): Promise<void> {
    checkKeys(keys);
    const doomed = keys.map((key) => ({ key, path: pathOf(this.#root, key) }));
    return this.#run('delete', async () => {
      const failures: unknown[] = [];
      for (const { key, path } of doomed) {
        await unlink(path).catch((error: unknown) => {
          if (!NO_OBJECT.has(codeOf(error))) failures.push(error);
        });
        this.#files.forget(key);
      }
      await this.#prune(new Set(doomed.map(({ path }) => dirname(path))));
      if (failures.length > 0) throw failures[0];
    });
  }

  async list(prefix: string): Promise<string[]> {
    checkPrefix(prefix);
    return this.#run(`list ${prefix}`, async () => {
      const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
      const keys: string[] = [];
      await collect(pathOf(this.#root, folder.slice(0, -1)), folder, prefix, keys);
      return keys;
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#pending);
    this.#files.close();
  }

  /** Runs one call when its turn comes, and types what it throws. */
  async #run<T>(what: string, act: () => Promise<T>): Promise<T> {
    if (this.#closed) throw closedError();
    const call = this.#inTurn(act).catch((error: unknown) => {
      throw storageError(`could not ${what}`, error);
    });
    return this.#track(call);
  }

  async #track<T>(call: Promise<T>): Promise<T> {
    this.#pending.add(call);
    try {
      return await call;
    } finally {
      this.#pending.delete(call);
    }
  }

  async #inTurn<T>(act: () => Promise<T>): Promise<T> {
    if (this.#active < MAX_ACTIVE) this.#active++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await act();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#active--;
      else next();
    }
  }

  /** Makes folder when act finds it missing; a delete elsewhere may remove it again. */
  async #inside<T>(folder: string, act: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await act();
      } catch (error) {
        if (codeOf(error) !== 'ENOENT' || attempt === MAX_ATTEMPTS) throw error;
      }
      try {
        await this.#makeFolder(folder);
      } catch (error) {
        if (codeOf(error) !== 'ENOENT' || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  /** Not mkdir's own recursive option: of a read-only disk it says ENOENT. */
  async #makeFolder(folder: string): Promise<void> {
    try {
      await mkdir(folder);
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return;
      if (codeOf(error) !== 'ENOENT' || folder === dirname(folder)) throw error;
      await this.#makeFolder(dirname(folder));
      await mkdir(folder).catch((again: unknown) => {
        if (codeOf(again) !== 'EEXIST') throw again;
      });
    }
    // persist sees to the folders inside the root; those that lead to it are new only here.
    if (folder.length <= this.#root.length) await syncFolder(dirname(folder));
  }

  async #publish(temporary: string, path: string): Promise<boolean> {
    try {
      await this.#inside(dirname(path), () => link(temporary, path));
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return existing(path, error);
      if (!NO_HARD_LINKS.has(codeOf(error))) throw error;
    }
    try {
      await (await this.#inside(dirname(path), () => open(path, 'wx'))).close();
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return existing(path, error);
      throw error;
    }
    try {
      await rename(temporary, path);
    } catch (error) {
      await unlink(path).catch(() => {});
      throw error;
    }
    return true;
  }

  /** Syncs a folder and, where it is new, the folders that lead to it. */
  async #persist(folder: string): Promise<void> {
    const identity = await syncFolder(folder);
    if (identity === undefined || this.#durable.get(folder) === identity) return;
    if (folder !== this.#root) await this.#persist(dirname(folder));
    this.#durable.set(folder, identity);
  }

  /** Removes folders that are empty, upwards, and syncs those that remain. */
  async #prune(folders: Set<string>): Promise<void> {
    const remaining = new Set<string>();
    for (let folder of folders) {
      while (folder !== this.#root) {
        try {
          await rmdir(folder);
        } catch (error) {
          if (codeOf(error) !== 'ENOENT') break;
        }
        this.#durable.delete(folder);
        folder = dirname(folder);
      }
      remaining.add(folder);
    }
    for (const folder of remaining) await syncFolder(folder);
  }

  /** Once per storage, in the background: removes what killed processes left behind. */
  #sweepLater(): void {
    this.#swept = true;
    void this.#track(this.#inTurn(() => sweep(this.#temporary))).catch(() => {});
  }
}

/** The answer of create to a name in use: false, unless it is a folder's. */
async function existing(path: string, error: unknown): Promise<false> {
  let found: Stats;
  try {
    found = await stat(path);
  } catch (gone) {
    if (codeOf(gone) === 'ENOENT') return false;
    throw error;
  }
  if (found.isDirectory()) {
    throw new SealvecError('STORAGE', `${path} is the folder of other objects`, { cause: error });
  }
  return false;
}

async function collect(
  path: string,
  before: string,
  prefix: string,
  keys: string[],
): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
    if (NO_OBJECT.has(codeOf(error))) return [];
    throw error;
  });
  for (const entry of entries) {
    const part = keyPartOf(entry.name, entry.isDirectory());
    if (part === undefined) continue;
    const key = before + part;
    if (!entry.isDirectory()) {
      if (key.startsWith(prefix)) keys.push(key);
    } else if (key.startsWith(prefix) || prefix.startsWith(key)) {
      await collect(join(path, entry.name), key, prefix, keys);
    }
  }
}
