import assert from 'node:assert/strict';
import { fork, spawnSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import nodeFs from 'node:fs';
import * as fsp from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { hostname, tmpdir } from 'node:os';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SealvecError } from '../../build/js/errors.js';
import { fileStorage } from '../../build/js/storage/file.js';
import { memoryStorage } from '../../build/js/storage/memory.js';
import { storageSuite } from '../../build/js/storage/suite.js';

const SELF = fileURLToPath(import.meta.url);
const LINUX = process.platform === 'linux';
const ROOT_USER = process.getuid?.() === 0;

/** Runs body while files that are opened for reading are counted: now, at most, all told. */
async function countingReads(body) {
  const count = { now: 0, most: 0, all: 0 };
  const mine = new Set();
  const { open, closeSync } = nodeFs;
  const opened = (path, flags, done) => open(path, flags, (error, file) => {
    if (!error) count.most = Math.max(count.most, mine.add(file).size);
    count.now = mine.size;
    count.all++;
    done(error, file);
  });
  const closed = (file) => {
    closeSync(file);
    mine.delete(file);
    count.now = mine.size;
  };
  await withFaults({ open: opened, closeSync: closed }, () => body(count), nodeFs);
  return count;
}

/** An object that tells whether it is whole: its key's number, over and over. */
function object(number, size = 300_000) {
  return new Uint8Array(new Uint32Array(size / 4).fill(number).buffer);
}

function isWhole(bytes, number, size) {
  return Buffer.compare(Buffer.from(bytes), Buffer.from(object(number, size))) === 0;
}

// Run as a child process: create the objects asked for, and tell which were won.
if (process.argv[2] === 'child') {
  const storage = fileStorage(process.argv[3]);
  process.on('message', async ({ from, to, fill }) => {
    const numbers = Array.from({ length: to - from }, (_, i) => from + i);
    const won = await Promise.all(numbers.map((i) => storage.create(`o/${i}`, object(fill, 3000))));
    process.send(numbers.filter((_, i) => won[i]));
  });
  process.send('ready');
} else if (process.argv[2] === 'endless') {
  const storage = fileStorage(process.argv[3]);
  process.send('ready');
  for (let i = Number(process.argv[4]); ; i++) await storage.create(`o/${i}`, object(i));
} else {
  await tests();
}

async function child(...args) {
  const process = fork(SELF, args.map(String));
  await once(process, 'message');
  return process;
}

async function inDirectory(body) {
  const directory = await fsp.mkdtemp(join(tmpdir(), 'sealvec-'));
  try {
    await body(directory);
  } finally {
    await fsp.rm(directory, { recursive: true, force: true });
  }
}

/** Replaces functions of node:fs/promises for the time of body. */
async function withFaults(faults, body, fs = fsp.default) {
  const kept = Object.fromEntries(Object.keys(faults).map((name) => [name, fs[name]]));
  Object.assign(fs, faults);
  syncBuiltinESMExports();
  try {
    return await body();
  } finally {
    Object.assign(fs, kept);
    syncBuiltinESMExports();
  }
}

function errno(code) {
  return Object.assign(new Error(`${code}: simulated`), { code });
}

async function rejection(promise, code) {
  const error = await promise.then(() => assert.fail(`expected ${code}`), (reason) => reason);
  assert.ok(error instanceof SealvecError, String(error?.stack));
  assert.equal(error.code, code, error.message);
  return error;
}

