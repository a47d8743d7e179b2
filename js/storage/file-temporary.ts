import { readdir, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { codeOf } from './file-io.js';

/** Temporary files: `<host>-<pid>-<random>`, so that it can be told whose they are. */

const DAY = 86_400_000;

/** Loaded by the first create: who only reads shall not wait for it (3 of 11 ms of the import). */
let loading: Promise<typeof import('node:crypto')> | undefined;

function loadCrypto(): Promise<typeof import('node:crypto')> {
  return loading ??= import('node:crypto');
}

/** What stands for this host: a pid means nothing on another. */
async function hostTag(): Promise<string> {
  const { createHash } = await loadCrypto();
  return createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
}

/** The temporary files of this thread, never taken for leftovers. */
const live = new Set<string>();

/** claimTemporary gives a path in folder that nobody else uses or will sweep. */
export async function claimTemporary(folder: string): Promise<string> {
  const [{ randomBytes }, host] = await Promise.all([loadCrypto(), hostTag()]);
  const path = join(folder, `${host}-${process.pid}-${randomBytes(8).toString('hex')}`);
  live.add(path);
  return path;
}

export function releaseTemporary(path: string): void {
  live.delete(path);
}

/** sweep removes what killed processes left in folder. */
export async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (!live.has(path) && (await isLeftover(path, name))) await unlink(path).catch(() => {});
  }
}

/**
 * A temporary file whose process is gone. Of another host, or of our own pid
 * (in containers every process may be number 1), that cannot be known: those
 * are left for a day, far longer than any create takes.
 */
async function isLeftover(path: string, name: string): Promise<boolean> {
  const [, host, pid] = /^([0-9a-f]{8})-([1-9]\d{0,9})-[0-9a-f]{16}$/.exec(name) ?? [];
  if (pid === undefined) return false;
  if (host === await hostTag() && Number(pid) !== process.pid) return !isRunning(Number(pid));
  const info = await stat(path).catch(() => undefined);
  return info !== undefined && info.mtimeMs < Date.now() - DAY;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) !== 'ESRCH';
  }
}
