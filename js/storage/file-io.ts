import { open, type FileHandle } from 'node:fs/promises';

/** File operations with their pitfalls seen to; of storage they know nothing. */

/** Most bytes of one system call; Linux moves 2 GiB less a page at most. */
const MAX_TRANSFER = 2 ** 30;

// EINVAL elsewhere: a file system that has no sync of directories (as PostgreSQL takes it).
const NO_DIRECTORY_SYNC = new Set(process.platform === 'win32' ? ['EPERM', 'EISDIR'] : ['EINVAL']);

/** codeOf is the errno name of an error, such as 'ENOENT'. */
export function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | undefined)?.code);
}

/** writeAndSync writes all of bytes, makes them durable and closes the file. */
export async function writeAndSync(file: FileHandle, bytes: Uint8Array): Promise<void> {
  try {
    for (let at = 0; at < bytes.length; ) {
      const most = Math.min(bytes.length - at, MAX_TRANSFER);
      at += (await file.write(bytes, at, most, at)).bytesWritten;
    }
    // Never a second try: after a failed sync the pages count as clean (ATC'20, Rebello).
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * syncFolder makes the names in a folder durable. It tells which folder it was,
 * as one of the same path may be another later; undefined when it is gone.
 */
export async function syncFolder(path: string): Promise<string | undefined> {
  let folder: FileHandle;
  try {
    folder = await open(path, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    if (NO_DIRECTORY_SYNC.has(codeOf(error))) return '';
    throw error;
  }
  try {
    await folder.sync().catch((error: unknown) => {
      if (!NO_DIRECTORY_SYNC.has(codeOf(error))) throw error;
    });
    const { ino, birthtimeMs } = await folder.stat();
    return `${ino} ${birthtimeMs}`;
  } finally {
    await folder.close();
  }
}