/** Every file under a directory, temporary ones included. */
async function filesIn(directory) {
  const entries = await fsp.readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

async function tests() {
  describe('memory storage', () => {
    storageSuite({
      test,
      async open() {
        const storage = memoryStorage();
        return { storage, reopen: async () => storage };
      },
    });
  });

  describe('file storage', () => {
    storageSuite({ test, open: openFile });
  });

  describe('file storage without hard links', () => {
    const link = () => Promise.reject(errno('EPERM'));
    storageSuite({
      test: (name, body) => test(name, () => withFaults({ link }, body)),
      open: openFile,
    });
  });

  describe('file storage on disk', fileTests);
  describe('file storage and faults', faultTests);
  describe('file storage and temporary files', temporaryTests);
}

async function openFile() {
  const directory = await fsp.mkdtemp(join(tmpdir(), 'sealvec-'));
  const storage = fileStorage(join(directory, 'made/on demand'));
  return {
    storage,
    async reopen() {
      await storage.close();
      return fileStorage(join(directory, 'made/on demand'));
    },
    destroy: () => fsp.rm(directory, { recursive: true }),
  };
}

function fileTests() {
  test('reads and lists nothing, and makes nothing, where there is no directory', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(join(directory, 'absent'));
      assert.equal(await storage.read('a'), undefined);
      assert.deepEqual(await storage.list(''), []);
      await storage.delete(['a']);
      assert.deepEqual(await fsp.readdir(directory), []);
    }));

  test('refuses a directory that is not a path', () => {
    assert.throws(() => fileStorage(''), { code: 'INVALID_ARGUMENT' });
    assert.throws(() => fileStorage(undefined), { code: 'INVALID_ARGUMENT' });
  });

  test('leaves only the objects on disk, and no folder once they are deleted', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      await Promise.all([1, 2, 3].map((i) => storage.create(`a/b/${i}`, object(i))));
      assert.equal(await storage.create('a/b/1', object(9)), false);
      await storage.close();
      assert.deepEqual((await filesIn(directory)).sort(), ['1', '2', '3']);
      await fileStorage(directory).delete(['a/b/1', 'a/b/2', 'a/b/3']);
      assert.deepEqual(await fsp.readdir(directory), ['.tmp']);
    }));

  test('says so when a key is the folder of others, or under an object', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      await storage.create('a/b', object(1));
      await rejection(storage.create('a', object(2)), 'STORAGE');
      await rejection(storage.create('a/b/c', object(2)), 'STORAGE');
      await storage.delete(['a']);
      assert.deepEqual(await storage.list(''), ['a/b']);
    }));

  test('does not list files that are not objects', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      await storage.create('a', object(1));
      for (const name of ['.DS_Store', 'b+', '~b~', 'x'.repeat(130), 'nul']) {
        await fsp.writeFile(join(directory, name), 'x');
      }
      assert.deepEqual(await storage.list(''), ['a']);
    }));

  test('opens only the folders that a prefix can be in', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      for (const key of ['a/b/1', 'a/c/1', 'd/e/1']) await storage.create(key, object(1));
      await storage.close();
      const opened = [];
      const { readdir } = fsp.default;
      const spy = (path, options) => {
        opened.push(path.slice(directory.length + 1));
        return readdir(path, options);
      };
      await withFaults({ readdir: spy }, () => fileStorage(directory).list('a/b'));
      assert.deepEqual(opened.sort(), ['a', 'a/b'].map((path) => join(path)));
    }));

  test('keeps at most 64 files open under a thousand concurrent calls', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      const keys = Array.from({ length: 100 }, (_, i) => `k/${i}`);
      for (const key of keys) await storage.create(key, object(1));
      const { now, most } = await countingReads(() =>
        Promise.all(Array.from({ length: 1000 }, (_, i) => storage.read(keys[i % 100]))));
      assert.equal(now, 0);
      assert.ok(most > 1 && most <= 64, `${most} files open`);
    }));

  test('opens a file once for all who read parts of it, and closes it with the storage', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      await storage.create('a', object(1));
      const { now, all } = await countingReads(async (count) => {
        for (const offset of [0, 4]) {
          const reads = Array.from({ length: 50 }, (_, i) =>
            storage.read('a', { offset: offset + i * 8, length: 8 }));
          for (const bytes of await Promise.all(reads)) assert.ok(isWhole(bytes, 1, 8));
        }
        assert.equal(count.now, 1);
        await storage.close();
      });
      assert.deepEqual([now, all], [0, 1]);
    }));

  test('keeps at most 32 files open of which it reads parts, and those only for a while', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      const keys = Array.from({ length: 50 }, (_, i) => `k/${i}`);
      for (const key of keys) await storage.create(key, object(1, 80));
      const { now } = await countingReads(async (count) => {
        for (const key of keys) {
          assert.ok(isWhole(await storage.read(key, { offset: 8, length: 8 }), 1, 8));
          assert.ok(count.now <= 32);
        }
        assert.equal(count.now, 32);
        for (let i = 0; i < 100 && count.now > 0; i++) await sleep(100);
      });
      assert.equal(now, 0);
      assert.ok(isWhole(await storage.read('k/0', { offset: 8, length: 8 }), 1, 8));
      await storage.close();
    }));

  test('finds no object that another deleted, though it has the file open', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      for (const number of [1, 2]) {
        await storage.create('a', object(number));
        assert.ok(isWhole(await storage.read('a', { offset: 0, length: 8 }), number, 8));
        await fileStorage(directory).delete(['a']);
        await sleep(1);
        assert.equal(await storage.read('a', { offset: 0, length: 8 }), undefined);
      }
      await storage.close();
    }));

  test('has other threads read for a while when a short part takes long', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      await storage.create('a', object(1));
      const { read, readSync } = nodeFs;
      const counts = { here: 0, elsewhere: 0 };
      let slow = 0;
      const here = (...args) => {
        counts.here++;
        for (const end = performance.now() + slow; performance.now() < end;);
        return readSync(...args);
      };
      const elsewhere = (...args) => {
        counts.elsewhere++;
        return read(...args);
      };
      const readParts = async (n, length) => {
        for (let i = 0; i < n; i++) {
          assert.ok(isWhole(await storage.read('a', { offset: 8 * i, length }), 1, length));
        }
      };
      await withFaults({ readSync: here, read: elsewhere }, async () => {
        await readParts(1, 65_540);
        assert.deepEqual(counts, { here: 0, elsewhere: 1 });
        slow = 3;
        await readParts(1, 8);
        slow = 0;
        assert.deepEqual(counts, { here: 1, elsewhere: 1 });
        await readParts(1000, 8);
        assert.deepEqual(counts, { here: 1, elsewhere: 1001 });
        await readParts(1000, 8);
        assert.ok(counts.here > 1);
        await storage.close();
      }, nodeFs);
    }));

  test('finds no object that was deleted, though others are still reading it', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      await storage.create('a', object(1));
      const { read } = nodeFs;
      const waiting = new EventEmitter();
      const [begun, held] = [once(waiting, 'begun'), once(waiting, 'go on')];
      const slow = (...args) => {
        waiting.emit('begun');
        void held.then(() => read(...args));
      };
      await withFaults({ read: slow }, async () => {
        const before = storage.read('a', { offset: 0, length: 80_000 });
        await begun;
        await storage.delete(['a']);
        const after = storage.read('a', { offset: 0, length: 8 });
        waiting.emit('go on');
        assert.ok(isWhole(await before, 1, 80_000));
        assert.equal(await after, undefined);
      }, nodeFs);
    }));

  test('finishes the calls it has accepted before close resolves', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      const calls = Array.from({ length: 100 }, (_, i) => storage.create(`k/${i}`, object(i)));
      await storage.close();
      assert.equal((await filesIn(directory)).length, 100);
      assert.ok((await Promise.all(calls)).every(Boolean));
    }));

  test('has exactly one winner for each of 500 keys that two processes race for', () =>
    inDirectory(async (directory) => {
      const racers = await Promise.all([7, 8].map(() => child('child', directory)));
      const ends = racers.map((racer) => once(racer, 'exit'));
      const won = [[], []];
      // In rounds, so that neither can get ahead of the other for good.
      for (let from = 0; from < 500; from += 10) {
        const results = racers.map((racer) => once(racer, 'message'));
        racers.forEach((racer, i) => racer.send({ from, to: from + 10, fill: 7 + i }));
        for (const [i, [keys]] of (await Promise.all(results)).entries()) won[i].push(...keys);
      }
      for (const racer of racers) racer.disconnect();
      await Promise.all(ends);
      assert.equal(won[0].length + won[1].length, 500);
      assert.equal(new Set(won.flat()).size, 500);
      assert.ok(won[0].length > 0 && won[1].length > 0, 'they did race');
      const storage = fileStorage(directory);
      for (const [i, keys] of won.entries()) {
        for (const key of keys) assert.ok(isWhole(await storage.read(`o/${key}`), 7 + i, 3000));
      }
    }));

  test('shows no partial object after 50 processes were killed while creating', () =>
    inDirectory(async (directory) => {
      let seen = 0;
      let leftovers = 0;
      for (let round = 0; round < 50; round++) {
        const writer = await child('endless', directory, seen);
        const end = once(writer, 'exit');
        await new Promise((resolve) => setTimeout(resolve, 5 + Math.random() * 40));
        writer.kill('SIGKILL');
        await end;
        const storage = fileStorage(directory);
        const keys = await storage.list('o/');
        for (const key of keys.filter((k) => Number(k.slice(2)) >= seen)) {
          assert.ok(isWhole(await storage.read(key), Number(key.slice(2))), `${key} is whole`);
        }
        seen = keys.length;
        leftovers = Math.max(leftovers, (await fsp.readdir(join(directory, '.tmp'))).length);
      }
      assert.ok(seen > 50, `only ${seen} objects were created`);
      assert.ok(leftovers > 0, 'no process was killed in the middle of a create');
      const storage = fileStorage(directory);
      await storage.create('last', object(1));
      await storage.close();
      assert.deepEqual(await fsp.readdir(join(directory, '.tmp')), []);
    }));
}

function faultTests() {
  test(
    'rejects with QUOTA_EXCEEDED on a full disk, leaves nothing, and works once there is room',
    { skip: !(LINUX && ROOT_USER) && 'needs root on Linux to mount a small disk' },
    (t) =>
      inDirectory(async (directory) => {
        const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory]);
        if (mounted.status !== 0) return t.skip('this system does not allow mounts');
        try {
          const storage = fileStorage(directory);
          assert.equal(await storage.create('fits', object(1)), true);
          const big = object(2, 2 ** 21);
          const error = await rejection(storage.create('x/big', big), 'QUOTA_EXCEEDED');
          assert.equal(error.cause.code, 'ENOSPC');
          assert.match(error.message, /x\/big.*ENOSPC/);
          assert.deepEqual(await filesIn(directory), ['fits']);
          assert.equal(await storage.create('x/big', object(3)), true);
          assert.ok(isWhole(await storage.read('x/big'), 3));
          await storage.close();
        } finally {
          assert.equal(spawnSync('umount', [directory]).status, 0);
        }
      }),
  );

  for (const [code, want] of [
    ['ENOSPC', 'QUOTA_EXCEEDED'],
    ['EDQUOT', 'QUOTA_EXCEEDED'],
    ['EIO', 'STORAGE'],
    ['EMFILE', 'STORAGE'],
  ]) {
    for (const call of ['open', 'mkdir', 'link']) {
      test(`rejects with ${want} when ${call} fails with ${code}, and leaves nothing`, () =>
        inDirectory(async (directory) => {
          const storage = fileStorage(directory);
          const fault = () => Promise.reject(errno(code));
          const attempt = () => rejection(storage.create('a/b', object(1)), want);
          await withFaults({ [call]: fault }, attempt);
          assert.deepEqual(await filesIn(directory), []);
          assert.equal(await storage.create('a/b', object(1)), true);
        }));
    }
  }

  test('syncs each file once, rejects when that fails, and publishes nothing', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      let syncs = 0;
      const open = failingSync(() => {
        syncs++;
        throw errno('EIO');
      });
      await withFaults({ open }, () => rejection(storage.create('a', object(1)), 'STORAGE'));
      assert.equal(syncs, 1);
      assert.deepEqual(await filesIn(directory), []);
    }));

  test('syncs the file before the link, then every new folder, then resolves', () =>
    inDirectory(async (directory) => {
      const log = [];
      const short = (path) => path.slice(directory.length).replaceAll('\\', '/') || '/';
      const { link, unlink } = fsp.default;
      const faults = {
        open: failingSync((path) => log.push(`sync ${short(path)}`)),
        link: (from, to) => (log.push(`link ${short(to)}`), link(from, to)),
        unlink: (path) => (log.push('unlink'), unlink(path)),
      };
      const storage = fileStorage(join(directory, 'n/root'));
      await withFaults(faults, async () => {
        await storage.create('a/b/1', object(1));
        log.push('resolved');
        await storage.create('a/b/2', object(1));
        log.push('resolved');
        await storage.close();
      });
      const text = log.join('\n').replaceAll(/\.tmp\/\S+/g, '.tmp/*');
      assert.equal(
        text,
        [
          'sync /',
          'sync /n',
          'sync /n/root/.tmp/*',
          'link /n/root/a/b/1',
          'link /n/root/a/b/1',
          'sync /n/root/a/b',
          'sync /n/root/a',
          'sync /n/root',
          'unlink',
          'resolved',
          'sync /n/root/.tmp/*',
          'link /n/root/a/b/2',
          'sync /n/root/a/b',
          'unlink',
          'resolved',
        ].join('\n'),
      );
    }));

  test('syncs the folders again when another process has remade one', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      await storage.create('a/b/1', object(1));
      await fileStorage(directory).delete(['a/b/1']);
      // In between, so that the folder's number is taken and it gets another.
      await fsp.mkdir(join(directory, 'other'));
      await fsp.mkdir(join(directory, 'a/b'), { recursive: true });
      const synced = [];
      const open = failingSync((path) => synced.push(path.slice(directory.length + 1)));
      await withFaults({ open }, () => storage.create('a/b/2', object(1)));
      assert.deepEqual(synced.slice(1), [join('a/b'), 'a', '']);
    }));

  test('makes its folder again when a delete elsewhere removes it before the link', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      const { mkdir } = fsp.default;
      let removed = 0;
      const racing = async (path) => {
        await mkdir(path);
        if (path.endsWith('b') && removed++ < 5) await fsp.rmdir(path);
      };
      await withFaults({ mkdir: racing }, async () => {
        assert.equal(await storage.create('a/b/c', object(1)), true);
      });
      assert.ok(removed > 5);
      assert.ok(isWhole(await storage.read('a/b/c'), 1));
    }));

  test('gives up when its folder cannot be made to stay', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      const link = () => Promise.reject(errno('ENOENT'));
      await withFaults({ link }, () => rejection(storage.create('a', object(1)), 'STORAGE'));
      assert.deepEqual(await filesIn(directory), []);
    }));

  test('shows an empty object or a whole one, never a part, without hard links', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      const { rename } = fsp.default;
      const seen = [];
      const faults = {
        link: () => Promise.reject(errno('ENOTSUP')),
        rename: async (from, to) => {
          seen.push((await storage.read('a')).length);
          assert.equal(await fileStorage(directory).create('a', object(2)), false);
          await rename(from, to);
        },
      };
      await withFaults(faults, () => storage.create('a', object(1)));
      assert.deepEqual(seen, [0]);
      assert.ok(isWhole(await storage.read('a'), 1));
      faults.rename = () => Promise.reject(errno('EIO'));
      await withFaults(faults, () => rejection(storage.create('b', object(1)), 'STORAGE'));
      assert.deepEqual(await storage.list(''), ['a']);
    }));

  test('deletes the rest when one object cannot be deleted, and then says so', () =>
    inDirectory(async (directory) => {
      const storage = fileStorage(directory);
      for (const key of ['a', 'b', 'c']) await storage.create(key, object(1));
      const { unlink } = fsp.default;
      const busy = (path) =>
        path.endsWith('b') ? Promise.reject(errno('EBUSY')) : unlink(path);
      const attempt = () => rejection(storage.delete(['a', 'b', 'c']), 'STORAGE');
      await withFaults({ unlink: busy }, attempt);
      assert.deepEqual(await storage.list(''), ['b']);
    }));

  test('rejects with STORAGE where it may not write', (t) =>
    inDirectory(async (directory) => {
      const done = await makeReadOnly(directory);
      if (done === undefined) return t.skip('this system cannot make a directory read-only');
      try {
        const storage = fileStorage(directory);
        const error = await rejection(storage.create('a', object(1)), 'STORAGE');
        assert.match(error.message, /could not create a: E(ACCES|PERM|ROFS)/);
        assert.deepEqual(await storage.list(''), []);
        await storage.close();
      } finally {
        await done();
      }
    }));

  test('rejects with STORAGE where a file is in the place of the directory', () =>
    inDirectory(async (directory) => {
      await fsp.writeFile(join(directory, 'file'), 'x');
      const storage = fileStorage(join(directory, 'file'));
      await rejection(storage.create('a', object(1)), 'STORAGE');
      assert.equal(await storage.read('a'), undefined);
      assert.deepEqual(await storage.list(''), []);
    }));
}

/** An `open` whose files call `before` with their path ahead of each sync. */
function failingSync(before) {
  const { open } = fsp.default;
  return async (path, flags) => {
    const file = await open(path, flags);
    const { sync } = file;
    file.sync = async () => {
      before(path);
      return sync.call(file);
    };
    return file;
  };
}

/** Root writes where it likes, but not to a file system that is mounted read-only. */
async function makeReadOnly(directory) {
  if (process.platform === 'win32') return undefined;
  if (!ROOT_USER) {
    await fsp.chmod(directory, 0o500);
    return () => fsp.chmod(directory, 0o700);
  }
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', directory]);
  return mounted.status === 0 ? async () => void spawnSync('umount', [directory]) : undefined;
}

function temporaryTests() {
  const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
  const random = '0123456789abcdef';
  const gone = spawnSync(process.execPath, ['-e', '']).pid;
  const other = host === '00000000' ? '11111111' : '00000000';
  const cases = [
    ['removes those of a process that is gone', `${host}-${gone}-${random}`, 0, false],
    ['keeps those of a process that runs', `${host}-${process.ppid}-${random}`, 50, true],
    ['keeps those of its own process id', `${host}-${process.pid}-${random}`, 0, true],
    ['removes those of its own id after a day', `${host}-${process.pid}-${random}`, 25, false],
    ['keeps those of another host', `${other}-${gone}-${random}`, 0, true],
    ['removes those of another host after a day', `${other}-${gone}-${random}`, 25, false],
    ['keeps files of other names', `${gone}`, 50, true],
  ];
  for (const [name, file, hours, stays] of cases) {
    test(name, () =>
      inDirectory(async (directory) => {
        const path = join(directory, '.tmp', file);
        await fsp.mkdir(join(directory, '.tmp'));
        await fsp.writeFile(path, 'x');
        const time = Date.now() / 1000 - hours * 3600;
        await fsp.utimes(path, time, time);
        const storage = fileStorage(directory);
        await storage.list('');
        assert.deepEqual(await fsp.readdir(join(directory, '.tmp')), [file], 'not before a create');
        await storage.create('a', object(1));
        await storage.close();
        assert.deepEqual(await fsp.readdir(join(directory, '.tmp')), stays ? [file] : []);
      }));
  }

  test('never takes its own running creates for leftovers, however old they look', () =>
    inDirectory(async (directory) => {
      const { link } = fsp.default;
      const slow = async (from, to) => {
        if (to.endsWith('slow')) {
          await fsp.utimes(from, 0, 0);
          const storage = fileStorage(directory);
          await storage.create('fast', object(1));
          await storage.close();
        }
        return link(from, to);
      };
      await withFaults({ link: slow }, async () => {
        assert.equal(await fileStorage(directory).create('slow', object(2)), true);
      });
    }));
}
